"""What MkDocs does besides its own for the site: generated parts, pages of the root, formulas, lessons that are there.

`mkdocs.yml` names this file; `make docs` builds the site.
"""

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

from generated_parts import GENERATED
from mathml import with_mathml, with_mathml_of_notebook

ROOT = Path(__file__).parents[2]
FROM_ROOT = {"CONTRIBUTING.md": "contributing.md", "RELEASING.md": "releasing.md", "CHANGELOG.md": "changelog.md"}
"""Pages that stand at the root of the repository, and where the site has them."""

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
_DIAGRAM = re.compile(r"^```mermaid\n.*?^```\n", re.DOTALL | re.MULTILINE)
_REASON = re.compile(r"<!-- not run: [^>]*-->\n")
_FETCHING = re.compile(
    r"<script\b(?:(?!</script>).)*?(?:cdnjs|unpkg|jsdelivr|MathJax)(?:(?!</script>).)*</script>", re.DOTALL
)
_CODE = re.compile(r"<code>[^<]+</code>")
_OPTION = re.compile(r"(?<![\w/-])-{1,2}[a-z][\w.-]{0,30}(?![\w.-])")
_GENERATED = re.compile(r"<!-- generated: (\w+) -->.*", re.DOTALL)


def on_config(config: Any) -> Any:
    """Leave out of the contents the lessons whose notebook is not there yet."""
    docs = Path(config.docs_dir)
    for section in config.nav:
        for name, pages in section.items():
            if name == "Lessons":
                section[name] = [page for page in pages if (docs / _path(page)).exists()]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root."""
    for name, place in FROM_ROOT.items():
        files.append(File.generated(config, place, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in what is generated; lead links to files outside the documentation to their pages, or leave their text."""
    place = page.file.src_uri
    markdown = _GENERATED.sub(lambda found: GENERATED[found[1]](), markdown)
    outside = {own: name for name, own in FROM_ROOT.items()}
    markdown = _REASON.sub("", markdown)
    if place == "contributing.md":
        markdown = _with_figures(markdown)
    here = posixpath.dirname(posixpath.join("docs", place)) if place not in outside else ""

    def led(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(here, found[2]))
        anchor = found[3] or ""
        if target == "README.md":
            return f"[{found[1]}]({posixpath.relpath('index.md', posixpath.dirname(place) or '.')})"
        if target in FROM_ROOT:
            return f"[{found[1]}]({posixpath.relpath(FROM_ROOT[target], posixpath.dirname(place) or '.')}{anchor})"
        if target.startswith("docs/"):
            return f"[{found[1]}]({posixpath.relpath(target[5:], posixpath.dirname(place) or '.')}{anchor})"
        return found[1] if found[1].startswith("`") else f"{found[1]} (`{target}`)"

    return _LINK.sub(led, markdown)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Draw formulas as MathML; keep options of commands on one line."""
    html = with_mathml_of_notebook(html) if page.file.src_uri.endswith(".ipynb") else with_mathml(html)
    return with_whole_options(html)


def with_whole_options(html: str) -> str:
    """Mark options in code within text, `--resume`, which browsers would break behind their dashes."""
    return _CODE.sub(lambda code: _OPTION.sub(r'<span class="option">\g<0></span>', code[0]), html)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Take out scripts of notebooks that fetch others, for formulas and diagrams; formulas are drawn already."""
    return _FETCHING.sub("", output) if page.file.src_uri.endswith(".ipynb") else output


def _path(entry: Any) -> str:
    return str(next(iter(entry.values())) if isinstance(entry, dict) else entry)


def _with_figures(markdown: str) -> str:
    """Pictures in the place of the two diagrams, whose language browsers do not know."""
    figures = iter(("from-pairs-to-forces", "from-labels-to-the-loss"))
    return _DIAGRAM.sub(lambda _: f"![]({'figures/' + next(figures)}.svg)\n", markdown)

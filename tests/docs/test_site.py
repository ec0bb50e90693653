"""Every page is in the contents of the site, and every setting, command and public name has its entry."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from pages import DOCS, ROOT

import nnpot
from nnpot.commands import kinds, topics
from nnpot.commands.help import COMMANDS
from nnpot.commands.kinds import all_names
from nnpot.commands.train import train

sys.path.insert(0, str(ROOT / "scripts/documentation"))

from docstrings_text import as_markdown
from generated_parts import GENERATED, PYTHON

FROM_ROOT = {"contributing.md", "releasing.md", "changelog.md"}
"""Pages that are not files of docs/ but at the root."""


class _Loader(yaml.SafeLoader):
    """A loader that leaves alone what names a function."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
SITE: dict[str, Any] = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), _Loader)


def listed(entries: list[Any]) -> Iterator[str]:
    """Pages of the contents."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from [below] if isinstance(below, str) else listed(below)


def test_the_contents_have_every_page_once() -> None:
    pages = list(listed(SITE["nav"]))
    there = {str(path.relative_to(DOCS)) for path in (*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb"))} | FROM_ROOT
    assert len(pages) == len(set(pages))
    lessons = {page for page in pages if page.endswith(".ipynb")}
    assert {page for page in there if page not in pages} == set()
    assert set(pages) - there - lessons == set()


def test_a_lesson_that_is_not_there_is_left_out_of_the_contents(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install '.[docs]'")
    from hooks import on_config
    from mkdocs.config.defaults import MkDocsConfig

    config = MkDocsConfig()
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons/index.md").touch()
    config.docs_dir, config.nav = str(tmp_path), [{"Lessons": ["lessons/index.md", {"H2": "lessons/h2.ipynb"}]}]
    assert on_config(config).nav == [{"Lessons": ["lessons/index.md"]}]
    (tmp_path / "lessons/h2.ipynb").touch()
    config.nav = [{"Lessons": ["lessons/index.md", {"H2": "lessons/h2.ipynb"}]}]
    assert len(on_config(config).nav[0]["Lessons"]) == 2


def test_nothing_is_fetched() -> None:
    assert SITE["theme"]["font"] is False
    scripts = [str(script) for key in ("extra_css", "extra_javascript") for script in SITE.get(key, [])]
    assert not any(script.startswith("http") for script in scripts)


@pytest.mark.parametrize("name", GENERATED)
def test_what_is_generated_has_its_page(name: str) -> None:
    text = (DOCS / f"reference/{name}.md").read_text(encoding="utf-8")
    assert f"\n<!-- generated: {name} -->\n" in text


@pytest.fixture
def classes_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out classes that other tests have defined in this process, examples in docstrings among them."""
    everywhere = kinds.classes_of

    def of_the_package(base: type) -> dict[str, type]:
        found = everywhere(base).items()
        return {
            name: k
            for name, k in found
            if k.__module__.startswith("nnpot.") and hasattr(sys.modules[k.__module__], name)
        }

    for module in (kinds, topics):
        monkeypatch.setattr(module, "classes_of", of_the_package)


@pytest.mark.usefixtures("classes_of_the_package")
def test_every_setting_has_its_entry() -> None:
    page = GENERATED["settings"]()
    anchors = {key.replace("potential.", "potential.", 1) for key in re.findall(r'<span id="([\w.]+)">', page)}
    groups = {"data", "data.keys", "loss", "optimizer", "trainer"}  # which have headings
    wanted = {name for name in all_names(train, of_classes=True) if name not in groups}
    assert {name for name in wanted if name not in anchors and not name.startswith("potential.core.")} == set()


@pytest.mark.usefixtures("classes_of_the_package")
def test_every_entry_of_a_setting_says_what_it_means() -> None:
    rows = re.findall(r'^\| <span id="([\w.]+)"></span>[^|]*\| ([^|]*) \|', GENERATED["settings"](), re.MULTILINE)
    assert len(rows) > 80
    assert [key for key, meaning in rows if len(meaning) < 5] == []


def test_every_command_has_its_entry() -> None:
    page = GENERATED["commands"]()
    assert [name for name in COMMANDS if f"## nnpot {name}\n" not in page] == []


def test_every_public_name_has_its_entry() -> None:
    names = [name for group in PYTHON.values() for name in group]
    assert len(names) == len(set(names))
    assert set(nnpot.__all__) - set(names) == set()
    rooms = {name.partition(".")[0] for name in names}
    assert {name for name in ("descriptors", "nn", "reference", "training") if name not in rooms} == set()
    for room in ("nn", "descriptors", "training"):
        public = {f"{room}.{name}" for name in getattr(nnpot, room).__all__ if name not in nnpot.__all__}
        assert public - set(names) == set()


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("Say.\n\n>>> 1 + 1\n2\n\nMore.", "Say.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore."),
        (">>> 1\n1", "```pycon\n>>> 1\n1\n```"),
        ("See :class:`nnpot.Pairs`.", "See `nnpot.Pairs`."),
        ("====  ===\na     b\n====  ===", "```text\n====  ===\na     b\n====  ===\n```"),
    ],
)
def test_docstrings_become_markdown(text: str, markdown: str) -> None:
    assert as_markdown(text) == markdown


def test_options_in_text_are_not_broken_behind_their_dashes() -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install '.[docs]'")
    pytest.importorskip("latex2mathml")
    from hooks import with_whole_options

    marked = '<code>nnpot train <span class="option">--resume</span> runs/a-b -</code>'
    assert with_whole_options("<code>nnpot train --resume runs/a-b -</code>") == marked
    long = f"<code>--{'a.' * 20}b</code>"
    assert with_whole_options(f"{long}<p>--resume</p><code><b>--resume</b></code>").count("span") == 0


def test_formulas_become_mathml() -> None:
    pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: pip install '.[docs]'")
    from mathml import with_mathml, with_mathml_of_notebook

    bold = with_mathml('a <span class="arithmatex">\\(\\mathbf W\\)</span>')
    assert "<math" in bold
    assert "𝐖" in bold
    matrix = with_mathml('<div class="arithmatex">\\[\\begin{bmatrix}a\\\\ 1\\end{bmatrix}^T\\]</div>')
    assert '<msup><mtable class="bracketed">' in matrix
    page = with_mathml_of_notebook("<p>$x\n^2$ costs 5$ or $6</p><pre>$a$</pre>")
    assert page.count("<math") == 1
    assert "<pre>$a$</pre>" in page


def test_scripts_that_fetch_others_are_taken_out_of_notebooks() -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install '.[docs]'")
    from hooks import on_post_page

    html = '<script src="a.js"></script><script>import "https://cdnjs.x/m"</script><script>1</script>'
    page = SimpleNamespace(file=SimpleNamespace(src_uri="lessons/a.ipynb"))
    assert on_post_page(html, page=page) == '<script src="a.js"></script><script>1</script>'


def test_figures_are_shown_somewhere() -> None:
    pages = (*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "scripts/documentation/hooks.py")
    text = "".join(path.read_text(encoding="utf-8") for path in pages)
    assert [path.name for path in (DOCS / "figures").iterdir() if path.stem not in text] == []

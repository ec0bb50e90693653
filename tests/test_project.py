"""What stands beside the code: the version, the citation, workflows, and links between pages."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import nnpot

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = [
    path.relative_to(ROOT)
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
NAMED = re.compile(r"`((?:nnpot|tests|docs|configs|scripts|benchmarks|examples)/[\w./-]+)`")
every_page = pytest.mark.parametrize("page", PAGES, ids=str)


def loaded(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(text: str, page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    broken = []
    for name, anchor in LINK.findall(text):
        target = (ROOT / page).parent / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{name}#{anchor}" if anchor else name)
    return broken


# the version ----------------------------------------------------------------------------------------------------------


def test_the_version_is_read_from_the_package() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "nnpot.__version__"}


def test_the_version_is_a_literal_that_needs_no_import() -> None:
    tree = ast.parse((ROOT / "nnpot" / "__init__.py").read_text(encoding="utf-8"))
    (assigned,) = [
        n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__version__"
    ]
    assert ast.literal_eval(assigned) == nnpot.__version__


def test_the_citation_has_the_version_and_the_licence() -> None:
    citation = loaded("CITATION.cff")
    assert citation["version"] == nnpot.__version__
    assert citation["license"] == PROJECT["project"]["license"]
    assert [author["name"] for author in citation["authors"]] == [a["name"] for a in PROJECT["project"]["authors"]]


# workflows ------------------------------------------------------------------------------------------------------------


def test_every_python_that_is_named_is_tested() -> None:
    pattern = re.compile(r"Programming Language :: Python :: (3\.\d+)")
    named = [m[1] for c in PROJECT["project"]["classifiers"] if (m := pattern.fullmatch(c))]
    assert loaded(".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"


def test_a_report_of_a_fault_asks_for_the_system() -> None:
    (asked,) = [f for f in loaded(".github/ISSUE_TEMPLATE/fault.yml")["body"] if f["id"] == "system"]
    assert "nnpot info --system" in asked["attributes"]["label"]
    assert asked["validations"]["required"]


# pages ----------------------------------------------------------------------------------------------------------------


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links((ROOT / page).read_text(encoding="utf-8"), page) == []


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](README.md)", []),
        ("[a](README.md#install)", []),
        ("[a](https://example.org/x)", []),
        ("[a](no.md)", ["no.md"]),
        ("[a](README.md#no-such)", ["README.md#no-such"]),
    ],
)
def test_broken_links_are_found(text: str, broken: list[str]) -> None:
    assert broken_links(text, Path("CHANGELOG.md")) == broken


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "RELEASING.md", "docs/notes/kernels.md"])
def test_files_that_a_page_names_are_there(page: str) -> None:
    named = NAMED.findall((ROOT / page).read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []

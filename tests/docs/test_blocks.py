"""Blocks of code on pages run, and give what the pages show."""

import contextlib
import io
import shutil
import tomllib
from pathlib import Path
from typing import Any

import ase.io
import matplotlib as mpl
import pytest
import yaml
from pages import PAGES, ROOT, Block, blocks_of, differences, keys_of, run_of, workspace

from nnpot.commands.kinds import all_names
from nnpot.commands.train import train

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
every_page = pytest.mark.parametrize("page", [p for p in PAGES if blocks_of(p)], ids=lambda p: str(p.relative_to(ROOT)))


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    marked = [block for block in BLOCKS if block.reason is not None]
    assert len(BLOCKS) > 70
    assert len(marked) <= 0.1 * len(BLOCKS)
    assert all(block.reason and len(block.reason) > 10 for block in marked)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_configurations_have_settings_that_there_are(page: Path) -> None:
    names = all_names(train, of_classes=True)
    known = {*names, *(name.replace(".init_args", "") for name in names), "potential.descriptor.class_path"}
    known.add("potential.activation.class_path")
    for block in blocks_of(page):
        if block.language == "yaml":
            assert [key for key in keys_of(yaml.safe_load(block.code)) if key not in known] == []


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "toml"], ids=lambda b: b.page.name)
def test_toml_is_read(block: Block) -> None:
    assert tomllib.loads(block.code)


@pytest.mark.parametrize(
    ("shown", "told", "missing"),
    [
        ("a … c", "x\na b c", []),
        ("a … c\n…\nd", "a b c\nd", []),
        ("a b", "a c", ["a b"]),
        ("b\na", "a\nb", ["a"]),
    ],
)
def test_what_is_shown_is_compared_line_by_line(shown: str, told: str, missing: list[str]) -> None:
    assert list(differences(shown, told)) == missing


def test_numbers_of_a_log_may_be_those_of_other_data() -> None:
    assert list(differences("cutoff 5.8 Å of  12", "cutoff 4.51 Å of 3", of_other_data=True)) == []
    assert list(differences("cutoff 5.8 Å", "cutoff of 4 Å", of_other_data=True)) == ["cutoff 5.8 Å"]
    assert list(differences("cutoff 5.8 Å", "cutoff 4.5 Å")) == ["cutoff 5.8 Å"]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pages are about; each of them has a copy."""
    folder = tmp_path_factory.mktemp("pages")
    workspace(folder)
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of other packages, such as of GPUs that are not there
@every_page
def test_blocks_run(page: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("agg")
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page", "atoms": ase.io.read("start.xyz")}
    told = ""
    for block in blocks_of(page):
        if block.reason is not None:
            continue
        if block.language in ("text", "log"):  # a log is that of other data than here
            assert list(differences(block.code, told, of_other_data=block.language == "log")) == []
        elif block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.code, str(page), "exec"), names)
            told = printed.getvalue()
        elif block.commands:
            told = "".join(run_of(words) for words in block.commands)

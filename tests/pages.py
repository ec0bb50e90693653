"""Pages of the documentation: their blocks of code, and a folder in which these run."""

import contextlib
import glob
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ase import Atoms
from ase.io import write
from datasets import labelled_alloys

from nnpot.__main__ import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(path for path in sorted(DOCS.rglob("*.md")) if "notes" not in path.parts)]
"""What users read; notes of the developers tell what was done, not what to do."""

_BLOCK = re.compile(r"(?:^<!-- not run: ([^>]*) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_QUICK = {
    "train": ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"],
    "learning-curve": ["--max_epochs", "1", "--sizes", "[4,6,8]"],
}
"""Options with which commands that train are over at once."""


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: Where it stands.
        language: What is written behind the fence, empty for commands of a shell.
        code: What is in it.
        reason: Why it is not run, if it is not.
    """

    page: Path
    language: str
    code: str
    reason: str | None

    @property
    def commands(self) -> list[list[str]]:
        """Words of the commands of nnpot, without comments and without the name of the program."""
        if self.language not in ("", "bash"):
            return []
        lines = self.code.replace("\\\n", " ").splitlines()
        return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("nnpot ") and "…" not in line]


def blocks_of(page: Path) -> list[Block]:
    """All blocks of code of a page, in their order."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [Block(page, language, code, reason or None) for reason, language, code in found]


def workspace(folder: Path) -> None:
    """Write the files that pages speak of: labelled structures, models, runs."""
    frames = labelled_alloys(12)
    for frame in frames:
        frame.info["config_type"] = "bulk" if frame.info["config_type"] < "Au2" else "alloy"
    names = ["train", "test", "new", "more", "bulk", "md", "hot", "cold", "all", "structures", "a", "b"]
    for name in (*names, "test/300K", "test/600K"):
        (folder / name).parent.mkdir(exist_ok=True)
        write(folder / f"{name}.xyz", frames)
    write(folder / "start.xyz", Atoms(frames[1], calculator=None))
    (folder / "slabs").mkdir()
    write(folder / "slabs/one.traj", frames)
    (folder / "data").mkdir()
    write(folder / "data/one.cif", Atoms(frames[0], calculator=None))
    config = {
        "potential": {
            "descriptor": {"class_path": "ACE", "init_args": {"cutoff": 4.0, "channels": 4, "n_radial": 4, "l_max": 1}},
            "hidden": [8],
        },
        "data": {"train": str(folder / "train.xyz"), "validation": 0.0},
        "trainer": {"max_epochs": 1, "accelerator": "cpu"},
    }
    (folder / "my.yaml").write_text(yaml.safe_dump(config))
    for run in ("mine", "a"):
        main(["train", "--config", str(folder / "my.yaml"), "--out", str(folder / "runs" / run)])
    for run in ("b", "first", "cold", "demo"):
        shutil.copytree(folder / "runs/mine", folder / "runs" / run)
    for name in ("model", "old"):
        shutil.copy(folder / "runs/mine/model.nnpot", folder / f"{name}.nnpot")


def run_of(words: list[str]) -> str:
    """Run a command as a shell does, patterns written out, a training for an epoch; return what it prints."""
    written = [word for given in words for word in (sorted(glob.glob(given)) if "*" in given else []) or [given]]
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        main([*written, *(_QUICK.get(words[0], []) if "--resume" not in words else [])])
    return told.getvalue()


def differences(shown: str, told: str) -> Iterator[str]:
    """What a page shows that was not printed, line by line and in this order; `…` stands for anything."""
    rest = told.splitlines()
    for line in shown.splitlines():
        if line.strip() in ("", "…"):
            continue
        pattern = re.compile(".*".join(re.escape(part.rstrip()) for part in line.split("…")))
        places = [k for k, other in enumerate(rest) if pattern.match(other)]
        if not places:
            yield line
        else:
            rest = rest[places[0] + 1 :]


def keys_of(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Full names of the settings of a configuration."""
    for name, value in settings.items():
        if isinstance(value, dict) and name not in ("rates", "atomic_energies"):
            yield from keys_of(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"

"""Pages of the documentation: their blocks of code, and a folder in which these run."""

import contextlib
import glob
import io
import logging
import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from datasets import labelled_alloys

from nnpot.__main__ import main
from nnpot.formats import n2p2
from nnpot.io import load

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(path for path in sorted(DOCS.rglob("*.md")) if "notes" not in path.parts)]
"""What users read; notes of the developers tell what was done, not what to do."""

_BLOCK = re.compile(r"(?:^<!-- not run: ([^>]*) -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ACE = {"class_path": "ACE", "init_args": {"cutoff": 4.5, "channels": 8, "n_radial": 6, "l_max": 2}}
N2P2 = {
    "class_path": "ACSF",
    "init_args": {
        "cutoff": 4.5,
        "cutoff_function": "cosine",
        "g2": [[0.1, 0.0], [0.5, 2.0]],
        "g4": [[0.01, 1.0, 1.0, 0.0]],
    },
}
"""Descriptors of the models of these pages; the second such as n2p2 has."""

_OUTCAR = runpy.run_path(str(ROOT / "examples/lessons/data/outcars.py"))["outcar"]
"""Makes the text of a file of VASP from atoms."""

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
    everything = alloys(32)
    frames, others = everything[:16], everything[16:]
    names = ["train", "test", "new", "more", "bulk", "md", "hot", "cold", "all", "structures", "a", "b"]
    for name in (*names, "test/300K", "test/600K", "train/one"):
        (folder / name).parent.mkdir(exist_ok=True)
        write(folder / f"{name}.xyz", others if name == "test" else frames)
    write(folder / "start.xyz", Atoms(frames[4], calculator=None))
    pool = [Atoms(frame, calculator=None) for frame in frames]
    for k, frame in enumerate(pool):
        frame.rattle(0.1, seed=k)
    write(folder / "pool.xyz", pool)
    for k, frame in enumerate(frames[:14]):
        path = folder / ("calc" if k < 12 else "test") / f"{k:03d}/OUTCAR"
        path.parent.mkdir(parents=True)
        path.write_text(_OUTCAR([_of_one_step(frame)]))
    for name in ("slabs/one.traj", "data/one.cif"):
        (folder / name).parent.mkdir(exist_ok=True)
        write(folder / name, frames if name.endswith("traj") else Atoms(frames[0], calculator=None))
    _train(folder, "mine", ACE, hidden=[8])
    own, files = str(folder / "runs/mine/model.nnpot"), [str(folder / f"{name}.xyz") for name in ("test", "train")]
    main(["calibrate", own, files[0], "--train", files[1], "--out", own])
    _train(folder, "a", ACE, hidden=[8], epochs=1)
    _train(folder, "train", N2P2, hidden=[8], activation="tanh", linear=False, epochs=1)
    n2p2.write(load(folder / "runs/train"), folder / "published")
    for run in ("b", "first", "cold", "demo"):
        shutil.copytree(folder / "runs/mine", folder / "runs" / run)
    for name in ("model", "old"):
        shutil.copy(folder / "runs/mine/model.nnpot", folder / f"{name}.nnpot")


def alloys(n: int) -> list[Atoms]:
    """Cells of copper and Cu–Au about their lattice constants, labelled by EMT."""
    frames, random = labelled_alloys(n), np.random.RandomState(0)
    for k, frame in enumerate(frames):
        edge = (3.6 + 0.11 * (k % 5)) * (1 + 0.02 * random.randn())
        frame.set_cell(edge * (np.eye(3) + 0.01 * random.randn(3, 3)), scale_atoms=True)
        frame.calc = EMT()
        results = {name: frame.calc.get_property(name, frame) for name in ("energy", "forces", "stress")}
        frame.calc = SinglePointCalculator(frame, **results)
        frame.info |= {"config_type": "bulk" if k % 2 else "alloy", "REF_energy": results["energy"]}
    return frames


def _of_one_step(frame: Atoms) -> Atoms:
    """Labelled atoms in the order of their elements, as VASP has them."""
    atoms = Atoms(frame, calculator=None)[np.argsort(frame.numbers, kind="stable")]
    atoms.calc = EMT()
    return atoms


def _train(folder: Path, name: str, descriptor: dict[str, Any], *, epochs: int = 50, **potential: Any) -> None:
    """Train a small potential, whose run is `runs/NAME`."""
    config = {
        "potential": {"descriptor": descriptor, **potential},
        "data": {"train": str(folder / "train.xyz"), "validation": 0.0, "batch_size": 4},
        "loss": {"energy": 2.0, "stress": 1.0},
        "optimizer": {"lr": 0.01},
        "trainer": {"max_epochs": epochs, "accelerator": "cpu"},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    main(["train", "--config", str(path), "--out", str(folder / "runs" / name)])


def run_of(words: list[str]) -> str:
    """Run a command as a shell does, patterns written out, a training for an epoch; return what it prints."""
    written = [word for given in words for word in (sorted(glob.glob(given)) if "*" in given else []) or [given]]
    told = io.StringIO()
    quick = ["--trainer.max_epochs", "51"] if "--resume" in words else _QUICK.get(words[0], [])
    if words[0] == "train" and not {"--from", "--resume"} & set(words):
        quick = [*quick, "--repulsion", "false"]
    for option in quick[::2]:  # shorter than the page says
        if option in written:
            k = written.index(option)
            del written[k : k + 2]
    if words[0] in ("train", "init") and "--out" in words:  # as if it were the first run
        out = Path(words[words.index("--out") + 1])
        out.unlink(missing_ok=True) if out.is_file() else shutil.rmtree(out, ignore_errors=True)
    handler = logging.StreamHandler(told)
    logging.getLogger("nnpot").addHandler(handler)
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            main([*written, *quick])
    finally:
        logging.getLogger("nnpot").removeHandler(handler)
    return told.getvalue()


def differences(shown: str, told: str, *, of_other_data: bool = False) -> Iterator[str]:
    """What a page shows that was not printed, line by line and in this order; `…` stands for anything.

    Args:
        shown: On the page.
        told: By the commands.
        of_other_data: Whether numbers may be others, since the page shows what is said of other data.
    """
    rest = told.splitlines()
    for line in shown.splitlines():
        if line.strip() in ("", "…"):
            continue
        pattern = re.compile(".*".join(_pattern(part.rstrip(), of_other_data) for part in line.split("…")))
        places = [k for k, other in enumerate(rest) if pattern.match(other)]
        if not places:
            yield line
        else:
            rest = rest[places[0] + 1 :]


def _pattern(text: str, any_number: bool) -> str:
    words = re.split(r"(\s*\d+(?:[.:]\d+)*)", text) if any_number else [text]
    return "".join(r"\s*\d+(?:[.:]\d+)*" if re.fullmatch(r"\s*\d.*", word) else re.escape(word) for word in words)


def keys_of(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Full names of the settings of a configuration."""
    for name, value in settings.items():
        if isinstance(value, dict) and name not in ("rates", "atomic_energies"):
            yield from keys_of(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"

"""Trajectories of CP2K: positions and energies in `*-pos-1.xyz`, forces and cells in files beside it.

Its file of stresses is not read: these are of an MD run with the motion of the atoms in it.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers
from numpy.typing import NDArray

from nnpot.reading.comment import floats

_NAME = re.compile(r"(.+)-(pos|frc|vel)-(.+)\.xyz")
_COMMENT = re.compile(r"\s*i\s*=\s*(\d+)\s*,(?:.*,)?\s*E\s*=\s*(\S+)")
_VECTOR = re.compile(r"^\s*(A|B|C)\s+(?:\[angstrom\]\s+)?(\S+)\s+(\S+)\s+(\S+)\s*$", re.MULTILINE | re.IGNORECASE)
_CHANGES = re.compile(r"ENSEMBLE\s+(NPT|NPE|MSST)|RUN_TYPE\s+CELL_OPT", re.IGNORECASE)
"""In a restart of a run whose cell changes."""


def is_companion(path: Path) -> bool:
    """Return whether a file holds forces or velocities that belong to the positions in the file beside it."""
    match = _NAME.fullmatch(path.name)
    return match is not None and match[2] != "pos" and _beside(path, match, "pos").is_file()


def is_trajectory(path: Path, head: bytes) -> bool:
    """Return whether a file holds positions of CP2K, by its name and the second line of its first frame."""
    lines = head.split(b"\n", 2)
    match = _NAME.fullmatch(path.name)
    return match is not None and match[2] == "pos" and len(lines) > 1 and bool(_COMMENT.match(_text(lines[1])))


def read_trajectory(path: Path) -> tuple[list[Atoms], str]:
    """Return all frames of a trajectory, and which labels are from where.

    The energy is that of the force evaluation, with the entropy of smearing in it: forces derive from it.

    Raises:
        ValueError: If the cell is nowhere or a file does not fit to the positions; it names file and frame.
    """
    match = _NAME.fullmatch(path.name)
    assert match is not None
    forces_file = _beside(path, match, "frc")
    forces = {step: rows for step, _, _, rows in _frames(forces_file)} if forces_file.is_file() else {}
    cells = _Cells(path, match)
    found = list[Atoms]()
    for step, energy, symbols, positions in _frames(path):
        place = f"{path}, frame {len(found)}"
        atoms = Atoms([_number(s, place) for s in symbols], positions, cell=cells.of(step, place), pbc=cells.pbc)
        results: dict[str, Any] = {"energy": energy * units.Hartree}
        if step in forces:
            if forces[step].shape != positions.shape:
                raise ValueError(f"{forces_file} has {len(forces[step])} atoms in step {step}, {path} {len(positions)}")
            results["forces"] = forces[step] * (units.Hartree / units.Bohr)
        atoms.calc = SinglePointCalculator(atoms)
        atoms.calc.results = results
        found.append(atoms)
    sources = ["energy from E in Hartree"]
    sources += [f"forces from {forces_file.name} in Hartree/bohr"] if forces else []
    return found, f"{', '.join(sources)}, cell from {cells.file.name}, as CP2K writes them"


def _beside(path: Path, match: re.Match[str], what: str) -> Path:
    return path.with_name(f"{match[1]}-{what}-{match[3]}.xyz")


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


def _frames(path: Path) -> Iterator[tuple[int, float, Sequence[str], NDArray[np.float64]]]:
    """Step, energy, symbols and three numbers of each atom."""
    lines = path.read_text(encoding="utf-8", errors="replace").rstrip().split("\n")
    k = frame = 0
    while k < len(lines):
        place = f"{path}, frame {frame} (line {k + 1})"
        comment = _COMMENT.match(lines[k + 1]) if k + 1 < len(lines) else None
        if not lines[k].strip().isdecimal() or comment is None:
            raise ValueError(
                f"{place}: a number of atoms and a line such as ' i = 0, time = 0.000, E = -17.2' must stand here"
            )
        n = int(lines[k])
        rows = [line.split() for line in lines[k + 2 : k + 2 + n]]
        if len(rows) < n or any(len(row) < 4 for row in rows):
            raise ValueError(
                f"{place} is to have {n} atoms with three numbers each and has fewer; is the file complete?"
            )
        try:
            energy = float(floats([comment[2]])[0])
            values = floats([word for row in rows for word in row[1:4]]).reshape(n, 3)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
        yield int(comment[1]), energy, [row[0] for row in rows], values
        k, frame = k + 2 + n, frame + 1


class _Cells:
    """The cell of each step of a run, or one for all.

    Attributes:
        file: It is from there.
        pbc: What is periodic.
    """

    def __init__(self, path: Path, match: re.Match[str]) -> None:
        of_steps, restart = (path.with_name(f"{match[1]}-{match[3]}.{ending}") for ending in ("cell", "restart"))
        text = restart.read_text(encoding="utf-8", errors="replace") if restart.is_file() else ""
        section = re.search(r"&CELL\b(.*?)&END CELL", text, re.DOTALL | re.IGNORECASE)
        periodic = re.search(r"PERIODIC\s+(\w+)", section[1], re.IGNORECASE) if section else None
        self.pbc = ["XYZ"[k] in (periodic[1].upper() if periodic else "XYZ") for k in range(3)]
        self.file, self._of_step = of_steps, _by_step(of_steps)
        if self._of_step:
            return
        self.file = restart
        rows = {m[1].upper(): m.groups()[1:] for m in _VECTOR.finditer(section[1])} if section else {}
        try:
            vectors = {name: floats(row) for name, row in rows.items()}
        except ValueError as error:
            raise ValueError(f"{restart}: a cell vector must have three numbers ({error})") from error
        if any(self.pbc) and (len(vectors) < 3 or _CHANGES.search(text)):
            what = f"of {restart.name}, whose cell changes, " if vectors else ""
            raise ValueError(
                f"{path}: CP2K writes no cell into it, and {what}there is no {of_steps.name} beside it with that "
                "of each step; put it there, or write extended XYZ"
            )
        self._of_all = np.array([vectors.get(name, np.zeros(3)) for name in "ABC"])

    def of(self, step: int, place: str) -> NDArray[np.float64]:
        """Return the cell vectors of a step."""
        if not self._of_step:
            return self._of_all
        if step not in self._of_step:
            raise ValueError(f"{place}: {self.file.name} has no cell of step {step}; write both equally often")
        return self._of_step[step]


def _by_step(path: Path) -> dict[int, NDArray[np.float64]]:
    """The cell vectors of each step by a file of CP2K; nothing if it is not there."""
    if not path.is_file():
        return {}
    rows = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    try:
        return {int(row[0]): floats(row[2:11]).reshape(3, 3) for row in rows if row and row[0].isdecimal()}
    except ValueError as error:
        raise ValueError(f"{path} must hold step, time and 9 numbers of the cell on each line ({error})") from error


def _number(symbol: str, place: str) -> int:
    """The atomic number of a kind of atoms, which may have a number behind its symbol."""
    number = atomic_numbers.get(re.sub(r"[_\d].*", "", symbol).capitalize(), 0)
    if number == 0:
        raise ValueError(f"{place}: {symbol[:20]!r} is no chemical symbol")
    return number

"""Frames of extended XYZ; every complaint names the frame and the line."""

import io
import re
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian
from ase.data import atomic_numbers, chemical_symbols
from ase.io.extxyz import read_xyz
from numpy.typing import NDArray

from nnpot.reading.comment import check_no_cell, floats, info_of, periodicity

UNNAMED = "unnamed_columns"
"""Array of what stands behind the positions in a file whose second line does not name its columns."""

_ASE_NAMES = {"pos": "positions", "Z": "numbers", "charge": "charges", "species": "symbols"}
_OF_ATOMS = ("forces", "stresses", "energies", "charges", "magmoms")
_OF_STRUCTURES = ("energy", "free_energy", "stress", "dipole", "magmom")
_TRUTH = {"T": True, "True": True, "F": False, "False": False}


class _Column(NamedTuple):
    name: str
    kind: str
    width: int


def extxyz_frames(text: str, source: str) -> list[Atoms]:
    """Return all frames of a text; empty lines before and between them do no harm.

    Args:
        text: Of the file.
        source: The file, for messages.

    Raises:
        ValueError: If something else than a whole frame stands anywhere.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip().split("\n")
    frames: list[Atoms] = []
    k = 0
    while k < len(lines):
        if not lines[k].strip():
            k += 1
            continue
        name = f"{source}, frame {len(frames)}"
        n_atoms = _number_of_atoms(lines[k], f"{name} (line {k + 1})", is_first=not frames)
        rows = lines[k + 2 : k + 2 + n_atoms]
        if len(rows) < n_atoms:
            raise ValueError(
                f"{name} (line {k + 1}) is to have {lines[k].strip()[:20]} atoms, but the file ends after {len(rows)}; "
                "is it complete?"
            )
        vectors = list(
            takewhile(lambda line: line.lstrip().startswith("VEC"), lines[k + 2 + n_atoms : k + 6 + n_atoms])
        )
        try:
            if vectors:
                frames.append(next(read_xyz(io.StringIO("\n".join([*lines[k : k + 2], *rows, *vectors, ""])), 0)))
            else:
                frames.append(_atoms(lines[k + 1], rows, k + 3))
        except Exception as error:  # whatever a mutilated frame leads to
            raise ValueError(f"{name} (line {k + 1}): {error}") from error
        k += 2 + n_atoms + len(vectors)
    return frames


def _number_of_atoms(line: str, place: str, *, is_first: bool) -> int:
    if not re.fullmatch(r"\s*\+?[0-9]{1,4000}\s*", line):
        doubt = "is it extended XYZ?" if is_first else "is that of the frame before right?"
        raise ValueError(f"{place}: a number of atoms must stand here, got {line.strip()[:40]!r}; {doubt}")
    n_atoms = int(line)
    if n_atoms == 0:
        raise ValueError(f"{place} has no atoms; remove it")
    return n_atoms


def _atoms(comment: str, rows: Sequence[str], first: int) -> Atoms:
    """A frame; `first` is the line of its first atom."""
    info = info_of(comment)
    if "Lattice" not in info:
        check_no_cell(comment)
    words = [row.split() for row in rows]
    is_plain = "Properties" not in info
    columns = _columns(info.pop("Properties", "species:S:1:pos:R:3"))
    if comment.lstrip().startswith("Atoms. Timestep") and any(row and row[0].isdecimal() for row in words):
        raise ValueError("LAMMPS wrote types instead of elements; give their symbols by `dump_modify ID element`")
    if is_plain:
        words, rest = [row[:4] for row in words], [row[4:] for row in words]
    _check_widths(words, columns, first)
    arrays = dict(_arrays(words, columns, first))
    if is_plain and any(rest):
        arrays[UNNAMED] = _unnamed(rest)
    cell = info.pop("Lattice", None)
    pbc = info.pop("pbc", cell is not None)
    atoms = Atoms(
        _numbers(arrays, first),
        positions=arrays.pop("positions"),
        charges=arrays.pop("initial_charges", None),
        cell=None if cell is None else cell.T,
        pbc=periodicity(pbc),
    )
    if "move_mask" in arrays:
        atoms.set_constraint(_constraints(arrays.pop("move_mask")))
    results = {name: arrays.pop(name) for name in _OF_ATOMS if name in arrays}
    results |= {name: _result(info.pop(name)) for name in _OF_STRUCTURES if _is_result(name, info.get(name))}
    for name, array in arrays.items():
        atoms.new_array(name, array)
    atoms.info = info
    if results:
        atoms.calc = SinglePointCalculator(atoms)
        atoms.calc.results = results
    return atoms


def _columns(properties: Any) -> list[_Column]:
    """What the columns are, by the key `Properties`."""
    fields = str(properties).split(":")
    properties = _short(str(properties))
    if len(fields) % 3 or not all(re.fullmatch("[0-9]{1,6}", width) for width in fields[2::3]):
        raise ValueError(f"Properties={properties} is not made of name:type:number of columns")
    columns = [_Column(n, k, int(w)) for n, k, w in zip(fields[::3], fields[1::3], fields[2::3], strict=True)]
    names = [column.name for column in columns]
    if any(column.kind not in "RISL" or column.width == 0 for column in columns) or len(set(names)) < len(names):
        raise ValueError(f"Properties={properties}: each name once, with a type of R, I, S, L and a number of columns")
    if not any(c.name == "pos" and c.kind in "RI" and c.width == 3 for c in columns):
        raise ValueError(f"Properties={properties} has no positions; these are written as pos:R:3")
    if not any((c.name, c.kind, c.width) in (("species", "S", 1), ("Z", "I", 1)) for c in columns):
        raise ValueError(f"Properties={properties} has no elements; these are written as species:S:1")
    return columns


def _short(properties: str) -> str:
    return properties if len(properties) <= 200 else f"{properties[:200]}…"


def _check_widths(words: Sequence[Sequence[str]], columns: Sequence[_Column], first: int) -> None:
    width = sum(column.width for column in columns)
    for k, row in enumerate(words):
        if len(row) != width:
            told = _short(":".join(f"{c.name}:{c.kind}:{c.width}" for c in columns))
            raise ValueError(
                f"line {first + k} has {len(row)} columns where {told} makes {width}; are number of atoms and file "
                "complete?"
            )


def _arrays(words: Sequence[Sequence[str]], columns: Sequence[_Column], first: int) -> list[tuple[str, NDArray[Any]]]:
    """Arrays under ASE's names."""
    arrays, k = [], 0
    for column in columns:
        flat = [word for row in words for word in row[k : k + column.width]]
        array = _converted(flat, column, first)
        arrays.append(
            (_ASE_NAMES.get(column.name, column.name), array if column.width == 1 else array.reshape(len(words), -1))
        )
        k += column.width
    return arrays


def _converted(words: Sequence[str], column: _Column, first: int) -> NDArray[Any]:
    """All words of a column, atom by atom."""
    converters: dict[str, Callable[[str], Any]]
    converters = {"R": lambda word: floats([word]), "I": int, "L": _TRUTH.__getitem__, "S": str}
    convert = converters[column.kind]
    try:
        if column.kind == "R":
            return floats(words)
        dtype = {"I": np.int64, "L": np.bool_, "S": np.object_}[column.kind]
        return np.array([convert(word) for word in words], dtype=dtype)
    except (ValueError, KeyError, OverflowError):
        bad = next(k for k, word in enumerate(words) if not _is_convertible(word, convert))
        kinds = {"R": "no number", "I": "no whole number", "L": "neither T nor F"}
        line, word = first + bad // column.width, words[bad][:40]
        hint = "; write decimal points" if "," in word else ""
        raise ValueError(f"line {line}: {word!r} is {kinds[column.kind]} (column {column.name}){hint}") from None


def _is_convertible(word: str, convert: Callable[[str], Any]) -> bool:
    try:
        convert(word)
    except (ValueError, KeyError, OverflowError):
        return False
    return True


def _numbers(arrays: dict[str, NDArray[Any]], first: int) -> list[int]:
    """Atomic numbers, by which elements are given as well as by their symbols."""
    symbols, numbers = arrays.pop("symbols", None), arrays.pop("numbers", None)
    if symbols is None:
        assert numbers is not None
        for k, number in enumerate(numbers):
            if not 0 <= number < len(chemical_symbols):
                raise ValueError(f"line {first + k}: {str(number)[:20]} is no atomic number")
        return [int(number) for number in numbers]
    types = {int(s) for s in symbols if s.isdecimal() and len(s) < 4}
    if len(types) > 1 and types == set(range(1, len(types) + 1)):
        raise ValueError(
            f"line {first}: the elements are 1 to {len(types)}, as LAMMPS numbers its types; write chemical symbols"
        )
    known = [int(s) if s.isdecimal() and len(s) < 4 else atomic_numbers.get(s.capitalize()) for s in symbols]
    for k, number in enumerate(known):
        if number is None:
            raise ValueError(f"line {first + k}: {symbols[k][:20]!r} is no chemical symbol")
        if numbers is not None and numbers[k] != number:
            raise ValueError(f"line {first + k}: the element is {symbols[k]} by species, {numbers[k]} by Z")
    return [number for number in known if number is not None]


def _unnamed(rest: Sequence[Sequence[str]]) -> NDArray[Any]:
    """Numbers of shape (N, columns) if all are, else one word for each atom."""
    try:
        return np.array([floats(tuple(row)) for row in rest])
    except ValueError:
        return np.array(["_".join(row) or "-" for row in rest])


def _constraints(move_mask: NDArray[Any]) -> Any:
    if move_mask.ndim == 1:
        return FixAtoms(mask=~move_mask.astype(bool))
    if move_mask.shape[1] != 3:
        raise ValueError(f"move_mask must have one column or three, got {move_mask.shape[1]}")
    return [FixCartesian(k, mask=~row) for k, row in enumerate(move_mask.astype(bool))]


def _is_result(name: str, value: Any) -> bool:
    """Whether ASE knows what it is: not a word that stands alone, nor six numbers of a stress in whatever order."""
    return value is not None and value is not True and (name != "stress" or np.shape(value) == (3, 3))


def _result(value: Any) -> Any:
    """A symmetric matrix in Voigt order, as ASE keeps a stress; anything else as it is."""
    matrix = np.asarray(value)
    if matrix.shape == (3, 3) and np.array_equal(matrix, matrix.T):
        return matrix.ravel()[[0, 4, 8, 5, 2, 1]]
    return value

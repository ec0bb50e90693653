"""The second line of a frame of extended XYZ: what it says of the structure, and what no program means to say."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from ase.calculators.calculator import all_properties
from numpy.typing import NDArray

_WORD = re.compile(
    r"""(?P<equals>=)|(?P<word>(?:[^\s="'{\[\\]|\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\{(?:[^}\\]|\\.)*\}"""
    r"""|\[(?:[^\]\\]|\\.)*\])+)|(?P<open>.)"""
)
_DELIMITED = re.compile(
    r""""((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|\{((?:[^}\\]|\\.)*)\}|\[((?:[^\]\\]|\\.)*)\]|(\\.|[^"'{\[\\]+|.)"""
)
_MARK = re.compile(r"""["'{\[\\]""")
_FORTRAN = re.compile(r"([-+]?(?:\d+(?:\.\d*)?|\.\d+))[dD]([-+]?\d+)")
_TRUTH = {**dict.fromkeys(("t", "true"), True), **dict.fromkeys(("f", "false"), False)}
_FOREIGN_UNITS = {"ha", "hartree", "hartrees", "eh", "ry", "rydberg", "kcal", "kcal/mol", "kj/mol", "a.u.", "au", "mev"}
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eEdD][-+]?\d+)?"
CELL_NAME = r"(?:unit|super|sim|simulation)?[_ ]?(?:cell|latt|lattice|box)(?:_?(?:vectors?|parameters?|lengths?))?"
"""What other programs call a cell, in letters of any size."""

_CELL = re.compile(
    rf"(?<![a-z])({CELL_NAME}(?:[({{]\w+[)}}])?)[\s:=\"'\[{{(]*"
    rf"{_NUMBER}(?:[\s,;\])}}[({{]+{_NUMBER}){{2}}",
    re.IGNORECASE,
)
"""A name of a cell and at least three numbers, in all forms of other programs: `CELL(abcABC): 10 10 10 90 90 90`."""

_MATRICES = ("Lattice", "stress", "virial")
"""Keys of 9 numbers that are stored column by column."""

_NEED_VALUES = {*_MATRICES, "Properties", "pbc", "energy", "free_energy"}


def info_of(line: str) -> dict[str, Any]:
    """Return the keys of a comment line with their values, as ASE reads them; Fortran's `1.5D-3` is a number as well.

    A stress or virial of another number of components than 9 stays as it is.

    Args:
        line: In the form `key=value key="several words" flag`, or any text.

    Raises:
        ValueError: If a quotation mark is not closed, a key has two values, or a number has a unit that is not eV.
    """
    info: dict[str, Any] = {}
    pairs = list(_pairs(line))
    is_extended = any(key in ("Properties", "Lattice") and raw is not None for key, raw in pairs)
    for key, raw in pairs:
        if raw is None and key in _NEED_VALUES:
            if is_extended:
                raise ValueError(f"{key} has no value")
            continue  # a word of some text
        value = True if raw is None else _value(raw)
        if key in _MATRICES:
            value = _matrix(key, value)
        if is_extended and key in info and not np.array_equal(info[key], value):
            raise ValueError(f"{key} is given twice, with different values; leave out one of them")
        info[key] = value
    units = [key for key, raw in pairs if raw is None and key.lower() in _FOREIGN_UNITS]
    if units and any(key in all_properties for key in info):
        raise ValueError(f"{units[0]} stands beside the numbers; give these in eV and Å, without a unit")
    return info


def check_no_cell(line: str) -> None:
    """Check that a comment line without a `Lattice` does not hold a cell in another form.

    Raises:
        ValueError: If it does.
    """
    match = _CELL.search(line)
    if match:
        raise ValueError(f"the cell is written as {match[1].strip()}, which ASE does not read; write Lattice instead")


def floats(words: Sequence[str]) -> NDArray[np.float64]:
    """Return numbers, also those that Fortran writes with a D.

    Raises:
        ValueError: If one of the words is no number.
    """
    try:
        return np.fromiter(map(float, words), dtype=np.float64, count=len(words))
    except ValueError:
        plain = [re.sub(_FORTRAN, r"\1E\2", word) if _FORTRAN.fullmatch(word) else word for word in words]
        return np.fromiter(map(float, plain), dtype=np.float64, count=len(words))


def periodicity(value: Any) -> list[bool]:
    """Return the three flags of `pbc`.

    Raises:
        ValueError: If it is neither one nor three of T and F.
    """
    words = value.split() if isinstance(value, str) else np.atleast_1d(np.asarray(value)).tolist()
    flags = [_TRUTH.get(str(word).lower(), {"1": True, "0": False}.get(str(word))) for word in words]
    if None in flags or len(flags) not in (1, 3):
        raise ValueError(f"pbc must be three of T and F, got {str(value)[:40]!r}")
    return [bool(flag) for flag in (flags * 3 if len(flags) == 1 else flags)]


def _pairs(line: str) -> Iterator[tuple[str, str | None]]:
    """Keys and values as text, None for a key that stands alone."""
    words: list[str] = []  # of one key: itself, then what each = brings
    waits = False
    for word in _words(line):
        if word == "=":
            waits = bool(words) or waits
            continue
        if _MARK.search(word):
            word = _DELIMITED.sub(_undelimited, word)
        if waits or not words:
            words.append(word)
        else:
            yield words[0], "=".join(words[1:]) if len(words) > 1 else None
            words = [word]
        waits = False
    if words:
        yield words[0], "=".join(words[1:]) if len(words) > 1 else None


def _words(line: str) -> Iterator[str]:
    """Words and each =; a mark that nothing closes stands for a space, which it may in text."""
    is_extended, position = "Properties" in line or "Lattice" in line, 0
    while match := _WORD.match(line, position):
        position = match.end()
        mark = match["open"]
        if mark is None:
            yield match["word"] or "="
        elif not mark.isspace():
            rest = line[position:]
            if is_extended and "=" in rest:
                raise ValueError(f"the {mark} before {rest[:20]!r} is not closed")
            line, position = rest.replace(mark, " "), 0  # none of them is closed


def _undelimited(part: re.Match[str]) -> str:
    """What stands between two quotation marks or brackets, or a character outside of them."""
    text = next(group for group in part.groups() if group is not None)
    return re.sub(r"\\(.)", r"\1", text)


def _value(text: str) -> Any:
    """A number, several, truth, JSON, or else the text itself."""
    words = re.findall(r"[^\s,]+", text)
    try:
        try:
            numbers = np.array(words, dtype=int)
        except (ValueError, OverflowError):
            numbers = floats(words)
        return numbers[0] if len(numbers) == 1 else numbers
    except (ValueError, OverflowError):
        pass
    if words and all(word in ("T", "F") or word.lower() in ("true", "false") for word in words):
        truth = [_TRUTH[word.lower()] for word in words]
        return truth[0] if len(truth) == 1 else truth
    if text.startswith("_JSON "):
        return _json(text.removeprefix("_JSON "))
    return text


def _json(text: str) -> Any:
    content = json.loads(text)
    try:
        array = np.array(content)
    except ValueError:  # lists of different lengths
        return content
    return array if array.dtype.kind in "ifb" else content


def _matrix(key: str, value: Any) -> Any:
    numbers = np.asarray(value)
    if numbers.shape == (9,) and numbers.dtype.kind in "if":
        return numbers.reshape(3, 3, order="F")
    if key == "Lattice":
        raise ValueError(f"Lattice must be 9 numbers, three for each cell vector, got {str(value)[:40]!r}")
    return value

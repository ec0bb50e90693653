"""Symmetry functions as lines of `input.nn`, and the order in which the other files count them."""

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, product
from typing import Any

from ase.data import atomic_numbers

from nnpot.descriptors import ListedFunction
from nnpot.descriptors.listed_acsf import PARAMETERS
from nnpot.formats.n2p2.conventions import COMPACT_SHAPES
from nnpot.formats.n2p2.settings import Line

_KINDS = {
    2: ("G2", 1), 3: ("G4", 2), 9: ("G5", 2), 12: ("G2", 0), 13: ("G4", 0),
    20: ("C2", 1), 21: ("C4", 2), 22: ("C5", 2), 23: ("C2", 0), 24: ("C4", 0), 25: ("C5", 0),
}  # fmt: skip
"""Kind and number of named neighbours of each type."""

_LAYOUTS = {
    2: ("eta", "r_s", "cutoff"),
    3: ("eta", "lambda", "zeta", "cutoff"),
    9: ("eta", "lambda", "zeta", "cutoff"),
    12: ("eta", "r_s", "cutoff"),
    13: ("eta", "r_s", "lambda", "zeta", "cutoff"),
    **dict.fromkeys((20, 23), ("r_left", "cutoff", "subtype")),
    **dict.fromkeys((21, 22, 24, 25), ("r_left", "cutoff", "theta_left", "theta_right", "subtype")),
}
"""Parameters that follow the neighbours, by type; for types 3 and 9 r_s may follow them."""

_POWERS = {"eta": -2, "r_s": 1, "r_left": 1}
"""Powers of a length in the parameters."""


def parse(line: Line, elements: Sequence[str]) -> Iterator[ListedFunction]:
    """Yield what a line stands for, in the units of the file.

    That is one function where `symfunction_short` names centre and neighbours, or one for each combination of elements
    that RuNNer's `element_symfunction_short` (the centre alone is named) or `global_symfunction_short` leave open.

    Raises:
        ValueError: If the type is not supported, or there are too few or too many values.
    """
    keyword, *words = line.words
    if keyword == "symfunction_short":
        yield _parse(line, words)
        return
    centers, words = (elements, words) if keyword == "global_symfunction_short" else (words[:1], words[1:])
    _, n_neighbors = _KINDS[_type(line, words[:1])]
    for center, neighbors in product(centers, combinations_with_replacement(elements, n_neighbors)):
        yield _parse(line, [center, words[0], *neighbors, *words[1:]])


def _parse(line: Line, words: Sequence[str]) -> ListedFunction:
    """Read `center type neighbours … values …`."""
    number = _type(line, words[1:2])
    (kind, n_neighbors), layout = _KINDS[number], _LAYOUTS[number]
    center, neighbors, rest = words[0], words[2 : 2 + n_neighbors], words[2 + n_neighbors :]
    if number in {3, 9} and len(rest) > len(layout):
        layout = (*layout, "r_s")
    if len(rest) != len(layout):
        wanted = ", ".join([*["neighbour"] * n_neighbors, *layout])
        raise line.error(f"type {number} needs {wanted}, got {' '.join(words[2:]) or 'nothing'}")
    unknown = [e for e in (center, *neighbors) if e not in atomic_numbers]
    if unknown:
        raise line.error(f"{', '.join(unknown)} is not a chemical symbol")
    texts = dict(zip(layout, rest, strict=True))
    subtype = texts.pop("subtype", "")
    if subtype not in {"", *COMPACT_SHAPES}:
        raise line.error(f"compact functions of subtype {subtype} are not supported, only {', '.join(COMPACT_SHAPES)}")
    values = {"r_s": 0.0, **dict(zip(texts, line.numbers(list(texts.values())), strict=True))}
    ordered = tuple(sorted(neighbors, key=atomic_numbers.__getitem__))
    parameters = tuple(values[name] for name in PARAMETERS[kind])
    return ListedFunction(center, kind, ordered, values["cutoff"], parameters, COMPACT_SHAPES.get(subtype, ""))


def _type(line: Line, words: Sequence[str]) -> int:
    """The number of the type of a function, if it is a supported one."""
    for word in words:
        if word.isdigit() and int(word) in _KINDS:
            return int(word)
    supported = ", ".join(map(str, _KINDS))
    raise line.error(f"symmetry functions of type {' '.join(words) or '(none)'} are not supported, only {supported}")


def converted(function: ListedFunction, length: float) -> ListedFunction:
    """Return a function whose numbers are in another unit: the present one is so many of the new one."""
    named = zip(PARAMETERS[function.kind], function.parameters, strict=True)
    parameters = tuple(value * length ** _POWERS.get(name, 0) for name, value in named)
    return function._replace(cutoff=function.cutoff * length, parameters=parameters)


def type_of(function: ListedFunction) -> int:
    """Return the number of its type.

    Raises:
        ValueError: If the files have none for such a function.
    """
    for number, known in _KINDS.items():
        if known == (function.kind, len(function.neighbors)):
            return number
    raise ValueError(f"files of n2p2 have no type for a {function.kind} that is weighted by atomic numbers")


def rank(function: ListedFunction) -> tuple[Any, ...]:
    """Return what RuNNer, n2p2 and CP2K sort the functions of an element by, before anything else counts them."""
    numbers = sorted(atomic_numbers[e] for e in function.neighbors)
    if function.shape:
        return (type_of(function), _subtype(function.shape), *numbers, function.cutoff, *function.parameters)
    eta, *angular, r_s = function.parameters
    return (type_of(function), function.cutoff, eta, r_s, *angular, *numbers)


def line_of(function: ListedFunction) -> str:
    """Return its line; r_s of types 3 and 9, which CP2K does not know, only where it is not 0."""
    number = type_of(function)
    values = {
        **dict(zip(PARAMETERS[function.kind], map(repr, function.parameters), strict=True)),
        "cutoff": repr(function.cutoff),
        "subtype": _subtype(function.shape) if function.shape else "",
    }
    layout = (*_LAYOUTS[number], "r_s") if number in {3, 9} and function.parameters[-1] != 0 else _LAYOUTS[number]
    neighbors = sorted(function.neighbors, key=atomic_numbers.__getitem__)
    words = ["symfunction_short", function.center, str(number), *neighbors, *(values[name] for name in layout)]
    return " ".join(words)


def _subtype(shape: str) -> str:
    return next(subtype for subtype, known in COMPACT_SHAPES.items() if known == shape)

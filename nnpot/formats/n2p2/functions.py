"""Symmetry functions as lines of `input.nn`, and the order in which the other files count them."""

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, product
from typing import Any, NamedTuple, Self

from ase.data import atomic_numbers

from nnpot.descriptors import SymmetryFunction
from nnpot.formats.n2p2.conventions import COMPACT_SHAPES, Units
from nnpot.formats.n2p2.settings import Line

_KINDS = {
    2: ("G2", 1), 3: ("G4", 2), 9: ("G5", 2), 12: ("G2", 0), 13: ("G4", 0),
    20: ("C2", 1), 21: ("C4", 2), 22: ("C5", 2), 23: ("C2", 0), 24: ("C4", 0), 25: ("C5", 0),
}  # fmt: skip
"""Kind and number of named neighbours of each type."""

_LAYOUTS = {
    2: ("eta", "r_s", "cutoff"),
    3: ("eta", "lambda_", "zeta", "cutoff"),
    9: ("eta", "lambda_", "zeta", "cutoff"),
    12: ("eta", "r_s", "cutoff"),
    13: ("eta", "r_s", "lambda_", "zeta", "cutoff"),
    **dict.fromkeys((20, 23), ("r_left", "cutoff")),
    **dict.fromkeys((21, 22, 24, 25), ("r_left", "cutoff", "theta_left", "theta_right")),
}
"""Numbers behind the neighbours of each type; then r_s may follow for types 3 and 9, a subtype must from 20 on."""


class ListedFunction(NamedTuple):
    """A symmetry function as the file has it, in the units of the file.

    Attributes:
        type: Its number.
        center: Chemical symbol of the centre.
        neighbors: Those of the neighbours, by atomic number.
        cutoff: r_c.
        eta: η.
        r_s: Shift.
        zeta: ζ of an angular function.
        lambda_: λ of an angular function.
        r_left: Beginning of the interval of distances of a compact function, which ends at r_c.
        theta_left: Beginning of its interval of angles, in degrees.
        theta_right: End of that.
        subtype: Shape of a compact function.
    """

    type: int
    center: str
    neighbors: tuple[str, ...]
    cutoff: float
    eta: float = 0.0
    r_s: float = 0.0
    zeta: float = 0.0
    lambda_: float = 0.0
    r_left: float = 0.0
    theta_left: float = 0.0
    theta_right: float = 0.0
    subtype: str = ""

    @property
    def rank(self) -> tuple[Any, ...]:
        """What RuNNer, n2p2 and CP2K sort the functions of an element by, before anything else counts them."""
        numbers = [atomic_numbers[e] for e in self.neighbors]
        if self.subtype:
            ends = (self.cutoff, self.r_left, self.theta_left, self.theta_right)
            return (self.type, self.subtype, *numbers, *ends)
        return (self.type, self.cutoff, self.eta, self.r_s, self.zeta, self.lambda_, *numbers)

    @classmethod
    def parse(cls, line: Line, words: Sequence[str]) -> Self:
        """Read the words `center type neighbours … numbers …` of a line.

        Raises:
            ValueError: If the type is not supported, or there are too few or too many values.
        """
        number = _type(line, words[1:2])
        center, kind, *rest = words
        n_neighbors, layout = _KINDS[number][1], _LAYOUTS[number]
        subtype = _subtype(line, rest.pop()) if number >= 20 and rest else ""
        neighbors, numbers = rest[:n_neighbors], line.numbers(rest[n_neighbors:])
        if "r_s" not in layout and len(numbers) == len(layout) + 1:
            layout = (*layout, "r_s")
        if len(numbers) != len(layout):
            wanted = [
                *["neighbour"] * n_neighbors,
                *(name.rstrip("_") for name in layout),
                *["subtype"] * (number >= 20),
            ]
            raise line.error(f"type {kind} needs {', '.join(wanted)}, got {' '.join(rest) or 'nothing'}")
        unknown = [e for e in (center, *neighbors) if e not in atomic_numbers]
        if unknown:
            raise line.error(f"{', '.join(unknown)} is not a chemical symbol")
        ordered = tuple(sorted(neighbors, key=atomic_numbers.__getitem__))
        values: dict[str, Any] = dict(zip(layout, numbers, strict=True))
        return cls(number, center, ordered, subtype=subtype, **values)

    @classmethod
    def of(cls, function: SymmetryFunction, units: Units) -> Self:
        """Convert from eV and Å.

        Raises:
            ValueError: If the files have no type for such a function.
        """
        kind = (function.kind, len(function.neighbors))
        if kind not in _KINDS.values():
            raise ValueError(f"files of n2p2 have no type for a {function.kind} that is weighted by atomic numbers")
        number = next(number for number, known in _KINDS.items() if known == kind)
        neighbors = tuple(sorted(function.neighbors, key=atomic_numbers.__getitem__))
        first, *others = function.parameters
        values: dict[str, Any]
        if function.shape:
            subtype = next(word for word, shape in COMPACT_SHAPES.items() if shape == function.shape)
            angles = dict(zip(("theta_left", "theta_right"), others, strict=False))
            values = {"r_left": first / units.length, "subtype": subtype, **angles}
        else:
            *angular, r_s = others
            parts = dict(zip(("zeta", "lambda_"), angular, strict=False))
            values = {"eta": first * units.length**2, "r_s": r_s / units.length, **parts}
        return cls(number, function.center, neighbors, function.cutoff / units.length, **values)

    @classmethod
    def of_line(cls, line: Line, elements: Sequence[str]) -> Iterator[Self]:
        """Yield what a line stands for: one function, or one for each combination of what it leaves open.

        `symfunction_short` names centre and neighbours, `element_symfunction_short` the centre alone,
        `global_symfunction_short` neither; the last two are RuNNer's.

        Raises:
            ValueError: As `parse`.
        """
        keyword, *words = line.words
        if keyword == "symfunction_short":
            yield cls.parse(line, words)
            return
        centers, words = (elements, words) if keyword == "global_symfunction_short" else (words[:1], words[1:])
        _, n_neighbors = _KINDS[_type(line, words[:1])]
        for center, neighbors in product(centers, combinations_with_replacement(elements, n_neighbors)):
            yield cls.parse(line, [center, words[0], *neighbors, *words[1:]])

    def converted(self, units: Units) -> SymmetryFunction:
        """Convert to eV and Å."""
        kind, _ = _KINDS[self.type]
        cutoff = self.cutoff * units.length
        if self.subtype:
            angles = () if kind == "C2" else (self.theta_left, self.theta_right)
            parameters = (self.r_left * units.length, *angles)
            return SymmetryFunction(self.center, kind, self.neighbors, cutoff, parameters, COMPACT_SHAPES[self.subtype])
        angular = () if kind == "G2" else (self.zeta, self.lambda_)
        parameters = (self.eta / units.length**2, *angular, self.r_s * units.length)
        return SymmetryFunction(self.center, kind, self.neighbors, cutoff, parameters)

    def line(self) -> str:
        """Return the line of the file; r_s of types 3 and 9, which CP2K does not know, only where it is not 0."""
        layout = _LAYOUTS[self.type]
        if "r_s" not in layout and self.r_s != 0:
            layout = (*layout, "r_s")
        numbers = (repr(float(getattr(self, name))) for name in layout)
        return " ".join(
            ["symfunction_short", self.center, str(self.type), *self.neighbors, *numbers, self.subtype]
        ).strip()


def _subtype(line: Line, word: str) -> str:
    if word not in COMPACT_SHAPES:
        raise line.error(f"compact functions of subtype {word!r} are not supported, only {', '.join(COMPACT_SHAPES)}")
    return word


def _type(line: Line, words: Sequence[str]) -> int:
    """The number of the type of a function, if it is a supported one."""
    for word in words:
        if word.isdigit() and int(word) in _KINDS:
            return int(word)
    supported = ", ".join(map(str, _KINDS))
    raise line.error(f"symmetry functions of type {' '.join(words) or '(none)'} are not supported, only {supported}")

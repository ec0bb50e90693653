"""Symmetry functions as lines of `input.nn`, and the order in which the other files count them."""

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, product
from typing import NamedTuple, Self

from ase.data import atomic_numbers

from nnpot.descriptors import SymmetryFunction
from nnpot.formats.n2p2.conventions import Units
from nnpot.formats.n2p2.settings import Line

_KINDS = {2: ("G2", 1), 3: ("G4", 2), 9: ("G5", 2), 12: ("G2", 0), 13: ("G4", 0)}
"""Kind and number of named neighbours of each type."""

_LAYOUTS = {
    2: ("eta", "r_s", "cutoff"),
    3: ("eta", "lambda_", "zeta", "cutoff"),
    9: ("eta", "lambda_", "zeta", "cutoff"),
    12: ("eta", "r_s", "cutoff"),
    13: ("eta", "r_s", "lambda_", "zeta", "cutoff"),
}
"""Numbers behind the neighbours of each type; those of type 3 and 9 may be followed by r_s."""


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
    """

    type: int
    center: str
    neighbors: tuple[str, ...]
    cutoff: float
    eta: float
    r_s: float = 0.0
    zeta: float = 0.0
    lambda_: float = 0.0

    @property
    def rank(self) -> tuple[float, ...]:
        """What RuNNer, n2p2 and CP2K sort the functions of an element by, before anything else counts them."""
        numbers = (float(atomic_numbers[e]) for e in self.neighbors)
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
        neighbors, numbers = rest[:n_neighbors], line.numbers(rest[n_neighbors:])
        if "r_s" not in layout and len(numbers) == len(layout) + 1:
            layout = (*layout, "r_s")
        if len(numbers) != len(layout):
            wanted = [*["neighbour"] * n_neighbors, *(name.rstrip("_") for name in layout)]
            raise line.error(f"type {kind} needs {', '.join(wanted)}, got {' '.join(rest) or 'nothing'}")
        unknown = [e for e in (center, *neighbors) if e not in atomic_numbers]
        if unknown:
            raise line.error(f"{', '.join(unknown)} is not a chemical symbol")
        ordered = tuple(sorted(neighbors, key=atomic_numbers.__getitem__))
        return cls(number, center, ordered, **dict(zip(layout, numbers, strict=True)))

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
        eta, *angular, r_s = function.parameters
        neighbors = tuple(sorted(function.neighbors, key=atomic_numbers.__getitem__))
        lengths = function.cutoff / units.length, eta * units.length**2, r_s / units.length
        return cls(number, function.center, neighbors, *lengths, *angular)

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
        angular = () if kind == "G2" else (self.zeta, self.lambda_)
        parameters = (self.eta / units.length**2, *angular, self.r_s * units.length)
        return SymmetryFunction(self.center, kind, self.neighbors, self.cutoff * units.length, parameters)

    def line(self) -> str:
        """Return the line of the file; r_s of types 3 and 9, which CP2K does not know, only where it is not 0."""
        layout = _LAYOUTS[self.type]
        if "r_s" not in layout and self.r_s != 0:
            layout = (*layout, "r_s")
        numbers = (repr(float(getattr(self, name))) for name in layout)
        return " ".join(["symfunction_short", self.center, str(self.type), *self.neighbors, *numbers])


def _type(line: Line, words: Sequence[str]) -> int:
    """The number of the type of a function, if it is a supported one."""
    for word in words:
        if word.isdigit() and int(word) in _KINDS:
            return int(word)
    supported = ", ".join(map(str, _KINDS))
    raise line.error(f"symmetry functions of type {' '.join(words) or '(none)'} are not supported, only {supported}")

"""What the numbers and letters of the files mean."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from nnpot.units import BOHR, HARTREE


class Units(NamedTuple):
    """Units of the files, which themselves say nothing of them.

    Attributes:
        length: In Å.
        energy: In eV.
    """

    length: float
    energy: float


ATOMIC = Units(BOHR, HARTREE)
"""The units that RuNNer and CP2K assume."""

INPUT, SCALING, WEIGHTS = "input.nn", "scaling.data", "weights.{:03d}.data"
"""Names of the files; that of the weights contains the atomic number."""

CUTOFF_TYPES = (
    "hard", "cosine", "tanh3", "scaled_tanh3", "exponential", "cubic", "polynomial", "septic", "nonic",
)  # fmt: skip
"""Cutoff functions, in the order of their numbers."""

COMPACT_SHAPES = {"p1": "cubic", "p2": "polynomial", "p3": "septic", "p4": "nonic", "e": "exponential"}
"""Shapes of compact symmetry functions by their subtype."""

ACTIVATION_LETTERS = {
    "l": "linear",
    "t": "tanh",
    "s": "sigmoid",
    "p": "softplus",
    "g": "gaussian",
    "c": "cosine",
    "S": "reversed_sigmoid",
    "e": "exponential",
    "h": "harmonic",
}
"""Activation functions by their letter."""


def weight_places(sizes: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """Yield what stands behind each number in a file of weights.

    That is a for a weight or b for a bias, its place in the file, and its layers and nodes, all counted from 1.

    Args:
        sizes: Numbers of nodes of the input, of each hidden layer, and of the output.
    """
    k = 0
    for end, (n_in, n_out) in enumerate(pairwise(sizes), start=1):
        for j in range(1, n_in + 1):
            for i in range(1, n_out + 1):
                yield "a", str(k := k + 1), str(end - 1), str(j), str(end), str(i)
        for i in range(1, n_out + 1):
            yield "b", str(k := k + 1), str(end), str(i)

"""The core of a potential: what replaces it where atoms are closer than any in its training data."""

from collections.abc import Iterable

import numpy as np
import torch
from ase.data import atomic_numbers
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.elements import check_elements
from nnpot.functional.constants import constant
from nnpot.functional.core import lengthened, may_reach, recorded
from nnpot.functional.tape import Sum, Tape, Value
from nnpot.functional.zbl import COULOMB, inverse_length
from nnpot.spec import Module

Table = tuple[tuple[float, ...], ...]
"""One number for each pair of elements: symmetric."""


class Core(Module):
    r"""Shorter pair vectors than the training data hold are lengthened, and the nuclei repel each other instead.

    For atoms closer than d of their pair of elements (:mod:`nnpot.functional.core` has the formulas):

        r'_ij = r̂_ij r̃(r),   V'(r) = [1 − s(r)] k V_ZBL'(r),   V(d) = 0

    From d on nothing changes, to the last bit.

    Args:
        elements: Chemical symbols.
        distances: d, in Å.
        factors: k.

    Raises:
        ValueError: If an element is not known, a table does not suit the elements, or a number is not positive.
    """

    publication = "J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Solids (1985)"

    def __init__(self, elements: tuple[str, ...], distances: Table, factors: Table) -> None:
        super().__init__()
        self.elements = check_elements(elements)
        for name, table in (("distances", distances), ("factors", factors)):
            _check_table(name, table, len(self.elements))
        self.distances, self.factors = distances, factors
        self.reach = max((d for row in distances for d in row), default=0.0)
        self._key = repr((self.elements, distances, factors))

    def numbers(self) -> np.ndarray:
        """Return what the formulas take of every pair of elements, shape (3, S, S)."""
        z = torch.tensor([float(atomic_numbers[e]) for e in self.elements], dtype=torch.float64)
        z_i, z_j = z.unsqueeze(dim=1), z.unsqueeze(dim=0)
        strength = COULOMB * z_i * z_j * torch.tensor(self.factors, dtype=torch.float64)
        distances = torch.tensor(self.distances, dtype=torch.float64)
        return torch.stack([distances, strength, inverse_length(z_i, z_j)]).numpy()

    @property
    def range(self) -> str:
        """Within which distances it holds atoms apart, in words."""
        return within(d for row in self.distances for d in row)

    def check_for(self, elements: tuple[str, ...], cutoff: float) -> None:
        """Check that it suits a potential.

        Raises:
            ValueError: If it is for other elements, or reaches beyond the cutoff, in Å.
        """
        if self.elements != elements:
            known = f"{', '.join(self.elements)}, the potential for {', '.join(elements)}"
            raise ValueError(f"the core is for {known}; give one for the same elements in the same order")
        if self.reach > cutoff:
            raise ValueError(f"the core reaches to {self.reach:g} Å, beyond the cutoff of {cutoff:g} Å")

    def forward(self, pairs: Pairs) -> tuple[Pairs, Tensor]:
        """Return the pairs that a descriptor is to see, and atomic energies, in eV, float64, shape (N,)."""
        vectors, energies = lengthened(pairs, self._table(pairs))
        return pairs.stretched(vectors, len(self.elements)), energies

    def record(self, tape: Tape, pairs: Pairs) -> tuple[Tape, Pairs, Sum]:
        """Record the same where a pair may be that close: the tape and the pairs that a descriptor is to see, energies.

        Equal cores of several potentials are one step.
        """

        def make() -> tuple[Value, ...]:
            table = self._table(pairs)
            return tape.add(recorded(pairs, table), tape.r) if may_reach(pairs, table) else ()

        values = tape.shared((Core, self._key), make)
        if not values:
            return tape, pairs, ()
        vectors, energies = values
        seen = pairs.stretched(vectors.tensor, len(self.elements))
        return tape.behind(vectors), seen, ((1.0, energies),)

    def extra_repr(self) -> str:
        """Say what is there in one line."""
        return f"{'-'.join(self.elements)}, {self.range}"

    def _table(self, pairs: Pairs) -> Tensor:
        return constant(_numbers_of, self, like=pairs.r_ij, dtype=torch.float64)


def within(distances: Iterable[float]) -> str:
    """Return distances of pairs of elements, in Å, within which a core holds atoms apart, as words."""
    known = sorted(distances)
    return f"within {' to '.join(dict.fromkeys(f'{d:.2f}' for d in (*known[:1], *known[-1:])))} Å"


def core_of(potential: torch.nn.Module, pair: tuple[str, str]) -> float | None:
    """Return the distance within which the core of a potential holds two elements apart, None without a core."""
    found = [
        core.distances[core.elements.index(pair[0])][core.elements.index(pair[1])]
        for core in potential.modules()
        if isinstance(core, Core) and set(pair) <= set(core.elements)
    ]
    return max(found, default=None)


def _numbers_of(core: Core) -> np.ndarray:
    return core.numbers()


def _check_table(name: str, table: Table, n: int) -> None:
    if len(table) != n or any(len(row) != n for row in table):
        raise ValueError(f"{name} must hold {n} rows of {n} numbers, one for each pair of elements")
    if any(not table[a][b] > 0 for a in range(n) for b in range(n)):
        raise ValueError(f"{name} must be positive")
    if any(table[a][b] != table[b][a] for a in range(n) for b in range(n)):
        raise ValueError(f"{name} must be symmetric")

"""Models with faults: each calculates, can be written to a file with a valid checksum, and is wrong in one way."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nnpot.batch import Batch, Pairs
from nnpot.functional.cutoffs import cutoff_function
from nnpot.functional.segment import segment_sum
from nnpot.potential import Potential
from nnpot.prediction import Prediction

DEPTH, WIDTH, BOND = 0.35, 1.6, 2.6


class MorsePairs(Potential):
    """Pairs of atoms by Morse's function: a good model of a metal, but for the fault that is planted.

    Args:
        elements: Chemical symbols, all alike.
        cutoff: In Å.
        fault: Which of `OF_PAIRS`; none if empty.
    """

    def __init__(self, elements: tuple[str, ...] = ("Cu",), cutoff: float = 5.0, fault: str = "") -> None:
        super().__init__()
        self.elements, self.cutoff, self.fault = elements, cutoff, fault
        self.scale = torch.nn.Parameter(torch.ones(()))

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        r = torch.linalg.vector_norm(pairs.r_ij, dim=1)
        x = torch.exp(-WIDTH * (r - BOND))
        within = (r < self.cutoff).to(r.dtype)
        end = cutoff_function("polynomial").value(r.clamp(max=self.cutoff), self.cutoff) * within
        morse = DEPTH * (x * x - 2 * x)
        change = OF_PAIRS.get(self.fault)
        value = morse * end if change is None else change(morse, end, within, r, pairs)
        energies = 0.5 * segment_sum((self.scale * value).double(), pairs.pair_i, len(pairs.center_species))
        more = OF_ATOMS.get(self.fault)
        return energies if more is None else energies + more(pairs, end)


def _nearest_image(morse: Tensor, end: Tensor, within: Tensor, r: Tensor, pairs: Pairs) -> Tensor:
    key = pairs.pair_i * (int(pairs.pair_j.max()) + 1) + pairs.pair_j if len(r) else pairs.pair_i
    shortest = torch.full((int(key.max()) + 1 if len(r) else 1,), torch.inf, dtype=r.dtype)
    shortest = shortest.scatter_reduce(0, key, r.detach(), "amin")
    return morse * end * (r.detach() <= shortest[key] + 1e-9)


def _at_cutoff() -> float:
    x = float(np.exp(-WIDTH * (5.0 - BOND)))
    return DEPTH * (x * x - 2 * x)


def _chiral(pairs: Pairs, end: Tensor) -> Tensor:
    r = torch.linalg.vector_norm(pairs.r_ij, dim=1)
    n = len(pairs.center_species)
    vectors = [segment_sum((end * r**k).unsqueeze(1) * pairs.r_ij, pairs.pair_i, n).double() for k in (0, 1, 2)]
    return 1e-3 * torch.linalg.det(torch.stack(vectors, dim=1))


OF_PAIRS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, Pairs], Tensor]] = {
    "cutoff cut off": lambda morse, end, within, r, pairs: morse * within,
    "kink at the cutoff": lambda morse, end, within, r, pairs: (morse - _at_cutoff()) * within,
    "hole": lambda morse, end, within, r, pairs: (morse - 3e3 * torch.exp(-((r / 0.9) ** 2))) * end,
    "waves": lambda morse, end, within, r, pairs: (morse + 0.6 * torch.sin(9 * r)) * end,
    "clumps": lambda morse, end, within, r, pairs: (morse + torch.exp(-(((r - 2.5) / 0.25) ** 2))) * end,
    "steps": lambda morse, end, within, r, pairs: (morse + 0.02 * torch.sin(60 * r)) * end,
    "repulsive": lambda morse, end, within, r, pairs: 3 * torch.exp(-(r - 2.6)) * end,
    "rough": lambda morse, end, within, r, pairs: (morse + 2e-2 * torch.sin(3000 * r)) * end,
    "frame dependence": lambda morse, end, within, r, pairs: (1 + 1e-3 * pairs.r_ij[:, 2] ** 2) * morse * end,
    "order of the atoms": lambda morse, end, within, r, pairs: (1 + 1e-3 * (pairs.pair_j % 2)) * morse * end,
    "nearest image alone": _nearest_image,
    "rounded distances": lambda morse, end, within, r, pairs: morse * end + (morse * end).half().double() * 0.1,
}
"""Faults of the energy, whose forces are its slope all the same."""

OF_ATOMS: dict[str, Callable[[Pairs, Tensor], Tensor]] = {
    "chiral": _chiral,
    "free atoms": lambda pairs, end: (
        60 * torch.exp(-3 * segment_sum(end.double(), pairs.pair_i, len(pairs.center_species)))
    ),
}


class Wrong(Potential):
    """A potential whose results are changed in `forward`.

    Args:
        inner: A good one.
        fault: Which of `OF_RESULTS`.
    """

    def __init__(self, inner: Potential, fault: str) -> None:
        super().__init__()
        self.inner, self.fault = inner, fault
        self.elements, self.cutoff = inner.elements, inner.cutoff

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        return self.inner.atomic_energies(pairs)

    def forward(self, batch: Batch) -> Prediction:
        batch = batch.to(dtype=self.dtype_and_device()[0])
        said = self.inner(batch)
        energy, forces, stress = OF_RESULTS[self.fault](batch, said)
        return replace(said, labels={**said.labels, "energy": energy, "forces": forces, "stress": stress})


def _of_each(batch: Batch, factor: Tensor, said: Prediction) -> tuple[Tensor, Tensor, Tensor]:
    return said.energy * factor, said.forces * factor[batch.structure_of, None], said.stress * factor[:, None]


def _pulled(batch: Batch, said: Prediction) -> tuple[Tensor, Tensor, Tensor]:
    pull = torch.tensor([0.01, 0.0, 0.0], dtype=said.forces.dtype)
    energy = segment_sum((batch.positions.to(pull) @ -pull).double(), batch.structure_of, batch.n_structures)
    return said.energy + energy, said.forces + pull, said.stress


def _seen_from_afar(batch: Batch, said: Prediction) -> tuple[Tensor, Tensor, Tensor]:
    with torch.enable_grad():
        r = batch.positions.detach().double().requires_grad_()
        same = (batch.structure_of[:, None] == batch.structure_of[None]).double()
        squares = ((r[:, None] - r[None]) ** 2).sum(dim=2)
        terms = same * 0.05 / (1 + squares)
        (slope,) = torch.autograd.grad(terms.sum() / 2, r)
    energy = segment_sum(terms.sum(dim=1).detach() / 2, batch.structure_of, batch.n_structures)
    return said.energy + energy, said.forces - slope.to(said.forces.dtype), said.stress


def _swirled(batch: Batch, said: Prediction) -> tuple[Tensor, Tensor, Tensor]:
    r = batch.positions - batch.positions.mean(dim=0)
    swirl = 0.2 * torch.stack([-r[:, 1], r[:, 0], torch.zeros_like(r[:, 0])], dim=1)
    return said.energy, said.forces + swirl.to(said.forces.dtype), said.stress


OF_RESULTS: dict[str, Callable[[Batch, Prediction], tuple[Tensor, Tensor, Tensor]]] = {
    "broken derivative": lambda batch, said: (said.energy, 1.001 * said.forces, said.stress),
    "broken shear": lambda batch, said: (
        said.energy, said.forces, said.stress * torch.tensor([1, 1, 1, 1.01, 1, 1], dtype=said.stress.dtype)
    ),
    "swirl": _swirled,
    "absolute positions": _pulled,
    "not extensive": lambda batch, said: _of_each(batch, 1 + 1e-4 * batch.n_atoms.to(said.forces.dtype), said),
    "seen from afar": _seen_from_afar,
    "batch": lambda batch, said: _of_each(
        batch, torch.full((batch.n_structures,), 1 + 1e-4 * batch.n_structures, dtype=said.forces.dtype), said
    ),
    "noise": lambda batch, said: (said.energy, said.forces + 1e-3 * torch.randn_like(said.forces), said.stress),
    "float16": lambda batch, said: (
        (said.energy.half().double(), said.forces.half().float(), said.stress)
        if said.forces.dtype == torch.float32
        else (said.energy, said.forces, said.stress)
    ),
    "not a number": lambda batch, said: (said.energy * torch.nan, said.forces, said.stress),
}  # fmt: skip
"""Faults of the results, from a batch and what a good model says of it."""

"""Potentials: from structures to energy, forces and stress.

A potential maps an environment of pairs to atomic energies; forces and stress are two sums over ∂E/∂r_ij, done here for
every potential.  Potentials add: `a + b`.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from nnpot.batch import Batch, Origin, Pairs
from nnpot.core import Core
from nnpot.functional.constants import indices
from nnpot.functional.segment import forces_from_pairs, segment_sum, strain_derivative
from nnpot.functional.tape import Sum, Tape
from nnpot.heads import HEADS, predictions
from nnpot.labels import LABELS
from nnpot.neighbors import single_batch, too_close
from nnpot.spec import Module
from nnpot.structure import Structure

log = logging.getLogger("nnpot")

CENTERS_AT_ONCE = 4096
"""Number of atoms evaluated at a time outside of training, which bounds memory."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a potential says of a batch.

    =========  =======  ===================================================  ======
    attribute  shape    meaning                                              unit
    =========  =======  ===================================================  ======
    energies   (N,)     atomic energies, float64                             eV
    energy     (B,)     total energies, float64                              eV
    forces     (N, 3)   forces                                               eV/Å
    stress     (B, 6)   Voigt xx, yy, zz, yz, xz, xy, positive in tension;   eV/Å³
                        NaN without a periodic cell
    labels              these three and what heads predict, by the names of
                        :data:`nnpot.labels.LABELS`
    =========  =======  ===================================================  ======
    """

    energies: Tensor
    labels: Mapping[str, Tensor]

    @property
    def energy(self) -> Tensor:
        """Total energies in eV, float64, shape (B,)."""
        return self.labels["energy"]

    @property
    def forces(self) -> Tensor:
        """Forces in eV/Å, shape (N, 3)."""
        return self.labels["forces"]

    @property
    def stress(self) -> Tensor:
        """Stresses in eV/Å³, shape (B, 6)."""
        return self.labels["stress"]

    def detach(self) -> "Prediction":
        """Return the same numbers without their graph."""
        return Prediction(self.energies.detach(), {name: value.detach() for name, value in self.labels.items()})

    def is_finite(self, batch: Batch) -> Tensor:
        """Return for which structures energy, forces and, where there is a volume, stress are finite, shape (B,)."""
        wrong_atoms = (~torch.isfinite(self.forces)).any(dim=1).double()
        forces = segment_sum(wrong_atoms, batch.structure_of, batch.n_structures) == 0
        stress = torch.isfinite(self.stress).all(dim=1) | torch.isnan(batch.volumes)
        return torch.isfinite(self.energy) & forces & stress

    def complaints(self, batch: Batch) -> list[str]:
        """Return a sentence for each structure of which energy, forces or stress are not finite."""
        return [_complaint(batch, k) for k in (~self.is_finite(batch)).nonzero().flatten().tolist()]


@dataclass(frozen=True, eq=False)
class ParameterGroup:
    """Parameters that an optimiser treats alike.

    Attributes:
        parameters: Some of a potential's.
        decays: Whether weight decay may make them smaller.
        rate: Their learning rate relative to that of the others.
    """

    parameters: tuple[nn.Parameter, ...]
    decays: bool
    rate: float = 1.0


class Potential(Module, ABC):
    """A sum of atomic energies that depend on neighbour pairs within a cutoff.

    Attributes:
        elements: Chemical symbols that the potential knows, in the order of `Pairs.species`.
        cutoff: In Å.
        heads: Names of what it predicts besides the energy (:data:`nnpot.heads.HEADS`).
        publication: Where it was published, for files that are handed on; empty if unknown.
        repels_nuclei: Whether it is a repulsion of the nuclei, beside which there is none of a core.
    """

    elements: tuple[str, ...]
    cutoff: float
    heads: tuple[str, ...] = ()
    publication: ClassVar[str] = ""
    repels_nuclei: ClassVar[bool] = False

    @property
    def predicts(self) -> tuple[str, ...]:
        """Names of the labels that it predicts."""
        of_heads = {label for name in self.heads for label in HEADS[name].labels}
        return tuple(name for name, label in LABELS.items() if not label.has_head or name in of_heads)

    @property
    def is_trained(self) -> bool:
        """Whether results are to be differentiated again: in training mode, while gradients are recorded."""
        return self.training and torch.is_grad_enabled()

    @abstractmethod
    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return the energy of every atom, in eV, float64, shape (N,), twice differentiable in `pairs.r_ij`."""

    def record(self, tape: Tape, pairs: Pairs) -> dict[str, Sum]:
        """Record all steps from the pair vectors to atomic outputs, and return these by name.

        "energies" are always there, in eV, float64, shape (N,).  By default they are one step, differentiated by
        autograd.

        Args:
            tape: Where to; `tape.r` are the pair vectors.
            pairs: Ordered pairs within at least the cutoff.
        """

        def energies(r_ij: Tensor) -> Tensor:
            return self.atomic_energies(pairs.with_vectors(r_ij))

        (value,) = tape.autograd(energies, [tape.r], self.parameters())
        return {"energies": ((1.0, value),)}

    def outputs_and_pair_gradient(self, pairs: Pairs) -> tuple[dict[str, Tensor], Tensor]:
        """Return atomic outputs by name, shape (N,) each, and ∂E/∂r_ij, shape (P, 3), in eV/Å.

        While training they can be differentiated once with respect to the parameters.
        """
        tape = Tape(pairs.r_ij, is_trained=self.is_trained)
        with torch.set_grad_enabled(self.is_trained):
            outputs = self.record(tape, pairs)
        return tape.results(outputs)

    def energies_and_pair_gradient(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Return atomic energies (N,) in eV and ∂E/∂r_ij (P, 3) in eV/Å, as `outputs_and_pair_gradient`."""
        outputs, gradient = self.outputs_and_pair_gradient(pairs)
        return outputs["energies"], gradient

    def forward(self, batch: Batch) -> Prediction:
        """Predict energies, forces and stress of a batch whose pairs reach at least to the cutoff.

        A batch is born in float64; it is taken in the floating type of the parameters, if there are any.

        Raises:
            ValueError: If an atom is of an element that the potential does not know, or the pairs are none.
        """
        parameter = next(self.parameters(), batch.r_ij)
        if parameter.dtype != batch.r_ij.dtype:
            batch = batch.to(dtype=parameter.dtype)
        pairs = batch.pairs(self.elements)
        if batch.cached is not None or self.is_trained or batch.r_ij.requires_grad:
            outputs, gradient = self.outputs_and_pair_gradient(pairs)
        else:
            outputs, gradient = self.evaluate_in_chunks(pairs)
        energies = outputs["energies"]
        structure_of_pair = batch.structure_of.index_select(0, batch.pair_i)
        strain = strain_derivative(batch.r_ij, gradient, structure_of_pair, batch.n_structures)
        return Prediction(
            energies,
            {
                "energy": segment_sum(energies, batch.structure_of, batch.n_structures),
                "forces": forces_from_pairs(gradient, batch.pair_i, batch.pair_j, len(batch.numbers)),
                "stress": _stress(strain, batch.volumes.unsqueeze(dim=1)),
                **(predictions(outputs, batch) if self.heads else {}),
            },
        )

    def evaluate_in_chunks(self, pairs: Pairs) -> tuple[dict[str, Tensor], Tensor]:
        """Return the same as `outputs_and_pair_gradient`, some atoms at a time, so that large systems have room."""
        with torch.no_grad():
            parts = [self.outputs_and_pair_gradient(part) for part in pairs.chunks(CENTERS_AT_ONCE)]
        outputs, gradients = zip(*parts, strict=True)
        return {name: torch.cat([part[name] for part in outputs]) for name in outputs[0]}, torch.cat(gradients)

    def with_core(self, core: Core | None) -> "Potential":
        """Return the same potential with another core, or without any, as it was trained.

        Raises:
            ValueError: If it can have none.
        """
        if core is None:
            return self
        raise ValueError(f"a {type(self).__name__} can have no core; give a model of nnpot train or a committee")

    @property
    def core(self) -> Core | None:
        """What replaces it, or a part of it, where atoms are closer than in its training data."""
        return next((part for part in self.modules() if isinstance(part, Core)), None)

    @property
    def has_core(self) -> bool:
        """Whether it, or a part of it, has a core; a package only says so."""
        return self.core is not None

    def predict(self, structure: Structure) -> Prediction:
        """Predict one structure, on the device and in the dtype of the potential; results are detached."""
        dtype, device = self.dtype_and_device()
        with torch.no_grad():
            prediction: Prediction = self(single_batch(structure, self.cutoff).to(device, dtype))
        return prediction

    def dtype_and_device(self) -> tuple[torch.dtype, torch.device]:
        """Return dtype and device of the parameters; float64 on the CPU for a potential without parameters."""
        for p in self.parameters():
            return p.dtype, p.device
        return torch.float64, torch.device("cpu")

    def __add__(self, other: "Potential") -> "SumPotential":
        return SumPotential(self, other)


class TrainablePotential(Potential):
    """A potential that can be trained: it says all that a training has to know of its architecture."""

    @property
    def relative_cost(self) -> float:
        """Time of a training step relative to the plain potential of its kind, without optional parts."""
        return 1.0

    @property
    def is_cacheable(self) -> bool:
        """Whether features and their derivatives may be calculated once per structure and kept during training."""
        return False

    @abstractmethod
    def parameter_groups(self) -> list[ParameterGroup]:
        """Return all parameters, each in one group."""

    @property
    def parts(self) -> dict[str, tuple[nn.Parameter, ...]]:
        """Parameters by the name of the part that they belong to, which may be trained at a rate of its own."""
        return {}

    @abstractmethod
    def fitted(self, structures: Sequence[Structure], dtype: torch.dtype = torch.float32) -> Self:
        """Return a potential in which everything that depends on data has been taken from training structures.

        Raises:
            ValueError: If there is no structure or no label to take them from.
        """

    @abstractmethod
    def with_references(self, shifts: Mapping[str, float]) -> Self:
        """Return the same potential, its reference energies shifted, in eV by symbol."""

    @abstractmethod
    def with_elements(self, elements: Sequence[str]) -> Self:
        """Return the same potential, without its core, that knows further elements.

        Each of these is at first what the known one is that is most like it (:func:`nnpot.elements.most_like`).

        Raises:
            ValueError: If it cannot learn further elements.
        """

    @abstractmethod
    def compiled(self, *, training: bool = False, evaluation: bool = False) -> Self:
        """Compile, for these uses, what gains by it; return the potential itself."""

    def cache_size(self, batch: Batch) -> int:
        """Return of how many numbers `with_cache` would need to keep, for a batch of one structure."""
        return 0

    def with_cache(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """Return a batch of one structure with whatever may be kept of it, in `dtype`."""
        return batch


class SumPotential(Potential):
    """The sum of two potentials, for the elements that both know.

    Args:
        first: A potential.
        second: Another one.

    Raises:
        ValueError: If they have no element in common.
    """

    def __init__(self, first: Potential, second: Potential) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.elements = tuple(e for e in first.elements if e in second.elements)
        if not self.elements:
            raise ValueError(f"the potentials have no element in common: {first.elements} and {second.elements}")
        self.cutoff = max(first.cutoff, second.cutoff)
        self.heads = tuple(dict.fromkeys([*first.heads, *second.heads]))
        if self.has_core and self._has_repulsion:
            raise ValueError(
                "a potential with a core repels the nuclei already, ZBL would do so twice; add it to "
                "potential.with_core(None), or leave it out"
            )

    @property
    def _has_repulsion(self) -> bool:
        return any(isinstance(part, Potential) and part.repels_nuclei for part in self.modules())

    @property
    def has_core(self) -> bool:
        """As of every potential."""
        return self.first.has_core or self.second.has_core

    def with_core(self, core: Core | None) -> "Potential":
        """As of every potential: a sum can only go without."""
        if core is None:
            return SumPotential(self.first.with_core(None), self.second.with_core(None))
        if self._has_repulsion:
            raise ValueError("the model repels the nuclei by ZBL, a core would do so once more; leave it as it is")
        return super().with_core(core)

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return the sum of both, shape (N,)."""
        first, second = (p.atomic_energies(self._seen_by(p, pairs)) for p in (self.first, self.second))
        return first + second

    def record(self, tape: Tape, pairs: Pairs) -> dict[str, Sum]:
        """As of every potential: the steps of both."""
        first, second = (p.record(tape, self._seen_by(p, pairs)) for p in (self.first, self.second))
        return {name: first.get(name, ()) + second.get(name, ()) for name in first | second}

    def _seen_by(self, term: Potential, pairs: Pairs) -> Pairs:
        """The same pairs, elements counted as one of the terms counts them."""
        if term.elements == self.elements:
            return pairs
        places = tuple(term.elements.index(e) for e in self.elements)
        place = indices(places, pairs.species)
        centers = None if pairs.centers is None else place[pairs.centers]
        return replace(pairs, species=place[pairs.species], centers=centers, origin=Origin(pairs, places))


def _complaint(batch: Batch, k: int) -> str:
    """What is wrong with structure k, by name if it has one, and which atoms are at one place if that is why."""
    name = (batch.names[k] if batch.names else "") or (f"structure {k}" if batch.n_structures > 1 else "")
    close = too_close(batch, k)
    why = "" if close is None else f"; atoms {close[0]} and {close[1]} are {close[2]:.2g} Å apart"
    return f"{name}{': ' if name else ''}the potential gives no finite energy, forces and stress{why}"


def _stress(strain: Tensor, volumes: Tensor) -> Tensor:
    """Divide strain derivatives (B, 6) by volumes (B, 1); NaN without a volume.

    Double where: a molecule then has the derivative 0, where 0/NaN would make the gradient of its whole batch NaN.
    """
    known = torch.isfinite(volumes)
    return torch.where(known, strain / torch.where(known, volumes, 1.0), torch.nan)

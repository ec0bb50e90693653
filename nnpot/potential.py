"""Potentials: from structures to energy, forces and stress.

A potential maps an environment of pairs to atomic energies; forces and stress are two sums over ∂E/∂r_ij, done here for
every potential.  Potentials add: `a + b`.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self, overload

import torch
from ase import Atoms
from torch import Tensor

from nnpot.batch import Batch, Origin, Pairs
from nnpot.core import Core
from nnpot.functional.constants import indices
from nnpot.functional.segment import forces_from_pairs, segment_sum, strain_derivative, stress_of
from nnpot.functional.tape import Sum, Tape
from nnpot.guesses import OF_POTENTIALS
from nnpot.heads import HEADS, predictions
from nnpot.hessian import hessian
from nnpot.html import table
from nnpot.labels import LABELS
from nnpot.neighbors import single_batch
from nnpot.prediction import Prediction
from nnpot.spec import Module
from nnpot.structure import Structure, as_structure, as_structures, moved_to
from nnpot.torch_exports import NotForTorchExports
from nnpot.uncertainty import GRADE, Uncertainty, of_batch

CENTERS_AT_ONCE = 4096
"""Number of atoms evaluated at a time outside of training, which bounds memory."""


class Potential(NotForTorchExports, Module, ABC):
    """A sum of atomic energies that depend on neighbour pairs within a cutoff.

    Attributes:
        elements: Chemical symbols that the potential knows, in the order of `Pairs.species`.
        cutoff: In Å.
        heads: Names of what it predicts besides the energy (:data:`nnpot.heads.HEADS`).
        publication: Where it was published, for files that are handed on; empty if unknown.
        repels_nuclei: Whether it is a repulsion of the nuclei, beside which there is none of a core.
        has_second_derivatives: Whether `atomic_energies` can be differentiated; not in a package.
        tells_unknown: Whether predictions say how large their errors are likely to be, if that is known.
    """

    elements: tuple[str, ...]
    cutoff: float
    heads: tuple[str, ...] = ()
    publication: ClassVar[str] = ""
    repels_nuclei: ClassVar[bool] = False
    has_second_derivatives: ClassVar[bool] = True
    tells_unknown: bool = True
    instead = OF_POTENTIALS

    @property
    def predicts(self) -> tuple[str, ...]:
        """Names of the labels that it predicts."""
        of_heads = {label for name in self.heads for label in HEADS[name].labels}
        return tuple(name for name, label in LABELS.items() if not label.has_head or name in of_heads)

    def _repr_html_(self) -> str:
        rows = {
            "elements": ", ".join(self.elements),
            "cutoff": f"{self.cutoff:.3g} Å",
            "parameters": f"{sum(p.numel() for p in self.parameters()):,}",
            "predicts": ", ".join(self.predicts),
            "parts": ", ".join(dict.fromkeys(type(m).__name__ for m in self.modules() if isinstance(m, Module))),
        }
        return table(type(self).__name__, rows)

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002  as PyTorch has it
        """Put it into training mode, as every module of PyTorch.

        Raises:
            TypeError: If something else is given, such as structures to train with.
        """
        if not isinstance(mode, bool):
            raise TypeError("potential.train() only sets a mode; write nnpot.train(structures, potential=potential)")
        return super().train(mode)

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

    def __call__(self, *batch: Any, **named: Any) -> Any:
        """Return :meth:`forward` of a batch.

        Raises:
            TypeError: If anything else is given beside it.
        """
        if len(batch) + len(named) != 1:
            raise TypeError("a potential is called with one nnpot.Batch; for atoms of ASE: potential.predict(atoms)")
        return super().__call__(*batch, **named)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:  # noqa: FBT001, FBT002  as PyTorch has it
        """Move or convert it, as every module of PyTorch; where there is no such device say so."""
        try:
            return super()._apply(fn, recurse)  # type: ignore[no-any-return]
        except (AssertionError, RuntimeError) as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"the potential cannot be moved there on this machine: {why}; 'cpu' always works"
            ) from error

    def forward(self, batch: Batch) -> Prediction:
        """Predict energies, forces and stress of a batch whose pairs reach at least to the cutoff.

        A batch is born in float64; it is taken in the floating type of the parameters, if there are any.

        Raises:
            ValueError: If an atom is of an element that the potential does not know, or the pairs are none.
            TypeError: If it is no batch.
        """
        if not isinstance(batch, Batch):
            raise TypeError(
                f"a potential is called with a nnpot.Batch, got {type(batch).__name__}; "
                "for atoms of ASE and structures there is potential.predict(atoms)"
            )
        parameter = next(self.parameters(), batch.r_ij)
        if parameter.dtype not in (torch.float32, torch.float64):
            name = str(parameter.dtype).removeprefix("torch.")
            raise TypeError(f"a potential calculates in float32 or float64, not in {name}; write potential.float()")
        if parameter.dtype != batch.r_ij.dtype:
            batch = batch.to(dtype=parameter.dtype)
        pairs = batch.pairs(self.elements)
        if batch.cached is not None or self.is_trained or batch.r_ij.requires_grad:
            outputs, gradient = self.outputs_and_pair_gradient(pairs)
        else:
            outputs, gradient = self.evaluate_in_chunks(pairs)
        return self.prediction_of(batch, outputs, gradient)

    def prediction_of(self, batch: Batch, outputs: Mapping[str, Tensor], gradient: Tensor) -> Prediction:
        """Return what follows for a batch from atomic outputs by name, shape (N,), and ∂E/∂r_ij, shape (P, 3)."""
        energies = outputs["energies"]
        structure_of_pair = batch.structure_of.index_select(0, batch.pair_i)
        strain = strain_derivative(batch.r_ij, gradient, structure_of_pair, batch.n_structures)
        return Prediction(
            energies,
            {
                "energy": segment_sum(energies, batch.structure_of, batch.n_structures),
                "forces": forces_from_pairs(gradient, batch.pair_i, batch.pair_j, len(batch.numbers)),
                "stress": stress_of(strain, batch.volumes.unsqueeze(dim=1)),
                **(predictions(outputs, batch) if self.heads else {}),
            },
            of_batch(outputs, batch) if GRADE in outputs else {},
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

    def bare(self) -> "Potential":
        """Return the same potential as it was trained: without what is put on afterwards, core and uncertainty."""
        return self

    @property
    def core(self) -> Core | None:
        """What replaces it, or a part of it, where atoms are closer than in its training data."""
        return next((part for part in self.modules() if isinstance(part, Core)), None)

    def telling_unknown(self, tells: bool) -> Self:  # noqa: FBT001
        """Say from now on, or do not, how large errors are likely to be, which costs time; return the potential."""
        for part in (m for m in self.modules() if isinstance(m, Potential)):
            part.tells_unknown = tells
        return self

    @property
    def has_core(self) -> bool:
        """Whether it, or a part of it, has a core; a package only says so."""
        return self.core is not None

    @property
    def is_calibrated(self) -> bool:
        """Whether it knows how large its errors are likely to be (:mod:`nnpot.uncertainty`)."""
        return any(isinstance(part, Uncertainty) for part in self.modules())

    @overload
    def predict(self, structure: Sequence[Structure | Atoms]) -> list[Prediction]: ...
    @overload
    def predict(self, structure: Structure | Atoms) -> Prediction: ...
    def predict(self, structure: Structure | Atoms | Sequence[Structure | Atoms]) -> Prediction | list[Prediction]:
        """Predict one structure, or several, on the device and in the dtype of the potential; results are detached.

        >>> from ase.build import bulk
        >>> from nnpot import ZBL
        >>> prediction = ZBL(("Cu",)).predict(bulk("Cu", a=2.5))
        >>> print(f"{float(prediction.energy):.3f} eV, forces of shape {tuple(prediction.forces.shape)}")
        12.009 eV, forces of shape (1, 3)

        Args:
            structure: Atoms of ASE or a :class:`nnpot.Structure`, or a list of them for a list of predictions.

        Raises:
            TypeError: If it is something else.
            ValueError: If an element is not known to the potential, or the atoms cannot be as they are.
        """
        if not isinstance(structure, Structure | Atoms) and isinstance(structure, Iterable):
            return [self._predict_named(one, k) for k, one in enumerate(as_structures(structure))]
        dtype, device = self.dtype_and_device()
        with torch.no_grad():
            prediction: Prediction = self(single_batch(as_structure(structure), self.cutoff).to(device, dtype))
        return prediction

    def _predict_named(self, structure: Structure, k: int) -> Prediction:
        """Predict the k-th of several structures; an error says which one it is."""
        try:
            return self.predict(structure)
        except ValueError as error:
            raise ValueError(f"structure {k}: {error}") from error

    def energy_at(self, structure: Structure | Atoms, positions: Tensor) -> Tensor:
        """Return the energy at other positions, to be differentiated by autograd, in eV, float64, shape ().

        It is the plain formula, twice differentiable by the positions and by parameters:

        >>> import torch
        >>> from ase import Atoms
        >>> from nnpot import ZBL
        >>> dimer, r = Atoms("H2"), torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.5]], requires_grad=True)
        >>> (slope,) = torch.autograd.grad(ZBL(("H",)).energy_at(dimer, r), r)
        >>> bool(slope[0, 2] > 0 > slope[1, 2])
        True

        Args:
            structure: Elements, cell and periodicity.
            positions: In Å, shape (N, 3).

        Raises:
            TypeError: If it is no structure.
            ValueError: If there are not as many positions as atoms, or as for :meth:`predict`.
        """
        dtype, device = self.dtype_and_device()
        moved = moved_to(as_structure(structure), positions)
        batch = single_batch(moved, self.cutoff).to(device, dtype)
        return self.atomic_energies(batch.pairs(self.elements)).sum()

    def hessian(self, structure: Structure | Atoms) -> Tensor:
        """Return ∂²E/∂r_a∂r_b, in eV/Å², float64, shape (3N, 3N), x, y, z of the first atom first.

        It is calculated in float64 whatever the dtype of the potential: rounded to float32, second derivatives would
        shift frequencies by some wavenumbers.  The time grows with the number of atoms times that of their neighbours.

        >>> from ase import Atoms
        >>> from nnpot import ZBL
        >>> ZBL(("H",)).hessian(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.5]])).shape
        torch.Size([6, 6])

        Args:
            structure: Atoms of ASE or a :class:`nnpot.Structure`; in a periodic one all images of an atom move.

        Raises:
            TypeError: If it is no structure.
            ValueError: As for :meth:`predict`, or if the potential has been read from a package, which has no second
                derivatives.
        """
        precise = copy.deepcopy(self).to(torch.float64).eval().requires_grad_(False)
        if precise.dtype_and_device()[0] != torch.float64 or not precise.has_second_derivatives:
            raise ValueError("a package has no second derivatives; give the model file that it was made from")
        batch = single_batch(as_structure(structure), self.cutoff).to(self.dtype_and_device()[1], torch.float64)
        with torch.enable_grad():
            return hessian(precise.atomic_energies, batch.pairs(self.elements))

    def dtype_and_device(self) -> tuple[torch.dtype, torch.device]:
        """Return dtype and device of the parameters; float64 on the CPU for a potential without parameters."""
        for p in self.parameters():
            return p.dtype, p.device
        return torch.float64, torch.device("cpu")

    def __add__(self, other: "Potential") -> "SumPotential":
        if not isinstance(other, Potential):
            raise TypeError(f"a potential is added to a potential, a + b, got {type(other).__name__}")
        return SumPotential(self, other)

    def __radd__(self, other: object) -> "Potential":
        if other == 0:  # where `sum` begins
            return self
        raise TypeError(f"a potential is added to a potential, a + b, got {type(other).__name__}")


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

    def bare(self) -> "Potential":
        """As of every potential."""
        return SumPotential(self.first.bare(), self.second.bare())

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

"""Potentials: from structures to energy, forces and stress.

A potential maps an environment of pairs to atomic energies; forces and stress are two sums over ∂E/∂r_ij, done here for
every potential.  Potentials add: `a + b`.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from nnpot.descriptors.base import Descriptor
from nnpot.functional.explicit import energies_and_gradient
from nnpot.functional.rows import ElementRows
from nnpot.functional.segment import forces_from_pairs, segment_sum, strain_derivative
from nnpot.graph import CompiledGraph
from nnpot.neighbors import single_batch
from nnpot.nn.layers import Affine
from nnpot.nn.mlp import MLP, activations
from nnpot.nn.per_element import PerElement
from nnpot.scaling import FeatureScaling, isolated_atom_energies, least_squares_energies
from nnpot.spec import Module
from nnpot.structure import Batch, ExplicitFeatures, Linearized, Pairs, Structure, species_index

log = logging.getLogger("nnpot")

CENTERS_AT_ONCE = 4096
"""Atoms evaluated at a time where nothing is trained."""

Stage = Literal["values", "features"]
"""What energies are calculated from: values of `Descriptor.linearized`, or features."""

AtomicEnergies = Literal["least_squares", "isolated_atoms"] | dict[str, float]


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
                        NaN unless periodic in three dimensions
    =========  =======  ===================================================  ======
    """

    energies: Tensor
    energy: Tensor
    forces: Tensor
    stress: Tensor


class Potential(Module, ABC):
    """A sum of atomic energies that depend on neighbour pairs within a cutoff.

    Attributes:
        elements: Chemical symbols that the potential knows, in the order of `Pairs.species`.
        cutoff: In Å.
    """

    elements: tuple[str, ...]
    cutoff: float

    @property
    def is_trained(self) -> bool:
        """Whether results are to be differentiated again: in training mode, while gradients are recorded."""
        return self.training and torch.is_grad_enabled()

    @abstractmethod
    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return the energy of every atom, in eV, float64, shape (N,), twice differentiable in `pairs.r_ij`."""

    def energies_and_pair_gradient(self, pairs: Pairs, cached: Linearized | None = None) -> tuple[Tensor, Tensor]:
        """Return atomic energies (N,) in eV and ∂E/∂r_ij (P, 3) in eV/Å; differentiable again while training.

        Args:
            pairs: Ordered pairs within at least the cutoff.
            cached: Features of these pairs and their derivative, if calculated before.
        """
        keep_graph = self.is_trained
        with torch.enable_grad():
            r_ij = pairs.r_ij.detach().requires_grad_()
            energies = self.atomic_energies(replace(pairs, r_ij=r_ij))
            gradient = _gradient(energies, r_ij, keep_graph=keep_graph)
        return (energies, gradient) if keep_graph else (energies.detach(), gradient)

    def forward(self, batch: Batch) -> Prediction:
        """Predict energies, forces and stress of a batch whose pairs reach at least to the cutoff.

        Raises:
            ValueError: If an atom is of an element that the potential does not know.
        """
        pairs = batch.pairs(self.elements)
        if batch.cached is not None or self.is_trained:
            energies, gradient = self.energies_and_pair_gradient(pairs, batch.cached)
        else:
            energies, gradient = self.evaluated(pairs)
        structure_of_pair = batch.structure_of.index_select(0, batch.pair_i)
        strain = strain_derivative(batch.r_ij, gradient, structure_of_pair, batch.n_structures)
        return Prediction(
            energies=energies,
            energy=segment_sum(energies, batch.structure_of, batch.n_structures),
            forces=forces_from_pairs(gradient, batch.pair_i, batch.pair_j, len(batch.numbers)),
            stress=_stress(strain, batch.volumes.unsqueeze(dim=1)),
        )

    def evaluated(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Return atomic energies (N,) in eV and ∂E/∂r_ij (P, 3) in eV/Å, in parts, so that large systems have room."""
        with torch.no_grad():
            parts = [self.energies_and_pair_gradient(part) for part in pairs.parts(CENTERS_AT_ONCE)]
        energies, gradient = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return energies, gradient

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

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return the sum of both, shape (N,)."""
        first, second = (p.atomic_energies(self._seen_by(p, pairs)) for p in (self.first, self.second))
        return first + second

    def energies_and_pair_gradient(self, pairs: Pairs, cached: Linearized | None = None) -> tuple[Tensor, Tensor]:
        """As every potential, each term in its own way."""
        first, second = (p.energies_and_pair_gradient(self._seen_by(p, pairs)) for p in (self.first, self.second))
        return first[0] + second[0], first[1] + second[1]

    def _seen_by(self, term: Potential, pairs: Pairs) -> Pairs:
        """The same pairs, elements counted as one of the terms counts them."""
        if term.elements == self.elements:
            return pairs
        places = [term.elements.index(e) for e in self.elements]
        place = torch.tensor(places, device=pairs.species.device)
        centers = None if pairs.centers is None else place[pairs.centers]
        seen = replace(pairs, species=place[pairs.species], centers=centers)
        rows = pairs.made.get((ElementRows, len(self.elements)))
        if rows is not None:
            seen.made[ElementRows, len(term.elements)] = rows.among(len(term.elements), places)
        return seen


class NeuralNetworkPotential(Potential):
    r"""Descriptor, one network per element, and a linear term in the features.

        E = Σ_i { e_s + σ [MLP_s(x̂_i) + w_s · x̂_i] },   x̂ = (G − mean_s) / scale_s,   s the element of atom i

    Args:
        descriptor: From pairs to features G.
        hidden: Units in each hidden layer.
        activation: Name of the activation function, or one for each hidden layer.
        atomic_energies: The reference energies e_s, in eV by symbol; or how to get them from the training data.
        energy_scale: σ, in eV; set by the training data.
        least_scale: Smallest scale_s of a feature, relative to the largest: features that vary less count less.
        linear: Whether the linear term w_s is there.

    Raises:
        ValueError: If an activation or an element is not known, an element has no reference energy, or a value is out
            of range.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        hidden: tuple[int, ...] = (64, 64),
        activation: str | tuple[str, ...] = "silu",
        atomic_energies: AtomicEnergies = "least_squares",
        energy_scale: float = 1.0,
        least_scale: float = 1e-3,
        *,
        linear: bool = True,
    ) -> None:
        super().__init__()
        if not 0 < least_scale <= 1:
            raise ValueError(f"least_scale must be a fraction of the largest scale, got {least_scale}")
        sizes = (descriptor.n_features, *hidden, 1)
        activations(activation, len(hidden))  # complains about a wrong name even while the elements are still open
        self.descriptor = descriptor
        self.elements, self.cutoff = descriptor.elements, descriptor.cutoff
        self.scaling = FeatureScaling(len(self.elements), descriptor.n_features)
        self.networks = PerElement(MLP(sizes, activation) for _ in self.elements)
        self.linear = PerElement(Affine(descriptor.n_features, 1) for _ in self.elements if linear)
        for weight in self.linear.parameters():
            torch.nn.init.zeros_(weight)
        self.energy_scale = energy_scale
        self.reference = _reference_energies(atomic_energies, self.elements)
        self.graphs: dict[tuple[Stage, bool], CompiledGraph] = {}  # the latter: whether it is differentiated again

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return the energy of every atom, in eV, shape (N,)."""
        features = self.descriptor(pairs)
        rows = ElementRows.of_centers(pairs, len(self.elements), features.dtype)
        return self.energies_of_features(features, pairs.center_species, rows)

    def energies_of_features(self, features: Tensor, species: Tensor, rows: ElementRows) -> Tensor:
        """Return atomic energies, in eV, float64, shape (N,), from features (N, D) and element indices (N,)."""
        x = rows.spread(self.scaling(features, species))  # (S, R, D)
        outputs = self.networks(x) + self.linear(x) if len(self.linear) > 0 else self.networks(x)
        learned = rows.collect(outputs.squeeze(dim=2))
        reference = torch.tensor(self.reference, dtype=torch.float64, device=x.device)
        return reference.index_select(0, species) + self.energy_scale * learned.double()

    def energies_and_pair_gradient(self, pairs: Pairs, cached: Linearized | None = None) -> tuple[Tensor, Tensor]:
        """As every potential; but autograd goes only as far as there are parameters, then the explicit derivative."""
        species = pairs.center_species
        keep_graph = self.is_trained
        with torch.set_grad_enabled(keep_graph):
            fixed: Linearized | None = cached or self.descriptor.linearized(pairs)
            if fixed is None:
                return super().energies_and_pair_gradient(pairs)
            values, rows = fixed.values, ElementRows.of_centers(pairs, len(self.elements), fixed.values.dtype)
            explicit = self.descriptor.explicit_features(values, species)
            if explicit is not None:
                energies, gradient = self._explicit_gradient(explicit, values, species, rows)
            else:
                energies, gradient = self._behind("values", values, species, rows)
            return energies, fixed.pullback(gradient)

    def _explicit_gradient(
        self, explicit: ExplicitFeatures, values: Tensor, species: Tensor, rows: ElementRows
    ) -> tuple[Tensor, Tensor]:
        """Return atomic energies and their derivative by values of which features are an explicit function."""
        if self.is_trained:
            others = {id(p) for p in self.descriptor.parameters()}
            parameters = [p for p in self.parameters() if id(p) not in others]

            def behind(features: Tensor) -> tuple[Tensor, Tensor]:
                return self._behind("features", features, species, rows)

            return energies_and_gradient(behind, explicit, values, parameters)
        energies, features_bar = self._behind("features", explicit.features, species, rows)
        return energies, explicit.pullback(features_bar)

    def _behind(self, stage: Stage, x: Tensor, species: Tensor, rows: ElementRows) -> tuple[Tensor, Tensor]:
        """Return atomic energies and their derivative by the values of `linearized`, or by the features."""
        inputs = (x if x.requires_grad else x.detach().requires_grad_(), species, rows.order, rows.place, rows.filled)
        graph = self.graphs.get((stage, self.is_trained))
        if graph is not None and rows.order.shape[1] > 1:
            return graph(inputs, lambda: self._example(x))
        return _Trainable(self, stage, keep_graph=self.is_trained)(*inputs)  # type: ignore[no-any-return]

    def compiled(self, *, training: bool = False, evaluation: bool = False) -> Self:
        """Compile what lies behind `Descriptor.linearized`, for these uses; at their first call, half a minute each."""
        stages: tuple[Stage, ...] = ("values", "features")
        uses = [keep for keep, use in ((True, training), (False, evaluation)) if use]
        self.graphs = {
            (stage, keep): CompiledGraph(_Trainable(self, stage, keep_graph=keep)) for stage in stages for keep in uses
        }
        return self

    def _example(self, values: Tensor) -> tuple[Tensor, ...]:
        """Inputs of `_Trainable` whose numbers of atoms and rows are no size of anything else."""
        n_rows = max(max(p.shape, default=0) for p in self.parameters()) + max(values.shape[1:]) + 1
        species = torch.zeros(n_rows + 3 * len(self.elements) - 3, dtype=torch.int64, device=values.device)
        for s in range(1, len(self.elements)):
            species[n_rows + 3 * s - 3 : n_rows + 3 * s] = s
        rows = ElementRows.of(species, len(self.elements), values.dtype)
        zeros = values.new_zeros(len(species), *values.shape[1:]).requires_grad_()
        return zeros, species, rows.order, rows.place, rows.filled

    def fitted(self, structures: Sequence[Structure], dtype: torch.dtype = torch.float32) -> Self:
        """Return a potential in which everything that depends on data has been taken from training structures.

        That is the descriptor's set-up, the atomic reference energies, the scale of the energies and that of the
        features.  The networks start from random numbers.

        Raises:
            ValueError: If there is no structure or no label to take them from.
        """
        if not structures:
            raise ValueError("no training structures")
        descriptor = self.descriptor.fitted(structures)
        kind = self.arguments["atomic_energies"]
        if isinstance(kind, str):
            fit = isolated_atom_energies if kind == "isolated_atoms" else least_squares_energies
            values = fit(structures, descriptor.elements)
            kind = dict(zip(descriptor.elements, values, strict=True))
        reference = _reference_energies(kind, descriptor.elements)
        scale = _energy_scale(structures, reference, descriptor.elements)
        new: Self = self.replaced(descriptor=descriptor, atomic_energies=kind, energy_scale=scale)
        new.double()._fit_features(structures)
        new.to(dtype)
        return new

    def _fit_features(self, structures: Sequence[Structure], n_atoms: int = 10_000) -> None:
        """Standardise the features over at most about `n_atoms` atoms, evenly picked structures."""
        step = max(1, sum(len(s) for s in structures) // n_atoms)
        rows, species = [], []
        with torch.no_grad():
            for structure in structures[::step]:
                pairs = single_batch(structure, self.cutoff).pairs(self.elements)
                species.append(pairs.species)
                rows.append(self.descriptor(pairs))
        self.scaling.fit(torch.cat(rows), torch.cat(species), self.arguments["least_scale"])


class _Trainable(nn.Module):
    """The part of a potential behind some stage, with its derivative by what comes in there."""

    def __init__(self, potential: NeuralNetworkPotential, stage: Stage, *, keep_graph: bool) -> None:
        super().__init__()
        self.potential, self.stage, self.keep_graph = potential, stage, keep_graph

    def forward(self, x: Tensor, species: Tensor, order: Tensor, place: Tensor, filled: Tensor) -> Any:
        """Return atomic energies, shape (N,), and their derivative, of the shape of `x`."""
        rows = ElementRows(order, place, filled)
        with torch.enable_grad():
            features = x if self.stage == "features" else self.potential.descriptor.features_of(x, rows)
            energies = self.potential.energies_of_features(features, species, rows)
            gradient = _gradient(energies, x, keep_graph=self.keep_graph)
        return (energies if self.keep_graph else energies.detach()), gradient


def _gradient(energies: Tensor, x: Tensor, *, keep_graph: bool) -> Tensor:
    """∂(Σ energies)/∂x; zero where the energies do not depend on x at all."""
    if not energies.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(energies.sum(), x, create_graph=keep_graph, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient


def _stress(strain: Tensor, volumes: Tensor) -> Tensor:
    """Divide strain derivatives (B, 6) by volumes (B, 1); NaN without a volume.

    Double where: a molecule then has the derivative 0, where 0/NaN would make the gradient of its whole batch NaN.
    """
    known = torch.isfinite(volumes)
    return torch.where(known, strain / torch.where(known, volumes, 1.0), torch.nan)


def _reference_energies(given: AtomicEnergies, elements: Sequence[str]) -> tuple[float, ...]:
    if isinstance(given, str):  # not fitted yet
        return (0.0,) * len(elements)
    missing = [e for e in elements if e not in given]
    if missing:
        raise ValueError(f"atomic_energies gives no value for {', '.join(missing)}")
    return tuple(float(given[e]) for e in elements)


def _energy_scale(structures: Sequence[Structure], reference: Sequence[float], elements: Sequence[str]) -> float:
    """Root mean square force component where there are forces, else spread of the energy per atom; in eV(/Å)."""
    forces = [s.forces for s in structures if s.forces is not None]
    if forces:
        return max(float(torch.cat(forces).square().mean().sqrt()), 1e-3)
    e_0 = torch.tensor(reference, dtype=torch.float64)
    residuals = [
        (s.energy - float(e_0[species_index(s.numbers, elements)].sum())) / len(s)
        for s in structures
        if s.energy is not None
    ]
    return max(float(torch.tensor(residuals).square().mean().sqrt()), 1e-3)

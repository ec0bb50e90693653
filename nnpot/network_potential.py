"""Potentials of a descriptor and one network per element."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import torch
from ase import Atoms
from torch import Tensor, nn

from nnpot.batch import Batch, Pairs
from nnpot.core import Core
from nnpot.descriptors.base import Descriptor
from nnpot.elements import (
    AtomicEnergies,
    energy_scale_of,
    isolated_atom_energies,
    least_squares_energies,
    most_like,
    reference_energies,
)
from nnpot.functional.autograd import AtomByAtom
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.constants import numbers
from nnpot.functional.linear import Fixed
from nnpot.functional.networks import Networks, NetworksKernel
from nnpot.functional.tape import Sum, Tape, Value, total
from nnpot.heads import HeadNetworks, check_heads
from nnpot.native import serves
from nnpot.nn.layers import Activation, Affine
from nnpot.nn.mlp import activations, check_hidden, network_of
from nnpot.nn.outputs import last_hidden, network_outputs
from nnpot.nn.own import Function, Network
from nnpot.nn.per_element import PerElement
from nnpot.nn.scaling import FeatureScaling
from nnpot.nn.slopes import WithSlopes, example_of
from nnpot.structure import Structure, as_structures
from nnpot.torch_compile import CompiledGraph
from nnpot.trainable_potential import ParameterGroup, TrainablePotential
from nnpot.uncertainty import GRADE, Uncertainty, with_core
from nnpot.units import dtype_of

Stage = Literal["values", "features"]
"""What energies are calculated from: what `Descriptor.record` records, or features."""


class NeuralNetworkPotential(TrainablePotential):
    r"""Descriptor, one network per element, and a linear term in the features.

        E = Σ_i { e_s + σ [MLP_s(x̂_i) + w_s · x̂_i] },   x̂ = (G − mean_s) / scale_s,   s the element of atom i

    >>> from ase.build import bulk
    >>> from nnpot import ACE, NeuralNetworkPotential
    >>> descriptor = ACE(cutoff=4.0, elements=("Cu",), channels=2, n_radial=3, l_max=1)
    >>> untrained = NeuralNetworkPotential(descriptor, hidden=(8,), atomic_energies={"Cu": -1.0})
    >>> untrained.predict(bulk("Cu")).energy.shape
    torch.Size([1])

    Args:
        descriptor: From pairs to features G.
        hidden: Units in each hidden layer; or a :class:`nnpot.nn.Network`, which makes networks of another kind.
        activation: Name of the activation function, or a :class:`nnpot.nn.Function`; or one for each hidden layer.
        atomic_energies: The reference energies e_s, in eV by symbol; or how to get them from the training data.
        energy_scale: σ, in eV; set by the training data.
        min_feature_scale: Smallest scale_s of a feature, relative to the largest: features that vary less count less.
        heads: What else to predict from the same features, each by networks of its own: `charges`, which gives
            dipoles as well.
        core: What replaces all of it where atoms are closer than in the training data; put on after the training.
        uncertainty: What it does not know, made after the training.
        linear: Whether the linear term w_s is there.

    Raises:
        ValueError: If an activation or an element is not known, an element has no reference energy, a value is out of
            range, or the core is for other elements or reaches beyond the cutoff.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        hidden: tuple[int, ...] | Network = (64, 64),
        activation: Function | str | tuple[Function | str, ...] = "silu",
        atomic_energies: AtomicEnergies = "least_squares",
        energy_scale: float = 1.0,
        min_feature_scale: float = 1e-3,
        heads: tuple[str, ...] = (),
        core: Core | None = None,
        uncertainty: Uncertainty | None = None,
        *,
        linear: bool = True,
    ) -> None:
        super().__init__()
        if not 0 < min_feature_scale <= 1:
            raise ValueError(f"min_feature_scale must be a fraction of the largest scale, got {min_feature_scale}")
        if not isinstance(descriptor, Descriptor):
            raise TypeError(f"a descriptor such as nnpot.ACE(cutoff=5.0) is needed, got {descriptor!r}")
        if not isinstance(hidden, Network):
            check_hidden(hidden)
            activations(activation, len(hidden))  # complains about a wrong name even while the elements are still open
        n_in, make = descriptor.n_features, lambda: network_of(descriptor.n_features, hidden, activation)
        self.descriptor = descriptor
        self.elements, self.cutoff = descriptor.elements, descriptor.cutoff
        self.scaling = FeatureScaling(len(self.elements), descriptor.n_features)
        self.networks = PerElement(make() for _ in self.elements)
        self.linear = PerElement(Affine(n_in, 1) for _ in self.elements if linear)
        for weight in self.linear.parameters():
            torch.nn.init.zeros_(weight)
        self.heads = check_heads(heads)
        self.head_networks = nn.ModuleDict(
            {name: HeadNetworks(n_in, make, len(self.elements), linear=linear) for name in self.heads}
        )
        self.energy_scale = energy_scale
        self.reference = reference_energies(atomic_energies, self.elements)
        if core is not None:
            core.check_for(self.elements, self.cutoff)
        self.guard = core
        self.uncertainty = copy.deepcopy(uncertainty)
        self.graphs: dict[tuple[Stage, bool], CompiledGraph] = {}  # the latter: whether it is differentiated again

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return the energy of every atom, in eV, shape (N,)."""
        if self.guard is not None:
            pairs, repulsion = self.guard(pairs)
        features = self.descriptor(pairs)
        rows = ElementBlocks.of_centers(pairs, len(self.elements), features.dtype)
        learned = self.energies_of_features(features, pairs.center_species, rows)
        return learned if self.guard is None else learned + repulsion

    def energies_of_features(self, features: Tensor, species: Tensor, rows: ElementBlocks) -> Tensor:
        """Return atomic energies, in eV, float64, shape (N,), from features (N, D) and element indices (N,)."""
        learned = network_outputs(self.networks, self.linear, self.scaling(features, species), rows)
        return self.references(species) + self.energy_scale * learned.double()

    def references(self, species: Tensor) -> Tensor:
        """Return the reference energies of atoms, in eV, float64, shape (N,)."""
        return numbers(self.reference, species, torch.float64).index_select(0, species)

    def record(self, tape: Tape, pairs: Pairs) -> dict[str, Sum]:
        """As of every potential; autograd goes only where no derivative is written out."""
        tape, pairs, repulsion = self.record_core(tape, pairs)
        values, stage = self.record_features(tape, pairs)
        tells = self.uncertainty is not None and not tape.is_trained and self.tells_unknown
        kernel = None
        if stage == "features" and self.has_plain_networks and serves("networks", values.tensor):
            sets, with_hidden = self.arrays, tells and serves("uncertainty", values.tensor)
            kernel = NetworksKernel.of([values.tensor] * len(sets), pairs.center_species, sets, with_hidden=with_hidden)
        if kernel is None:
            outputs = self._by_autograd(tape, values, pairs, stage)
        else:
            outputs = tape.add(kernel, *[values] * len(kernel.outputs))
        sums = [((1.0, value),) for value in outputs]
        unknown = self.unknown_of(tape, values, pairs, stage, kernel and kernel.hidden_of(0)) if tells else {}
        if unknown and repulsion:
            unknown[GRADE] = with_core(unknown[GRADE], total(repulsion), tape.asked)
        told = {name: tape.beside(x) for name, x in unknown.items()}
        return {"energies": sums[0] + repulsion, **dict(zip(self.heads, sums[1:], strict=True)), **told}

    def unknown_of(
        self, tape: Tape, values: Value, pairs: Pairs, stage: Stage, hidden: Tensor | None
    ) -> dict[str, Tensor]:
        """What is not known of all atoms, or of those that are asked for, by the networks: nothing is differentiated.

        Args:
            tape: Which atoms are asked for.
            values: What `record_features` has recorded.
            pairs: Of what.
            stage: What the values are.
            hidden: The last hidden layer, where a kernel has kept it, shape (N, H).
        """
        assert self.uncertainty is not None
        if hidden is not None:
            return self.uncertainty.of_atoms(hidden, pairs.center_species, tape.asked)
        hidden, rows = self.hidden_of(values.tensor, pairs, stage, tape.asked)
        unknown: dict[str, Tensor] = self.uncertainty(hidden)
        return {name: rows.gather(x) for name, x in unknown.items()} if tape.asked is None else unknown

    def hidden_of(
        self, x: Tensor, pairs: Pairs, stage: Stage, asked: ElementBlocks | None = None
    ) -> tuple[Tensor, ElementBlocks]:
        """Return the last hidden layer of atoms, or of those that are asked for, shape (S, R, H), and their rows.

        Args:
            x: What `record_features` records.
            pairs: Of what.
            stage: What x is.
            asked: Some atoms, in the rows in which they are to be.
        """
        rows = ElementBlocks.of_centers(pairs, len(self.elements), x.dtype)
        if asked is not None:
            x, rows = asked.taken(x)
        with torch.no_grad():
            features = x if stage == "features" else self.descriptor.features_of(x, rows)
            return last_hidden(self.networks, self.scaling, features, rows), rows

    def record_core(self, tape: Tape, pairs: Pairs) -> tuple[Tape, Pairs, Sum]:
        """Record the core: return the tape and the pairs that the descriptor is to see, and energies to be added."""
        return (tape, pairs, ()) if self.guard is None else self.guard.record(tape, pairs)

    def record_features(self, tape: Tape, pairs: Pairs) -> tuple[Value, Stage]:
        """Record the features, or, where there is no kernel that makes them, what they are made of; and say which."""
        if pairs.kept is not None:
            kept = pairs.kept
            fixed = Fixed([kept.features], lambda bar: [kept.pullback(bar)], lambda change: [kept.tangent(change)])
            return tape.add(fixed, tape.r)[0], "features"
        values = self.descriptor.record(tape, pairs)
        if self.descriptor.records_features:
            return values, "features"
        kernel = self.descriptor.features_kernel(values.tensor, pairs.center_species)
        return (values, "values") if kernel is None else (tape.add(kernel, values)[0], "features")

    def _by_autograd(self, tape: Tape, values: Value, pairs: Pairs, stage: Stage) -> tuple[Value, ...]:
        """Energies, and what heads have to say, of what `record_features` records; the former may be compiled."""
        species = pairs.center_species
        blocks = ElementBlocks.of_centers(pairs, len(self.elements), values.tensor.dtype)
        graph = self.graphs.get((stage, tape.is_trained))
        if graph is None or self.heads or blocks.atom_of_row.shape[1] < 2:
            return tape.autograd(lambda x: self.outputs_behind(stage, x, species, blocks), [values], self.parameters())
        x = values.tensor.detach().requires_grad_()
        inputs = (x, species, blocks.atom_of_row, blocks.row_of_atom, blocks.mask)
        energies, slopes = graph(inputs, lambda: example_of(self, x))
        return tape.add(AtomByAtom(x, energies, slopes, [*self.parameters()] if tape.is_trained else ()), values)

    def energies_behind(self, stage: Stage, x: Tensor, species: Tensor, blocks: ElementBlocks) -> Tensor:
        """Return atomic energies, in eV, shape (N,), from what is recorded at a stage."""
        return self.outputs_behind(stage, x, species, blocks)[0]

    def outputs_behind(self, stage: Stage, x: Tensor, species: Tensor, blocks: ElementBlocks) -> list[Tensor]:
        """Return atomic energies from the same, then what each head has to say of every atom, shape (N,) each."""
        features = x if stage == "features" else self.descriptor.features_of(x, blocks)
        energies = self.energies_of_features(features, species, blocks)
        if not self.heads:
            return [energies]
        x = self.scaling(features, species)
        return [energies, *(network_outputs(head.networks, head.linear, x, blocks).double() for head in self._heads)]

    @property
    def has_plain_networks(self) -> bool:
        """Whether networks and activation functions are those of nnpot, which are known by their numbers and names."""
        given = self.arguments["activation"]
        functions = [given] if isinstance(given, str | Function) else given
        return not isinstance(self.arguments["hidden"], Network) and all(isinstance(one, str) for one in functions)

    @property
    def arrays(self) -> list[Networks]:
        """The networks of the energies, then those of each head, as kernels take them."""
        offset = numbers(self.reference, self.scaling.mean, torch.float64)
        outputs = [(offset, self.energy_scale), *[(torch.zeros_like(offset), 1.0)] * len(self.heads)]
        terms = zip(self.network_terms, outputs, strict=True)
        return [arrays_of(*modules, self.scaling, *rest) for modules, rest in terms]

    @property
    def network_terms(self) -> list[tuple[PerElement, PerElement]]:
        """The same as modules: networks, and linear terms, which may be none."""
        return [(self.networks, self.linear), *((head.networks, head.linear) for head in self._heads)]

    @property
    def _heads(self) -> list[HeadNetworks]:
        return [head for head in self.head_networks.values() if isinstance(head, HeadNetworks)]

    def compiled(self, *, training: bool = False, evaluation: bool = False) -> Self:
        """Compile what lies behind `Descriptor.record`, for these uses; at their first call, half a minute each."""
        stages: tuple[Stage, ...] = ("values", "features")
        uses = [keep for keep, use in ((True, training), (False, evaluation)) if use]
        self.graphs = {
            (stage, keep): CompiledGraph(WithSlopes(self, stage, keep_graph=keep)) for stage in stages for keep in uses
        }
        return self

    @property
    def relative_cost(self) -> float:
        """That of the descriptor."""
        return self.descriptor.relative_cost

    @property
    def is_fitted(self) -> bool:
        """Whether elements, reference energies and scales are there."""
        known = not isinstance(self.arguments["atomic_energies"], str)
        return known and bool(self.elements) and bool((self.scaling.scale != 1).any())

    @property
    def is_cacheable(self) -> bool:
        """Whether the descriptor is fixed and has an explicit derivative, and sees the pairs as they are."""
        return self.guard is None and self.descriptor.is_cacheable

    def parameter_groups(self) -> list[ParameterGroup]:
        """Only the weights of the networks decay.

        The linear term and the descriptor, which carry a potential beyond its training data, would give too low
        energies there.
        """
        networks = {p for part in (self.networks, *(head.networks for head in self._heads)) for p in part.parameters()}
        decaying, others = (
            tuple(p for p in self.parameters() if (p in networks) is decays) for decays in (True, False)
        )
        return [ParameterGroup(decaying, decays=True), ParameterGroup(others, decays=False)]

    @property
    def parts(self) -> dict[str, tuple[nn.Parameter, ...]]:
        """As of every potential: the descriptor, each layer of the networks, the linear term, and the heads."""
        layers: dict[str, tuple[nn.Parameter, ...]] = {}
        for network in self.networks:
            *hidden, output = (tuple(m.parameters()) for m in network.modules() if isinstance(m, Affine))
            named = {**{f"hidden_{k}": layer for k, layer in enumerate(hidden, start=1)}, "output": output}
            layers = {name: layers.get(name, ()) + layer for name, layer in named.items()}
        return {
            "descriptor": tuple(self.descriptor.parameters()),
            **layers,
            "linear": tuple(self.linear.parameters()),
            **{name: tuple(head.parameters()) for name, head in self.head_networks.items()},
        }

    def cache_size(self, batch: Batch) -> int:
        """Return how many numbers the descriptor keeps of a batch of one structure."""
        return self.descriptor.cache_size(batch)

    def with_cache(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """Attach features and their derivatives to a batch of one structure, kept in `dtype`; none with a core."""
        return batch if self.guard is not None else self.descriptor.with_features(batch, dtype)

    def fitted(self, structures: Sequence[Structure | Atoms], dtype: str | torch.dtype = torch.float32) -> Self:
        """Return a potential in which everything that depends on data has been taken from training structures.

        That is the descriptor's set-up, the atomic reference energies, the scale of the energies and that of the
        features.  The networks start from random numbers: it is ready for a training, not trained.

        Raises:
            ValueError: If there is no structure or no label to take them from.
        """
        structures = as_structures(structures)
        if not structures:
            raise ValueError("no training structures")
        descriptor = self.descriptor.fitted(structures)
        kind = self.arguments["atomic_energies"]
        if isinstance(kind, str):
            fit = isolated_atom_energies if kind == "isolated_atoms" else least_squares_energies
            values = fit(structures, descriptor.elements)
            kind = dict(zip(descriptor.elements, values, strict=True))
        reference = reference_energies(kind, descriptor.elements)
        scale = energy_scale_of(structures, reference, descriptor.elements)
        new: Self = self.replaced(descriptor=descriptor, atomic_energies=kind, energy_scale=scale)
        new.double().scaling.fit(*new.descriptor.features_of_some(structures), self.arguments["min_feature_scale"])
        new.to(dtype_of(dtype))
        return new

    def with_core(self, core: Core | None) -> Self:
        """As of every potential."""
        return self._rebuilt(core=core).train(self.training)

    def bare(self) -> Self:
        """As of every potential."""
        return self._rebuilt(core=None, uncertainty=None).train(self.training)

    def with_uncertainty(self, uncertainty: Uncertainty | None) -> Self:
        """Return the same potential with another uncertainty, or without any."""
        return self._rebuilt(uncertainty=uncertainty).train(self.training)

    def with_references(self, shifts: Mapping[str, float]) -> Self:
        """Return the same potential, its reference energies shifted, in eV by symbol."""
        energies = {e: old + shifts.get(e, 0.0) for e, old in zip(self.elements, self.reference, strict=True)}
        return self._rebuilt(atomic_energies=energies)

    def with_elements(self, elements: Sequence[str]) -> Self:
        """As of every potential: networks, scales and reference energies are copies as well."""
        alike = [most_like(e, self.elements) for e in elements]
        every = (*self.elements, *elements)
        places = [self.elements.index(e) for e in (*self.elements, *alike)]
        energies = {e: self.reference[place] for e, place in zip(every, places, strict=True)}
        descriptor = self.descriptor.with_elements(every, places)
        new: Self = self.replaced(descriptor=descriptor, atomic_energies=energies, core=None, uncertainty=None)
        dtype, device = self.dtype_and_device()
        new.to(device, dtype)
        for (networks, linear), (old_networks, old_linear) in zip(new.network_terms, self.network_terms, strict=True):
            for of_all, of_known in ((networks, old_networks), (linear, old_linear)):
                for network, place in zip(of_all, places, strict=False):  # there may be no linear term
                    network.load_state_dict(of_known[place].state_dict())
        new.scaling.load_state_dict({name: value[places] for name, value in self.scaling.state_dict().items()})
        return new.train(self.training)

    def _rebuilt(self, **changes: Any) -> Self:
        """A new potential with some arguments changed that no weight depends on."""
        new: Self = self.replaced(**changes)
        dtype, device = self.dtype_and_device()
        own = self.state_dict().items()
        kept = {n: x for n, x in own if "uncertainty" not in changes or not n.startswith("uncertainty.")}
        new.to(device, dtype).load_state_dict({**new.state_dict(), **kept})
        return new


def arrays_of(
    networks: PerElement, linear: PerElement, scaling: FeatureScaling, offset: Tensor, factor: float
) -> Networks:
    """Return networks as kernels take them, with offset (S,), float64, and factor of what comes out."""
    parts = (networks, linear) if len(linear) > 0 else (networks,)
    return Networks(
        weights=[[p for part in of_element for p in part.parameters()] for of_element in zip(*parts, strict=True)],
        functions=tuple(layer.name for layer in networks[0].modules() if isinstance(layer, Activation)),
        mean=scaling.mean,
        scale=scaling.scale,
        offset=offset,
        factor=factor,
    )

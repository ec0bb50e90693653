"""A potential as TorchScript, which runs without nnpot, without Python, and on any device.

Whatever depends on where the atoms are (tables of neighbours, rows by element) is made by functions that TorchScript
compiles; what a potential makes of it, formulas alone, is recorded as a graph of PyTorch's operations on tensors of any
size.  The result can be differentiated, more than once.
"""

import copy
import operator
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, List  # noqa: UP035  TorchScript reads the annotations

import torch
from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from nnpot.batch import Pairs
from nnpot.functional.blocks import ElementBlocks, blocks_by_element
from nnpot.machine.build import complaint
from nnpot.neighbors import AT_ONE_PLACE, NeighborTable, single_batch, table_slots
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential, SumPotential
from nnpot.prepared import Needs
from nnpot.structure import Structure
from nnpot.tables import cluster, needs_of
from nnpot.uncertainty import DEVIATIONS, GRADE, widening, with_core

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""Largest difference between the results of the script and of the potential, relative to the norm."""


class ScriptedEnergies(nn.Module):
    """Atomic energies of a potential from pairs in any order; `torch.jit.script` compiles it.

    Args:
        potential: Any potential; it is copied.
        dtype: Floating-point type to calculate in.

    Attributes:
        width: Of the deviations that `with_unknown` gives; 0 if the potential does not know its errors.

    Raises:
        ValueError: If the potential cannot be recorded, because what it does depends on the numbers in its inputs.
        RuntimeError: If the recorded potential gives other results than the original.
    """

    def __init__(self, potential: Potential, dtype: torch.dtype) -> None:
        super().__init__()
        copied = copy.deepcopy(potential).to("cpu", dtype).eval().requires_grad_(False)
        self.least_square = AT_ONE_PLACE**2
        self.terms = nn.ModuleList(_ScriptedTerm(term, dtype) for term in terms_of(copied))
        self.width = max(term.width for term in self.terms if isinstance(term, _ScriptedTerm))
        for size in (1, 2):
            self._compare(copied, cluster(copied, size), dtype)

    def forward(self, r_ij: Tensor, pair_i: Tensor, pair_j: Tensor, numbers: Tensor, centers: Tensor) -> Tensor:
        """Return the energy of every centre, in eV, float64, shape (N,).

        Args:
            r_ij: Vectors from centre to neighbour, in Å, shape (P, 3); pairs beyond the cutoff have no influence.
            pair_i: Centre of each pair, in 0 … N−1, shape (P,).
            pair_j: Atom that is the neighbour in each pair, shape (P,).
            numbers: Atomic number of each atom.
            centers: Atomic number of each centre, shape (N,).

        Raises:
            ValueError: If an atom is of an element that the potential does not know, or two atoms are at one place.
        """
        return self.with_unknown(r_ij, pair_i, pair_j, numbers, centers, False)[0]

    def with_unknown(
        self,
        r_ij: Tensor,
        pair_i: Tensor,
        pair_j: Tensor,
        numbers: Tensor,
        centers: Tensor,
        asked: bool,  # noqa: FBT001
    ) -> List[Tensor]:  # noqa: UP006
        """Return energies as `forward`; if asked also deviations of energies, in eV, shape (N, W), and γ, shape (N,).

        The norm of a sum of deviations over atoms of an element is the standard deviation of their energy.
        """
        if r_ij.shape[0] > 0 and bool((r_ij * r_ij).sum(dim=1).min() < self.least_square):
            raise ValueError("two atoms are at one place; correct or remove the structure")
        n, device = centers.shape[0], r_ij.device
        energies = torch.zeros(n, dtype=torch.float64, device=device)
        unknown = [torch.zeros(n, self.width, device=device), torch.zeros(n, device=device)]
        if n > 0:
            for term in self.terms:
                found = term(r_ij, pair_i, pair_j, numbers, centers, asked)
                energies = energies + found[0]
                if len(found) > 1:
                    unknown = found[1:]
        return [energies, unknown[0], unknown[1]]

    @torch.jit.unused
    def _compare(self, potential: Potential, structure: Structure, dtype: torch.dtype) -> None:
        """Compare energies and their derivative with those of the potential itself."""
        batch = single_batch(structure, potential.cutoff).to(dtype=dtype)
        pairs = batch.pairs(potential.elements)
        energies, gradient = potential.energies_and_pair_gradient(pairs)
        r_ij = pairs.r_ij.requires_grad_()
        ours = self(r_ij, pairs.pair_i, pairs.pair_j, batch.numbers, batch.numbers)
        (slope,) = torch.autograd.grad(ours.sum(), r_ij)
        for mine, wanted in ((ours, energies), (slope, gradient)):
            if not torch.linalg.vector_norm(mine - wanted) <= TOLERANCE[dtype] * torch.linalg.vector_norm(wanted):
                raise RuntimeError("the potential as TorchScript gives other results than the potential; report this")


class _ScriptedTerm(nn.Module):
    """Atomic energies of a potential that is no sum of others."""

    species_of: Tensor
    cutoffs: list[float]
    elements: list[int]

    def __init__(self, potential: Potential, dtype: torch.dtype) -> None:
        super().__init__()
        needs = needs_of(potential)
        self.cutoffs = [cutoff for cutoff, _ in needs.tables]
        self.elements = [-1 if element is None else element for _, element in needs.tables]  # −1: all of them
        self.n_elements, self.has_blocks, self.dtype = len(potential.elements), needs.has_blocks, dtype
        species_of = torch.full((len(chemical_symbols),), -1)
        species_of[[atomic_numbers[e] for e in potential.elements]] = torch.arange(len(potential.elements))
        self.register_buffer("species_of", species_of)
        self.graph = torch.jit.script(_recorded(potential.atomic_energies, potential, needs, dtype))
        self.width, self.knowing = 0, self.graph
        if isinstance(potential, NeuralNetworkPotential) and potential.uncertainty is not None:
            self.width = potential.uncertainty.width + 1
            recorded = _recorded(lambda pairs: _with_unknown(potential, pairs), potential, needs, dtype)
            self.knowing = torch.jit.script(recorded)

    def forward(
        self,
        r_ij: Tensor,
        pair_i: Tensor,
        pair_j: Tensor,
        numbers: Tensor,
        centers: Tensor,
        asked: bool,  # noqa: FBT001
    ) -> List[Tensor]:  # noqa: UP006
        """As `ScriptedEnergies.with_unknown`, for at least one centre; energies alone where nothing else is known."""
        species, center_species = self.species_of[numbers], self.species_of[centers]
        if bool((species < 0).any() | (numbers < 0).any()):
            raise ValueError("an atom is of an element that the model does not know; take a model with this element")
        n_centers = centers.shape[0]
        inputs = [r_ij, pair_i, pair_j, species, center_species]
        square, neighbor = (r_ij * r_ij).sum(dim=1).detach(), species[pair_j]
        for cutoff, element in zip(self.cutoffs, self.elements):  # noqa: B905  TorchScript knows no `strict`
            chosen = square < cutoff**2
            if element >= 0:
                chosen = chosen & (neighbor == element)
            near = torch.nonzero(chosen).flatten()
            slots, width = table_slots(pair_i[near], n_centers)
            inputs += [near, slots, torch.empty(n_centers, width, dtype=torch.bool, device=r_ij.device)]
        if self.has_blocks:
            inputs += list(blocks_by_element(center_species, self.n_elements, self.dtype))
        found: List[Tensor] = self.knowing(inputs) if asked else self.graph(inputs)  # noqa: UP006
        return found


def terms_of(potential: Potential) -> list[Potential]:
    """Return the potentials that a potential is the sum of, itself if it is none."""
    if isinstance(potential, SumPotential):
        return [*terms_of(potential.first), *terms_of(potential.second)]
    return [potential]


def _example(needs: Needs, potential: Potential, dtype: torch.dtype) -> list[Tensor]:
    """Inputs no size of which is that of anything else, so that a graph cannot take one for another."""
    sizes = count(2 + max((n for t in potential.state_dict().values() for n in t.shape), default=0))
    n_atoms, n_centers, n_pairs, n_rows = (next(sizes) for _ in range(4))

    def indices(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.int64)

    inputs = [torch.zeros(n_pairs, 3, dtype=dtype), indices(n_pairs), indices(n_pairs)]
    inputs += [indices(n_atoms), indices(n_centers)]
    for _ in needs.tables:
        n_near, width = next(sizes), next(sizes)
        inputs += [indices(n_near), indices(n_near), torch.zeros(n_centers, width, dtype=torch.bool)]
    if needs.has_blocks:
        n_elements = len(potential.elements)
        inputs += [indices(n_elements, n_rows), indices(n_centers), torch.zeros(n_elements, n_rows, dtype=dtype)]
    return inputs


def _pairs(needs: Needs, inputs: Sequence[Tensor]) -> Pairs:
    """Pairs of which the tables and rows are already made."""
    rest = iter(inputs)
    r_ij, pair_i, pair_j, species, centers = (next(rest) for _ in range(5))
    pairs = Pairs(r_ij, pair_i, pair_j, species, centers)
    for cutoff, element in needs.tables:
        near, slots, table = (next(rest) for _ in range(3))
        pairs.cache[NeighborTable, cutoff, element] = NeighborTable(near, slots, *table.shape)
    if needs.has_blocks:
        pairs.cache[ElementBlocks, len(needs.elements)] = ElementBlocks(*rest)
    return pairs


def _with_unknown(potential: NeuralNetworkPotential, pairs: Pairs) -> list[Tensor]:
    """Energies, deviations of energies and γ of atoms, by the plain formulas (:mod:`nnpot.uncertainty`)."""
    known, repulsion = potential.uncertainty, None
    assert known is not None
    if potential.guard is not None:
        pairs, repulsion = potential.guard(pairs)
    features = potential.descriptor(pairs)
    hidden, rows = potential.hidden_of(features, pairs, "features")
    energies = potential.energies_of_features(features, pairs.center_species, rows)
    told = known(hidden)
    deviations, grades = rows.gather(told[DEVIATIONS]), rows.gather(told[GRADE])
    if repulsion is not None:
        energies, grades = energies + repulsion, with_core(grades, repulsion)
    return [energies, widening(grades).unsqueeze(dim=1) * deviations, grades]


def _recorded(
    function: Callable[[Pairs], Tensor | list[Tensor]], potential: Potential, needs: Needs, dtype: torch.dtype
) -> fx.GraphModule:
    """A function of pairs, such as the energies of a potential, as a graph from a list of tensors to another.

    Raises:
        ValueError: If what the potential does depends on the numbers in its inputs.
    """

    def outputs(*inputs: Tensor) -> list[Tensor]:
        with torch.no_grad():
            found = function(_pairs(needs, inputs))
            return found if isinstance(found, list) else [found]

    example = _example(needs, potential, dtype)
    try:
        traced = make_fx(outputs, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*example)
    except Exception as error:  # of many kinds, by where the recording fails
        part = potential.descriptor if isinstance(potential, NeuralNetworkPotential) else potential
        raise ValueError(f"{type(part).__name__} cannot be written as TorchScript: {complaint(error)}") from error
    _fold_constants(traced)
    _make_scriptable(traced)
    return traced


def _fold_constants(traced: fx.GraphModule) -> None:
    """Calculate now what does not depend on the inputs, and keep it as buffers, which move with the module."""
    known: dict[fx.Node, Any] = {}
    for node in traced.graph.nodes:
        if node.op == "get_attr":
            known[node] = getattr(traced, str(node.target)).detach()
        elif node.op == "call_function" and all(n in known for n in node.all_input_nodes):
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
            known[node] = node.target(*args, **kwargs)
    for k, (node, value) in enumerate(known.items()):
        if isinstance(value, Tensor) and any(user not in known for user in node.users):
            traced.register_buffer(f"constant{k}", value.clone())
            with traced.graph.inserting_before(node):
                constant = traced.graph.get_attr(f"constant{k}")
            node.replace_all_uses_with(constant, lambda user: user not in known)
    traced.graph.eliminate_dead_code()


def _make_scriptable(traced: fx.GraphModule) -> None:
    """Write the graph in the words of TorchScript, with one list of tensors as its argument."""
    graph, aten = traced.graph, torch.ops.aten
    placeholders = graph.find_nodes(op="placeholder")
    with graph.inserting_before(placeholders[0]):
        inputs = graph.placeholder("inputs", type_expr=list[Tensor])
        device = graph.call_function(getattr, (graph.call_function(operator.getitem, (inputs, 0)), "device"))
        for k, node in enumerate(placeholders):
            node.replace_all_uses_with(graph.call_function(operator.getitem, (inputs, k)))
    for node in graph.nodes:
        if not isinstance(node.target, torch._ops.OpOverload):
            continue
        kept = {k: v for k, v in node.kwargs.items() if k not in {"pin_memory", "layout"} and v is not None}
        node.kwargs = {**kept, "device": device} if "device" in kept else kept
        if node.target == aten.sym_size.int:
            node.op, node.target = "call_method", "size"
        elif node.target in {aten.view.default, aten._unsafe_view.default}:
            node.target = aten.reshape
        else:
            node.target = node.target.overloadpacket
    for node in placeholders:
        graph.erase_node(node)
    graph.eliminate_dead_code()
    graph.lint()
    traced.recompile()

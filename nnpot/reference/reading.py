"""Read the numbers of a potential of nnpot off its attributes, as arrays of NumPy in float64.

Nothing of nnpot or PyTorch is imported for it: a class is known by its name.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from nnpot.reference.ace import ClusterExpansion, WeightedDensity
from nnpot.reference.acsf import ACSFParameters
from nnpot.reference.activations import ACTIVATIONS
from nnpot.reference.arrays import Floats
from nnpot.reference.model import SYMBOLS, CoreTables, Model, NetworkTerm, ZBLTerm
from nnpot.reference.potential import Environment, ReferencePotential

STATED = "NeuralNetworkPotential with ACE or ACSF, ZBL, and sums and committees of these"


def of(potential: Any) -> Model:
    """Return a plain NumPy version of a potential, written to be read, with every derivative worked out by hand.

    >>> import nnpot
    >>> from ase.build import bulk
    >>> potential, atoms = nnpot.ZBL(("Cu",)), bulk("Cu", a=2.5)
    >>> reference = of(potential).predict(atoms)
    >>> print(f"{reference.energy:.3f} eV")
    12.009 eV
    >>> abs(float(potential.predict(atoms).energy) - reference.energy) < 1e-10
    True

    It is slow, for structures of tens of atoms.  A potential in float32 agrees to about six digits, one in float64
    (`nnpot.load(path, "float64")`) to twelve.  Labels of heads are left out.

    Args:
        potential: A potential of nnpot.

    Raises:
        ValueError: If there is no statement of it, which is said.
    """
    kind = type(potential).__name__
    match kind:
        case "NeuralNetworkPotential":
            return Model(((1.0, network_term(potential)),), float(potential.cutoff))
        case "ZBL":
            charges, ranges = np.array(potential.charges), np.array(potential.ranges)
            return Model(((1.0, ZBLTerm(tuple(potential.elements), charges, ranges)),), float(potential.cutoff))
        case "SumPotential":
            return _sum([of(potential.first), of(potential.second)], 1.0)
        case "Committee":
            return _sum([of(member) for member in potential.members], 1.0 / len(potential.members))
    if isinstance(potential, str):
        raise ValueError(f"a potential is stated, not a file: nnpot.reference.of(nnpot.load({potential!r}))")
    raise ValueError(f"a {kind} has no statement in NumPy; there is one of {STATED}")


def network_term(potential: Any) -> NetworkTerm:
    """Read a potential of features and networks, with its core.

    Raises:
        ValueError: If its features or networks have no statement.
    """
    return NetworkTerm(tuple(potential.elements), network_potential(potential), _core(potential.guard))


def network_potential(potential: Any) -> ReferencePotential:
    """Read a potential of features and networks without its core.

    Dropped symmetry functions stay, with weights 0.  The linear term has a bias, that of the reference has none: being
    a constant, the bias becomes part of the atomic energy.

    Raises:
        ValueError: If its features or networks have no statement.
    """
    descriptor, elements = potential.descriptor, range(len(potential.elements))
    functions, activation = _functions(descriptor), _activation(potential)
    layers = [[_array(w) for w in network.parameters()] for network in potential.networks]
    n = potential.scaling.mean.shape[1]
    linear = np.zeros((len(elements), n + 1))
    if len(potential.linear) > 0:
        linear = np.concatenate([_array(one.weight) for one in potential.linear])  # (S, D + 1)
    read = ReferencePotential(
        functions=functions,
        networks=layers,
        activation=activation,
        linear=linear[:, :-1],
        feature_mean=_array(potential.scaling.mean),
        feature_scale=_array(potential.scaling.scale),
        energy_scale=float(potential.energy_scale),
        atomic_energies=np.array(potential.reference) + potential.energy_scale * linear[:, -1],
    )
    if isinstance(functions, ClusterExpansion):
        return read
    selected, n_all = list(descriptor.selected), descriptor.n_all
    return replace(
        read,
        networks=[[np.hstack([_widened(w[:, :-1], selected, n_all), w[:, -1:]]), *rest] for w, *rest in layers],
        linear=_widened(read.linear, selected, n_all),
        feature_mean=_widened(read.feature_mean, selected, n_all),
        feature_scale=_widened(read.feature_scale, selected, n_all, fill=1.0),
    )


def symmetry_functions(descriptor: Any) -> ACSFParameters:
    """Read all functions of an ACSF, also those that `selected` drops (the reference knows no `selected`)."""
    names = ("g1", "g2", "g3", "g4", "g5", "cutoff_function", "inner_fraction")
    return ACSFParameters(
        n_elements=len(descriptor.elements),
        cutoff=descriptor.cutoff,
        angular_cutoff=descriptor.angular_cutoff,
        **{name: descriptor.arguments[name] for name in names},
    )


def cluster_expansion(descriptor: Any) -> ClusterExpansion:
    """Read an ACE."""
    weighted = [
        WeightedDensity(one.basis.cutoff, one.scale, **{name: _array(w) for name, w in one.state_dict().items()})
        for one in descriptor.weighted
    ]
    return ClusterExpansion(
        descriptor.cutoff,
        descriptor.l_max,
        descriptor.body_order,
        descriptor.density_scale,
        _array(descriptor.element_weights),
        _array(descriptor.channel_weights),
        weighted=tuple(weighted),
        **{name: _array(w) for name, w in descriptor.mixing.items()},
    )


def environment(pairs: Any) -> Environment:
    """Read the pairs of a structure (:class:`nnpot.Pairs`)."""
    return Environment(*(a.detach().cpu().numpy() for a in (pairs.r_ij, pairs.pair_i, pairs.pair_j, pairs.species)))


def _functions(descriptor: Any) -> ACSFParameters | ClusterExpansion:
    match kind := type(descriptor).__name__:
        case "ACE":
            return cluster_expansion(descriptor)
        case "ACSF":
            return symmetry_functions(descriptor)
    raise ValueError(f"the features of {kind} have no statement in NumPy; there is one of ACE and ACSF")


def _activation(potential: Any) -> str:
    """The name of the activation function of all hidden layers."""
    given = potential.arguments["activation"]
    if not potential.has_plain_networks:
        raise ValueError("networks and activation functions of one's own have no statement in NumPy")
    names = {given} if isinstance(given, str) else set(given)
    if len(names) > 1:
        raise ValueError(f"networks are stated with one activation function for all layers, got {', '.join(given)}")
    return names.pop() if names else next(iter(ACTIVATIONS))


def _core(guard: Any) -> CoreTables | None:
    if guard is None:
        return None
    charges = np.array([float(SYMBOLS.index(e)) for e in guard.elements])
    return CoreTables(np.array(guard.distances), np.array(guard.factors), charges)


def _sum(models: list[Model], factor: float) -> Model:
    terms = tuple((factor * weight, term) for model in models for weight, term in model.terms)
    return Model(terms, max(model.cutoff for model in models))


def _array(tensor: Any) -> Floats:
    array: Floats = tensor.detach().cpu().numpy().astype(np.float64)
    return array


def _widened(columns: Floats, selected: list[int], n_all: int, fill: float = 0.0) -> Floats:
    """Put columns (n, D) at their places among all (n, n_all)."""
    full = np.full((len(columns), n_all), fill)
    full[:, selected] = columns
    return full

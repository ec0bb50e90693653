"""State a whole potential: energy, forces, strain derivative, and the gradient of a force loss.

Shapes: N atoms, P ordered pairs, S elements, D features. Energies are in eV, lengths in Å.
The loss gradient needs no automatic differentiation: the energy part is the δ recursion, the force
part is backpropagation through the tangent network.

References:
    Kofke, CE 500, Lecture 22, Neural Networks 2, Backpropagation.
    Pearlmutter, Neural Computation 6, 147 (1994).
    Behler, J. Chem. Phys. 134, 074106 (2011).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnpot.reference import network
from nnpot.reference.ace import ClusterExpansion, ace_features
from nnpot.reference.ace_gradient import ace_pullback
from nnpot.reference.acsf import ACSFParameters, acsf_derivatives, acsf_values
from nnpot.reference.activations import ACTIVATIONS
from nnpot.reference.arrays import Floats, Integers


@dataclass(frozen=True)
class Environment:
    """Hold the ordered pairs of a structure, each pair in both directions.

    Args:
        r_ij: Vector from the center i to the neighbor j, in Å, shape (P, 3).
        pair_i: Index of the center of each pair, shape (P,).
        pair_j: Index of the neighbor of each pair, shape (P,).
        species: Element 0 … S-1 of each atom, shape (N,).
    """

    r_ij: Floats
    pair_i: Integers
    pair_j: Integers
    species: Integers


@dataclass(frozen=True)
class ReferencePotential:
    """Hold all that defines the atomic energy of an atom of the element s.

    e_i = atomic_energies[s] + energy_scale (MLP_s(x̂_i) + linear[s] · x̂_i),
    x̂_i = (G_i - feature_mean[s]) / feature_scale[s].

    Args:
        functions: The symmetry functions G, or the cluster expansion that gives features G.
        networks: For each element the augmented weights W¹ … W^M of a network with one output.
        activation: A key of `ACTIVATIONS`, for the hidden layers.
        linear: Weights of the linear term, shape (S, D).
        feature_mean: Shift of the features, shape (S, D).
        feature_scale: Scale of the features, shape (S, D), nowhere 0.
        energy_scale: In eV.
        atomic_energies: Energies of isolated atoms, in eV, shape (S,).
    """

    functions: ACSFParameters | ClusterExpansion
    networks: Sequence[Sequence[Floats]]
    activation: str
    linear: Floats
    feature_mean: Floats
    feature_scale: Floats
    energy_scale: float
    atomic_energies: Floats


def features(p: ReferencePotential, env: Environment) -> Floats:
    """Compute the features G of all atoms, shape (N, D)."""
    if isinstance(p.functions, ClusterExpansion):
        return ace_features(p.functions, env.r_ij, env.pair_i, env.pair_j, env.species)
    return acsf_values(p.functions, env.r_ij, env.pair_i, env.pair_j, env.species)


def standardized_features(p: ReferencePotential, env: Environment) -> Floats:
    """Compute x̂_i = (G_i - mean[s]) / scale[s], s the element of i, shape (N, D)."""
    return (features(p, env) - p.feature_mean[env.species]) / p.feature_scale[env.species]


def atomic_energies(p: ReferencePotential, env: Environment) -> Floats:
    """Compute the energy e_i of each atom, in eV, shape (N,)."""
    f, x = ACTIVATIONS[p.activation], standardized_features(p, env)
    weights_of_all = (w for weights in p.networks for w in weights)
    energies = p.atomic_energies[env.species].astype(np.result_type(x, p.linear, *weights_of_all))
    for s, weights in enumerate(p.networks):
        members = env.species == s
        _, a = network.forward(weights, x[members], f)
        energies[members] += p.energy_scale * (a[-1][:, 0] + x[members] @ p.linear[s])
    return energies


def energy(p: ReferencePotential, env: Environment) -> np.float64:
    """Sum the atomic energies: E = Σ_i e_i, in eV."""
    return np.sum(atomic_energies(p, env))


def feature_gradient(p: ReferencePotential, env: Environment) -> Floats:
    """Compute ∂E/∂G_i = energy_scale (∂MLP_s/∂x̂_i + linear[s]) / scale[s], s the element of i.

    Args:
        p: The potential.
        env: The structure.

    Returns:
        ∂E/∂G, in eV, shape (N, D).
    """
    f, x = ACTIVATIONS[p.activation], standardized_features(p, env)
    gradient = p.linear[env.species]  # a copy, (N, D)
    for s, weights in enumerate(p.networks):
        members = env.species == s
        zs, _ = network.forward(weights, x[members], f)
        gradient[members] += network.input_gradient(weights, zs, f)
    return p.energy_scale * gradient / p.feature_scale[env.species]


def pair_gradient(p: ReferencePotential, env: Environment) -> Floats:
    """Compute ∂E/∂r_ij = Σ_d ∂E/∂G_id ∂G_id/∂r_ij, of symmetry functions or, by the pullback, of the expansion.

    Args:
        p: The potential.
        env: The structure.

    Returns:
        ∂E/∂r_ij, in eV/Å, shape (P, 3).
    """
    by_feature = feature_gradient(p, env)
    if isinstance(p.functions, ClusterExpansion):
        return ace_pullback(p.functions, (env.r_ij, env.pair_i, env.pair_j), env.species, by_feature)
    by_feature = by_feature[env.pair_i]  # (P, D)
    jacobian = acsf_derivatives(p.functions, env.r_ij, env.pair_i, env.pair_j, env.species)
    gradient: Floats = np.einsum("pd,pdx->px", by_feature, jacobian)
    return gradient


def forces(p: ReferencePotential, env: Environment) -> Floats:
    """Compute F_k = -∂E/∂r_k = Σ_{pairs with i=k} ∂E/∂r_ij - Σ_{pairs with j=k} ∂E/∂r_ij.

    Args:
        p: The potential.
        env: The structure.

    Returns:
        F, in eV/Å, shape (N, 3).
    """
    by_pair = pair_gradient(p, env)
    total = np.zeros((len(env.species), 3), dtype=by_pair.dtype)
    for i, j, gradient in zip(env.pair_i, env.pair_j, by_pair, strict=True):
        total[i] += gradient
        total[j] -= gradient
    return total


def strain_derivative(p: ReferencePotential, env: Environment) -> Floats:
    """Compute dE/dε = Σ_pairs r_ij ⊗ ∂E/∂r_ij, where the strain maps r_ij to (1 + ε) r_ij.

    It is symmetric, for E is invariant to rotations.

    Args:
        p: The potential.
        env: The structure.

    Returns:
        dE/dε, in eV, shape (3, 3).
    """
    return env.r_ij.T @ pair_gradient(p, env)


def loss(
    p: ReferencePotential,
    env: Environment,
    energy_label: float,
    force_labels: Floats,
    w_e: float,
    w_f: float,
) -> np.float64:
    """Compute L = w_e ((Ê - E)/N)² + w_f |F̂ - F|²/(3N).

    Args:
        p: The potential, which predicts Ê and F̂.
        env: The structure.
        energy_label: E, in eV.
        force_labels: F, in eV/Å, shape (N, 3).
        w_e: Weight of the energy, in 1/eV².
        w_f: Weight of the forces, in Å²/eV².

    Returns:
        L, dimensionless.
    """
    n_atoms = len(env.species)
    energy_error = (energy(p, env) - energy_label) / n_atoms
    force_error = np.sum((forces(p, env) - force_labels) ** 2) / (3 * n_atoms)
    return w_e * energy_error**2 + w_f * force_error


def force_adjoint_direction(p: ReferencePotential, env: Environment, force_bar: Floats) -> Floats:
    """Find v such that Σ_k F̄_k · F_k = Σ_i v_i · (∂MLP_s/∂x̂_i + linear[s]).

    Σ_k F̄_k · F_k = Σ_pairs (F̄_i - F̄_j) · ∂E/∂r_ij = Σ_i Σ_d u_id ∂E/∂G_id, where
    u_id = Σ_j (F̄_i - F̄_j) · ∂G_id/∂r_ij; hence v_i = energy_scale u_i / scale[s].

    Args:
        p: The potential.
        env: The structure.
        force_bar: F̄ = ∂L/∂F, in Å/eV, shape (N, 3).

    Returns:
        v, shape (N, D).
    """
    if isinstance(p.functions, ClusterExpansion):
        raise ValueError("the gradient of a force loss is stated for symmetry functions alone")
    jacobian = acsf_derivatives(p.functions, env.r_ij, env.pair_i, env.pair_j, env.species)
    u = np.zeros((len(env.species), p.functions.n_features))
    for i, j, derivative in zip(env.pair_i, env.pair_j, jacobian, strict=True):
        u[i] += derivative @ (force_bar[i] - force_bar[j])
    return p.energy_scale * u / p.feature_scale[env.species]


def loss_gradient(
    p: ReferencePotential,
    env: Environment,
    energy_label: float,
    force_labels: Floats,
    w_e: float,
    w_f: float,
) -> tuple[list[list[Floats]], Floats]:
    """Differentiate the loss with respect to every network weight and to the linear term.

    With Ē = ∂L/∂Ê = 2 w_e (Ê - E)/N² and F̄ = ∂L/∂F̂ = 2 w_f (F̂ - F)/(3N), and with v of F̄,

    ∂L/∂W = Ē ∂Ê/∂W + ∂/∂W Σ_i v_i · ∂MLP_s/∂x̂_i: the δ recursion from the seed Ē energy_scale,
    plus the tangent network along v;  ∂L/∂linear[s] = Σ_i (Ē energy_scale x̂_i + v_i).

    Args:
        p: The potential, which predicts Ê and F̂.
        env: The structure.
        energy_label: E, in eV.
        force_labels: F, in eV/Å, shape (N, 3).
        w_e: Weight of the energy, in 1/eV².
        w_f: Weight of the forces, in Å²/eV².

    Returns:
        For each element the gradients with respect to W¹ … W^M and to `linear`, shape (S, D).
    """
    n_atoms, f, x = len(env.species), ACTIVATIONS[p.activation], standardized_features(p, env)
    energy_bar = 2.0 * w_e * (energy(p, env) - energy_label) / n_atoms**2
    force_bar = 2.0 * w_f * (forces(p, env) - force_labels) / (3 * n_atoms)
    v, seed = force_adjoint_direction(p, env, force_bar), energy_bar * p.energy_scale
    by_weights: list[list[Floats]] = []
    by_linear = np.zeros_like(p.linear)
    for s, weights in enumerate(p.networks):
        x_s, v_s = x[env.species == s], v[env.species == s]
        ones = np.ones((len(x_s), 1))
        zs, activations = network.forward(weights, x_s, f)
        deltas = network.deltas(weights, zs, seed * ones, f)
        by_energy = network.weight_gradients(deltas, activations)
        by_forces = network.tangent_weight_gradients(weights, x_s, v_s, ones, f)
        by_weights.append([e + t for e, t in zip(by_energy, by_forces, strict=True)])
        by_linear[s] = np.sum(seed * x_s + v_s, axis=0)
    return by_weights, by_linear

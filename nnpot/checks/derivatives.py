"""Exact: derivatives of the energy, against finite differences and against the statement in NumPy."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnpot import reference
from nnpot.checks.answers import LEAST_FORCE, Answer
from nnpot.checks.line import Found, Limits, Line, NotLooked
from nnpot.checks.subject import Subject, crystal, cut
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.reference.reading import environment, network_potential
from nnpot.structure import Structure

Array = NDArray[np.float64]

STENCIL = {1: 8 / 12, -1: -8 / 12, 2: -1 / 12, -2: 1 / 12}
"""Weights of f(x + k h) in h f'(x), with an error of h⁴ f⁽⁵⁾/30."""

STEPS = (2e-4, 2e-3, 2e-5)
"""Steps h, in Å: the best of them counts, for energies of 10⁵ eV an atom lose digits with the first, and where a model
is far from its data its energy may be too steep for it."""

DIFFERENCES = Limits(1e-6, 1e-4)
"""Differences in double precision, relative to the typical force: 10⁻⁸ is usual (rounding 10⁻¹⁶ · 10 eV / h, and
h⁴ f⁽⁵⁾/30); a wrong term of a derivative is 10⁻³ and more."""

STATEMENT = Limits(1e-8, 1e-6)
"""Differences of two evaluations of one formula in double precision, relative to the typical force: 10⁻¹² is usual,
and features of very different size may cost some digits."""

HURRY = 60.0
"""Seconds left below which only the fastest of several ways is taken."""

DIRECTIONS = 4
"""Random directions of all atoms, besides one of the atoms of each element."""

MOST_STATED = 8
"""Number of atoms for which the statement in NumPy, which is written to be read, is evaluated."""


def forces(subject: Subject, structures: Sequence[Structure]) -> Found:
    """Compare forces along directions, and the stress, with central differences of the energy."""
    errors, generator = [0.0], subject.generator(1)
    strains = [0.0]
    for structure in structures:
        said = subject.potential.predict(structure)
        wanted = said.forces.double().numpy()
        directions = directions_of(structure, generator)
        slopes = np.array([-(wanted * u).sum() for u in directions])
        along = [_moved(structure, u) for u in directions]
        errors.append(_error(subject.potential, along, slopes))
        volume = structure.volume
        if volume is not None:
            virial = said.stress.double().numpy()[0] * volume
            along = [_strained(structure, mode) for mode in _modes()]
            strains.append(_error(subject.potential, along, virial))
    figure = float(np.max(errors))
    seen = f"the forces differ from the slope of the energy by {figure:.1g} of their size"
    yield Line.judged("exact", FORCES, DIFFERENCES, figure, seen)
    if len(strains) == 1:
        yield NotLooked("exact", STRESS, "no structure has a periodic cell")
        return
    figure = float(np.max(strains))
    seen = f"the stress differs from the slope of the energy under strain by {figure:.1g} of its size"
    yield Line.judged("exact", STRESS, DIFFERENCES, figure, seen)


FORCES, STRESS = "forces = −dE/dr (finite differences)", "stress = dE/dε/V (finite differences)"
NUMPY, GRADIENTS = "same as the NumPy statement", "network gradients as in NumPy"


def against_statement(subject: Subject, structures: Sequence[Structure]) -> Found:
    """Compare energy, forces and stress, and the gradients of the networks, with the formulas written in NumPy."""
    try:
        model = reference.of(subject.potential)
    except ValueError as error:
        yield NotLooked("exact", NUMPY, str(error))
        yield NotLooked("exact", GRADIENTS, str(error))
        return
    stated_on = [cut(s, MOST_STATED) for s in structures[:1]]
    if subject.clock.left > HURRY:
        stated_on += [crystal(e, subject.potential.cutoff) for e in subject.elements[:2]]
    figures = []
    for structure in stated_on:
        said = model.predict(structure)
        results = {"energy": said.energy, "forces": said.forces, "stress": said.stress}
        figures.append(Answer.of(subject.potential, structure).difference(Answer.of_results(results, structure)))
    figure = float(np.max(figures))
    seen = f"energy, forces or stress differ from the formulas written in NumPy by {figure:.1g} of the typical force"
    yield Line.judged("exact", NUMPY, STATEMENT, figure, seen)
    parts = [part for part in subject.potential.modules() if isinstance(part, NeuralNetworkPotential)]
    small = stated_on[0]
    figures = [_gradient_error(part, small) for part in parts if set(_symbols(small)) <= set(part.elements)]
    if not figures:
        yield NotLooked("exact", GRADIENTS, "the model has no networks")
        return
    figure = float(np.max(figures))
    seen = f"gradients by the weights differ from backpropagation written in NumPy by {figure:.1g} of their size"
    yield Line.judged("exact", GRADIENTS, STATEMENT, figure, seen)


def directions_of(structure: Structure, generator: np.random.Generator) -> list[Array]:
    """Return random directions of all atoms, and of the atoms of each element, of length 1, shape (N, 3) each."""
    n, numbers = len(structure), structure.numbers.numpy()
    masks = [np.ones(n)] * DIRECTIONS + [(numbers == z).astype(float) for z in np.unique(numbers)]
    directions = [generator.normal(size=(n, 3)) * mask[:, None] for mask in masks]
    return [u / np.linalg.norm(u) for u in directions]


def _error(potential: Potential, along: Sequence[Callable[[float], Structure]], wanted: Array) -> float:
    """Largest difference between slopes along some ways, by differences, and wanted ones, relative to these."""
    scale, by_step = max(float(np.sqrt((wanted**2).mean())), LEAST_FORCE), list[float]()
    for step in STEPS:
        slopes = [
            sum(weight * _energy(potential, way(k * step)) for k, weight in STENCIL.items()) / step for way in along
        ]
        by_step.append(float(np.abs(np.array(slopes) - wanted).max()) / scale)
        if by_step[-1] <= DIFFERENCES.passed:
            break
    return float(np.min(by_step))


def _energy(potential: Potential, structure: Structure) -> float:
    return float(potential.predict(structure).energy)


def _moved(structure: Structure, direction: Array) -> Callable[[float], Structure]:
    u = torch.from_numpy(direction)
    return lambda step: replace(structure, positions=structure.positions + step * u)


def _modes() -> list[Array]:
    """The strains whose slopes are V σ in Voigt order: ε_ab = ε_ba = 1/2 of the shears."""
    modes = []
    for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        mode = np.zeros((3, 3))
        mode[a, b] += 0.5
        mode[b, a] += 0.5
        modes.append(mode)
    return modes


def _strained(structure: Structure, mode: Array) -> Callable[[float], Structure]:
    def at(step: float) -> Structure:
        deformation = torch.from_numpy(np.eye(3) + step * mode)
        return replace(structure, positions=structure.positions @ deformation, cell=structure.cell @ deformation)

    return at


def _gradient_error(potential: NeuralNetworkPotential, structure: Structure) -> float:
    """Largest difference of ∂E/∂W to the δ recursion in NumPy, relative to the largest gradient."""
    if not potential.has_plain_networks:
        return 0.0
    own = _network_gradients(potential, structure)
    pairs = single_batch(structure, potential.cutoff).pairs(potential.elements)
    if potential.guard is not None:
        pairs, _ = potential.guard(pairs)
    stated, env = network_potential(potential), environment(pairs)
    x = reference.potential.standardized_features(stated, env)
    activation, errors, sizes = reference.ACTIVATIONS[stated.activation], [0.0], [1e-300]
    for s, weights in enumerate(stated.networks):
        members = x[env.species == s]
        if not len(members):
            continue
        zs, activations = reference.forward(weights, members, activation)
        seed = stated.energy_scale * np.ones((len(members), 1))
        wanted = reference.weight_gradients(reference.deltas(weights, zs, seed, activation), activations)
        kept = _kept_columns(potential, wanted[0].shape[1])
        for k, (gradient, of_layer) in enumerate(zip(own[s], wanted, strict=True)):
            compared = of_layer[:, kept] if k == 0 else of_layer
            errors.append(float(np.abs(gradient - compared).max()))
            sizes.append(float(np.abs(compared).max()))
    return float(np.max(errors)) / max(sizes)


def _network_gradients(potential: NeuralNetworkPotential, structure: Structure) -> list[list[Array]]:
    """∂E/∂W of every layer of every network, by the way that a training takes."""
    batch, was_training = single_batch(structure, potential.cutoff), potential.training
    parameters = [list(network.parameters()) for network in potential.networks]
    everything: list[Tensor] = [p for of_element in parameters for p in of_element]
    asked = [p.requires_grad for p in everything]
    for p in everything:
        p.requires_grad_(True)
    potential.train()
    try:
        energy = potential(batch).energy.sum()
        gradients = iter(torch.autograd.grad(energy, everything, allow_unused=True, materialize_grads=True))
    finally:
        potential.train(was_training)
        for p, value in zip(everything, asked, strict=True):
            p.requires_grad_(value)
    return [[next(gradients).double().numpy() for _ in of_element] for of_element in parameters]


def _kept_columns(potential: NeuralNetworkPotential, n_all: int) -> list[int]:
    """Columns of the first layer in the statement that the potential has: symmetry functions may have been dropped."""
    selected = getattr(potential.descriptor, "selected", None)
    return list(range(n_all)) if selected is None else [*selected, n_all - 1]


def _symbols(structure: Structure) -> list[str]:
    return [reference.model.SYMBOLS[int(z)] for z in structure.numbers.unique()]

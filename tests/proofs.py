"""The three proofs of a derivative: autograd's own check, the NumPy reference, and finite differences.

The laws use them on the code as it is; `laws/test_injected_faults.py` uses them on code with a fault put in.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference_of import environment_of_batch, named_gradients
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from nnpot import reference
from nnpot.batch import Batch
from nnpot.functional.segment import segment_sum
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.prediction import Prediction
from nnpot.reference.reading import network_potential
from nnpot.structure import Structure
from nnpot.training.loss import LossOptions, weighted

STEP = 2e-4
"""Of central differences, in Å, or without unit."""

STENCIL = {1: 8 / 12, -1: -8 / 12, 2: -1 / 12, -2: 1 / 12}
"""Weights of f(x + k h) in h f'(x), with an error of h⁴ f⁽⁵⁾/30."""

DIFFERENCE = 1e-8
"""Error, relative to the norm, that these differences may have in float64: 1e-16 · |E| / STEP ≈ 1e-11 from rounding for
|E| of some 10 eV, and STEP⁴ f⁽⁵⁾ / 30 f' < 1e-9 from truncation for functions that vary over 0.05 Å and more."""


CHECKED = {"eps": 1e-6, "atol": 1e-7, "rtol": 1e-6}
"""Step and errors of autograd's check in float64: 1e-16 / eps = 1e-10 from rounding of numbers of order 1, and far less
from truncation, with room for sums of some hundred entries."""


# kernels against tensors: sums of some hundred terms in another order, eps times that, with room for cancellation
PRECISION = {torch.float64: 1e-12, torch.float32: 1e-4}
each_precision = pytest.mark.parametrize("dtype", PRECISION, ids=str)


def by_tensors(monkeypatch: pytest.MonkeyPatch, *families: str) -> None:
    """Let no C++ kernel calculate these families of operators (networks, if none is named), but tensors."""
    monkeypatch.setattr("nnpot.native.registry._switched_off", set(families or ("networks",)))


def assert_close(actual: Tensor, wanted: Tensor | NDArray[np.float64], tolerance: float, scale: float = 0.0) -> None:
    """Assert |actual − wanted| ≤ tolerance · max(|wanted|, scale), in the Frobenius norm.

    The scale is the size of the terms whose sum `wanted` is, where they may cancel.
    """
    wanted = torch.as_tensor(wanted).detach()
    assert actual.shape == wanted.shape
    error = float(torch.linalg.vector_norm(actual.detach() - wanted))
    assert error <= tolerance * max(float(torch.linalg.vector_norm(wanted)), scale), f"they differ by {error:.3g}"


# first proof: autograd's own check ------------------------------------------------------------------------------------


def with_parameters(module: nn.Module, *rest: object) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """Return a module as a function of its first input and its parameters, and the parameters in float64."""
    names = [name for name, _ in module.named_parameters()]
    values = tuple(p.detach().double().requires_grad_() for p in module.parameters())

    def call(x: object, *parameters: Tensor) -> Tensor:
        return functional_call(module, dict(zip(names, parameters, strict=True)), (x, *rest))

    return call, values


def check_first(function: Callable[..., Tensor], inputs: tuple[Tensor, ...], *, fast: bool = False) -> None:
    """Assert that backward is the derivative of forward."""
    gradcheck(function, inputs, fast_mode=fast, check_undefined_grad=not fast, **CHECKED)


def check_second(function: Callable[..., Tensor], inputs: tuple[Tensor, ...], *, fast: bool = False) -> None:
    """Assert that backward of backward is the second derivative."""
    gradgradcheck(function, inputs, fast_mode=fast, check_undefined_grad=not fast, **CHECKED)


# second proof: the NumPy reference ------------------------------------------------------------------------------------


def labelled(structure: Structure, seed: int = 0) -> Structure:
    """Give a structure random labels, so that no error happens to be zero."""
    rng = np.random.default_rng(seed)
    n = len(structure)
    periodic = structure.has_volume
    return structure.with_labels(
        energy=float(n * rng.normal()),
        forces=torch.from_numpy(rng.normal(size=(n, 3))),
        stress=torch.from_numpy(rng.normal(scale=0.1, size=6)) if periodic else None,
    )


def loss_of(potential: Potential, batch: Batch, *weights: float, **others: float) -> Tensor:
    """Return w_e ((Ê − E)/N)² + w_f |F̂ − F|²/3N + w_s |σ̂ − σ|²/6, mean over the structures; differentiable.

    Args:
        potential: What is trained.
        batch: With labels.
        weights: w_e, w_f, w_s, the last 0 if it is left out.
        others: Weights of other labels by name.
    """
    return _loss(potential.train()(batch), batch, *weights, **others)


def _loss(prediction: Prediction, batch: Batch, w_e: float, w_f: float, w_s: float = 0.0, **others: float) -> Tensor:
    options = LossOptions(energy=w_e, forces=w_f, stress=w_s, **others)
    return weighted(options.of(prediction, batch), options.weights())


def loss_gradients(potential: Potential, batch: Batch, *weights: float, **others: float) -> dict[str, Tensor]:
    """Return ∂L/∂W by the name of W, out of the hand-written backward functions."""
    names, parameters = zip(*potential.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss_of(potential, batch, *weights, **others), parameters)
    return dict(zip(names, gradients, strict=True))


def wanted_loss_gradients(
    potential: NeuralNetworkPotential, batch: Batch, w_e: float, w_f: float
) -> dict[str, NDArray[np.float64]]:
    """Return ∂L/∂W by the name of W, out of the reference, on a labelled batch of one structure."""
    by_weights, by_linear = reference.loss_gradient(
        network_potential(potential),
        environment_of_batch(batch, potential.elements),
        float(batch.energy),
        batch.forces.numpy(),
        w_e,
        w_f,
    )
    return named_gradients(potential, by_weights, by_linear)


def compare_loss_gradients(actual: dict[str, Tensor], wanted: dict[str, NDArray[np.float64]]) -> None:
    """Assert that ∂L/∂W is the same for every weight."""
    assert actual.keys() == wanted.keys()
    # both sum the same float64 terms in another order: eps times some hundred terms, with room for cancellation
    for name, gradient in actual.items():
        assert_close(gradient, wanted[name], 1e-10)


# third proof: finite differences --------------------------------------------------------------------------------------


def energies(potential: Potential, structures: list[Structure]) -> Tensor:
    """Return the energies of structures, as one batch, without any derivative, shape (B,)."""
    batch = Batch.join([single_batch(s, potential.cutoff) for s in structures])
    pairs = batch.pairs(potential.elements)
    with torch.no_grad():
        return segment_sum(potential.atomic_energies(pairs), batch.structure_of, batch.n_structures)


def central_forces(potential: Potential, structure: Structure) -> Tensor:
    """Return −ΔE/Δr for every coordinate, shape (N, 3)."""
    units = torch.eye(3 * len(structure), dtype=torch.float64).view(-1, len(structure), 3)
    moved = [replace(structure, positions=structure.positions + k * STEP * unit) for unit in units for k in STENCIL]
    return -_slopes(energies(potential, moved)).view(-1, 3)


def central_stress(potential: Potential, structure: Structure) -> Tensor:
    """Return ΔE/Δε / V for every symmetric strain, Voigt xx, yy, zz, yz, xz, xy, shape (1, 6)."""
    strains = torch.zeros(6, 3, 3, dtype=torch.float64)
    for strain, (a, b) in zip(strains, [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)], strict=True):
        strain[a, b] += 0.5
        strain[b, a] += 0.5
    maps = [torch.eye(3, dtype=torch.float64) + k * STEP * strain for strain in strains for k in STENCIL]
    strained = [replace(structure, positions=structure.positions @ m, cell=structure.cell @ m) for m in maps]
    return (_slopes(energies(potential, strained)) / structure.volume).unsqueeze(dim=0)


def _slopes(values: Tensor) -> Tensor:
    """Derivatives (n,) from values at all points of the stencil (4 n,)."""
    return values.view(-1, len(STENCIL)) @ values.new_tensor(list(STENCIL.values())) / STEP


def compare_forces_with_differences(potential: Potential, structure: Structure, scale: float = 0.0) -> None:
    """Assert that the forces are those of central differences."""
    actual = potential.eval().predict(structure).forces
    assert_close(actual, central_forces(potential, structure), DIFFERENCE, scale)


def compare_parameter_gradient_with_differences(
    potential: Potential, batch: Batch, *weights: float, **others: float
) -> None:
    """Assert that ∂L/∂θ along a random direction over all parameters is that of central differences.

    A wrong derivative of any single weight shows in it, because a random direction is orthogonal to nothing.
    """
    gradients = loss_gradients(potential, batch, *weights, **others)
    direction = {name: torch.randn_like(g) for name, g in gradients.items()}
    length = float(_joined(direction).norm())
    slope = _joined(gradients) @ _joined(direction) / length
    values = []
    for k in STENCIL:
        moved = {n: p.detach() + k * STEP / length * direction[n] for n, p in potential.named_parameters()}
        values.append(_loss(functional_call(potential, moved, (batch,)), batch, *weights, **others).detach())
    expected_size = float(_joined(gradients).norm()) / len(_joined(gradients)) ** 0.5
    assert_close(slope, _slopes(torch.stack(values))[0], DIFFERENCE, expected_size)


def _joined(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors.values()])

"""A wrong derivative is caught by each of the three proofs: faults are put in on purpose.

A fault of the first derivative makes gradcheck, the comparison with NumPy and the central differences fail.  A fault of
the second derivative alone, made by saving an intermediate result in place of an input or output, leaves energies and
forces right and corrupts what training on forces follows: gradgradcheck, and the other two on the force loss, fail.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from proofs import (
    by_tensors,
    check_first,
    check_second,
    compare_forces_with_differences,
    compare_loss_gradients,
    compare_parameter_gradient_with_differences,
    labelled,
    loss_gradients,
    wanted_loss_gradients,
)
from reference_of import environment_of_batch
from systems import acsf, network_potential, structure
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError

from nnpot import reference
from nnpot.batch import Batch
from nnpot.functional import activations, affine
from nnpot.functional import tanh as tanh_function
from nnpot.functional.affine import _Affine
from nnpot.functional.networks import NetworksKernel
from nnpot.native import are_compiled
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.reference.reading import network_potential as network_potential_of

pytestmark = pytest.mark.usefixtures("double")

Patch = pytest.MonkeyPatch
COMPILED = are_compiled(torch.float64, torch.device("cpu"))


@pytest.fixture(autouse=True)
def _by_tensors(request: pytest.FixtureRequest, monkeypatch: Patch) -> None:
    """Networks are evaluated by layers and autograd, unless the fault is one of compiled code."""
    if "compiled" not in request.node.name:
        by_tensors(monkeypatch)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def case() -> tuple[NeuralNetworkPotential, Batch]:
    potential = network_potential(acsf(), activation="tanh")
    return potential, single_batch(labelled(structure("water")), potential.cutoff)


# the faults -----------------------------------------------------------------------------------------------------------


def tanh_slope_one_percent_too_large(patch: Patch) -> None:
    right = activations._Tanh.backward
    patch.setattr(activations._Tanh, "backward", staticmethod(lambda ctx, a_bar: 1.01 * right(ctx, a_bar)))


def affine_forgets_the_bias(patch: Patch) -> None:
    right = _Affine.backward

    def backward(ctx: Any, z_bar: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x_bar, weight_bar = right(ctx, z_bar)
        if weight_bar is None:
            return x_bar, None
        return x_bar, torch.cat([weight_bar[..., :-1], torch.zeros_like(weight_bar[..., -1:])], dim=-1)

    patch.setattr(_Affine, "backward", staticmethod(backward))


def affine_pulls_back_with_the_wrong_sign_of_one_weight(patch: Patch) -> None:
    right = _Affine.backward

    def backward(ctx: Any, z_bar: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x_bar, weight_bar = right(ctx, z_bar)
        _, weight = ctx.saved_tensors
        return None if x_bar is None else x_bar - 2 * z_bar[..., :1] * weight[..., :1, :-1], weight_bar

    patch.setattr(_Affine, "backward", staticmethod(backward))


class _TanhThatSavesItsSlope(torch.autograd.Function):
    """Right in value and slope; but the saved slope has no graph, so its own derivative is lost."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        a = torch.tanh(z)
        ctx.save_for_backward(1 - a * a)
        return a

    @staticmethod
    def backward(ctx: Any, a_bar: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return a_bar * slope


def tanh_saves_an_intermediate(patch: Patch) -> None:
    patch.setattr(activations, "_Tanh", _TanhThatSavesItsSlope)


def compiled_slope_one_percent_too_large(patch: Patch) -> None:
    right = NetworksKernel.of

    def of(*arguments: Any, **options: Any) -> NetworksKernel | None:
        networks = right(*arguments, **options)
        return None if networks is None else replace(networks, slopes=1.01 * networks.slopes)

    patch.setattr(NetworksKernel, "of", of)


def compiled_gradient_forgets_the_tangent(patch: Patch) -> None:
    right = NetworksKernel.second
    patch.setattr(NetworksKernel, "second", lambda self, bars, along: right(self, bars, [0 * x for x in along]))


# the proofs -----------------------------------------------------------------------------------------------------------


def gradcheck_of_tanh(check: Callable[..., None] = check_first) -> None:
    check(lambda z: tanh_function(z), (random(3, 4),))


def gradcheck_of_affine() -> None:
    check_first(affine, (random(4, 3), random(2, 4)))


def numpy_forces() -> None:
    potential, batch = case()
    wanted = reference.forces(network_potential_of(potential), environment_of_batch(batch, potential.elements))
    torch.testing.assert_close(potential(batch).forces, torch.from_numpy(wanted), rtol=1e-10, atol=1e-10)


def numpy_loss_gradient(w_f: float = 1.3) -> None:
    potential, batch = case()
    wanted = wanted_loss_gradients(potential, batch, 0.7, w_f)
    compare_loss_gradients(loss_gradients(potential, batch, 0.7, w_f), wanted)


def differences_of_energy() -> None:
    compare_forces_with_differences(network_potential(acsf(), activation="tanh"), structure("water"))


def differences_of_loss(w_f: float = 1.3) -> None:
    potential, batch = case()
    compare_parameter_gradient_with_differences(potential, batch, 0.7, w_f)


CAUGHT = {
    "tanh slope, by gradcheck": (tanh_slope_one_percent_too_large, gradcheck_of_tanh),
    "tanh slope, by NumPy": (tanh_slope_one_percent_too_large, numpy_forces),
    "tanh slope, by differences": (tanh_slope_one_percent_too_large, differences_of_energy),
    "bias, by gradcheck": (affine_forgets_the_bias, gradcheck_of_affine),
    "bias, by NumPy": (affine_forgets_the_bias, numpy_loss_gradient),
    "bias, by differences": (affine_forgets_the_bias, differences_of_loss),
    "sign, by gradcheck": (affine_pulls_back_with_the_wrong_sign_of_one_weight, gradcheck_of_affine),
    "sign, by NumPy": (affine_pulls_back_with_the_wrong_sign_of_one_weight, numpy_forces),
    "sign, by differences": (affine_pulls_back_with_the_wrong_sign_of_one_weight, differences_of_energy),
    "intermediate, by gradgradcheck": (tanh_saves_an_intermediate, lambda: gradcheck_of_tanh(check_second)),
    "intermediate, by NumPy": (tanh_saves_an_intermediate, numpy_loss_gradient),
    "intermediate, by differences": (tanh_saves_an_intermediate, differences_of_loss),
}
CAUGHT |= (
    {
        "compiled slope, by NumPy": (compiled_slope_one_percent_too_large, numpy_forces),
        "compiled slope, by differences": (compiled_slope_one_percent_too_large, differences_of_energy),
        "compiled gradient, by NumPy": (compiled_gradient_forgets_the_tangent, numpy_loss_gradient),
        "compiled gradient, by differences": (compiled_gradient_forgets_the_tangent, differences_of_loss),
    }
    if COMPILED
    else {}
)
each_fault = pytest.mark.parametrize(("fault", "proof"), CAUGHT.values(), ids=CAUGHT.keys())


@each_fault
def test_a_fault_is_caught(fault: Callable[[Patch], None], proof: Callable[[], None], monkeypatch: Patch) -> None:
    fault(monkeypatch)
    with pytest.raises((GradcheckError, AssertionError)):
        proof()


@each_fault
def test_without_the_fault_the_proof_holds(fault: Callable[[Patch], None], proof: Callable[[], None]) -> None:
    proof()


UNSEEN = {
    "gradcheck": gradcheck_of_tanh,
    "forces in NumPy": numpy_forces,
    "energy loss in NumPy": lambda: numpy_loss_gradient(w_f=0.0),
    "differences of the energy": differences_of_energy,
    "differences of the energy loss": lambda: differences_of_loss(w_f=0.0),
}


@pytest.mark.parametrize("proof", UNSEEN.values(), ids=UNSEEN.keys())
def test_a_saved_intermediate_hides_from_all_but_second_derivatives(
    proof: Callable[[], None], monkeypatch: Patch
) -> None:
    tanh_saves_an_intermediate(monkeypatch)
    proof()


def test_a_saved_intermediate_corrupts_the_force_loss_by_much(monkeypatch: Patch) -> None:
    potential, batch = case()
    right = loss_gradients(potential, batch, 0.0, 1.0)["networks.1.0.weight"]
    tanh_saves_an_intermediate(monkeypatch)
    wrong = loss_gradients(potential, batch, 0.0, 1.0)["networks.1.0.weight"]
    assert float((wrong - right).norm() / right.norm()) > 0.1

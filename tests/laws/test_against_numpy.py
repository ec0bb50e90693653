"""Torch against the NumPy reference: the same formulas, written twice, differentiated twice."""

from functools import cache

import numpy as np
import pytest
import torch
from crossed import crossed
from proofs import assert_close, by_tensors, compare_loss_gradients, labelled, loss_gradients, wanted_loss_gradients
from reference_of import environment_of_batch
from systems import DESCRIPTORS, SYSTEMS, network_potential, pairs_of, structure
from torch import Tensor

from nnpot import reference
from nnpot.batch import Batch
from nnpot.descriptors import ACSF
from nnpot.functional import ACTIVATIONS, CUTOFFS, gaussian_basis
from nnpot.functional.segment import strain_derivative
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.nn import MLP
from nnpot.reference import network
from nnpot.reference.network import loss as squared_error
from nnpot.reference.network import loss_derivative
from nnpot.reference.reading import environment, symmetry_functions
from nnpot.reference.reading import network_potential as network_potential_of

pytestmark = pytest.mark.usefixtures("double")

SAME = 1e-10
"""Both sides evaluate the same formula in float64, sums in another order: eps = 2e-16 times some hundred terms, with
room for cancellation among them."""

PAIRED = [name for name in SYSTEMS if name != "molecule in a dummy cell"]  # whose pairs are those of water
ACSFS = [name for name, make in DESCRIPTORS.items() if isinstance(make(), ACSF)]

# functions ------------------------------------------------------------------------------------------------------------

POINTS = torch.tensor([-700.0, -30.0, -3.7, -1.0, -1e-3, 0.0, 1e-3, 0.5, 2.2, 8.0, 30.0, 700.0], dtype=torch.float64)


@pytest.mark.parametrize(("order", "kind"), [(0, "value"), (1, "first"), (2, "second")])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, order: int, kind: str) -> None:
    z = POINTS.clone().requires_grad_()
    result = ACTIVATIONS[name](z)
    for _ in range(order):
        (result,) = torch.autograd.grad(result.sum() + 0 * z.sum(), z, create_graph=True)
    assert_close(result, getattr(reference.ACTIVATIONS[name], kind)(POINTS.numpy()), SAME)


@pytest.mark.parametrize("kind", ["value", "derivative"])
@pytest.mark.parametrize("name", CUTOFFS)
def test_cutoff_functions(name: str, kind: str) -> None:
    r = torch.linspace(0.0, 8.0, 81)
    assert_close(getattr(CUTOFFS[name], kind)(r, 5.3), getattr(reference.CUTOFFS[name], kind)(r.numpy(), 5.3), SAME)


def test_gaussian_basis_value() -> None:
    x, centers, gamma = torch.randn(6, 3), torch.randn(4, 3), torch.rand(4)
    wanted = reference.rbf_value(x.numpy(), centers.numpy(), gamma.numpy())
    assert_close(gaussian_basis(x, centers, gamma), wanted, SAME)


@pytest.mark.parametrize("k", range(3), ids=["points", "centers", "widths"])
def test_gaussian_basis_adjoints(k: int) -> None:
    inputs = [torch.randn(6, 3), torch.randn(4, 3), torch.rand(4)]
    phi_bar = torch.randn(6, 4)
    wanted = reference.rbf_backward(*(x.numpy() for x in inputs), phi_bar.numpy())
    actual = torch.autograd.grad(gaussian_basis(*(x.requires_grad_() for x in inputs)), inputs, phi_bar)
    assert_close(actual[k], wanted[k], SAME)


# the network and its backpropagation ----------------------------------------------------------------------------------

SIZES = (3, 5, 4, 2)


class Case:
    """A network with random weights, inputs x, labels y and directions v, and the same as arrays."""

    def __init__(self, activation: str) -> None:
        self.mlp = MLP(SIZES, activation)
        for p in self.mlp.parameters():
            torch.nn.init.normal_(p)
        self.x, self.y, self.v = torch.randn(7, 3, requires_grad=True), torch.randn(7, 2), torch.randn(7, 3)
        self.weights = [p.detach().numpy() for p in self.mlp.parameters()]
        self.f = reference.ACTIVATIONS[activation]
        self.zs, self.activations = network.forward(self.weights, self.x.detach().numpy(), self.f)

    def torch_zs(self) -> list[Tensor]:
        """Return z¹ … z^𝓛 with their graph."""
        zs, a = [], self.x
        for layer in self.mlp:
            a = layer(a)
            if hasattr(layer, "weight"):
                zs.append(a)
        return zs

    def deltas(self) -> list[np.ndarray]:
        seed = loss_derivative(self.zs[-1], self.y.numpy())
        return network.deltas(self.weights, self.zs, seed, self.f)


@pytest.fixture(params=ACTIVATIONS)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


LAYERS = range(len(SIZES) - 1)


@pytest.mark.parametrize("layer", LAYERS)
def test_forward(case: Case, layer: int) -> None:
    assert_close(case.torch_zs()[layer], case.zs[layer], SAME)


def test_squared_error(case: Case) -> None:
    assert_close((case.y - case.mlp(case.x)).square().sum(), squared_error(case.zs[-1], case.y.numpy()), SAME)


@pytest.mark.parametrize("layer", LAYERS)
def test_deltas(case: Case, layer: int) -> None:
    zs = case.torch_zs()
    (delta,) = torch.autograd.grad((case.y - zs[-1]).square().sum(), zs[layer])
    assert_close(delta, case.deltas()[layer], SAME)


@pytest.mark.parametrize("layer", LAYERS)
def test_derivative_matrices(case: Case, layer: int) -> None:
    error = (case.y - case.mlp(case.x)).square().sum()
    gradients = torch.autograd.grad(error, list(case.mlp.parameters()))
    assert_close(gradients[layer], network.weight_gradients(case.deltas(), case.activations)[layer], SAME)


def test_input_gradient(case: Case) -> None:
    (gradient,) = torch.autograd.grad(case.mlp(case.x).sum(), case.x)
    assert_close(gradient, network.input_gradient(case.weights, case.zs, case.f), SAME)


@pytest.mark.parametrize("layer", LAYERS)
def test_weight_gradient_of_an_input_gradient(case: Case, layer: int) -> None:
    # Pearlmutter's trick on one side, backward of backward on the other
    c = torch.randn(7, 2)
    (gradient,) = torch.autograd.grad(case.mlp(case.x), case.x, c, create_graph=True)
    actual = torch.autograd.grad((gradient * case.v).sum(), list(case.mlp.parameters()), materialize_grads=True)
    arrays = (case.x.detach().numpy(), case.v.numpy(), c.numpy())
    assert_close(actual[layer], network.tangent_weight_gradients(case.weights, *arrays, case.f)[layer], SAME)


# the descriptor -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "system"), crossed(ACSFS, PAIRED, "triclinic"))
def test_descriptor_values(name: str, system: str) -> None:
    descriptor, pairs = DESCRIPTORS[name](), pairs_of(structure(system))
    env = environment(pairs)
    wanted = reference.acsf_values(symmetry_functions(descriptor), env.r_ij, env.pair_i, env.pair_j, env.species)
    assert_close(descriptor(pairs), wanted[:, descriptor.selected], SAME)


@pytest.mark.parametrize(("name", "system"), crossed(ACSFS, PAIRED, "triclinic"))
def test_descriptor_jacobians(name: str, system: str) -> None:
    descriptor, pairs = DESCRIPTORS[name](), pairs_of(structure(system))
    env = environment(pairs)
    wanted = reference.acsf_derivatives(symmetry_functions(descriptor), env.r_ij, env.pair_i, env.pair_j, env.species)
    assert_close(descriptor.jacobian(pairs), wanted[:, descriptor.selected], SAME)


# the whole potential --------------------------------------------------------------------------------------------------

PATHS = pytest.mark.parametrize("path", ["pairs", "cached", "tensors"])


@pytest.fixture(autouse=True)
def _by_tensors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the path `tensors` the networks are not evaluated by compiled code but by layers and autograd."""
    if "path" in request.fixturenames and request.getfixturevalue("path") == "tensors":
        by_tensors(monkeypatch)


def prepared(name: str, system: str, path: str, activation: str = "tanh") -> tuple[NeuralNetworkPotential, Batch]:
    potential = network_potential(DESCRIPTORS[name](), activation=activation)
    batch = single_batch(labelled(structure(system)), potential.cutoff)
    return potential, potential.with_cache(batch, torch.float64) if path == "cached" else batch


@cache
def energy_and_pair_gradient(name: str, system: str, path: str) -> tuple[Tensor, Tensor]:
    potential, batch = prepared(name, system, path)
    energies, gradient = potential.energies_and_pair_gradient(batch.pairs(potential.elements))
    return energies.sum(), gradient


@cache
def energy_of_reference(name: str, system: str) -> np.float64:
    potential, batch = prepared(name, system, "pairs")
    return reference.energy(network_potential_of(potential), environment_of_batch(batch, potential.elements))


@cache
def pair_gradient_of_reference(name: str, system: str) -> np.ndarray:
    potential, batch = prepared(name, system, "pairs")
    return reference.pair_gradient(network_potential_of(potential), environment_of_batch(batch, potential.elements))


@PATHS
@pytest.mark.parametrize(("name", "system"), crossed(ACSFS, PAIRED, "triclinic"))
def test_energy(name: str, system: str, path: str) -> None:
    assert_close(energy_and_pair_gradient(name, system, path)[0], energy_of_reference(name, system), SAME)


@PATHS
@pytest.mark.parametrize(("name", "system"), crossed(ACSFS, PAIRED, "triclinic"))
def test_pair_gradient(name: str, system: str, path: str) -> None:
    assert_close(energy_and_pair_gradient(name, system, path)[1], pair_gradient_of_reference(name, system), SAME)


@PATHS
@pytest.mark.parametrize("system", PAIRED)
def test_forces(system: str, path: str) -> None:
    name = ACSFS[0]
    potential, batch = prepared(name, system, path)
    wanted = reference.forces(network_potential_of(potential), environment_of_batch(batch, potential.elements))
    # in the perfect crystal the terms cancel to zero: the error is relative to them
    scale = float(np.linalg.norm(pair_gradient_of_reference(name, system)))
    assert_close(potential(batch).forces, wanted, SAME, scale)


@PATHS
@pytest.mark.parametrize("system", PAIRED)
def test_strain_derivative(system: str, path: str) -> None:
    potential, batch = prepared(ACSFS[0], system, path)
    wanted = reference.strain_derivative(
        network_potential_of(potential), environment_of_batch(batch, potential.elements)
    )
    _, gradient = energy_and_pair_gradient(ACSFS[0], system, path)
    actual = strain_derivative(batch.r_ij, gradient, torch.zeros_like(batch.pair_i), 1)[0]
    assert_close(actual, wanted[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], SAME)


def test_the_strain_derivative_of_the_reference_is_symmetric() -> None:
    potential, batch = prepared(ACSFS[0], "triclinic", "pairs")
    wanted = reference.strain_derivative(
        network_potential_of(potential), environment_of_batch(batch, potential.elements)
    )
    assert_close(torch.from_numpy(wanted.T.copy()), wanted, SAME)


def test_stress_is_the_strain_derivative_by_the_volume() -> None:
    potential, batch = prepared(ACSFS[0], "triclinic", "pairs")
    wanted = reference.strain_derivative(
        network_potential_of(potential), environment_of_batch(batch, potential.elements)
    )
    volume = abs(np.linalg.det(structure("triclinic").cell.numpy()))
    assert_close(potential(batch).stress[0], wanted[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] / volume, SAME)


@cache
def loss_gradients_of_reference(
    name: str, system: str, activation: str, w_e: float, w_f: float
) -> dict[str, np.ndarray]:
    potential, batch = prepared(name, system, "pairs", activation)
    return wanted_loss_gradients(potential, batch, w_e, w_f)


def check_loss_gradient(
    path: str, name: str = ACSFS[0], system: str = "water", activation: str = "tanh", w_e: float = 0.7, w_f: float = 1.3
) -> None:
    actual = loss_gradients(*prepared(name, system, path, activation), w_e, w_f)
    compare_loss_gradients(actual, loss_gradients_of_reference(name, system, activation, w_e, w_f))


@PATHS
@pytest.mark.parametrize(("name", "system"), crossed(ACSFS, PAIRED, "triclinic"))
def test_loss_gradient(name: str, system: str, path: str) -> None:
    check_loss_gradient(path, name, system)


@PATHS
@pytest.mark.parametrize(("w_e", "w_f"), [(0.7, 0.0), (0.0, 1.3)], ids=["energy only", "forces only"])
@pytest.mark.parametrize("system", ["no neighbors", "water", "alloy"])
def test_loss_gradient_of_one_label(system: str, w_e: float, w_f: float, path: str) -> None:
    check_loss_gradient(path, system=system, w_e=w_e, w_f=w_f)


@PATHS
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_loss_gradient_of_every_activation(activation: str, path: str) -> None:
    check_loss_gradient(path, activation=activation)

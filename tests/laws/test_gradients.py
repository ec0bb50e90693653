"""Every hand-written derivative, first and second, by autograd's own check in float64."""

from collections.abc import Callable

import pytest
import torch
from crossed import crossed
from proofs import check_first, check_second, with_parameters
from systems import DESCRIPTORS, SYSTEMS, pairs_of, structure
from torch import Tensor, nn

from nnpot.batch import Pairs
from nnpot.functional import ACTIVATIONS, affine, gaussian_basis
from nnpot.functional.blocks import ElementBlocks
from nnpot.nn import MLP, Activation, Affine, GaussianBasis, PerElement

pytestmark = pytest.mark.usefixtures("double")

CHECKS = [pytest.param(check_first, id="first"), pytest.param(check_second, id="second")]
Check = Callable[..., None]


def random(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


FUNCTIONS: dict[str, Callable[[], tuple[Callable[..., Tensor], tuple[Tensor, ...]]]] = {
    "affine": lambda: (affine, (random(4, 3), random(2, 4))),
    "affine in blocks": lambda: (affine, (random(3, 4, 2), random(3, 5, 3))),
    "affine without inputs": lambda: (affine, (random(4, 0), random(2, 1))),
    "gaussian basis": lambda: (gaussian_basis, (random(4, 3), random(5, 3), random(5).detach().abs().requires_grad_())),
    **{name: lambda name=name: (ACTIVATIONS[name], (random(3, 4),)) for name in ACTIVATIONS},
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str, check: Check) -> None:
    function, inputs = FUNCTIONS[name]()
    check(function, inputs)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n not in {"affine without inputs", "affine in blocks"}])
def test_functions_of_transposed_memory(name: str, check: Check) -> None:
    function, inputs = FUNCTIONS[name]()
    # the same shapes, but no input of two dimensions is contiguous
    strided = tuple(x.detach().mT.contiguous().mT.requires_grad_() if x.ndim == 2 else x for x in inputs)
    assert not strided[0].is_contiguous()
    check(function, strided)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "affine": lambda: Affine(3, 2),
    "gaussian basis": lambda: GaussianBasis(torch.randn(4, 3), 0.7),
    **{f"activation {name}": lambda name=name: Activation(name) for name in ACTIVATIONS},
    **{f"mlp {name}": lambda name=name: MLP((3, 4, 3, 2), name) for name in ACTIVATIONS},
    "mlp of two activations": lambda: MLP((3, 4, 3, 2), ("tanh", "gaussian")),
    "mlp without hidden layer": lambda: MLP((3, 2)),
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_their_parameters(name: str, check: Check) -> None:
    function, parameters = with_parameters(LAYERS[name]())
    check(function, (random(4, 3), *parameters))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("n_elements", "species"),
    [
        pytest.param(1, [0, 0, 0, 0], id="one element"),
        pytest.param(3, [2, 0, 1, 0], id="three elements"),
        pytest.param(3, [2, 0, 2, 0], id="an element without atoms"),
    ],
)
def test_networks_per_element(n_elements: int, species: list[int], check: Check) -> None:
    module = PerElement(MLP((3, 2, 1), "tanh") for _ in range(n_elements))
    rows = ElementBlocks.of(torch.tensor(species), n_elements, torch.float64)
    function, parameters = with_parameters(module)

    def outputs(x: Tensor, *parameters: Tensor) -> Tensor:
        return rows.gather(function(rows.scatter(x), *parameters))

    check(outputs, (random(4, 3), *parameters))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("direction", ["scatter", "gather"])
def test_rows_of_elements(direction: str, dim: int, check: Check) -> None:
    rows = ElementBlocks.of(torch.tensor([2, 0, 2, 2]), 3, torch.float64)
    atoms = {"scatter": (4,), "gather": rows.atom_of_row.shape}[direction]
    shape = (*atoms, 2) if dim == 0 else (2, *atoms)
    check(lambda x: getattr(rows, direction)(x, dim), (random(*shape),))


TWINS = {"molecule in a dummy cell"}  # its pairs are those of water
NEIGHBORED = [name for name in SYSTEMS if name not in TWINS and len(pairs_of(structure(name)).pair_i) > 0]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("descriptor", "system"), crossed(DESCRIPTORS, NEIGHBORED))
def test_descriptors(descriptor: str, system: str, check: Check) -> None:
    pairs = pairs_of(structure(system))
    function, parameters = with_parameters(DESCRIPTORS[descriptor]())

    def features(r_ij: Tensor, *parameters: Tensor) -> Tensor:
        return function(Pairs(r_ij, pairs.pair_i, pairs.pair_j, pairs.species), *parameters)

    # random projections (fast) instead of every entry: hundreds of features by hundreds of coordinates
    check(features, (pairs.r_ij.clone().requires_grad_(), *parameters), fast=True)


@pytest.mark.parametrize("turned", [False, True], ids=["along z", "along any direction"])
@pytest.mark.parametrize("zeta", [1.0, 1.5, 2.0, 3.0])
def test_angular_functions_have_second_derivatives_at_a_straight_angle(zeta: float, turned: bool) -> None:
    function = (0.1, zeta, 1.0, 0.0)
    descriptor = DESCRIPTORS["ACSF radial only"]().replaced(g4=(function,), g5=(function,))
    pairs = pairs_of(structure("collinear"))  # 1 + cos θ = 0 up to rounding, and its power ζ − 2 is infinite for ζ < 2
    turn = torch.linalg.qr(torch.randn(3, 3))[0] if turned else torch.eye(3)
    r_ij = (pairs.r_ij @ turn).requires_grad_()

    def energy(r_ij: Tensor) -> Tensor:
        return descriptor(Pairs(r_ij, pairs.pair_i, pairs.pair_j, pairs.species)).sum()

    def slope(r_ij: Tensor) -> Tensor:
        return torch.autograd.grad(energy(r_ij), r_ij, create_graph=True)[0]

    direction = torch.randn_like(r_ij)
    (second,) = torch.autograd.grad(slope(r_ij), r_ij, direction)
    step = 1e-5 * direction
    central = (slope(r_ij + step) - slope(r_ij - step)).detach() / 2e-5
    # for ζ = 1.5 the third derivative jumps, which leaves an error of the step, 1e-5, times it
    torch.testing.assert_close(second, central, rtol=1e-4, atol=1e-4)


FAR = [-700.0, -30.0, 30.0, 700.0]


@pytest.mark.parametrize("order", [0, 1, 2], ids=["value", "first", "second"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("z", FAR)
@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "exponential"])  # e^700 is no float32
def test_activations_stay_finite_far_out(name: str, z: float, dtype: torch.dtype, order: int) -> None:
    point = torch.tensor([z], dtype=dtype, requires_grad=True)
    result = ACTIVATIONS[name](point)
    for _ in range(order):
        (result,) = torch.autograd.grad(result.sum() + 0 * point.sum(), point, create_graph=True)
    assert bool(torch.isfinite(result).all())

"""Optimisers: that of SOAP, its formula written out for one matrix, stacks, resuming."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from systems import ace, acsf, network_potential
from torch import Tensor, nn

from nnpot.descriptors.base import Descriptor
from nnpot.training.optimizers import OPTIMIZERS, optimizer_of
from nnpot.training.soap import SOAP

pytestmark = pytest.mark.usefixtures("double")

LR, BETA_1, BETA_2, MEMORY, EPS, DECAY = 0.03, 0.9, 0.8, 0.7, 1e-8, 0.1


def written_out(w: np.ndarray, gradients: list[np.ndarray], every: int) -> np.ndarray:
    """SOAP in NumPy, with the first moment kept in the coordinates of W."""
    left, right = np.zeros((len(w), len(w))), np.zeros((w.shape[1], w.shape[1]))
    q_l = np.linalg.eigh(gradients[0] @ gradients[0].T)[1][:, ::-1]
    q_r = np.linalg.eigh(gradients[0].T @ gradients[0])[1][:, ::-1]
    mean, square = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        mean = BETA_1 * mean + (1 - BETA_1) * g
        square = BETA_2 * square + (1 - BETA_2) * (q_l.T @ g @ q_r) ** 2
        step = (q_l.T @ mean @ q_r / (1 - BETA_1**t)) / (np.sqrt(square / (1 - BETA_2**t)) + EPS)
        w = w * (1 - LR * DECAY) - LR * q_l @ step @ q_r.T
        left = MEMORY * left + (1 - MEMORY) * g @ g.T
        right = MEMORY * right + (1 - MEMORY) * g.T @ g
        if t % min(max(t // 100, every), 4 * every) == 0:
            for axis, (average, q) in enumerate([(left, q_l), (right, q_r)]):
                order = np.argsort(-np.diag(q.T @ average @ q), kind="stable")
                square = np.take(square, order, axis=axis)
                turned = np.linalg.qr((average @ q)[:, order])[0]
                q_l, q_r = (turned, q_r) if axis == 0 else (q_l, turned)
    return w


def optimiser(parameters: list[Tensor], every: int = 3) -> SOAP:
    return SOAP(parameters, LR, (BETA_1, BETA_2), MEMORY, EPS, DECAY, every)


@pytest.mark.parametrize(
    ("n_steps", "every", "rounding"),
    [(8, 3, 1e-10), (450, 1, 1e-9)],
    ids=["from the start", "rarer refinements later"],
)
def test_steps_are_those_of_the_formula(n_steps: int, every: int, rounding: float) -> None:
    gradients = [torch.randn(3, 4) for _ in range(n_steps)]
    w = nn.Parameter(torch.randn(3, 4))
    start, soap = w.detach().numpy().copy(), optimiser([w], every)
    for gradient in gradients:
        w.grad = gradient
        soap.step()
    # the sign of an eigenvector cancels; what remains is rounding, which adds up
    expected = written_out(start, [g.numpy() for g in gradients], every)
    np.testing.assert_allclose(w.detach().numpy(), expected, atol=rounding)


def train(parameters: list[Tensor], soap: SOAP, target: Tensor, n_steps: int) -> float:
    loss = torch.zeros(())
    for _ in range(n_steps):
        soap.zero_grad()
        loss = sum(((p.sum(dim=-1) - target) ** 2).sum() for p in parameters)  # type: ignore[assignment]
        loss.backward()
        soap.step()
    return float(loss.detach())


def test_what_is_not_given_is_as_its_authors_recommend() -> None:
    ways = [nn.Parameter(torch.ones(3, 4)) for _ in range(2)]
    given = SOAP([ways[1]], LR, (0.95, 0.99), 0.99, 1e-8, 0.0, 25, 1024)
    for w, soap in zip(ways, (SOAP([ways[0]], LR), given), strict=True):
        torch.manual_seed(0)
        for _ in range(60):
            w.grad = torch.randn(3, 4)
            soap.step()
    assert torch.equal(ways[0], ways[1])


def test_parameters_of_one_shape_go_the_way_that_each_goes_alone() -> None:
    alone = [nn.Parameter(torch.randn(3, 4)) for _ in range(2)]
    together, stacked = copy.deepcopy(alone), nn.Parameter(torch.stack([p.detach() for p in alone]))
    for p in alone:
        train([p], optimiser([p]), torch.ones(3), 7)
    train(together, optimiser(together), torch.ones(3), 7)
    train([stacked], optimiser([stacked]), torch.ones(3), 7)
    for k, p in enumerate(alone):
        torch.testing.assert_close(together[k], p, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(stacked[k], p, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 0), (4,), (2, 3, 4)], ids=str)
def test_any_shape(shape: tuple[int, ...]) -> None:
    w = nn.Parameter(torch.randn(shape))
    soap = SOAP([w], lr=0.02, precondition_frequency=2)
    start = float((w - 1).square().sum().detach())
    for _ in range(300):
        soap.zero_grad()
        (w - 1).square().sum().backward()
        soap.step()
    assert float((w - 1).square().sum().detach()) <= 0.1 * start


def test_a_long_side_keeps_its_coordinates() -> None:
    w = nn.Parameter(torch.randn(3, 9))
    soap = SOAP([w], max_precond_dim=8)
    train([w], soap, torch.ones(3), 2)
    assert "left_basis" in soap.state[w]
    assert "right_basis" not in soap.state[w]


def test_a_resumed_optimiser_goes_on_to_the_very_same_weights() -> None:
    straight = [nn.Parameter(torch.randn(3, 4)) for _ in range(2)]
    halted, first = copy.deepcopy(straight), optimiser(straight)
    train(straight, first, torch.ones(3), 10)
    before = optimiser(halted)
    train(halted, before, torch.ones(3), 5)
    after = optimiser(halted)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    train(halted, after, torch.ones(3), 5)
    assert all(torch.equal(a, b) for a, b in zip(straight, halted, strict=True))


def test_an_ill_conditioned_regression_is_solved_where_adam_is_not() -> None:
    turn = torch.linalg.qr(torch.randn(12, 12))[0]
    x = torch.randn(200, 12) @ torch.diag(10 ** torch.linspace(0, -2, 12)) @ turn
    y = x @ torch.randn(12, 3)

    def loss_after(method: type[torch.optim.Optimizer]) -> float:
        w = nn.Parameter(torch.zeros(3, 12))
        optimizer = method([w], lr=0.02)  # type: ignore[call-arg]
        for _ in range(300):
            optimizer.zero_grad()
            loss = (x @ w.T - y).square().mean()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    assert loss_after(SOAP) < 0.2 * loss_after(torch.optim.Adam)


@pytest.mark.parametrize(
    "wrong", [{"lr": 0.0}, {"betas": (1.0, 0.9)}, {"shampoo_beta": -0.1}, {"precondition_frequency": 0}], ids=str
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        SOAP([nn.Parameter(torch.ones(2, 2))], **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", OPTIMIZERS)
@pytest.mark.parametrize("descriptor", [ace, acsf])
def test_only_the_networks_decay(method: str, descriptor: Callable[[], Descriptor]) -> None:
    potential = network_potential(descriptor())
    before = {name: p.detach().clone() for name, p in potential.named_parameters()}
    for p in potential.parameters():
        p.grad = torch.zeros_like(p)
    optimizer_of(method, potential.parameter_groups(), lr=0.1, weight_decay=0.5).step()
    for name, p in potential.named_parameters():
        torch.testing.assert_close(p.detach(), before[name] * (0.95 if name.startswith("networks.") else 1.0))

"""Constants are the numbers they are made of, made once for each dtype and device, whoever asks first."""

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from nnpot.functional.constants import constant, indices, numbers

DTYPES = (torch.float32, torch.float64)


@pytest.fixture
def squares() -> object:
    """A maker that counts its calls; another one in each test, so that nothing is known of it."""

    def make(n: int) -> np.ndarray:
        make.calls += 1  # type: ignore[attr-defined]
        return np.arange(n) ** 2 / 3

    make.calls = 0  # type: ignore[attr-defined]
    return make


@pytest.mark.parametrize("dtype", DTYPES)
def test_they_are_the_numbers_in_the_dtype_of_another(squares, dtype) -> None:
    x = constant(squares, 4, like=torch.zeros(2, dtype=dtype))
    assert x.dtype == dtype
    assert x.tolist() == torch.tensor([0, 1 / 3, 4 / 3, 3], dtype=dtype).tolist()


def test_they_are_made_once_for_each_dtype(squares) -> None:
    like = [torch.zeros(1, dtype=dtype) for dtype in DTYPES]
    first, second = ([constant(squares, 3, like=x) for x in like] for _ in range(2))
    assert all(a is b for a, b in zip(first, second, strict=True))
    assert squares.calls == 2
    assert len(constant(squares, 5, like=like[0])) == 5


def test_rows_of_numbers_and_indices() -> None:
    like = torch.zeros(1, dtype=torch.float32)
    assert numbers(((1.0, 2.0), (3.0, 4.0)), like).tolist() == [[1, 2], [3, 4]]
    assert numbers((0.1,), like, torch.float64).item() == 0.1
    assert indices((2, 0), like).dtype == torch.int64
    assert numbers((), like).shape == (0,)


def test_what_is_made_while_a_graph_is_recorded_is_a_tensor(squares) -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return x * constant(squares, 3, like=x)

    graph = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(torch.ones(2, 3))
    for f in (graph, function):
        assert f(torch.ones(4, 3)).tolist() == 4 * [[0.0, pytest.approx(1 / 3), pytest.approx(4 / 3)]]
    assert type(constant(squares, 3, like=torch.ones(1))) is torch.Tensor


def test_what_is_made_in_inference_mode_can_be_differentiated_through(squares) -> None:
    with torch.inference_mode():
        constant(squares, 3, like=torch.ones(1))
    x = torch.ones(3, requires_grad=True)
    (x * constant(squares, 3, like=x)).sum().backward()
    assert x.grad.tolist() == constant(squares, 3, like=x).tolist()

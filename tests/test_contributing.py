"""The recipes of CONTRIBUTING.md, as they stand there."""

import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from proofs import compare_forces_with_differences, compare_parameter_gradient_with_differences, labelled
from systems import CUTOFF, ELEMENTS, network_potential, structure
from test_architecture import LAYERS

from nnpot.descriptors import Descriptor
from nnpot.neighbors import single_batch
from nnpot.training import loss, schedules
from nnpot.training.options import LossOptions, OptimizerOptions

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def recipe(name: str, beside: ModuleType | None = None) -> ModuleType:
    """The module that a block of code makes, in which a name is defined; names of another module are known to it."""
    (code,) = [block for block in BLOCKS if f" {name}(" in block]
    made = ModuleType("contributed")
    made.__dict__.update(vars(beside) if beside else {}, __name__="contributed")
    exec(compile(code, name, "exec"), made.__dict__)
    return made


@pytest.fixture(scope="module")
def descriptor() -> Descriptor:
    made: Descriptor = recipe("ChebyshevPairs").ChebyshevPairs(CUTOFF, ELEMENTS, n_max=4)
    return made


@pytest.mark.parametrize("system", ["water", "triclinic"])
def test_the_descriptor_trains_on_forces(descriptor: Descriptor, system: str) -> None:
    potential = network_potential(descriptor)
    compare_forces_with_differences(potential, structure(system))
    batch = single_batch(labelled(structure(system)), potential.cutoff)
    compare_parameter_gradient_with_differences(potential, batch, w_e=0.7, w_f=1.3)


def test_chebyshev_polynomials_are_cosines_of_multiples() -> None:
    angle = torch.linspace(0.1, 3.0, 7, dtype=torch.float64)
    values = recipe("ChebyshevPairs").chebyshev(angle.cos(), 5)
    torch.testing.assert_close(values, torch.stack([(n * angle).cos() for n in range(5)], dim=1))


def test_the_loss_is_a_square_and_then_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    log_cosh = recipe("log_cosh", loss).log_cosh
    x = torch.tensor([1e-3, -20.0], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(log_cosh(x, 0.5)[0], x[0] ** 2, rtol=1e-5, atol=0.0)
    torch.testing.assert_close(torch.autograd.grad(log_cosh(x, 0.5).sum(), x)[0][1].item(), -1.0)
    monkeypatch.setitem(loss.LOSSES, "log_cosh", log_cosh)
    assert LossOptions(function="log_cosh", scale=0.5).function == "log_cosh"


def test_the_schedule_falls_linearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schedules.SCHEDULES, "linear", recipe("Linear", schedules).Linear)
    schedule = OptimizerOptions(schedule="linear", warm_up=0.1, final_lr=0.01).schedule_of(LossOptions(), 100)
    assert [schedule.rate(t) for t in (5, 10, 55, 100)] == pytest.approx([0.5, 1.0, 0.505, 0.01])


def test_the_page_has_every_layer_and_its_parts() -> None:
    rows = re.findall(r"^\| (\d) \| (.*) \|$", PAGE, re.MULTILINE)
    parts = {int(n): re.findall(r"`(\w+)(?:\.py|/)`", row) for n, row in rows}
    assert {n: sorted(names) for n, names in parts.items()} == {n: sorted(names) for n, names in enumerate(LAYERS)}

"""The simulated device itself: it notices what a GPU would refuse, wait for or be told."""

import copy
import io
from collections.abc import Callable

import device
import pytest
import torch
from torch import Tensor


def there() -> Tensor:
    return torch.arange(12.0).view(3, 4).to(device.NAME)


def test_operands_of_two_devices_are_refused() -> None:
    with pytest.raises(device.MixedDevicesError):
        there() + torch.ones(4)
    assert (there() + torch.tensor(1.0)).device.type == device.NAME  # a number may come along


def test_the_host_cannot_read_its_memory() -> None:
    with pytest.raises(TypeError, match="numpy"):
        there().numpy()
    with pytest.raises(RuntimeError, match="memory"):
        there().data_ptr()


WAITS: dict[str, Callable[[Tensor], object]] = {
    "a number": lambda x: float(x.sum()),
    "a truth": lambda x: bool((x > 0).any()),
    "a list": lambda x: x.tolist(),
    "a copy": lambda x: x.cpu(),
    "positions": lambda x: torch.nonzero(x),
    "an index by a mask": lambda x: x[x > 3],
    "counts": lambda x: torch.bincount(x.long().flatten()),
}
UPLOADS: dict[str, Callable[[Tensor], object]] = {
    "a list": lambda x: torch.tensor([1, 2], device=x.device),
    "a new tensor": lambda x: x.new_tensor([1.0, 2.0]),
    "an index by a list": lambda x: x[:, [0, 2]],
    "an index of the host": lambda x: x[torch.tensor([0, 2])],
    "a tensor": lambda x: torch.ones(3).to(x.device),
    "a copy": lambda x: x[0].copy_(torch.ones(4)),
}
NEITHER: dict[str, Callable[[Tensor], object]] = {
    "sum": lambda x: x.sum(),
    "a constant tensor": lambda x: torch.full((3,), 2.0, device=x.device),
    "an index of the device": lambda x: x.index_select(0, torch.zeros(2, dtype=torch.int64, device=x.device)),
    "a number": lambda x: 2 * x,
}


@pytest.mark.parametrize(
    ("what", "waits", "uploads"),
    [(w, 1, 0) for w in WAITS.values()] + [(u, 0, 1) for u in UPLOADS.values()] + [(n, 0, 0) for n in NEITHER.values()],
    ids=[*(f"wait for {name}" for name in WAITS), *(f"upload of {name}" for name in UPLOADS), *NEITHER],
)
def test_waits_and_uploads_are_counted(what: Callable[[Tensor], object], waits: int, uploads: int) -> None:
    x = there()
    with device.recorded() as record:
        what(x)
    assert (len(record.waits), len(record.uploads)) == (waits, uploads), record


def test_launches_are_counted_but_not_views() -> None:
    x = there()
    with device.recorded() as record:
        (x.T[1:] * 2).sum()
    assert record.launches == 2


def test_it_says_which_line_of_nnpot_asked() -> None:
    from nnpot.neighbors import table_slots

    with device.recorded() as record:
        table_slots(torch.zeros(3, dtype=torch.int64, device=device.NAME), 2)
    assert all(" at neighbors.py:" in wait for wait in record.waits)


def test_zeros_of_autograd_have_memory() -> None:
    x = there().requires_grad_()
    (slope,) = torch.autograd.grad(x.abs().square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), x)  # its part that comes from the sign of x is zero
    assert second.cpu().flatten().tolist() == [0, *[2] * 11]  # |x| has the slope 0 at 0


def test_derivatives_copies_and_files_stay_there() -> None:
    x = there().requires_grad_()
    (slope,) = torch.autograd.grad((x * x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    buffer = io.BytesIO()
    torch.save(torch.nn.Parameter(x.detach()), buffer)
    buffer.seek(0)
    for y in (curvature, copy.deepcopy(x), torch.load(buffer, weights_only=True)):
        assert y.device.type == device.NAME
    assert curvature.cpu().eq(2).all()

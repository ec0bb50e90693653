"""A second device, simulated: its tensors say `sim:0`, lie on the CPU, and obey the rules of a GPU.

Operators refuse operands of two devices, as those of CUDA do.  Counted are, with the line of nnpot that asked: kernels
that a GPU would launch, waits for it (whatever tells the host a number: `bool`, `.item()`, `nonzero`, `.cpu()`), and
uploads (whatever the host tells it: `torch.tensor(list)`, `.to`).

A process that has imported this module has the device for good, so tests of it run in a process of their own.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.accelerators import Accelerator, AcceleratorRegistry
from pytorch_lightning.strategies import SingleDeviceStrategy, StrategyRegistry
from torch import Tensor
from torch.jit._builtins import _register_builtin
from torch.utils import backend_registration
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

import nnpot

NAME = "sim"
PACKAGE = f"{Path(nnpot.__file__).parent}/"

WITHOUT_KERNEL = {
    *("view", "_unsafe_view", "reshape", "_reshape_alias", "expand", "transpose", "t", "permute", "unsqueeze"),
    *("squeeze", "select", "slice", "split", "split_with_sizes", "unbind", "detach", "alias", "as_strided", "diagonal"),
    *("unfold", "lift_fresh", "empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided", "set_"),
    *("resize_", "is_same_size", "_local_scalar_dense", "is_nonzero", "equal", "_efficientzerotensor"),
}
"""Operators of shapes and memory alone, and those that only read a number."""
WAITS = {
    *("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "_unique2", "unique_consecutive"),
    *("bincount", "_linalg_eigh", "linalg_cholesky_ex", "linalg_lstsq"),
}
"""Operators that give a size or check a success, for which CUDA waits."""
LAUNCHES = {
    **{"sort": 6, "argsort": 6, "bincount": 8, "nonzero": 5, "index_put": 4, "index_put_": 4, "_index_put_impl_": 4},
    **{"linalg_qr": 40, "_linalg_eigh": 60, "_linalg_det": 8},
}
"""Roughly, of operators that are not one kernel."""
COPIES = {"copy_", "_to_copy", "set_data"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


class MixedDevicesError(RuntimeError):
    """An operator was given tensors of two devices."""


@dataclass(eq=False)
class Record:
    """What was asked of the device: each wait and upload as what, and where; launches by where."""

    waits: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    launches_at: Counter[str] = field(default_factory=Counter)

    @property
    def launches(self) -> int:
        return self.launches_at.total()


_records: list[Record] = []


@contextmanager
def recorded() -> Iterator[Record]:
    """Record what is asked of the device inside of the block."""
    record = Record()
    _records.append(record)
    try:
        yield record
    finally:
        _records.remove(record)


def line_of_nnpot() -> str:
    """Return the innermost line of nnpot that is being executed, else that of whoever called PyTorch."""
    frame, outside = sys._getframe(1), "?"
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(PACKAGE):
            return f"{path.removeprefix(PACKAGE)}:{frame.f_lineno}"
        if outside == "?" and path != __file__ and "/torch/" not in path:
            outside = f"{path.rpartition('/')[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return outside


def _note(kind: str, what: str) -> None:
    for record in _records:
        getattr(record, kind).append(f"{what} at {line_of_nnpot()}")


class SimulatedTensor(Tensor):
    """A tensor of the device; `raw` is the one of the CPU that holds its numbers."""

    raw: Tensor

    @staticmethod
    def __new__(cls, raw: Tensor) -> "SimulatedTensor":
        layout = {"strides": raw.stride(), "storage_offset": raw.storage_offset(), "dtype": raw.dtype}
        made = Tensor._make_wrapper_subclass(cls, raw.size(), **layout, device=torch.device(NAME, 0))
        made.raw = raw
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _calculated(operator, args, kwargs or {})

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"SimulatedTensor({self.raw!r})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        _note("waits", "pickle")
        return _restored, (self.raw.detach().clone(), self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copied = SimulatedTensor(self.raw.detach().clone())
            is_parameter = isinstance(self, torch.nn.Parameter)
            memo[id(self)] = torch.nn.Parameter(copied) if is_parameter else copied
            memo[id(self)].requires_grad_(self.requires_grad)
        return memo[id(self)]

    def __getitem__(self, index: Any) -> Tensor:
        return Tensor.__getitem__(self, _uploaded(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        Tensor.__setitem__(self, _uploaded(index), value)

    def new_tensor(self, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)

    def tolist(self) -> Any:
        _note("waits", "tolist")
        return self.raw.tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert sim:0 device type tensor to numpy. Use Tensor.cpu() first")

    def data_ptr(self) -> int:
        raise RuntimeError("the memory of the simulated device cannot be read by the host")


def _restored(raw: Tensor, requires_grad: bool) -> Tensor:
    return SimulatedTensor(raw).requires_grad_(requires_grad)


def _uploaded(index: Any) -> Any:
    """A list as an index becomes a tensor of the host and goes to the device, at every call."""
    parts = index if isinstance(index, tuple) else (index,)
    return tuple(torch.tensor(p, device=NAME) if isinstance(p, (list, tuple, range)) else p for p in parts)


def _calculated(operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What an operator makes of tensors of the device, or makes there."""
    name = operator.overloadpacket.__name__
    given = tree_leaves((args, kwargs))
    if name == "is_pinned":
        return False
    _check_devices(name, given)
    to_host = kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cpu"
    _note_traffic(name, args, to_host=to_host)
    raw_args, raw_kwargs = tree_map(_raw, (args, kwargs))
    with _disable_current_modes():
        result = operator(*raw_args, **raw_kwargs)
    if name == "copy_" and not isinstance(args[0], SimulatedTensor):
        return args[0]
    if to_host:
        return result
    _count(name, [x for x in tree_leaves(result) if isinstance(x, Tensor)])
    in_place = {id(t.raw): t for t in given if isinstance(t, SimulatedTensor)}

    def of_device(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return in_place[id(x)] if id(x) in in_place else SimulatedTensor(_with_memory(x))

    return tree_map(of_device, result)


def _with_memory(x: Tensor) -> Tensor:
    """Autograd's zeros (of the second derivative of |x|) have no memory, which no operator sees behind the wrapper."""
    return torch.zeros(x.shape, dtype=x.dtype) if x._is_zerotensor() else x


def _raw(x: Any) -> Any:
    if isinstance(x, SimulatedTensor):
        return x.raw
    return torch.device("cpu") if isinstance(x, torch.device) and x.type == NAME else x


def _check_devices(name: str, given: list[Any]) -> None:
    of_device = [t for t in given if isinstance(t, SimulatedTensor)]
    of_host = [t for t in given if isinstance(t, Tensor) and not isinstance(t, SimulatedTensor)]
    if not of_device or not of_host or name in COPIES or all(t.ndim == 0 for t in of_host):
        return  # numbers of the host go along as arguments of the kernel
    if name in INDEXING and isinstance(given[0], SimulatedTensor):
        _note("uploads", f"{name} by indices of the host")
        return
    raise MixedDevicesError(f"Expected all tensors to be on the same device, but found sim:0 and cpu! ({name})")


def _note_traffic(name: str, args: Any, *, to_host: bool) -> None:
    of_device = [isinstance(t, SimulatedTensor) for t in args[:2] if isinstance(t, Tensor)]
    if name == "copy_" and of_device[0] != of_device[1]:
        _note("waits" if of_device[1] else "uploads", f"copy_ {tuple(args[0].shape)}")
    elif name == "_to_copy" and of_device[0] == to_host:
        _note("waits" if to_host else "uploads", f"to {tuple(args[0].shape)}")
    elif name == "index" and any(isinstance(t, Tensor) and t.dtype == torch.bool for t in args[1]):
        _note("waits", "index by a mask")
    elif name in WAITS and any(of_device):
        _note("waits", name)


def _count(name: str, made: list[Tensor]) -> None:
    if not _records or name in WITHOUT_KERNEL or (made and all(t.numel() == 0 for t in made)):
        return
    line = line_of_nnpot()
    for record in _records:
        record.launches_at[line] += LAUNCHES.get(name, 1)


def _through_the_host(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`torch.tensor(list, device=…)` makes the tensor on the host and copies it."""

    def made(data: Any, *args: Any, device: Any = None, requires_grad: bool = False, **kwargs: Any) -> Tensor:
        if isinstance(data, SimulatedTensor):
            return data.to(device or data.device, *args, **kwargs)
        x = make(data, *args, **kwargs)
        return (x if device is None else x.to(device)).requires_grad_(requires_grad)

    return made


class _Backend:
    """What PyTorch asks of the Python module of a device."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None: ...

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.empty(0, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None: ...


class SimulatedAccelerator(Accelerator):
    """The device as Lightning's Trainer takes it: `accelerator="sim", strategy="sim"`."""

    def setup_device(self, device: torch.device) -> None: ...

    def teardown(self) -> None: ...

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {}

    @staticmethod
    def parse_devices(devices: Any) -> int:
        return 1

    @staticmethod
    def get_parallel_devices(devices: Any) -> list[torch.device]:
        return [torch.device(NAME, 0)]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return NAME


class SimulatedStrategy(SingleDeviceStrategy):
    """One process on the device."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "device": torch.device(NAME, 0)})


backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
_operators = torch.library.Library("_", "IMPL")
_operators.fallback(lambda operator, *args, **kwargs: _calculated(operator, args, kwargs), dispatch_key="PrivateUse1")
for _name in ("tensor", "as_tensor"):
    setattr(torch, _name, _through_the_host(getattr(torch, _name)))
    _register_builtin(getattr(torch, _name), f"aten::{_name}")  # for TorchScript, which would compile the function
torch.serialization.add_safe_globals([_restored])
AcceleratorRegistry.register(NAME, SimulatedAccelerator, description="simulated device")
StrategyRegistry.register(NAME, SimulatedStrategy, description="simulated device")

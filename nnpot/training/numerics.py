"""What the last bits of a training depend on beside its settings: elsewhere it goes on equal to rounding only."""

import platform
from collections.abc import Mapping

import pytorch_lightning as pl
import torch

from nnpot.native import how_compiled

Numerics = dict[str, str | int]
"""Names, as they are told, and values."""


def numerics_of(trainer: pl.Trainer) -> Numerics:
    """Return what the sums of a training are made by."""
    register, compiler = how_compiled()
    device = trainer.strategy.root_device
    return {
        "devices": trainer.world_size,
        "kind of device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "bytes of a register": register,
        "compiler": compiler,
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "PyTorch": str(torch.__version__),
    }


def difference(before: Mapping[str, str | int], now: Numerics) -> str:
    """Return a sentence on what is no longer as it was; empty if nothing is, or is not known."""
    changed = {name: value for name, value in now.items() if name in before and before[name] != value}
    if not changed:
        return ""
    told = ", ".join(f"{name} {value} instead of {before[name]}" for name, value in changed.items())
    if "devices" in changed:
        return f"{told}: from here on the steps hold other structures than those of a run without interruption"
    return f"{told}: from here on the run is equal to one without interruption to rounding only"

"""The ways in which PyTorch writes a module for other programs, none of which takes a potential: what they are told."""

import sys
from typing import Any

import torch
from torch import nn

EXPORTS = (
    "PyTorch cannot write a potential on its own, since its input is no fixed list of tensors; "
    "save it and write it by nnpot export MODEL OUT --to aot (or lammps, metatomic, n2p2)"
)


class NotForTorchExports(nn.Module):
    """A module that tells `torch.jit`, `torch.export` and `torch.onnx`, before these see any input, what writes it."""

    def __prepare_scriptable__(self) -> None:
        """Complain to `torch.jit.script`, which calls it before anything else."""
        raise TypeError(EXPORTS)

    @property
    def __jit_ignored_attributes__(self) -> list[str]:
        """Complain to `torch.jit.trace`, which looks at all attributes; to others it is not there."""
        if torch.jit._trace._trace_module_map is None:
            raise AttributeError("__jit_ignored_attributes__")
        raise TypeError(EXPORTS)

    def named_modules(self, *args: Any, **kwargs: Any) -> Any:
        """Return what every module does, but complain to `torch.export`, which asks for them before anything else."""
        recording = sys.modules.get("torch.export._trace")
        if getattr(recording, "_EXPORT_FLAGS", None) is not None:
            raise TypeError(EXPORTS)
        return super().named_modules(*args, **kwargs)

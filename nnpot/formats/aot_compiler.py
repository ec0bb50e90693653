"""How PyTorch compiles a package for a processor that need not be here."""

import shlex
from pathlib import Path
from typing import Any

import torch

from nnpot.machine import processor
from nnpot.machine.build import NATIVE


def settings_of_compiler(compiler: str, target: str, folder: Path) -> dict[str, Any]:
    """Return what has PyTorch compile for a processor: a setting, in older releases a compiler by another name.

    Args:
        compiler: The program.
        target: The processor, by the name that compilers have for it.
        folder: Where such a compiler may be written.
    """
    if target == NATIVE:
        return {"cpp.cxx": (None, compiler)}
    # with vectors of 64 bytes PyTorch also takes what else this processor has; with these it takes AVX2 alone
    width = {"cpp.simdlen": 256 if "avx2" in processor.instructions_of(compiler, target) else 1}
    if pytorch_takes_targets():
        return {"cpp.cxx": (None, compiler), "cpp.march": target, **width}
    return {"cpp.cxx": (None, str(compiler_for(compiler, target, folder / Path(compiler).name))), **width}


def pytorch_takes_targets() -> bool:
    """Whether PyTorch has a setting for it."""
    return hasattr(torch._inductor.config.cpp, "march")


def compiler_for(compiler: str, target: str, path: Path) -> Path:
    """Write a program that is the compiler, but takes the processor that is here for the target."""
    option = shlex.quote(f"-march={target}")
    path.write_text(
        f'#!/bin/sh\nfor a do shift; [ "$a" = -march={NATIVE} ] && a={option}; set -- "$@" "$a"; done\n'
        f'exec {shlex.quote(compiler)} "$@"\n'
    )
    path.chmod(0o755)
    return path

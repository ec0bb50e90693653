"""The processor that is here, and what compiled code asks of one.

Sets of instructions go by the names that Linux has for them in /proc/cpuinfo, here, in packages
(`nnpot/formats/aot.py`) and in the pair style of LAMMPS.  Other systems do not tell theirs, so that nothing can be
checked there.
"""

import os
import platform
import re
import subprocess
from collections.abc import Collection
from pathlib import Path

from nnpot.machine.build import NATIVE

CPUINFO = Path("/proc/cpuinfo")

_X86 = """
SSE3:pni SSSE3:ssse3 SSE4_1:sse4_1 SSE4_2:sse4_2 SSE4A:sse4a POPCNT:popcnt LZCNT:abm MOVBE:movbe BMI:bmi1 BMI2:bmi2
AVX:avx AVX2:avx2 F16C:f16c FMA:fma FMA4:fma4 XOP:xop TBM:tbm GFNI:gfni AVXVNNI:avx_vnni
AVX512F:avx512f AVX512CD:avx512cd AVX512DQ:avx512dq AVX512BW:avx512bw AVX512VL:avx512vl AVX512IFMA:avx512ifma
AVX512VBMI:avx512vbmi AVX512VBMI2:avx512_vbmi2 AVX512VNNI:avx512_vnni AVX512BITALG:avx512_bitalg
AVX512VPOPCNTDQ:avx512_vpopcntdq AVX512BF16:avx512_bf16 AVX512FP16:avx512_fp16
"""
_ARM = """
ATOMICS:atomics QRDMX:asimdrdm DOTPROD:asimddp FP16_VECTOR_ARITHMETIC:asimdhp FP16_FML:asimdfhm BF16:bf16
MATMUL_INT8:i8mm SVE:sve SVE2:sve2 RCPC:lrcpc JCVT:jscvt COMPLEX:fcma FRINT:frint SHA3:sha3
"""
SETS = dict(entry.split(":") for entry in [*_X86.split(), *(f"ARM_FEATURE_{entry}" for entry in _ARM.split())])
"""Sets that compilers use by themselves: the macro that says so, and Linux's name.  Every x86-64 processor has SSE2."""


def name() -> str:
    """Return the name of the processor, or at least of its kind."""
    return _entry("model name") or platform.processor() or platform.machine()


def instructions() -> frozenset[str]:
    """Return the sets of instructions that the processor and its system offer; none where the system does not tell."""
    return frozenset((_entry("flags") or _entry("Features")).split())


def instructions_of(compiler: str, target: str) -> frozenset[str]:
    """Return the sets of instructions that a compiler uses for a processor.

    Args:
        compiler: The program.
        target: What it calls the processor, as its option `-march` takes it.

    Raises:
        ValueError: If it knows no such processor.
    """
    command = [compiler, f"-march={target}", "-dM", "-E", "-x", "c++", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 and target == NATIVE:
        return instructions() & frozenset(SETS.values())
    if done.returncode != 0:
        raise ValueError(
            f"{compiler} knows no processor {target!r}; one with AVX2 is x86-64-v3, with AVX-512 x86-64-v4"
        )
    macros = re.findall(r"^#define __([A-Z][A-Z0-9_]*?)(?:__)? [1-9]", done.stdout, re.MULTILINE)
    return frozenset(SETS[macro] for macro in macros if macro in SETS)


def lacking(needed: Collection[str]) -> list[str]:
    """Return which of some sets of instructions this processor has not; none where the system does not tell."""
    there = instructions()
    return sorted(set(needed) - there) if there else []


def register(used: Collection[str]) -> int:
    """Return the bytes of the widest vector register that some sets of instructions have."""
    return 64 if "avx512f" in used else 32 if "avx" in used else 16


def _entry(key: str) -> str:
    """What the first core has to say about something."""
    text = CPUINFO.read_text(encoding="utf-8") if CPUINFO.is_file() else ""
    found = re.search(rf"^{key}\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""

"""What processors have, and what compiled code needs of them."""

import shutil
from pathlib import Path

import pytest

from nnpot.machine import processor
from nnpot.machine.build import NATIVE

OLDER = """\
processor\t: 0
model name\t: Example CPU @ 2.60GHz
flags\t\t: fpu sse2 pni ssse3 fma sse4_1 sse4_2 movbe popcnt avx f16c abm bmi1 avx2 bmi2
vmx flags\t: avx512f

processor\t: 1
flags\t\t: fpu avx512f
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd atomics asimddp\nCPU part\t: 0xd0c\n"

each_compiler = pytest.mark.parametrize(
    "compiler",
    [pytest.param(c, marks=pytest.mark.skipif(shutil.which(c) is None, reason=f"no {c}")) for c in ("g++", "clang++")],
)


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("nnpot.machine.processor.CPUINFO", tmp_path / "cpuinfo")
    return tmp_path / "cpuinfo"


def test_what_a_processor_has_not(cpuinfo: Path) -> None:
    cpuinfo.write_text(OLDER)
    assert processor.lacking(["avx2", "avx512vl", "fma", "avx512f"]) == ["avx512f", "avx512vl"]
    assert processor.lacking(["avx2", "fma"]) == []
    assert processor.name() == "Example CPU @ 2.60GHz"


def test_processors_of_arm(cpuinfo: Path) -> None:
    cpuinfo.write_text(ARM)
    assert processor.lacking(["atomics", "sve"]) == ["sve"]
    assert processor.name() != ""


def test_a_system_that_does_not_tell(cpuinfo: Path) -> None:
    assert processor.instructions() == frozenset()
    assert processor.lacking(["avx512f"]) == []
    assert processor.name() != ""


@each_compiler
def test_what_code_needs(compiler: str, cpuinfo: Path) -> None:
    cpuinfo.write_text(OLDER)
    assert processor.lacking(processor.instructions_of(compiler, "x86-64-v3")) == []
    assert "avx512vl" in processor.lacking(processor.instructions_of(compiler, "x86-64-v4"))
    widths = [processor.register(processor.instructions_of(compiler, f"x86-64{level}")) for level in ("", "-v3", "-v4")]
    assert widths == [16, 32, 64]


@each_compiler
def test_code_for_this_processor_runs_on_it(compiler: str) -> None:
    assert processor.lacking(processor.instructions_of(compiler, NATIVE)) == []


def test_a_compiler_that_does_not_know_this_processor(cpuinfo: Path, tmp_path: Path) -> None:
    """Whatever it uses is there."""
    cpuinfo.write_text(ARM)
    compiler = tmp_path / "compiler"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    assert processor.instructions_of(str(compiler), NATIVE) == {"atomics", "asimddp"}


@each_compiler
def test_processors_that_nobody_knows(compiler: str) -> None:
    with pytest.raises(ValueError, match=f"{compiler[:3]}.* knows no processor 'moon'; one with AVX2 is x86-64-v3"):
        processor.instructions_of(compiler, "moon")


def test_sets_of_instructions_of_arm(tmp_path: Path) -> None:
    compiler = tmp_path / "compiler"
    lines = ["__ARM_FEATURE_SVE 1", "__ARM_FEATURE_DOTPROD 1", "__ARM_FEATURE_SVE_BITS 0", "__ARM_ARCH 8", "__SSE2__ 1"]
    compiler.write_text("#!/bin/sh\n" + "".join(f"echo '#define {line}'\n" for line in lines))
    compiler.chmod(0o755)
    assert processor.instructions_of(str(compiler), "neoverse-v1") == {"sve", "asimddp"}

"""What a report of a fault or of a slow run needs to know: versions, processor, kernels, threads, GPU, speed."""

import importlib
import importlib.metadata
import os
import platform
import subprocess
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk

from nnpot.analysis.speed import step_time
from nnpot.calculator import NNPotCalculator
from nnpot.descriptors import ACE
from nnpot.machine import processor
from nnpot.machine.build import complaint, find_compiler
from nnpot.machine.threads import Cores, cores
from nnpot.native import are_compiled, library
from nnpot.native.registry import without_kernels
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.structure import Structure

Speeds = dict[str, float]
"""µs per atom of `kernels`, where there are any, and of `tensors`."""

PACKAGES = {"PyTorch": "torch", "NumPy": "numpy", "ASE": "ase", "Lightning": "pytorch-lightning"}
TELLING = ("avx", "avx2", "fma", "avx512f", "avx512vl", "avx512_bf16", "asimd", "sve", "sve2", "bf16")
"""Instruction sets that matter for speed."""
DTYPES = (torch.float32, torch.float64)
SECONDS = 0.6
"""Time in seconds for which each way to calculate is measured."""


def facts() -> tuple[dict[str, str], list[str]]:
    """Gather everything, which takes some two seconds, and longer where kernels are to be compiled first.

    Returns:
        Rows by name, and sentences on what could be better.
    """
    allowed, measured = cores(), dict[str, float]()
    speed = ""
    try:
        measured = speeds()
    except Exception as error:  # of any kind: that is what is to be reported then
        speed = f"not measured: {complaint(error)}"
    rows = {
        **_versions(),
        **_processor(),
        **_kernels(),
        **_threads(allowed),
        "GPU": _gpu(),
        "speed": speed or _speed(measured),
    }
    said = remarks(measured, allowed, torch.get_num_threads(), _load())
    return {name: tilde(row) for name, row in rows.items()}, said


def remarks(measured: Speeds, allowed: Cores, n_threads: int, load: float = 0.0) -> list[str]:
    """Return sentences on what could be better.

    Args:
        measured: What :func:`speeds` returns.
        allowed: Cores that may be used.
        n_threads: That PyTorch uses.
        load: How many programs want to run, on an average.
    """
    said = []
    if measured.get("kernels", 0.0) > measured.get("tensors", np.inf):
        said.append("kernels are slower than tensors here: NNPOT_NATIVE=off in the environment switches them off")
    if n_threads > allowed.allowed:
        n = allowed.allowed
        said.append(f"PyTorch uses {n_threads} threads where {n} cores are allowed: OMP_NUM_THREADS={n} is faster")
    if load > allowed.machine + n_threads:
        said.append(
            f"other programs keep the {allowed.machine} cores busy (load {load:.1f}): all takes longer than it would"
        )
    return said


def speeds(seconds: float = SECONDS) -> Speeds:
    """Time steps of MD of 256 atoms with the potential of configs/ace.yaml, random weights, float32.

    Args:
        seconds: For how long, with kernels and without.
    """
    atoms = bulk("Cu", "fcc", a=3.615, cubic=True).repeat(4)
    atoms.rattle(0.08, seed=0)
    potential = default_potential(atoms)
    ways: dict[str, AbstractContextManager[object]] = {"tensors": without_kernels()}
    if are_compiled(torch.float32, torch.device("cpu")):
        ways = {"kernels": nullcontext(), **ways}
    measured = {}
    for way, chosen in ways.items():
        with chosen:
            measured[way] = step_time(atoms.copy(), NNPotCalculator(potential, compile="off"), seconds)
    return measured


def default_potential(atoms: Atoms) -> NeuralNetworkPotential:
    """Return the potential of configs/ace.yaml with random weights for some atoms."""
    descriptor = ACE(
        5.0, channels="auto", n_radial=12, l_max=4, weighted_channels="auto", weighted_layers=3, weighted_units=64
    )
    example = Structure.from_ase(atoms)
    labelled = example.with_labels(energy=0.0, forces=torch.ones(len(example), 3))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NeuralNetworkPotential(descriptor, hidden=(64, 64), min_feature_scale=0.1).fitted([labelled])


def _versions() -> dict[str, str]:
    found = {name: _version(package) for name, package in PACKAGES.items()} | {"PyTorch": torch.__version__}
    return {
        "nnpot": importlib.import_module("nnpot").__version__,
        "Python": f"{platform.python_version()}, {platform.system()} {platform.release()}, {platform.machine()}",
        **found,
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> dict[str, str]:
    has = [name for name in TELLING if name in processor.instructions()]
    return {"processor": processor.name(), "instructions": " ".join(has) or "not told by this system"}


def _kernels() -> dict[str, str]:
    """The compiler, which kernels there are, and what became of their library."""
    compiler = find_compiler()
    rows = {"compiler": "none" if compiler is None else f"{compiler}: {_first_line(compiler, '--version')}"}
    for kind in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        there = [str(dtype).removeprefix("torch.") for dtype in DTYPES if are_compiled(dtype, torch.device(kind))]
        rows[f"kernels, {kind}"] = ", ".join(there) or "none: tensors calculate"
    return rows | {"library": library.state().sentence}


def _threads(allowed: Cores) -> dict[str, str]:
    limits = {"affinity": allowed.affinity, "cgroup": allowed.cgroup, "SLURM_CPUS_PER_TASK": allowed.slurm}
    said = [f"{name} {'sets none' if n is None else f'{n:g}'}" for name, n in limits.items()]
    return {
        "threads": f"{torch.get_num_threads()}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '(not set)')}",
        "cores": f"{allowed.machine} of the machine, {allowed.allowed} to be used ({', '.join(said)})",
    }


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _gpu() -> str:
    if not torch.cuda.is_available():
        return "none that PyTorch can use"
    properties = [torch.cuda.get_device_properties(k) for k in range(torch.cuda.device_count())]
    return "; ".join(f"{p.name}, {p.total_memory / 2**30:.0f} GiB" for p in properties)


def _speed(measured: Speeds) -> str:
    given = ", ".join(f"{way} {microseconds:.1f}" for way, microseconds in measured.items())
    return f"{given} µs/atom (MD of 256 Cu atoms, configs/ace.yaml, float32)"


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return complaint(error)
    return next(iter(done.stdout.splitlines()), "")


def tilde(text: str) -> str:
    """Write the user's home as `~`, which also hides the user's name."""
    home = str(Path("~").expanduser())
    return text.replace(home, "~") if len(home) > 1 else text

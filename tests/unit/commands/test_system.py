"""What `nnpot info --system` tells, on other systems too."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from ase.build import bulk

from nnpot.commands import system
from nnpot.descriptors import ACE
from nnpot.machine.threads import Cores
from nnpot.native import are_compiled, library, serves
from nnpot.network_potential import NeuralNetworkPotential

CPU = torch.device("cpu")
CONFIG = Path(__file__).parents[3] / "configs" / "ace.yaml"


@pytest.fixture
def _no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "speeds", lambda: {"tensors": 80.04})


@pytest.mark.usefixtures("_no_measurement")
def test_versions_processor_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(system, "cores", lambda: Cores(64, 16, 4.5, None))
    rows, _ = system.facts()
    assert rows["PyTorch"] == torch.__version__
    assert rows["Lightning"].startswith("2.")
    assert rows["threads"] == f"{torch.get_num_threads()}, OMP_NUM_THREADS=3"
    assert "64 of the machine, 5 to be used (affinity 16, cgroup 4.5, SLURM_CPUS_PER_TASK sets none)" in rows["cores"]
    assert rows["speed"].startswith("tensors 80.0 µs/atom")


@pytest.mark.usefixtures("_no_measurement")
@pytest.mark.parametrize("sentence", ["there is no C++ compiler (g++, clang++) here", "NNPOT_NATIVE=off switches off"])
def test_why_there_are_no_kernels(sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "state", lambda: library.State(None, sentence))
    monkeypatch.setattr(system, "find_compiler", lambda: None)
    rows, _ = system.facts()
    assert rows["kernels, cpu"] == "none: tensors calculate"
    assert rows["library"] == sentence
    assert rows["compiler"] == "none"


@pytest.mark.usefixtures("_no_measurement")
def test_kernels_of_one_precision_on_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = SimpleNamespace(name="Example GPU", total_memory=80 * 2**30)
    monkeypatch.setattr(system, "are_compiled", lambda dtype, device: (dtype, device.type) == (torch.float32, "cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)
    rows, _ = system.facts()
    assert rows["kernels, cpu"] == "none: tensors calculate"
    assert rows["kernels, cuda"] == "float32"
    assert rows["GPU"] == "Example GPU, 80 GiB; Example GPU, 80 GiB"


@pytest.mark.usefixtures("_no_measurement")
def test_the_home_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr(library, "state", lambda: library.State(None, "cannot write /home/somebody/.cache/nnpot"))
    rows, _ = system.facts()
    assert rows["library"] == "cannot write ~/.cache/nnpot"
    assert "somebody" not in "".join(rows.values())


def test_what_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> system.Speeds:
        raise RuntimeError("no room on the moon")

    monkeypatch.setattr(system, "speeds", broken)
    rows, remarks = system.facts()
    assert rows["speed"] == "not measured: no room on the moon"
    assert not any("NNPOT_NATIVE" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("speeds", "n_threads", "load", "wanted"),
    [
        ({"kernels": 13.0, "tensors": 58.0}, 4, 1.0, []),
        ({"kernels": 60.0, "tensors": 58.0}, 4, 1.0, ["NNPOT_NATIVE=off"]),
        ({"tensors": 58.0}, 4, 1.0, []),
        ({"kernels": 13.0, "tensors": 58.0}, 8, 1.0, ["8 threads where 4 cores are allowed: OMP_NUM_THREADS=4"]),
        ({"kernels": 60.0, "tensors": 58.0}, 5, 30.0, ["NNPOT_NATIVE=off", "OMP_NUM_THREADS=4", "load 30.0"]),
        ({}, 1, 17.1, ["load 17.1"]),
    ],
)
def test_remarks(speeds: system.Speeds, n_threads: int, load: float, wanted: list[str]) -> None:
    remarks = system.remarks(speeds, Cores(16, None, 4.0, None), n_threads, load)
    assert len(remarks) == len(wanted)
    assert all(part in remark for part, remark in zip(wanted, remarks, strict=True))


def test_the_potential_is_that_of_the_default_recipe() -> None:
    settings = yaml.safe_load(CONFIG.read_text())["potential"]
    descriptor = ACE(**settings.pop("descriptor")["init_args"])
    atoms = bulk("Cu")
    measured = system.default_potential(atoms)
    assert measured.elements == ("Cu",)
    given = measured.descriptor.arguments | {
        "elements": None,
        "channels": "auto",
        "weighted_channels": "auto",
        "cutoff": "auto",
    }
    assert given == descriptor.arguments | {"elements": None}
    assert measured.arguments["hidden"] == tuple(settings.pop("hidden"))
    assert {key: measured.arguments[key] for key in settings} == settings
    default = NeuralNetworkPotential(descriptor).arguments
    others = set(default) - set(settings) - {"hidden", "descriptor", "atomic_energies", "energy_scale"}
    assert {key: measured.arguments[key] for key in others} == {key: default[key] for key in others}


@pytest.mark.skipif(not are_compiled(torch.float32, CPU), reason="no C++ compiler")
def test_both_ways_to_calculate_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[bool] = []

    def one_step(*_: object) -> float:
        used.append(serves("density", torch.zeros(1)))
        return 1.0 + len(used)

    monkeypatch.setattr(system, "step_time", one_step)
    assert system.speeds() == {"kernels": 2.0, "tensors": 3.0}
    assert used == [True, False]
    assert serves("density", torch.zeros(1))


def test_the_time_of_a_step() -> None:
    measured = system.speeds(seconds=0.0)
    assert all(microseconds > 0 for microseconds in measured.values())


@pytest.mark.slow
def test_lightning_is_not_loaded() -> None:
    code = (
        "import sys; from nnpot.commands import system; system.speeds = dict; system.facts();"
        "print([name for name in sys.modules if 'lightning' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

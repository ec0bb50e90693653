"""On what machine a run is started, and what is said where there is no such one."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import tiny_config
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from runs import refusal

from nnpot.machine.signals import Request
from nnpot.machine.threads import Cores
from nnpot.training.checkpoint import Record
from nnpot.training.options import OptimizerOptions, TrainerOptions
from nnpot.training.processes import is_first, share_threads
from nnpot.training.resolve import Length
from nnpot.training.run import build_trainer
from nnpot.training.stop import Stop

SLURM = {
    **{"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "t", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"},
    **{"SLURM_NODELIST": "localhost", "SLURM_NTASKS": "4"},
}
LENGTH = Length(max_epochs=1, validate_every=1, is_compiled=False)

RECORD = Record(potential={}, baseline=None, settings={}, aside=(), structures=1, data="", length=LENGTH, command="")


def trainer(folder: Path, **options: Any) -> Any:
    return build_trainer(TrainerOptions(**options), OptimizerOptions(), folder, RECORD, Stop(Request()), validates=True)


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)


def environment(of: Any) -> Any:
    return of._accelerator_connector.cluster_environment


@pytest.mark.usefixtures("slurm")
def test_on_one_node_lightning_starts_the_processes_whatever_tasks_a_job_has(tmp_path: Path) -> None:
    made = trainer(tmp_path, accelerator="cpu", devices=1)
    assert isinstance(environment(made), LightningEnvironment)
    assert made.world_size == 1


@pytest.mark.usefixtures("slurm")
def test_on_several_nodes_slurm_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    made = trainer(tmp_path, accelerator="cpu", devices=2, num_nodes=2, strategy="ddp")
    assert isinstance(environment(made), SLURMEnvironment)
    assert made.world_size == 4


@pytest.mark.usefixtures("slurm")
def test_a_second_task_on_one_node_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.raises(ValueError, match="srun has started nnpot several times"):
        trainer(tmp_path, accelerator="cpu", devices=1)


@pytest.mark.usefixtures("slurm")
def test_it_is_told_so_before_the_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setattr("nnpot.training.data.read_labelled", lambda *_: pytest.fail("the data are read"))
    given = ["train", "--config", tiny_config(tmp_path), "--out", tmp_path / "o"]
    assert refusal(capsys, *given).startswith("nnpot: srun has started nnpot several times")
    assert not (tmp_path / "o").exists()


def test_mpi_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> bool:
        raise AssertionError("mpi4py ends the program where there is no MPI")

    monkeypatch.setattr("lightning_fabric.plugins.environments.mpi.MPIEnvironment.detect", staticmethod(asked))
    trainer(tmp_path, accelerator="cpu", devices=1)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"devices": -1, "accelerator": "cpu"}, "trainer.devices -1 means all GPUs, but there is none"),
        ({"devices": "-1", "accelerator": "cpu"}, "trainer.devices -1 means all GPUs, but there is none"),
        ({"devices": 0, "accelerator": "cpu"}, "the training cannot be set up"),
        ({"accelerator": "abacus"}, "the training cannot be set up: You selected an invalid accelerator name"),
        ({"strategy": "abacus"}, "the training cannot be set up: You selected an invalid strategy name"),
        ({"strategy": "fsdp", "accelerator": "cpu"}, "the training cannot be set up"),
    ],
    ids=str,
)
def test_a_machine_that_is_not_there_is_one_sentence(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as error:
        trainer(tmp_path, **options)
    assert "\n" not in str(error.value)


def test_variables_of_a_training_that_has_ended_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2", "MASTER_PORT": "9"}.items():
        monkeypatch.setenv(name, value)
    assert is_first(TrainerOptions(accelerator="cpu", devices=1))
    made = trainer(tmp_path, accelerator="cpu", devices=1)
    assert (made.global_rank, made.local_rank, made.world_size) == (0, 0, 1)
    assert not environment(made).creates_processes_externally


def test_a_torchrun_that_has_ended_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = socket.socket()
    gone.bind(("localhost", 0))
    port = gone.getsockname()[1]
    gone.close()
    variables = {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
    }
    for name, value in {**variables, "TORCHELASTIC_RUN_ID": "x", "TORCHELASTIC_USE_AGENT_STORE": "True"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"nothing answers at localhost:{port}") as error:
        trainer(tmp_path, accelerator="cpu", devices=2, strategy="ddp")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("variables", "options", "first"),
    [
        ({}, {}, True),
        ({"SLURM_PROCID": ""}, {"num_nodes": 2}, True),
        ({"SLURM_PROCID": "3"}, {}, True),  # one node: refused later
        ({"SLURM_PROCID": "3"}, {"num_nodes": 2}, False),
        ({"TORCHELASTIC_RUN_ID": "x", "RANK": "1"}, {}, False),
        ({"TORCHELASTIC_RUN_ID": "x", "RANK": "0"}, {}, True),
        ({"NNPOT_LAUNCHER": str(os.getppid()), "LOCAL_RANK": "1"}, {}, False),
        ({"NNPOT_LAUNCHER": "1", "LOCAL_RANK": "1"}, {}, True),  # of a training that has ended
    ],
)
def test_one_process_writes_the_files(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], options: dict[str, Any], first: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first(TrainerOptions(**options)) is first


@pytest.mark.parametrize(("allowed", "n", "threads"), [(4, 2, "2"), (1, 2, "1"), (4, 1, None)])
def test_processes_share_the_threads_that_are_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: int, n: int, threads: str | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # so that it is as before afterwards
    monkeypatch.delenv("OMP_NUM_THREADS")
    before = torch.get_num_threads()
    for module in ("nnpot.machine.threads", "nnpot.training.processes"):
        monkeypatch.setattr(f"{module}.cores", lambda: Cores(64, None, float(allowed), None))
    share_threads(n)
    torch.set_num_threads(before)
    assert os.environ.get("OMP_NUM_THREADS") == threads

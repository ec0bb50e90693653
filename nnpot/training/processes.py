"""Who starts the processes of a training, and which of them writes its files."""

import os
import socket

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.utilities import rank_zero_only

from nnpot.machine.signals import held
from nnpot.machine.threads import cores, keep_to_limits
from nnpot.training.options import TrainerOptions

LAUNCHER = "NNPOT_LAUNCHER"
"""Variable with the number of the process that starts the others of its node."""
OF_LAUNCHER = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "RANK", "GROUP_RANK")
"""Variables that a process gets from the one that has started it."""
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
SECONDS = 5.0
"""Time in seconds within which a launcher must answer."""


def environment_of(options: TrainerOptions) -> ClusterEnvironment | None:
    """Return who starts the processes: on one node Lightning, unless torchrun has; on several SLURM, or what it finds.

    Left to itself Lightning asks mpi4py, which ends the program where there is no MPI, and takes the number of tasks of
    a SLURM job for that of processes even if it was not srun that started them.

    Raises:
        ValueError: As `check_launcher` does.
    """
    check_launcher(options)
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if options.num_nodes == 1:
        _forget_launcher_that_is_gone()
        os.environ[LAUNCHER] = str(os.getpid())
        return _OneNode()
    return SLURMEnvironment(auto_requeue=False) if SLURMEnvironment.detect() else None


def check_launcher(options: TrainerOptions) -> None:
    """Look at who has started this process.

    Raises:
        ValueError: If srun has started several processes on one node, or variables are those of a torchrun that has
            ended.
    """
    if TorchElasticEnvironment.detect():
        _check_torchrun()
    elif options.num_nodes == 1 and os.environ.get("SLURM_PROCID", "0") not in ("", "0"):
        raise ValueError(
            "srun has started nnpot several times; on one node start it once (srun --ntasks=1): it starts the "
            "processes for trainer.devices itself"
        )


class _OneNode(LightningEnvironment):
    """Lightning starts the processes.

    What the first gives them holds signals back until they note them: one that is ended by a signal while it reads the
    data would have the first killed without a word.
    """

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Hold signals: Lightning calls this right before it starts the processes."""
        super().validate_settings(num_devices, num_nodes)
        held()

    def set_global_rank(self, rank: int) -> None:
        """Hold them no longer: Lightning calls this right after."""
        held(is_over=True)
        super().set_global_rank(rank)


def share_threads(n_processes: int) -> None:
    """Let processes that this one starts on its machine share the threads that make sense there.

    Lightning would give each of them its part of all cores, whatever limits there are.
    """
    if n_processes > 1 and "OMP_NUM_THREADS" not in os.environ:
        keep_to_limits(n_processes)
        os.environ["OMP_NUM_THREADS"] = str(max(1, cores().allowed // n_processes))


def is_first(options: TrainerOptions) -> bool:
    """Whether this process is the one of a training that writes its files, as far as variables tell."""
    ranks = list(RANKS) if TorchElasticEnvironment.detect() or options.num_nodes > 1 else []
    if options.num_nodes > 1:
        ranks.append("SLURM_PROCID")
    if is_child_of_launcher():
        ranks.append("LOCAL_RANK")
    return not any(os.environ.get(name, "0") not in ("", "0") for name in ranks)


def is_alone(options: TrainerOptions) -> bool:
    """Return whether a training is that of one process, as far as options and variables tell."""
    others = TorchElasticEnvironment.detect() or is_child_of_launcher() or options.num_nodes > 1
    return not others and str(options.devices) in ("auto", "1")


def is_child_of_launcher() -> bool:
    """Whether the first process of a training has started this one."""
    return os.environ.get(LAUNCHER) == str(os.getppid())


def _forget_launcher_that_is_gone() -> None:
    """Ignore variables of another training, in a shell that it has started: the process would wait for the others."""
    if is_child_of_launcher():
        return
    for name in OF_LAUNCHER:
        os.environ.pop(name, None)
    rank_zero_only.rank = 0  # type: ignore[attr-defined]


def _check_torchrun() -> None:
    """Ask whether the launcher is there, before hours are spent on waiting for it."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE", "").lower() != "true":
        return
    address, port = os.environ.get("MASTER_ADDR", "localhost"), os.environ.get("MASTER_PORT", "0")
    try:
        socket.create_connection((address, int(port)), timeout=SECONDS).close()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"variables say that torchrun has started this process, but nothing answers at {address}:{port}: in a "
            "shell that it has left behind, unset TORCHELASTIC_RUN_ID"
        ) from error

"""How many cores this process may use, by whoever limits them."""

import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Cores:
    """Cores of the machine, and what of them each that may limit them allows; None where it sets no limit.

    Attributes:
        machine: That the machine has.
        affinity: That the process is bound to, by `taskset` and many schedulers.
        cgroup: Processor time per time of the control group, by containers and many schedulers.
        slurm: `SLURM_CPUS_PER_TASK`.
    """

    machine: int
    affinity: int | None
    cgroup: float | None
    slurm: int | None

    @property
    def allowed(self) -> int:
        """How many threads make sense, at least one."""
        limits = (self.machine, self.affinity, self.cgroup, self.slurm)
        return max(1, math.ceil(min(limit for limit in limits if limit is not None)))


def cores() -> Cores:
    """Look up what is allowed here."""
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return Cores(
        machine=os.cpu_count() or 1,
        affinity=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        cgroup=cgroup_limit(),
        slurm=int(slurm) if slurm.isdecimal() else None,
    )


def keep_to_limits(n_processes: int = 1) -> None:
    """Let PyTorch calculate with no more threads than make sense here, unless `OMP_NUM_THREADS` says how many.

    By itself it counts the cores that the process is bound to, and knows nothing of control groups.

    Args:
        n_processes: Processes that share what is allowed.
    """
    torch = sys.modules.get("torch")
    if torch is not None and "OMP_NUM_THREADS" not in os.environ:
        most = max(1, cores().allowed // n_processes)
        if torch.get_num_threads() > most:
            torch.set_num_threads(most)


def cgroup_limit(root: Path = Path("/")) -> float | None:
    """Return how many cores the control groups of this process allow, of version 1 and 2; None without a limit.

    Args:
        root: Where `proc` and `sys` are.
    """
    membership = root / "proc/self/cgroup"
    lines = membership.read_text().splitlines() if membership.is_file() else []
    return min(
        (limit for line in lines for limit in _limits(root / "sys/fs/cgroup", *line.split(":", 2))), default=None
    )


def _limits(mounted: Path, _: str, controllers: str, path: str) -> Iterator[float]:
    """Limits of a group and of those that it is in."""
    if controllers and "cpu" not in controllers.split(","):
        return
    group = PurePosixPath(path)
    for part in (group, *group.parents):
        for hierarchy in (
            (mounted, mounted / "unified") if not controllers else (mounted / controllers, mounted / "cpu")
        ):
            folder = hierarchy / part.relative_to("/")
            quota = _numbers(folder / "cpu.max") or _numbers(folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
            if len(quota) == 2 and quota[0] > 0 and quota[1] > 0:
                yield quota[0] / quota[1]


def _numbers(*files: Path) -> list[int]:
    """Numbers in some files that are there; -1 and `max` say that there is no limit."""
    words = [word for file in files if file.is_file() for word in file.read_text().split()]
    return [-1 if word == "max" else int(word) for word in words]

"""How many cores a process may use, from the files and variables in which limits stand."""

import os
from pathlib import Path

import pytest
import torch

from nnpot.machine.threads import Cores, cgroup_limit, cores, keep_to_limits


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


V1 = "11:cpuset:/\n4:cpu,cpuacct:{path}\n3:memory:/elsewhere\n0::/"
CASES: dict[str, tuple[dict[str, str], float | None]] = {
    "no files": ({}, None),
    "version 2, a container": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
    "version 2, no limit": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
    "version 2, the group outside": (
        {
            "proc/self/cgroup": "0::/system.slice/job_7/step_0",
            "sys/fs/cgroup/system.slice/job_7/step_0/cpu.max": "max 100000",
            "sys/fs/cgroup/system.slice/job_7/cpu.max": "400000 100000",
            "sys/fs/cgroup/system.slice/cpu.max": "800000 100000",
        },
        4.0,
    ),
    "version 2, another job's": (
        {"proc/self/cgroup": "0::/job_7", "sys/fs/cgroup/job_8/cpu.max": "100000 100000"},
        None,
    ),
    "version 1": (
        {
            "proc/self/cgroup": V1.format(path="/docker/12ab"),
            "sys/fs/cgroup/cpu,cpuacct/docker/12ab/cpu.cfs_quota_us": "200000",
            "sys/fs/cgroup/cpu,cpuacct/docker/12ab/cpu.cfs_period_us": "100000",
        },
        2.0,
    ),
    "version 1, seen from inside of a container": (
        {
            "proc/self/cgroup": V1.format(path="/docker/12ab"),
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        0.5,
    ),
    "version 1, no limit": (
        {
            "proc/self/cgroup": V1.format(path="/"),
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        None,
    ),
    "versions 1 and 2": (
        {"proc/self/cgroup": V1.format(path="/"), "sys/fs/cgroup/unified/cpu.max": "300000 100000"},
        3.0,
    ),
    "something else": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": ""}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_control_groups(case: str, tmp_path: Path) -> None:
    files, wanted = CASES[case]
    assert cgroup_limit(write(tmp_path, files)) == wanted


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ((None, None, None), 64),
        ((16, None, None), 16),
        ((16, 4.5, None), 5),
        ((16, 4.5, 2), 2),
        ((None, 0.5, None), 1),
        ((128, None, None), 64),
    ],
)
def test_the_least_limit_counts(limits: tuple[int | None, float | None, int | None], wanted: int) -> None:
    assert Cores(64, *limits).allowed == wanted


def test_slurm_and_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    monkeypatch.setattr("nnpot.machine.threads.cgroup_limit", lambda: None)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for value, wanted in (("2", 2), ("", 3), ("many", 3)):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", value)
        assert cores().allowed == wanted
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS and Windows
    assert cores() == Cores(8, None, None, None)


@pytest.mark.parametrize(("allowed", "n_processes", "threads"), [(3, 1, 3), (3, 2, 1), (100, 1, 8), (1, 4, 1)])
def test_pytorch_takes_no_more_threads_than_are_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: int, n_processes: int, threads: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("nnpot.machine.threads.cores", lambda: Cores(allowed, None, None, None))
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        keep_to_limits(n_processes)
        assert torch.get_num_threads() == threads
        monkeypatch.setenv("OMP_NUM_THREADS", "8")
        torch.set_num_threads(8)
        keep_to_limits(n_processes)
        assert torch.get_num_threads() == 8
    finally:
        torch.set_num_threads(before)

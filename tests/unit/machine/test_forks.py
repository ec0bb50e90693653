"""A process made by fork calculates what its parent does, whatever threads the parent has used."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

FORKS = """
import logging, os, sys
from ase.build import bulk
from nnpot import ACE, NeuralNetworkPotential, NNPotCalculator
from nnpot.machine import forks
import torch

logging.basicConfig(format="said: %(message)s", stream=sys.stdout)
torch.manual_seed(0)
atoms = bulk("Cu", cubic=True).repeat(5)
atoms.rattle(0.05, seed=1)
atoms.calc = NNPotCalculator(NeuralNetworkPotential(ACE(3.6, ("Cu",), 2, 3, 2), hidden=(4,)), dtype="float64")
matrix = torch.rand(700, 700, dtype=torch.float64)

def calculate(who):
    atoms.calc.reset()
    energy, product = atoms.get_potential_energy(), float((matrix.sin() + matrix @ matrix).sum())
    print(who, torch.get_num_threads(), f"{energy:.8f} {product:.3f}", flush=True)

def fork(work):
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

def child():
    calculate("child")
    fork(lambda: calculate("grandchild"))
"""
FAMILY = "calculate('parent'); fork(child); fork(child); calculate('parent')"


def lines_of(work: str, threads: int = 2) -> list[str]:
    """What a process prints that does some work; one that hangs is killed."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", FORKS + work]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()


def test_children_of_a_process_with_threads_calculate_the_same_with_as_many() -> None:
    lines = [line.split() for line in lines_of(FAMILY)]
    assert [(who, threads) for who, threads, *_ in lines] == [
        (who, "2") for who in ("parent", "child", "grandchild", "child", "grandchild", "parent")
    ]
    assert len({tuple(results) for _, _, *results in lines}) == 1


@pytest.mark.slow
def test_where_threads_do_not_end_a_child_has_one_which_is_said_once() -> None:
    lines = lines_of("forks.threads_are_ended = lambda: False\n" + FAMILY)
    said = [line for line in lines if line.startswith("said:")]
    others = [line.split() for line in lines if line not in said]
    assert len(said) == 1
    assert "with one thread, not 2" in said[0]
    assert [(who, threads) for who, threads, *_ in others] == [
        ("parent", "2"),
        *2 * [("child", "1"), ("grandchild", "1")],
        ("parent", "2"),
    ]
    assert len({tuple(results) for _, _, *results in others}) == 1


@pytest.mark.slow
def test_a_process_of_one_thread_is_left_alone() -> None:
    lines = lines_of("forks.threads_are_ended = lambda: print('ended')\n" + FAMILY, threads=1)
    assert len(lines) == 6
    assert {line.split()[1] for line in lines} == {"1"}


def test_a_fork_without_pytorch_does_not_load_it() -> None:
    code = "import os, sys, nnpot; pid = os.fork(); pid and os.wait(); print('torch' in sys.modules, flush=True)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert done.stderr == ""

"""What `fork` does to threads: a child gets the one that called it, and GNU's OpenMP waits for the others for ever.

So OpenMP is asked to end its threads before a fork; parent and child start new ones when they need them.  Where it
cannot (GCC's library before its release 9), the child calculates with one thread, which is said once.  Nothing happens
unless PyTorch is loaded and has several threads.
"""

import ctypes
import logging
import os
import sys

log = logging.getLogger("nnpot")

HARD = 2
"""`omp_pause_hard` of OpenMP 5.0."""
SURVIVES = "__kmpc_fork_call"
"""A function that only LLVM's and Intel's OpenMP have, which sees to forks itself."""


class Forks:
    """Care for the threads of PyTorch at every fork of this process, and of its children."""

    def __init__(self) -> None:
        self.leaves_one_thread = False
        self.has_said_so = False

    def before(self) -> None:
        """End the threads that OpenMP has started for the thread which forks."""
        n_threads = _n_threads()
        self.leaves_one_thread = n_threads > 1 and not threads_are_ended()
        if self.leaves_one_thread and not self.has_said_so:
            self.has_said_so = True
            log.warning(
                "a process made by fork calculates with one thread, not %d: this OpenMP survives no fork with more; "
                'multiprocessing.set_start_method("spawn") keeps them',
                n_threads,
            )

    def after_in_child(self) -> None:
        """Keep to the one thread that is there."""
        if self.leaves_one_thread:
            sys.modules["torch"].set_num_threads(1)


def watch() -> None:
    """Care for threads from now on, where there are forks."""
    if hasattr(os, "register_at_fork"):
        forks = Forks()
        os.register_at_fork(before=forks.before, after_in_child=forks.after_in_child)


def threads_are_ended() -> bool:
    """End the threads of PyTorch's OpenMP, or leave them where a child can do without; False if neither is possible."""
    openmp = ctypes.CDLL(sys.modules["torch"]._C.__file__)  # and all libraries that it is linked to
    if hasattr(openmp, SURVIVES):
        return True
    return hasattr(openmp, "omp_pause_resource_all") and openmp.omp_pause_resource_all(HARD) == 0


def _n_threads() -> int:
    """How many threads PyTorch calculates with; 1 if it is not loaded."""
    return int(getattr(sys.modules.get("torch"), "get_num_threads", lambda: 1)())

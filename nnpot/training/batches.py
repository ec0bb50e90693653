"""Which structures make up a step of training."""

import itertools
from collections.abc import Iterator, Sequence, Sized
from typing import Literal

import torch
from torch.utils.data import DistributedSampler

LEAST_STEPS = 5
"""Steps of an epoch at least, where the largest structure leaves room for them: few data are learned better in
smaller batches."""


class BalancedBatches(DistributedSampler[list[int]]):
    """Batches of about equally many atoms, drawn anew in every epoch, each process its part.

    Structures in random order are laid end to end, and the line is cut into parts of equal length; a structure belongs
    to the part that its middle lies in.  So a step costs about the same time and memory whatever the structures are,
    and there are equally many steps in every epoch and process.  It is a distributed sampler of lists, not a sampler of
    batches, because Lightning leaves only the former as they are where several processes train.

    Args:
        sizes: Atoms of each structure.
        n_atoms: Atoms per batch, or those of the largest structure if it has more; fewer where there would be less than
            `LEAST_STEPS` batches.
        n_processes: Number of processes that train.
        rank: Number of this one.
        seed: The order is a function of seed and epoch, the same in all processes.

    Attributes:
        done: Batches that are left out when it is next gone through.

    Raises:
        ValueError: If there are no structures.
    """

    def __init__(self, sizes: Sequence[int], n_atoms: int, n_processes: int = 1, rank: int = 0, seed: int = 0) -> None:
        if not sizes:
            raise ValueError("there are no structures to make batches of")
        self.sizes = torch.tensor(sizes)
        total = int(self.sizes.sum())
        wanted = max(total // n_atoms, LEAST_STEPS)
        self.n_batches = max(1, min(wanted, total // max(sizes)) // n_processes)
        self.done = 0
        super().__init__(range(len(sizes)), n_processes, rank, shuffle=True, seed=seed)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        """Give the structures of every batch of this process, at least one each."""
        order = torch.randperm(len(self.sizes), generator=torch.Generator().manual_seed(self.seed + self.epoch))
        ends = self.sizes[order].cumsum(0)
        middles = ends.double() - 0.5 * self.sizes[order]
        n_parts = self.n_batches * self.num_replicas
        done, self.done = self.done, 0
        part = (middles / float(ends[-1]) * n_parts).long()
        for k in range(self.rank + done * self.num_replicas, n_parts, self.num_replicas):
            chosen = order[part == k].tolist()
            yield chosen or [int(order[k % len(order)])]  # more processes than structures

    def __len__(self) -> int:
        """Return the number of batches of this process in an epoch."""
        return self.n_batches


def steps_of_epoch(sizes: Sequence[int], batch_size: int | Literal["auto"], n_atoms: int) -> int:
    """Return how many steps an epoch has for one process alone.

    Args:
        sizes: Atoms of each structure.
        batch_size: Structures per step, or `auto` for balanced batches.
        n_atoms: Atoms of these.
    """
    return BalancedBatches(sizes, n_atoms).n_batches if batch_size == "auto" else -(-len(sizes) // batch_size)


class ShuffledStructures(DistributedSampler[int]):
    """Structures drawn anew in every epoch, each process its part, equally many: some are taken twice for that.

    Args:
        dataset: The structures.
        n_processes: Number of processes that train.
        rank: Number of this one.
        seed: The order is a function of seed and epoch, the same in all processes.

    Attributes:
        done: Structures that are left out when it is next gone through.
    """

    def __init__(self, dataset: Sized, n_processes: int = 1, rank: int = 0, seed: int = 0) -> None:
        super().__init__(dataset, n_processes, rank, shuffle=True, seed=seed)  # type: ignore[arg-type]
        self.done = 0

    def __iter__(self) -> Iterator[int]:
        """Give the structures of this process."""
        done, self.done = self.done, 0
        yield from itertools.islice(super().__iter__(), done, None)


class EachOnce(DistributedSampler[list[int]]):
    """Batches of structures in fixed order, each process its part, equally many of them: processes go in step.

    Every structure is taken once.  A process that has no more of them takes one again, which is not to be counted.

    Args:
        n_structures: Number of structures.
        n_per_batch: Structures in a batch.
        n_processes: Number of processes that validate.
        rank: Number of this one.

    Attributes:
        n_counted: Number of batches, the first ones, that are to be counted.
    """

    def __init__(self, n_structures: int, n_per_batch: int, n_processes: int = 1, rank: int = 0) -> None:
        super().__init__(range(n_structures), n_processes, rank, shuffle=False)  # type: ignore[arg-type]
        of_each = [range(k, n_structures, n_processes)[::n_per_batch] for k in range(n_processes)]
        self._starts, self._n_per_batch, self._n_batches = of_each[rank], n_per_batch, len(of_each[0])
        self.n_counted = len(self._starts)

    def __iter__(self) -> Iterator[list[int]]:
        """Give the batches of this process."""
        end = self._n_per_batch * self.num_replicas
        for start in self._starts:
            yield list(range(start, min(start + end, len(self.dataset)), self.num_replicas))  # type: ignore[arg-type]
        yield from [[0]] * (len(self) - self.n_counted)

    def __len__(self) -> int:
        """Return the number of batches of a process."""
        return self._n_batches

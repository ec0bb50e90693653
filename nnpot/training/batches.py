"""Which structures make up a step of training."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import DistributedSampler


class BalancedBatches(DistributedSampler[list[int]]):
    """Batches of about equally many atoms, drawn anew in every epoch, each process its part.

    Structures in random order are laid end to end, and the line is cut into parts of equal length; a structure belongs
    to the part that its middle lies in.  So a step costs about the same time and memory whatever the structures are,
    and there are equally many steps in every epoch and process.  It is a distributed sampler of lists, not a sampler of
    batches, because Lightning leaves only the former as they are where several processes train.

    Args:
        sizes: Atoms of each structure.
        n_atoms: Atoms per batch, or those of the largest structure if it has more.
        n_processes: Number of processes that train.
        rank: Number of this one.
        seed: The order is a function of seed and epoch, the same in all processes.

    Raises:
        ValueError: If there are no structures.
    """

    def __init__(self, sizes: Sequence[int], n_atoms: int, n_processes: int = 1, rank: int = 0, seed: int = 0) -> None:
        if not sizes:
            raise ValueError("there are no structures to make batches of")
        self.sizes = torch.tensor(sizes)
        self.n_batches = max(1, int(self.sizes.sum()) // (max(n_atoms, *sizes) * n_processes))
        super().__init__(range(len(sizes)), n_processes, rank, shuffle=True, seed=seed)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        """Give the structures of every batch of this process, at least one each."""
        order = torch.randperm(len(self.sizes), generator=torch.Generator().manual_seed(self.seed + self.epoch))
        ends = self.sizes[order].cumsum(0)
        middles = ends.double() - 0.5 * self.sizes[order]
        n_parts = self.n_batches * self.num_replicas
        part = (middles / float(ends[-1]) * n_parts).long()
        for k in range(self.rank, n_parts, self.num_replicas):
            chosen = order[part == k].tolist()
            yield chosen or [int(order[k % len(order)])]  # more processes than structures

    def __len__(self) -> int:
        """Return the number of batches of this process in an epoch."""
        return self.n_batches

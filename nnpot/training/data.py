"""Structures are converted to batches once and kept in memory; pairs that do not fit are memory-mapped."""

import hashlib
import itertools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from nnpot.batch import Batch, require_elements
from nnpot.fingerprints import NOTHING, UNKNOWN, Before, Fingerprints, apart_from
from nnpot.heads import complaint_of_charges
from nnpot.labels import LABELS
from nnpot.native import are_compiled
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.prepared import Needs
from nnpot.reading import read_labelled, require_labels, short_name
from nnpot.structure import Structure
from nnpot.tables import arranged, needs_of, with_tables
from nnpot.trainable_potential import TrainablePotential
from nnpot.training.aside import Aside, SplitName, in_words, set_aside_anew
from nnpot.training.batches import BalancedBatches, EachOnce, ShuffledStructures
from nnpot.training.loss import Equals, LossOptions, by_size
from nnpot.training.options import DataOptions
from nnpot.training.resolve import is_cached, structures_per_batch
from nnpot.training.stored import StoredBatches, gathered

log = logging.getLogger("nnpot")

NAMING = "--data.keys.{label} {name}"
"""How another name for a label is given to `nnpot train`."""


@dataclass(frozen=True, eq=False)
class Split:
    """Training and validation structures.

    Attributes:
        train: Training structures.
        validation: Validation structures.
        aside: Positions in the training file of those that were set aside, empty where validation has its own file.
        told: How they were divided, how many each part has, and what was found of near copies, in a sentence.
        found: The last of it, if there is any.
        old: Of the structures that the model was trained on from which the training starts, if it starts from one.
    """

    train: list[Structure]
    validation: list[Structure]
    aside: tuple[int, ...] = ()
    told: str = ""
    found: str = ""
    old: Fingerprints = NOTHING

    @classmethod
    def read(cls, options: DataOptions, seed: int, aside: Aside | None = None, before: Before = UNKNOWN) -> Self:
        """Read the files and say which labels they hold, or set a part of the training structures aside.

        Args:
            options: Where they are.
            seed: Of the choice.
            aside: What was chosen before, if it was.
            before: Structures of the model from which the training starts, if it starts from one.

        Raises:
            FileNotFoundError: If a file is not there.
            ValueError: If a file cannot be read, has no energies, lacks a named label, or holds one of the wrong shape
                or not finite, or no configuration type can be set aside.
        """
        structures, found = read_labelled(options.train, options.keys, NAMING)
        log.info("%s", found)
        require_labels(structures, found.source, found)
        if (files := options.validation_files) is not None:
            validation, found = read_labelled(files, options.keys, NAMING)
            log.info("%s", found)
            told = f"split: by file: {len(structures)} structures of {short_name(options.train)} for training, "
            told += f"{len(validation)} of {short_name(files)} for validation"
            log.info("%s", told)
            return cls(structures, validation, told=told, old=before.trained_on)
        seed = seed if options.split_seed is None else options.split_seed
        if aside is None:
            aside = set_aside_anew(structures, options.validation, options.split, seed, before)
        split = replace(cls.divided(structures, aside, options.split, seed), old=before.trained_on)
        log.info("%s", split.told)
        return split

    @classmethod
    def divided(cls, structures: Sequence[Structure], aside: Aside, way: SplitName, seed: int) -> Self:
        """Return structures of which some are for validation, chosen in some way by some seed."""
        chosen = set(aside.positions)
        train = [s for k, s in enumerate(structures) if k not in chosen]
        validation = [s for k, s in enumerate(structures) if k in chosen]
        told = "; ".join(filter(None, [in_words(train, validation, way, seed), aside.told]))
        return cls(train, validation, tuple(aside.positions), told, aside.told)

    def check_labels(self, loss: LossOptions) -> None:
        """Check that training and validation structures have a label that the loss weighs.

        Raises:
            ValueError: If training or validation structures have none: their error would be one over nothing.
        """
        complaint = complaint_of_charges(self.structures, "--data.keys.total_charge")
        if loss.weights()["charges"] > 0 and complaint:
            log.warning("%s", complaint)
        wanted = [name for name, weight in loss.weights().items() if weight > 0]
        for kind, structures in (("training", self.train), ("validation", self.validation)):
            if structures and not any(name in s.labels for s in structures for name in wanted):
                raise ValueError(
                    f"none of the {len(structures)} {kind} structures ({structures[0].name}, …) has a label that is "
                    f"trained on ({', '.join(wanted)})"
                )
        for name in wanted:
            lacking = self.validation and not any(name in s.labels for s in self.validation)
            if lacking and any(name in s.labels for s in self.train):
                log.warning("no validation structure has %s: the best weights are chosen without", name)

    def check_elements(self, elements: Sequence[str]) -> None:
        """Check that the elements of all structures are known.

        Raises:
            ValueError: If one is not; it names the structure.
        """
        require_elements(self.structures, elements)

    @cached_property
    def unseen(self) -> list[Structure]:
        """Validation structures that nothing was trained on: errors of others tell nothing of new ones."""
        apart = apart_from(self.validation, self.train)
        return self.old.without(apart)

    @cached_property
    def new(self) -> list[Structure]:
        """Training structures that are new to the model from which the training starts."""
        return self.old.without(self.train)

    @property
    def structures(self) -> list[Structure]:
        """All of them, those for training first."""
        return [*self.train, *self.validation]

    @property
    def fingerprint(self) -> str:
        """A short text that differs if any number of any structure does."""
        digest = hashlib.sha256(f"{len(self.train)} {len(self.validation)}".encode())
        for s in self.structures:
            digest.update(f"{len(s)} {s.pbc} {s.charge} {sorted(s.weights.items())} {sorted(s.labels)}".encode())
            for values in (s.numbers, s.positions, s.cell, *(s.labels[name] for name in sorted(s.labels))):
                digest.update(values.contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]

    def minus(self, baseline: Potential) -> "Split":
        """Subtract the predictions of another potential from the labels."""
        train, validation = ([residual(s, baseline) for s in part] for part in (self.train, self.validation))
        return replace(self, train=train, validation=validation)


class StructureData(pl.LightningDataModule):
    """Serves batches of structures with their neighbour pairs, and with features where the descriptor is fixed.

    Args:
        split: Training and validation structures.
        potential: The potential that will be trained: its cutoff, descriptor and dtype count.
        options: Batch size and memory for kept features.
        seed: Of the order of the structures; the order is a function of seed and epoch, also across processes.
        mean_over: What weighs the same in the mean of labels of atoms, as the loss has it.

    Attributes:
        caches: Whether features are kept.
        mean_over: As given.
        done: Number of steps of the first epoch that are left out, because they are done.
    """

    def __init__(
        self,
        split: Split,
        potential: TrainablePotential,
        options: DataOptions,
        seed: int = 0,
        mean_over: Equals = "structures",
    ) -> None:
        super().__init__()
        self.options, self.seed, self.mean_over, self.done = options, seed, mean_over, 0
        self._potential = potential
        self._n_counted = 0  # batches of a validation
        self._needs: Needs | None = None  # of tables, where no kernel does without
        dtype, _ = potential.dtype_and_device()
        structures = [*by_size(split.train), *by_size(split.validation)] if mean_over == "atoms" else split.structures
        batches: Iterable[Batch] = (single_batch(s, potential.cutoff) for s in structures)
        self.caches = False
        if options.cache != "off" and potential.is_cacheable:
            batches = list(batches)
            self.caches = self._keeps_features(batches, potential, dtype)
            if self.caches:
                log.info("features of %d structures are calculated once and kept", len(batches))
                batches = [potential.with_cache(b, dtype) for b in batches]
        of_dtype = (b.to(dtype=dtype) for b in batches)
        self.train = gathered(itertools.islice(of_dtype, len(split.train)), options.pairs_gib)
        self.validation = gathered(of_dtype, options.pairs_gib)

    def setup(self, stage: str) -> None:
        """Find where pairs stand in the tables that tensor operations take, where kernels do not make these needless.

        Of each structure once; of those whose pairs lie in a file for each batch.
        """
        assert self.trainer is not None
        dtype, _ = self._potential.dtype_and_device()
        if self._needs is not None or are_compiled(dtype, self.trainer.strategy.root_device):
            return
        needs = needs_of(self._potential)
        self._needs = needs if self.train[0].cached is None else replace(needs, tables=())
        parts = (self.train, self.validation)
        self.train, self.validation = (
            part if isinstance(part, StoredBatches) else [arranged(b, self._needs) for b in part] for part in parts
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches in a new order in every epoch, each process its part."""
        size, rank = self._processes
        if self.options.batch_size == "auto":
            sizes = [len(b.numbers) for b in self.train]
            balanced = BalancedBatches(sizes, self.options.batch_atoms, size, rank, self.seed)
            balanced.done = self.done
            return DataLoader(_JoinedBatches(self.train), batch_size=None, sampler=balanced)
        dataset = _Batches(self.train)
        sampler = ShuffledStructures(dataset, size, rank, seed=self.seed)
        sampler.done = self.done * self.options.batch_size
        return DataLoader(dataset, self.options.batch_size, sampler=sampler, collate_fn=Batch.join)

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """Validation batches in fixed order, each process its part; no loader where nothing was set aside."""
        if not self.validation:
            return []
        n = structures_per_batch(self.options, len(self.validation), sum(len(b.numbers) for b in self.validation))
        sampler = EachOnce(len(self.validation), n, *self._processes)
        self._n_counted = sampler.n_counted
        return [DataLoader(_JoinedBatches(self.validation), batch_size=None, sampler=sampler)]

    def counts(self, k: int) -> bool:
        """Whether a batch of a validation counts, or is there only because other processes have one more."""
        return k < self._n_counted

    @property
    def _processes(self) -> tuple[int, int]:
        """How many processes train, and the number of this one."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch where Lightning wants it, with its tables."""
        if self._needs is not None:
            batch = with_tables(batch if batch.arrangement is not None else arranged(batch, self._needs))
        return batch.to(device)

    def _keeps_features(self, batches: Sequence[Batch], potential: TrainablePotential, dtype: torch.dtype) -> bool:
        size = sum(potential.cache_size(b) for b in batches) * dtype.itemsize / 2**30
        if is_cached(self.options, size):
            return True
        log.warning(
            "features and derivatives would take %.1f GiB, more than data.cache_gib = %.1f: not kept, so slower",
            size, self.options.cache_gib,
        )  # fmt: skip
        return False


class _Batches(Dataset[Batch]):
    """Structures as batches of one."""

    def __init__(self, batches: Sequence[Batch] | StoredBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, k: int) -> Batch:
        return self.batches[k]


class _JoinedBatches(Dataset[Batch]):
    """Batches of the structures that are asked for."""

    def __init__(self, batches: Sequence[Batch] | StoredBatches) -> None:
        self.batches = batches

    def __getitem__(self, chosen: Sequence[int]) -> Batch:
        return Batch.join([self.batches[k] for k in chosen])


def residual(structure: Structure, baseline: Potential) -> Structure:
    """Return a structure with labels from which the predictions of a potential are subtracted.

    Raises:
        ValueError: If one of these is not finite, or an element is not known to the potential; it names the structure.
    """
    try:
        prediction = baseline.predict(structure)
    except ValueError as error:
        raise ValueError(f"{structure.name}: {str(error).removeprefix(f'{structure.name}: ')}") from error
    if not bool(torch.isfinite(prediction.energy).all() and torch.isfinite(prediction.forces).all()):
        raise ValueError(f"{structure.name}: the potential that is subtracted gives no finite energy and forces")
    of_one = {name: values if LABELS[name].per == "atom" else values[0] for name, values in prediction.labels.items()}
    known = structure.labels.keys() & of_one.keys()
    return structure.with_labels(**{name: structure.labels[name] - of_one[name].double() for name in known})

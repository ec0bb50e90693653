"""Training on another device is the training on the CPU, and a step of it waits for nothing."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import device
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from datasets import labelled_alloys, write
from rich.console import Console
from runs import weights
from systems import rattled

import nnpot.commands.train
from nnpot.commands.train import train
from nnpot.descriptors import ACE, ACSF, Descriptor
from nnpot.native import without_kernels
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.training.options import DataOptions, LossOptions, OptimizerOptions, TrainerOptions

LAUNCHES_OF_DEFAULT_STEP = 1833
"""Before tables were made on the host, and constants once."""
BATCH = {"batch.py", "prepared.py", "neighbors.py", "functional/blocks.py"}
"""Where the parts of a batch are moved."""
UPLOADS_OF_BATCH = 21
"""Thirteen tensors of a batch; elements, two tables of neighbours, three tensors of the atoms sorted by element."""


class Steps(pl.Callback):
    """Records what each step but the first asks of the device, from the end of the one before: with fetching its batch.

    In the first constants are uploaded, metrics made and the first eigenvectors found.
    """

    def __init__(self) -> None:
        self.training: list[device.Record] = []
        self.validation: list[device.Record] = []
        self._open = ExitStack()
        self._has_begun = False

    def on_train_start(self, *_: object) -> None:
        self._has_begun = False

    def on_train_epoch_start(self, *_: object) -> None:
        if self._has_begun:
            self._next(self.training)

    def on_train_batch_end(self, *_: object) -> None:
        self._has_begun = True
        self._next(self.training)

    def on_validation_batch_start(self, *_: object) -> None:
        self._next(self.validation)

    def on_validation_batch_end(self, *_: object) -> None:
        self._open.close()

    def on_train_epoch_end(self, *_: object) -> None:
        self._open.close()
        self.training.pop()  # of no step

    def _next(self, records: list[device.Record]) -> None:
        self._open.close()
        records.append(self._open.enter_context(device.recorded()))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """The steps of whatever is trained in a test."""
    made, build = Steps(), nnpot.commands.train.build_trainer

    def watched(*args: object, **options: object) -> pl.Trainer:
        trainer = build(*args, **options)
        trainer.callbacks.append(made)
        return trainer

    monkeypatch.setattr(nnpot.commands.train, "build_trainer", watched)
    return made


def molecules(n: int) -> list[Atoms]:
    """Molecules of four elements with labels that no potential explains."""
    rng, frames = np.random.default_rng(0), []
    for k in range(n):
        atoms = rattled(molecule("CH3CONH2"), seed=k)
        labels = {"energy": rng.normal(), "forces": rng.normal(size=atoms.positions.shape)}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


def small_ace() -> Descriptor:
    return ACE(4.0, channels=4, n_radial=3, l_max=1, weighted_channels=2, weighted_units=4, weighted_cutoff=3.0)


def trained(
    folder: Path,
    frames: list[Atoms],
    descriptor: Descriptor,
    where: str,
    resume: Path | None = None,
    pairs_gib: float = 8.0,
    **options: object,
) -> Path:
    """Train a small potential without kernels and return the model."""
    trainer = {"max_epochs": 3, "gradient_clip": 1.0, "compile": "off", "dtype": "float64", **options}
    folder.mkdir(exist_ok=True)
    path = write(folder / "train.xyz", frames)
    data = DataOptions(path, validation=0.25, batch_size="auto", batch_atoms=8, pairs_gib=pairs_gib)
    with without_kernels():
        torch.manual_seed(0)
        return train(
            NeuralNetworkPotential(descriptor, (8,)),
            data,
            LossOptions(energy=2.0, final_energy_weight=10.0, stress=1.0),
            OptimizerOptions(method="soap", schedule="adaptive"),
            TrainerOptions(accelerator=where, strategy="auto" if where == "cpu" else where, **trainer),
            out=folder / "run",
            resume=resume,
        )


@pytest.mark.parametrize(
    "descriptor",
    [small_ace, pytest.param(lambda: ACSF(4.0, size=12), marks=pytest.mark.slow)],
    ids=["ACE", "ACSF with kept features"],
)
def test_it_gives_the_same(tmp_path: Path, descriptor: Callable[[], Descriptor]) -> None:
    here, there = (
        weights(trained(tmp_path / where, labelled_alloys(8), descriptor(), where)) for where in ("cpu", device.NAME)
    )
    torch.testing.assert_close(there, here, rtol=1e-6, atol=1e-8)


def test_it_goes_on_as_on_the_cpu(tmp_path: Path, steps: Steps) -> None:
    def resumed(where: str) -> torch.Tensor:
        folder = tmp_path / where
        trained(folder, labelled_alloys(8), small_ace(), where, max_epochs=2)
        model = trained(folder, labelled_alloys(8), small_ace(), where, resume=folder / "run", max_epochs=4)
        return weights(model)

    torch.testing.assert_close(resumed(device.NAME), resumed("cpu"), rtol=1e-6, atol=1e-8)
    assert_nothing_waits(steps)


@pytest.mark.slow
def test_pairs_in_files(tmp_path: Path, steps: Steps) -> None:
    in_memory, stored = (
        weights(trained(tmp_path / name, labelled_alloys(8), small_ace(), device.NAME, pairs_gib=gib))
        for name, gib in (("memory", 8.0), ("files", 0.0))
    )
    torch.testing.assert_close(stored, in_memory, rtol=1e-6, atol=1e-8)
    assert_nothing_waits(steps)


def charged_molecules(n: int) -> list[Atoms]:
    """Molecules with weights, dipoles and charges, each of which some lack."""
    rng, frames = np.random.default_rng(1), []
    for k in range(n):
        atoms = rattled(molecule(("H2O", "CO2", "NH3")[k % 3]), seed=k)
        labels = {"energy": rng.normal(), "forces": rng.normal(size=atoms.positions.shape)}
        labels |= {"dipole": rng.normal(size=3)} if k % 3 else {}
        labels |= {"charges": rng.normal(size=len(atoms))} if k % 2 else {}
        atoms.info |= {"charge": k % 2, "config_energy_weight": 2.0} if k % 4 else {}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        frames.append(atoms)
    return frames


@pytest.mark.parametrize(
    "descriptor",
    [small_ace, pytest.param(lambda: ACSF(4.0, size=12), marks=pytest.mark.slow)],
    ids=["ACE", "ACSF with features made anew"],
)
def test_weights_charges_dipoles_and_repulsion(
    tmp_path: Path, steps: Steps, descriptor: Callable[[], Descriptor]
) -> None:
    def trained(where: str) -> torch.Tensor:
        strategy = "auto" if where == "cpu" else where
        with without_kernels():
            torch.manual_seed(0)
            model = train(
                NeuralNetworkPotential(descriptor(), (8,), heads=("charges",)),
                DataOptions(path, validation=0.25, batch_size="auto", batch_atoms=10, cache="off"),
                LossOptions(energy=2.0, dipole=3.0, charges=1.0, function="huber", scale=0.5),
                OptimizerOptions(method="adamw"),
                TrainerOptions(3, accelerator=where, strategy=strategy, compile="off", dtype="float64"),
                out=tmp_path / where,
                repulsion=True,
            )
        return weights(model)

    path = write(tmp_path / "train.xyz", charged_molecules(16))
    there = trained(device.NAME)
    assert_nothing_waits(steps, more_uploads=6)  # weights, another label, tables of neighbours
    torch.testing.assert_close(there, trained("cpu"), rtol=1e-6, atol=1e-8)


def assert_nothing_waits(steps: Steps, more_uploads: int = 0) -> None:
    """No step waits, but for a look at the numbers of an epoch at its end; nothing but the batch is uploaded."""
    assert len(steps.training) > 3
    for record in [*steps.training, *steps.validation]:
        assert [w for w in record.waits if "training/finite.py" not in w] == []
        assert [u for u in record.uploads if u.rpartition(" at ")[2].partition(":")[0] not in BATCH] == []
        assert len(record.uploads) <= UPLOADS_OF_BATCH + more_uploads
    assert sum(len(record.waits) for record in steps.training) <= len(steps.training) / 2


def test_a_step_of_the_default_recipe(tmp_path: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)  # somebody watches
    trainer = {"gradient_clip": 1.0, "accelerator": device.NAME, "strategy": device.NAME, "compile": "off"}
    descriptor = ACE(
        5.0, channels="auto", n_radial=12, l_max=4, weighted_channels=16, weighted_layers=3, weighted_units=64
    )
    train(
        NeuralNetworkPotential(descriptor, (64, 64), min_feature_scale=0.1),
        DataOptions(write(tmp_path / "train.xyz", molecules(20)), validation=0.1, batch_size="auto", batch_atoms=40),
        LossOptions(energy=2.0, stress=1.0, final_energy_weight=1000.0),
        OptimizerOptions(method="soap", lr=0.005, weight_decay=0.01, schedule="adaptive"),
        TrainerOptions(2, validate_every=1, **trainer),
        out=tmp_path / "run",
    )
    assert_nothing_waits(steps)
    assert max(record.launches for record in steps.training) <= LAUNCHES_OF_DEFAULT_STEP

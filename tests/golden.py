"""Short trainings in which every setting and every number is pinned, and what they came to.

Nothing in them depends on the machine or on versions: structures and first weights are drawn from `RandomState`, whose
stream NumPy keeps as it is, and the order of the structures from permutations of whole numbers by PyTorch, which are
the same on all processors.  The first weights depend on the shape of a parameter alone, not on the order in which
parameters are made.  `python tests/golden.py` writes down anew what the trainings come to; it is for a change of a
formula or of a random draw that is meant.
"""

import copy
import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import ase.io
import numpy as np
import torch
import yaml
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from torch import Tensor

from nnpot.__main__ import main
from nnpot.io import load
from nnpot.structure import Structure
from nnpot.training import schedules

RESULTS = Path(__file__).parent / "definitions/golden.json"
"""What the trainings came to."""

Settings = dict[str, Any]

SETTINGS: Settings = {
    "data": {
        **{"validation": 0.25, "split": "random", "split_seed": None, "doctor": "stop"},
        **{"batch_size": 16, "batch_atoms": 250},
        **{"cache": "auto", "cache_gib": 6.0, "pairs_gib": 8.0},
        "keys": {
            **{"energy": "", "forces": "", "stress": "", "dipole": "", "charges": ""},
            **{"group": "config_type", "virial": "", "total_charge": "charge"},
        },
        "level": "",
    },
    "loss": {
        **{"energy": 20.0, "forces": 0.03, "stress": 60.0, "required": []},
        **{"final_energy_weight": 200.0, "ramp_from": 0.3},
        **{"dipole": 0.0, "charges": 0.0, "function": "squared", "scale": 0.1},
        "mean_over": "structures",
    },
    "optimizer": {
        **{"method": "soap", "lr": 0.2, "weight_decay": 0.01},
        **{"schedule": "adaptive", "warm_up": 0.02, "final_lr": 0.01},
        **{"ema": 0.7, "ema_growth": "auto", "rates": {}},
    },
    "trainer": {
        **{"max_epochs": 46, "atom_budget": 16.0, "patience": 0, "validate_every": 1},
        **{"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto"},
        **{"dtype": "float64", "gradient_clip": 0.5, "compile": "off", "max_time": "", "loggers": []},
    },
    **{"seed": 3, "from_model": None, "license": "", "repulsion": False, "uncertainty": False, "check": False},
}
"""Every setting of a training but the potential, the training file and the folder."""

ACE: Settings = {
    **{"cutoff": 4.0, "elements": [], "channels": 4, "n_radial": 4, "l_max": 2, "body_order": 5},
    **{"neighbors": 20.0, "element_channels": None},
    **{"weighted_channels": 0, "weighted_layers": 1, "weighted_units": 4, "weighted_cutoff": None},
}
ACSF: Settings = {
    **{"cutoff": 4.0, "elements": [], "size": 40, "angular_cutoff": 3.5, "cutoff_function": "tanh3"},
    **{"g1": False, "g2": [], "g3": [], "g4": [], "g5": [], "selected": [], "inner_fraction": 0.0},
}
NETWORKS: Settings = {
    **{"hidden": [6, 5], "activation": "silu", "atomic_energies": "least_squares"},
    **{"energy_scale": 1.0, "min_feature_scale": 0.1, "heads": [], "linear": True, "core": None, "uncertainty": None},
}


def alloys() -> list[Atoms]:
    """Return rattled and strained cells of copper and gold, of four compositions."""
    return copy.deepcopy(_alloys())


@cache
def _alloys() -> list[Atoms]:
    rng, frames = np.random.RandomState(5), []
    for k in range(16):
        atoms = bulk("Cu", cubic=True, a=3.8)
        atoms.symbols[: k % 4] = "Au"
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * rng.standard_normal((3, 3))), scale_atoms=True)
        atoms.positions += 0.15 * rng.standard_normal(atoms.positions.shape)
        frames.append(labelled(atoms, "energy", "forces", "stress"))
    return frames


def molecules() -> list[Atoms]:
    """Return rattled molecules of three kinds."""
    rng, frames = np.random.RandomState(6), []
    for k in range(12):
        atoms = molecule(("H2O", "CH4", "CH3OH")[k % 3])
        atoms.positions += 0.05 * rng.standard_normal(atoms.positions.shape)
        frames.append(labelled(atoms, "energy", "forces"))
    return frames


def labelled(atoms: Atoms, *names: str) -> Atoms:
    """Label a structure by the effective medium theory of ASE."""
    atoms.calc = EMT()
    atoms.calc = SinglePointCalculator(atoms, **{name: atoms.calc.get_property(name, atoms) for name in names})
    return atoms


@dataclass(frozen=True)
class Training:
    """A training.

    Attributes:
        frames: Its data.
        descriptor: Name of the class.
        arguments: Of the descriptor.
        changes: Of `SETTINGS`, by section.
    """

    frames: Callable[[], list[Atoms]]
    descriptor: str
    arguments: Settings
    changes: dict[str, Settings]

    @property
    def settings(self) -> Settings:
        """All settings but the training file and the folder."""
        settings = copy.deepcopy(SETTINGS)
        for section, changes in self.changes.items():
            settings[section] |= changes
        descriptor = {"class_path": self.descriptor, "init_args": self.arguments}
        return {"potential": {"descriptor": descriptor, **NETWORKS}, **settings}


TRAININGS = {
    # the error of the forces has fallen for the last time after 4 epochs: 4 + 2 + 15 of them, then 2 of refinement
    "crystals": Training(alloys, "ACE", ACE, {}),
    # half of the epochs at the highest rate, half of them annealing
    "molecules": Training(
        molecules,
        "ACE",
        {**ACE, "cutoff": 3.0, "channels": 3, "n_radial": 3, "weighted_channels": 2, "weighted_layers": 2},
        {
            "loss": {"energy": 1.0, "forces": 1.0, "stress": 0.0, "final_energy_weight": 50.0},
            "optimizer": {"lr": 0.02, "ema": "auto"},
            "trainer": {"max_epochs": 14, "gradient_clip": 0.0},
        },
    ),
    # features are calculated once; three steps in an epoch
    "symmetry functions": Training(
        alloys,
        "ACSF",
        ACSF,
        {
            "data": {"batch_size": 5, "cache": "on"},
            "loss": {"energy": 2.0, "forces": 1.0, "stress": 20.0, "final_energy_weight": 100.0},
            "optimizer": {"method": "adamw", "lr": 0.01, "schedule": "cosine", "warm_up": 0.15, "ema": "auto"},
            "trainer": {"max_epochs": 9, "gradient_clip": 5.0, "validate_every": 2},
        },
    ),
}
"""Trainings of at most 30 steps: what differs in the last bit grows tenfold in some steps.  Steps by SOAP are fewer
than the 25 after which it turns its eigenvectors, in which it would grow at once."""


def pinned_randn(*shape: Any) -> Tensor:
    """Return normally distributed numbers that depend on the shape alone."""
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    values = np.random.RandomState([7, *sizes]).standard_normal(sizes)
    return torch.as_tensor(values, dtype=torch.get_default_dtype())


def pinned_eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors of positive matrices that are moved a little.

    The product of a first gradient with itself has few directions; which eigenvectors span the others is a matter of
    rounding, and the way that SOAP takes from there.  A falling diagonal decides it.
    """
    n = matrix.shape[-1]
    size = matrix.diagonal(dim1=-2, dim2=-1).sum(dim=-1)[..., None, None]
    falling = torch.diag(torch.arange(n, 0, -1, dtype=matrix.dtype) / n)
    return RIGHT_EIGH(matrix + 1e-3 * size * falling)  # type: ignore[no-any-return]


RIGHT_EIGH = torch.linalg.eigh


@contextmanager
def pinned_numbers() -> Iterator[None]:
    """Let first weights and eigenvectors be the same on all machines inside of the block."""
    with torch.device("cpu"):  # PyTorch remembers which functions take a device: it must be the right `randn`
        torch.empty(0)
    impatient = mock.patch.object(schedules, "MIN_PATIENCE_STEPS", 0)  # in trainings of a few steps
    randn, eigh = mock.patch.object(torch, "randn", pinned_randn), mock.patch.object(torch.linalg, "eigh", pinned_eigh)
    with randn, eigh, impatient:
        yield


def written(settings: Settings, frames: list[Atoms], folder: Path) -> Path:
    """Write data and a configuration for a run in the folder `run`; return the configuration."""
    ase.io.write(folder / "train.xyz", frames, format="extxyz")
    data = {**settings["data"], "train": str(folder / "train.xyz")}
    path = folder / "golden.yaml"
    path.write_text(yaml.safe_dump({**settings, "data": data, "out": str(folder / "run")}))
    return path


def results_of(training: Training, folder: Path) -> dict[str, list[float]]:
    """Train, and return the columns of the metrics, and energies and forces of two structures by the model."""
    frames = training.frames()
    configuration = written(training.settings, frames, folder)
    with pinned_numbers():
        main(["train", "--config", str(configuration)])
    with (folder / "run/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = {name: [float(row[name]) for row in rows if row[name]] for name in rows[0] if name != "epoch"}
    model = load(folder / "run/model.nnpot", torch.float64)
    predictions = [model.predict(Structure.from_ase(atoms)) for atoms in frames[1:3]]
    return {
        **columns,
        "energies": [float(p.energy) for p in predictions],
        "forces": torch.cat([p.forces.flatten() for p in predictions]).tolist(),
    }


def expected(name: str) -> dict[str, list[float]]:
    """Return what a training came to."""
    results: dict[str, list[float]] = json.loads(RESULTS.read_text())[name]
    return results


def write_results() -> None:
    """Write down what the trainings come to now."""
    parts = []
    for name, training in TRAININGS.items():
        with tempfile.TemporaryDirectory() as folder:
            results = results_of(training, Path(folder))
        rounded = {column: [float(f"{x:.9g}") for x in values] for column, values in results.items()}
        lines = [f"  {json.dumps(column)}: {json.dumps(values)}" for column, values in rounded.items()]
        parts.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
    RESULTS.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    write_results()

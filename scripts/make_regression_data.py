"""Write frozen model files and what they predict: the files of a release that all later ones must load.

PYTHONPATH=tests python scripts/make_regression_data.py 0.1.0

Run once for a release, and before a change that needs a new format of model files; files that are there stay as they
are.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from systems import DESCRIPTORS, ELEMENTS, ace, acsf, knowing, network_potential, structure

from nnpot import ZBL, Committee, Potential, save
from nnpot.uncertainty import ATOMS, FORCES

FOLDER = Path(__file__).parents[1] / "tests/regression"
STRUCTURES = ("water", "alloy", "triclinic", "slab", "no neighbors")


def _with_weighted_density(seed: int) -> Potential:
    return network_potential(ace(weighted_channels=2, weighted_units=3, l_max=1, body_order=3), seed)


def _mixed() -> Potential:
    """A committee of different descriptors, which are deep in a description."""
    other = network_potential(acsf(selected=(0, 3, 9)), seed=2, min_feature_scale=0.01)
    return Committee((_with_weighted_density(1), other)) + ZBL(ELEMENTS)


POTENTIALS: dict[str, Callable[[], Potential]] = {
    **{name: lambda make=make: network_potential(make()) for name, make in DESCRIPTORS.items()},  # type: ignore[misc]
    "ACSF + ZBL": lambda: (
        network_potential(acsf(selected=(0, 3, 9, 20, 33), cutoff_function="polynomial", inner_fraction=0.2))
        + ZBL(ELEMENTS)
    ),
    "ACSF that knows its errors": lambda: knowing(network_potential(acsf())),
    "committee": lambda: Committee((_with_weighted_density(1), _with_weighted_density(2))),
    "committee + ZBL": _mixed,
}
"""One model of every kind of part."""


def freeze(folder: Path) -> None:
    """Write every model, and what it predicts for some structures."""
    folder.mkdir()
    structures = {name: structure(name) for name in STRUCTURES}
    arrays = {}
    for name, s in structures.items():
        arrays |= {f"{name}/{part}": getattr(s, part).numpy() for part in ("numbers", "positions", "cell")}
        arrays[f"{name}/pbc"] = np.array(s.pbc)
    for name, make in POTENTIALS.items():
        potential, stem = make().double().eval(), "-".join(re.findall("[a-z]+", name.lower()))
        save(potential, folder / f"{stem}.nnpot", {"note": "frozen"})
        predictions = [potential.predict(s) for s in structures.values()]
        for part in ("energies", "forces", *((ATOMS, FORCES) if potential.is_calibrated else ())):
            arrays[f"{stem}/{part}"] = np.concatenate([p[part].numpy() for p in predictions])
    np.savez_compressed(folder / "predictions.npz", **arrays)


if __name__ == "__main__":
    freeze(FOLDER / sys.argv[1])

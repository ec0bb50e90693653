"""Model files of every release and every format keep loading and keep predicting the same."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from nnpot.io import load, read_summary
from nnpot.structure import Structure
from nnpot.uncertainty import ATOMS, FORCES

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*/*.nnpot"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")


def assert_as_frozen(path: Path) -> None:
    frozen = np.load(path.with_name("predictions.npz"))
    systems = [name.removesuffix("/numbers") for name in frozen if name.endswith("/numbers")]
    potential = load(path, torch.float64)
    predictions = []
    for name in systems:
        numbers, positions, cell, pbc = (frozen[f"{name}/{part}"] for part in ("numbers", "positions", "cell", "pbc"))
        arrays = map(torch.from_numpy, (numbers, positions, cell))
        predictions.append(potential.predict(Structure(*arrays, tuple(pbc.tolist()), name=name)))
    energies, forces = (torch.cat([getattr(p, part) for p in predictions]).numpy() for part in ("energies", "forces"))
    # the same float64 formulas; libraries and kernels may differ in the last digits
    np.testing.assert_allclose(energies, frozen[f"{path.stem}/energies"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(forces, frozen[f"{path.stem}/forces"], rtol=1e-10, atol=1e-10)
    for part in (ATOMS, FORCES):
        if (name := f"{path.stem}/{part}") in frozen:
            np.testing.assert_allclose(torch.cat([p[part] for p in predictions]).numpy(), frozen[name], rtol=1e-10)


@each_file
def test_predictions_are_the_frozen_ones(path: Path) -> None:
    assert_as_frozen(path)


@each_file
def test_the_summary_is_kept(path: Path) -> None:
    assert read_summary(path)["note"] == "frozen"


@pytest.mark.slow
def test_files_of_a_new_release_are_made_by_the_script(tmp_path: Path) -> None:
    script = HERE.parents[1] / "scripts/make_regression_data.py"
    spec = importlib.util.spec_from_file_location("make_regression_data", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.freeze(tmp_path / "new")
    files = sorted((tmp_path / "new").glob("*.nnpot"))
    assert len(files) == len(module.POTENTIALS)
    for path in files:
        assert_as_frozen(path)

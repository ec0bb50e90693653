"""Energies and forces of CP2K, which reads the same files with its own code."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import cp2k
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from systems import acsf, network_potential

from nnpot.formats import n2p2
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.prediction import Prediction
from nnpot.structure import Structure
from nnpot.units import BOHR, HARTREE

pytestmark = pytest.mark.skipif(cp2k.PROGRAM is None, reason="CP2K is not installed")

SAME = 1e-11
"""Relative to the energy, and to the largest force: both evaluate the same formulas in float64."""

RANKS = pytest.mark.parametrize(
    "ranks",
    [
        1,
        pytest.param(
            2, marks=[pytest.mark.slow, pytest.mark.skipif(cp2k.LAUNCHER is None, reason="MPI is not installed")]
        ),
    ],
    ids=["1 rank", "2 ranks"],
)


def water(n: int = 2, spacing: float = 3.1) -> Structure:
    """Molecules turned at random on a cubic grid; the box is smaller than the cutoff of some potentials."""
    rng = np.random.default_rng(0)
    box = Atoms(cell=[n * spacing] * 3, pbc=True)
    for place in np.ndindex(n, n, n):
        one = molecule("H2O")
        one.rotate(rng.uniform(0, 360), rng.normal(size=3))
        one.positions += spacing * np.array(place) + 0.1 * rng.normal(size=(3, 3))
        box += one
    return Structure.from_ase(box)


def sheared(structure: Structure) -> Structure:
    """The same in a triclinic cell."""
    shear = np.array([[1.0, 0.0, 0.0], [0.15, 1.0, 0.0], [-0.1, 0.2, 1.0]])
    atoms = structure.to_ase()
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    return Structure.from_ase(atoms)


def assert_same(model: Path, structure: Structure, ranks: int, folder: Path, prediction: Prediction) -> None:
    energy, forces = cp2k.run(model, structure, ranks, folder)
    assert float(prediction.energy) / HARTREE == pytest.approx(energy, rel=SAME)
    wanted = prediction.forces.numpy() * BOHR / HARTREE
    np.testing.assert_allclose(forces, wanted, rtol=0, atol=SAME * np.abs(wanted).max() + 1e-14)  # 14 digits printed


@cache
def published(model: Path) -> Prediction:
    return n2p2.read(model).predict(water())


@RANKS
@pytest.mark.parametrize(
    "model",
    [pytest.param(m, marks=pytest.mark.slow if k % 4 else ()) for k, m in enumerate(cp2k.PUBLISHED)],
    ids=lambda path: "/".join(path.parts[-2:]),
)
def test_published_potentials(model: Path, ranks: int, tmp_path: Path) -> None:
    assert_same(model, water(), ranks, tmp_path, published(model))


G2 = ((0.5, 0.0), (2.0, 1.5), (0.0, 1.0))
G4 = ((0.05, 1.0, -1.0, 0.0), (0.1, 2.5, 1.0, 0.0), (0.1, 4.0, 1.0, 0.0))


def exported(cutoff_function: str, activation: str = "tanh") -> NeuralNetworkPotential:
    """A potential of H and O with random weights, of the functions that CP2K knows."""
    functions = {"g2": G2, "g3": (), "g4": G4, "g5": ()}
    descriptor = acsf(("H", "O"), cutoff=4.3, cutoff_function=cutoff_function, **functions)
    return network_potential(descriptor, activation=activation, linear=False)


@RANKS
@pytest.mark.parametrize(
    ("cutoff_function", "shape"),
    [
        pytest.param("cosine", water, id="cosine-cubic", marks=pytest.mark.slow),
        pytest.param("cosine", lambda: sheared(water()), id="cosine-triclinic"),
        pytest.param("tanh3", water, id="tanh3-cubic"),
        pytest.param("tanh3", lambda: sheared(water()), id="tanh3-triclinic", marks=pytest.mark.slow),
    ],
)
def test_exported_potentials(cutoff_function: str, shape: object, ranks: int, tmp_path: Path) -> None:
    original, structure = exported(cutoff_function), shape()
    model = n2p2.write(original, tmp_path / "model")
    (tmp_path / "run").mkdir()
    assert_same(model, structure, ranks, tmp_path / "run", original.predict(structure))


@pytest.mark.parametrize(
    "activation",
    [
        "harmonic",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("gaussian", "reversed_sigmoid", "sigmoid", "cosine", "exponential")
        ),
    ],
)
def test_exported_activations(activation: str, tmp_path: Path) -> None:
    original = exported("cosine", activation)
    model = n2p2.write(original, tmp_path / "model")
    (tmp_path / "run").mkdir()
    assert_same(model, water(), 1, tmp_path / "run", original.predict(water()))


@pytest.mark.slow
def test_forces_with_softplus_are_differences_of_the_energies_of_cp2k(tmp_path: Path) -> None:
    # CP2K 2023.1 has 1 + e^−a in place of 1 − e^−a as the derivative of a = softplus z: its own forces are wrong
    original, structure, step = exported("cosine", "softplus"), water(), 1e-3
    model = n2p2.write(original, tmp_path / "model")
    energies = []
    for sign in (1, -1):
        moved = structure.positions.clone()
        moved[4, 1] += sign * step
        (tmp_path / str(sign)).mkdir()
        energies.append(cp2k.run(model, replace(structure, positions=moved), 1, tmp_path / str(sign))[0])
    slope = (energies[0] - energies[1]) * HARTREE / (2 * step)
    assert float(original.predict(structure).forces[4, 1]) == pytest.approx(-slope, rel=1e-4)  # of the step squared


def test_an_exported_potential_of_single_precision_is_what_single_precision_gives(tmp_path: Path) -> None:
    original = exported("tanh3").float()
    model = n2p2.write(original, tmp_path / "model")
    (tmp_path / "run").mkdir()
    energy, _ = cp2k.run(model, water(), 1, tmp_path / "run")
    assert original.dtype_and_device()[0] == torch.float32
    assert float(original.predict(water()).energy) / HARTREE == pytest.approx(energy, rel=1e-6)  # eps of float32

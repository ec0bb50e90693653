"""A metatomic model gives what the potential gives in ASE."""

# ruff: noqa: E402  the libraries may be missing

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("metatomic.torch", reason="metatomic-torch is not installed")
metatomic_ase = pytest.importorskip("metatomic_ase", reason="metatomic-ase is not installed")

import ase.io
import numpy as np
import systems
import torch
from alloys import ELEMENTS, SYSTEMS, alloy, differences, trained
from ase import Atoms
from metatensor.torch import Labels
from metatomic.torch import (
    ModelEvaluationOptions,
    ModelOutput,
    System,
    load_atomistic_model,
    read_model_metadata,
    systems_to_torch,
)
from systems import acsf, knowing, network_potential
from vesin.metatomic import neighbor_lists_for_model

from nnpot.calculator import NNPotCalculator
from nnpot.engines.metatomic import EXTRAPOLATION, export_metatomic
from nnpot.repulsion import ZBL

KINDS = ("ACSF + ZBL", "ACE")
LIMITS = {"energy": 1e-9, "energies": 1e-9, "forces": 1e-9, "stress": 1e-7}
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Models by kind, each written when it is first asked for."""
    folder = tmp_path_factory.mktemp("models")

    @cache
    def model(kind: str) -> Path:
        return export_metatomic(trained(kind), folder / f"{kind}.pt", "float64")

    return model


FIRST, *OTHERS = KINDS


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("kind", [FIRST, *(pytest.param(kind, marks=pytest.mark.slow) for kind in OTHERS)])
def test_results_are_those_of_ase(models: Callable[[str], Path], kind: str, name: str) -> None:
    calculator = metatomic_ase.MetatomicCalculator(models(kind), device="cpu", check_consistency=True)
    found = differences(SYSTEMS[name](), calculator, trained(kind))
    assert {key: value for key, value in found.items() if not value <= LIMITS[key]} == {}


@cache  # what TorchScript does to a model at its first calls takes longer than all others
def loaded(path: Path) -> torch.jit.ScriptModule:
    return load_atomistic_model(path)


def evaluated(
    path: Path,
    atoms: list[Atoms],
    kind: str,
    selected: list[list[int]] | None = None,
    name: str = "energy",
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """Outputs per system or per atom (`kind`) of several systems, or of the selected atoms of some."""
    model = loaded(path)
    converted: list[System] = systems_to_torch(atoms, dtype=dtype)
    for neighbors in neighbor_lists_for_model("angstrom", model):
        neighbors.add_neighbor_list(converted, copy=True)
    options = ModelEvaluationOptions(
        length_unit="angstrom",
        outputs={name: ModelOutput(unit="" if "::" in name else "eV", sample_kind=kind)},
        selected_atoms=None if selected is None else Labels(["system", "atom"], torch.tensor(selected)),
    )
    return model(converted, options, check_consistency=True)[name].block().values.squeeze(dim=1)


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_uncertainties_are_those_of_ase(dtype: str, tmp_path: Path) -> None:
    # of two elements and fewer functions it is written sooner
    elements, fewer, given, names = (
        (ELEMENTS, {"g3": (), "g5": ()}, SYSTEMS, ("triclinic", "cell smaller than the cutoff", "one atom"))
        if dtype == "float64"
        else (systems.ELEMENTS, {}, systems.SYSTEMS, ("alloy", "water", "one atom"))
    )
    potential = knowing(network_potential(acsf(elements, **fewer)))
    potential = potential.with_core(systems.core(elements)) if dtype == "float64" else potential + ZBL(elements)
    path = export_metatomic(potential, tmp_path / "model.pt", dtype)
    atoms = [given[name]() for name in names]
    precision, limit = (torch.float64, 1e-6) if dtype == "float64" else (torch.float32, 2e-5)
    told = [NNPotCalculator(potential, dtype=dtype, on_extrapolation="ignore") for _ in atoms]
    for calculator, one in zip(told, atoms, strict=True):
        calculator.calculate(one)
    of_atoms, of_systems, grades, largest = (
        evaluated(path, atoms, kind, name=name, dtype=precision)
        for name in ("energy_uncertainty", EXTRAPOLATION)
        for kind in ("atom", "system")
    )
    for found, name in ((of_atoms, "energies_uncertainty"), (grades, "extrapolation")):
        np.testing.assert_allclose(found, np.concatenate([c.results[name] for c in told]), rtol=limit)
    np.testing.assert_allclose(of_systems, [c.results["energy_uncertainty"] for c in told], rtol=limit)
    np.testing.assert_allclose(largest, [c.results["extrapolation"].max() for c in told], rtol=limit)
    some = evaluated(path, atoms, "atom", [[0, 1], [1, 0]], name="energy_uncertainty", dtype=precision)
    wanted = [told[0].results["energies_uncertainty"][1], told[1].results["energies_uncertainty"][0]]
    np.testing.assert_allclose(some, wanted, rtol=limit)


def test_systems_evaluated_together_are_those_evaluated_alone(models: Callable[[str], Path]) -> None:
    systems = [alloy(1), SYSTEMS["one atom"](), SYSTEMS["triclinic"]()]
    alone = torch.cat([evaluated(models(FIRST), [atoms], "atom") for atoms in systems])
    torch.testing.assert_close(evaluated(models(FIRST), systems, "atom"), alone, rtol=0, atol=1e-12)


def test_selected_atoms_have_the_energies_that_they_have_among_all(models: Callable[[str], Path]) -> None:
    systems, selected = [alloy(1), alloy(2, seed=1)], [[0, 2], [1, 0], [1, 7], [1, 31]]
    every = evaluated(models(FIRST), systems, "atom")
    some = evaluated(models(FIRST), systems, "atom", selected)
    torch.testing.assert_close(some, every[[2, 4, 11, 35]], rtol=0, atol=1e-12)
    totals = evaluated(models(FIRST), systems, "system", selected)
    torch.testing.assert_close(totals, torch.stack([some[0], some[1:].sum()]), rtol=0, atol=1e-12)


def test_an_unknown_element_is_named(models: Callable[[str], Path]) -> None:
    atoms = Atoms("CuO", positions=[[0, 0, 0], [0, 0, 2.0]])
    atoms.calc = metatomic_ase.MetatomicCalculator(models(FIRST), device="cpu")
    with pytest.raises(Exception, match="atomic type '8'"):
        atoms.get_potential_energy()


def test_a_process_without_nnpot_runs_it(models: Callable[[str], Path], tmp_path: Path) -> None:
    atoms = alloy()
    ase.io.write(tmp_path / "start.xyz", atoms)
    code = f"""
import json, sys, ase.io, metatomic_ase
atoms = ase.io.read("start.xyz")
atoms.calc = metatomic_ase.MetatomicCalculator({str(models(FIRST))!r}, device="cpu")
print(json.dumps([atoms.get_potential_energy(), atoms.get_forces().tolist(), "nnpot" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    energy, forces, imported = json.loads(done.stdout.strip().splitlines()[-1])
    atoms = ase.io.read(tmp_path / "start.xyz")
    atoms.calc = NNPotCalculator(trained("ACSF + ZBL"), dtype="float64")
    assert not imported
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9 * len(atoms))
    np.testing.assert_allclose(forces, atoms.get_forces(), rtol=0, atol=1e-9)


def test_the_file_asks_for_no_library(models: Callable[[str], Path]) -> None:
    with zipfile.ZipFile(models(FIRST)) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("extra/extensions")]
        assert archive.read(name) == b"[]"


def test_the_file_says_what_it_is(models: Callable[[str], Path]) -> None:
    metadata = read_model_metadata(str(models(FIRST)))
    capabilities = loaded(models(FIRST)).capabilities()
    assert metadata.description.startswith("ACSF + ZBL for Cu, Au")
    assert len(metadata.references["architecture"]) == 2
    assert capabilities.atomic_types == [29, 79]
    assert capabilities.interaction_range == trained("ACSF + ZBL").cutoff
    assert capabilities.supported_devices == ["cuda", "cpu"]


def test_float32_is_close(tmp_path: Path) -> None:
    path = export_metatomic(trained("ACE"), tmp_path / "model.pt")
    found = differences(alloy(), metatomic_ase.MetatomicCalculator(path, device="cpu"), trained("ACE"))
    assert found["energy"] < 1e-5
    assert 1e-8 < found["forces"] < 1e-4


@pytest.mark.parametrize(
    ("path", "dtype", "message"),
    [("model.pt", "float16", "dtype must be float32 or float64"), ("model.nnpot", "float64", "ends in .pt")],
    ids=["dtype", "suffix"],
)
def test_wrong_arguments_are_refused(tmp_path: Path, path: str, dtype: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export_metatomic(ZBL(ELEMENTS), tmp_path / path, dtype)
    assert not list(tmp_path.iterdir())

"""Each exact line finds the fault that it is for, and says nothing of good models."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packages import EXPORTED, package_of
from planted_models import MorsePairs, Wrong
from systems import POTENTIALS, SYSTEMS, acsf, network_potential, structure

import nnpot.calculator
from nnpot import load, save
from nnpot.checks import Line, NotLooked, Status, Subject
from nnpot.checks.answers import Answer
from nnpot.checks.derivatives import FORCES, GRADIENTS, NUMPY, STRESS
from nnpot.checks.exact import exact, structures_of
from nnpot.checks.parity import IN_DYNAMICS, SINGLE_PRECISION, TENSORS
from nnpot.checks.subject import cut, made
from nnpot.checks.symmetry import TOGETHER
from nnpot.formats import n2p2
from nnpot.native import are_compiled, kernel, registry
from nnpot.potential import Potential
from nnpot.structure import Structure

SYSTEM = ("alloy", "water")
CRYSTAL_AND_DIMER = (structure("alloy"), Structure.from_ase(SYSTEMS["alloy"]()[[0, 1]], name="dimer of copper"))
needs_kernels = pytest.mark.skipif(
    not are_compiled(torch.float64, torch.device("cpu")), reason="there are no compiled kernels"
)


def lines_of(potential: Potential, systems: tuple[str | Structure, ...] = SYSTEM, **more: Any) -> dict[str, Line]:
    structures = tuple(structure(s) if isinstance(s, str) else s for s in systems)
    found = exact(Subject(potential.double(), structures, **more), n_structures=2)
    return {line.name: line for line in found if isinstance(line, Line)}


def failed(lines: dict[str, Line]) -> set[str]:
    return {name for name, line in lines.items() if line.status == Status.FAILED}


@pytest.mark.parametrize(
    "name",
    [
        *("ACE with weighted densities and a core", "listed ACSF"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("ACSF cosine", "ACE", "ZBL", "ACSF + ZBL")),
    ],
)
def test_good_models_pass(name: str) -> None:
    lines = lines_of(POTENTIALS[name]())
    assert failed(lines) == set(), lines
    assert {FORCES, STRESS, SINGLE_PRECISION, IN_DYNAMICS, TOGETHER, "translation", "choice of the cell"} <= set(lines)
    assert all(np.isfinite(line.figure) for line in lines.values())


def morse(fault: str = "") -> Potential:
    return MorsePairs(("Cu", "Au"), fault=fault)


def wrong(fault: str) -> Potential:
    return Wrong(morse(), fault)


PLANTED: dict[str, tuple[Callable[[], Potential], str]] = {
    "broken derivative": (lambda: wrong("broken derivative"), FORCES),
    "swirl": (lambda: wrong("swirl"), FORCES),
    "noise": (lambda: wrong("noise"), FORCES),
    "not a number": (lambda: wrong("not a number"), FORCES),
    "rounded distances": (lambda: morse("rounded distances"), FORCES),
    "broken shear": (lambda: wrong("broken shear"), STRESS),
    "absolute positions": (lambda: wrong("absolute positions"), "translation"),
    "frame dependence": (lambda: morse("frame dependence"), "rotation"),
    "chiral": (lambda: morse("chiral"), "reflection"),
    "order of the atoms": (lambda: morse("order of the atoms"), "order of the atoms"),
    "nearest image alone": (lambda: morse("nearest image alone"), "choice of the cell"),
    "not extensive": (lambda: wrong("not extensive"), "extensive (two far copies)"),
    "seen from afar": (lambda: wrong("seen from afar"), "local (an atom beyond the cutoff)"),
    "batch": (lambda: wrong("batch"), TOGETHER),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_planted_faults_are_found_by_the_right_line(fault: str, tmp_path: Path) -> None:
    make, name = PLANTED[fault]
    model = load(save(make(), tmp_path / "model.nnpot"), torch.float64)  # whose checksum is right
    assert name in failed(lines_of(model, CRYSTAL_AND_DIMER))


@pytest.mark.parametrize(
    "fault",
    ["chiral", *(pytest.param(f, marks=pytest.mark.slow) for f in ("absolute positions", "not extensive", "batch"))],
)
def test_faults_of_symmetry_are_not_taken_for_faults_of_forces(fault: str) -> None:
    assert FORCES not in failed(lines_of(PLANTED[fault][0](), CRYSTAL_AND_DIMER))


def test_good_pairs_pass() -> None:
    assert failed(lines_of(morse(), CRYSTAL_AND_DIMER)) == set()


def test_half_precision_is_to_be_looked_at() -> None:
    line = lines_of(wrong("float16"), CRYSTAL_AND_DIMER)[SINGLE_PRECISION]
    assert line.status > Status.PASSED


@needs_kernels
@pytest.mark.parametrize(("operator", "names"), [("networks", {NUMPY, TENSORS}), ("networks_gradient", {GRADIENTS})])
def test_a_wrong_kernel_is_found(operator: str, names: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    right = kernel(operator, torch.float64, torch.device("cpu"))

    def scaled(result: torch.Tensor, sizes: Any, given: Any) -> None:
        result.copy_(right(*given) * (1 + 1e-4))

    monkeypatch.setitem(registry._registered, (operator, torch.float64, "cpu"), scaled)
    assert names <= failed(lines_of(POTENTIALS["ACSF cosine"](), ("water",)))


def test_a_calculator_that_keeps_old_places_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nnpot.calculator._Kept, "at", lambda kept, positions: kept.batch)
    assert failed(lines_of(morse(), ("alloy",))) == {IN_DYNAMICS}


def test_an_export_of_another_model_is_found(tmp_path: Path) -> None:
    own, other = (network_potential(POTENTIALS["ACSF cosine"]().descriptor, seed=seed) for seed in (1, 2))
    same, changed = save(own, tmp_path / "same.nnpot"), save(other, tmp_path / "other.nnpot")
    lines = lines_of(own, ("water",), exports=(same, changed))
    assert failed(lines) == {"exported other.nnpot"}
    assert lines["exported same.nnpot"].status == Status.PASSED


@pytest.mark.slow
def test_files_of_n2p2_are_compared(tmp_path: Path) -> None:
    model, changed = (network_potential(acsf(g3=()), seed=seed, linear=False, activation="tanh") for seed in (1, 2))
    files = [n2p2.write(one, tmp_path / name) for one, name in ((model, "same"), (changed, "changed"))]
    lines = lines_of(model, ("water",), exports=tuple(files))
    assert failed(lines) == {"exported changed"}
    assert lines["exported same"].status == Status.PASSED


@pytest.mark.slow
def test_packages_and_folders_for_lammps_are_compared(tmp_path: Path) -> None:
    path, model = package_of("ACSF"), EXPORTED["ACSF"]()
    (tmp_path / "lammps").mkdir()
    (tmp_path / "lammps/model.pt2").write_bytes(path.read_bytes())
    lines = lines_of(model, ("water",), exports=(path, tmp_path / "lammps"))
    assert {lines[f"exported {name}"].status for name in (path.name, "lammps")} == {Status.PASSED}, lines
    other = lines_of(network_potential(acsf(), seed=5), ("water",), exports=(path,))
    assert f"exported {path.name}" in failed(other)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_models_of_metatomic_are_compared(tmp_path: Path) -> None:
    pytest.importorskip("metatomic_ase", reason="metatomic-ase is not installed")
    model, other = (network_potential(acsf(), seed=seed) for seed in (1, 2))
    path = importlib.import_module("nnpot.engines.metatomic").export_metatomic(model, tmp_path / "m.pt", "float64")
    assert lines_of(model, ("water",), exports=(path,))["exported m.pt"].status == Status.PASSED
    assert "exported m.pt" in failed(lines_of(other, ("water",), exports=(path,)))


def test_an_export_for_other_elements_is_found(tmp_path: Path) -> None:
    path = save(MorsePairs(("Ni",)), tmp_path / "nickel.nnpot")
    assert failed(lines_of(morse(), ("alloy",), exports=(path,))) == {"exported nickel.nnpot"}


def test_without_structures_some_are_made_up() -> None:
    lines = lines_of(POTENTIALS["ACSF cosine"](), ())
    assert failed(lines) == set()
    assert lines[STRESS].status == Status.PASSED


def test_what_is_not_stated_is_said() -> None:
    found = list(exact(Subject(morse().double(), (structure("alloy"),))))
    assert {one.name for one in found if isinstance(one, NotLooked)} >= {NUMPY, GRADIENTS}


def test_differences_are_relative_to_the_typical_force() -> None:
    one = Answer(1.0, np.array([[3.0, 0, 0], [-3.0, 0, 0]]), np.zeros(6))
    assert one.difference(one) == 0.0
    assert one.difference(Answer(1.2, one.forces, one.virial)) == pytest.approx(0.1 / one.scale)
    assert one.scale == pytest.approx(3 / np.sqrt(3))
    assert one.difference(Answer(1.0, one.forces[:1])) == float("inf")


def test_structures_are_made_up_of_all_elements_at_usual_distances() -> None:
    for periodic in (True, False):
        one = made(("H", "O", "Cu"), np.random.default_rng(0), periodic=periodic)
        assert set(one.numbers.tolist()) == {1, 8, 29}
        assert len(one) == 8
        assert one.to_ase().get_all_distances(mic=periodic)[np.triu_indices(8, 1)].min() > 0.4


def test_a_molecule_is_put_beside_copies_of_itself_to_have_a_cell() -> None:
    water = SYSTEMS["water"]()
    subject = Subject(network_potential(acsf()), (Structure.from_ase(water),), ())
    *_, one = (s for s in structures_of(subject, 2) if s.volume is not None)
    assert one.numbers.tolist() == water.numbers.tolist()  # far from its data a model may be too steep for differences
    atoms = one.to_ase()
    apart = atoms.get_all_distances()
    np.testing.assert_allclose(apart, water.get_all_distances(), atol=0.3)
    nearest_copy = min(np.linalg.norm(shift @ atoms.cell) for shift in np.ndindex(2, 2, 2) if any(shift))
    assert apart.max() < nearest_copy
    assert nearest_copy < apart.max() + 4.0


def test_what_is_cut_out_is_near_the_rarest_element() -> None:
    big = Structure.from_ase(SYSTEMS["alloy"]().repeat(2))
    small = cut(big, 5)
    assert len(small) == 5
    assert small.pbc == (False, False, False)

"""Charges and dipoles from the data to the calculator: trained, evaluated, predicted."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Debye
from ase.vibrations import Infrared
from datasets import labelled_alloys, write
from pictures import drawn
from runs import refusal
from systems import acsf, network_potential, rattled

from nnpot.__main__ import main
from nnpot.calculator import NNPotCalculator
from nnpot.commands.evaluate import evaluate
from nnpot.commands.export import export
from nnpot.heads import complaint_of_charges
from nnpot.io import load, save
from nnpot.label_names import LabelKeys
from nnpot.reading import read_structures
from nnpot.structure import Structure

CONFIG = """
potential:
  descriptor: {class_path: ACSF, init_args: {cutoff: 4.0, size: 30}}
  hidden: [8]
  heads: [charges]
loss: {energy: 1.0, forces: 1.0, dipole: 10.0, charges: 1.0}
optimizer: {ema: 0.0}
trainer: {max_epochs: 3, accelerator: cpu}
repulsion: false
"""
POINTS = np.array([-0.8, 0.4, 0.4])


def waters(n: int = 10) -> list[Atoms]:
    """Water with energies and forces of EMT, the dipole of point charges, and these for every other one."""
    frames = []
    for k in range(n):
        atoms = rattled(molecule("H2O"), seed=k)
        atoms.info["config_type"] = "wet" if k % 2 else "dry"
        atoms.calc = EMT()
        known = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        known |= {"dipole": POINTS @ atoms.positions} if k else {}
        known |= {"charges": POINTS} if k % 2 else {}
        atoms.calc = SinglePointCalculator(atoms, **known)
        frames.append(atoms)
    return frames


def run(folder: Path, *more: str, frames: list[Atoms] | None = None) -> Path:
    data = write(folder / "water.xyz", waters() if frames is None else frames)
    (folder / "config.yaml").write_text(CONFIG)
    out = folder / "run"
    options = ["--config", folder / "config.yaml", "--data.train", data, "--out", out]
    options += [] if "--data.doctor" in more else ["--data.doctor", "off"]
    options += [] if "--data.validation" in more else ["--data.validation", data]
    main(["train", *map(str, options), *more])
    return out


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with drawn():
        return run(tmp_path_factory.mktemp("charges"))


def test_their_errors_are_logged(trained: Path) -> None:
    (first, *_, last) = rows_of(trained)
    for key in ("val/dipole_rmse_me_ang", "val/charge_mae_me"):
        assert float(last[key]) != float(first[key])


def test_the_report_shows_them_per_type_and_element(trained: Path) -> None:
    report = (trained / "report.txt").read_text()
    for word in ("µ RMSE", "q MAE", "me·Å", "wet", "dry", "charges on O", "forces on H"):
        assert word in report
    assert (trained / "parity.png").stat().st_size > 20_000


def test_errors_are_those_of_the_definition(trained: Path) -> None:
    potential = load(trained / "model.nnpot", torch.float32)
    pairs = [(potential.predict(Structure.from_ase(a)), a) for a in waters()]
    dipole = [p.labels["dipole"][0].numpy() - a.get_dipole_moment() for p, a in pairs if "dipole" in a.calc.results]
    charges = [p.labels["charges"].numpy() - a.get_charges() for p, a in pairs if "charges" in a.calc.results]
    found = evaluate(trained / "model.nnpot", trained.parent / "water.xyz")
    # float32
    assert found["dipole_rmse_me_ang"] == pytest.approx(1000 * np.sqrt(np.mean(np.square(dipole))), rel=1e-4)
    assert found["dipole_mae_me_ang"] == pytest.approx(1000 * np.mean(np.abs(dipole)), rel=1e-4)
    assert found["charge_rmse_me"] == pytest.approx(1000 * np.sqrt(np.mean(np.square(charges))), rel=1e-4)


def test_predictions_are_written(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.xyz"
    main(["predict", str(trained / "model.nnpot"), str(trained.parent / "water.xyz"), str(out)])
    (first, *_) = ase.io.read(out, ":")
    labels = load(trained / "model.nnpot").predict(Structure.from_ase(first)).labels
    np.testing.assert_allclose(first.get_dipole_moment(), labels["dipole"][0], atol=1e-6)
    np.testing.assert_allclose(first.get_charges(), labels["charges"], atol=1e-6)


def test_the_loss_weighs_dipoles_and_charges(tmp_path: Path) -> None:
    weights = {"energy": 0.0, "forces": 0.0, "dipole": 3.0, "charges": 0.7}
    still = ["--optimizer.lr", "1e-12", "--trainer.max_epochs", "1", "--trainer.dtype", "float64"]
    folder = run(tmp_path, *still, *(f"--loss.{name}={weight}" for name, weight in weights.items()))
    potential, losses = load(folder / "model.nnpot", torch.float64), []
    for atoms in ase.io.read(tmp_path / "water.xyz", ":"):
        labels, known = potential.predict(Structure.from_ase(atoms)).labels, atoms.calc.results
        dipole = np.square(labels["dipole"][0].numpy() - known["dipole"]).mean() if "dipole" in known else 0
        charges = np.square(labels["charges"].numpy() - known["charges"]).mean() if "charges" in known else 0
        losses.append(3.0 * dipole + 0.7 * charges)
    (row,) = rows_of(folder)
    assert float(row["val/loss"]) == pytest.approx(np.mean(losses), rel=1e-6)  # logged in float32


@pytest.mark.slow
def test_validation_and_training_have_one_loss(tmp_path: Path) -> None:
    still = ["--optimizer.lr", "1e-12", "--trainer.max_epochs", "1", "--data.batch_size", "10", "--data.cache", "off"]
    frames = waters()
    for atoms in frames[::3]:
        atoms.info |= {"config_weight": 3.0, "config_dipole_weight": 0.5}
    for function in ("squared", "huber"):
        folder = tmp_path / function
        folder.mkdir()
        (row,) = rows_of(run(folder, *still, "--loss.function", function, frames=frames))
        # the same sums of float32 in another order
        assert float(row["val/loss"]) == pytest.approx(float(row["train/loss"]), rel=1e-5)


def test_a_label_that_is_not_predicted_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, "--potential.heads", "[]")
    assert (
        "the loss gives dipole a weight of 10, but the potential does not predict it: leave out loss.dipole, or train "
        "a new potential with --potential.heads '[charges]'"
    ) in capsys.readouterr().err


@pytest.mark.slow
def test_a_head_that_nothing_trains_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(tmp_path, "--loss.dipole", "0", "--loss.charges", "0")
    assert any("the head charges is not trained" in message for message in caplog.messages)


@pytest.mark.parametrize("charge", ["x", np.nan, np.array([1.0, 2.0]), True])
def test_a_charge_that_is_no_number_is_refused_where_it_counts(charge: object) -> None:
    atoms = molecule("H2O")
    atoms.info["charge"] = charge
    with_head = NNPotCalculator(network_potential(acsf(elements=("H", "O")), heads=("charges",)), dtype="float64")
    with pytest.raises(ValueError, match="must be one finite number"):
        with_head.calculate(atoms)
    without = NNPotCalculator(network_potential(acsf(elements=("H", "O"))), dtype="float64")
    without.calculate(atoms)
    assert np.isfinite(without.results["energy"])


def test_an_unknown_head_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, "--potential.heads", "[spins]")
    assert "heads must be some of charges, each once, got spins" in capsys.readouterr().err


# what cannot be, or is left out, is told -----------------------------------------------------------------------------


def without_charges() -> list[Atoms]:
    frames = waters()
    for atoms in frames:
        atoms.calc.results.pop("charges", None)
    return frames


@pytest.mark.parametrize("keys", [[], ["--data.keys.dipole", "mine"]], ids=["own name", "named"])
def test_dipoles_of_crystals_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: list[str]) -> None:
    frames = labelled_alloys(3)
    for atoms in frames:
        atoms.info["mine"] = np.zeros(3)
    with pytest.raises(SystemExit):
        run(tmp_path, "--loss.dipole", "1", *keys, frames=frames)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "has a dipole (periodic cells have no dipole label), to which the loss gives a weight of 1" in line
    assert line.endswith("leave out --loss.dipole")


def test_stresses_of_molecules_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, "--loss.stress", "1")
    assert "has a stress (no structure is periodic), to which" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["charges", pytest.param("mine", marks=pytest.mark.slow)])
@pytest.mark.parametrize("value", [[0.1, 0.2], [0.1, 0.2, 0.3, 0.4], 0.5], ids=["too few", "too many", "one"])
def test_charges_of_the_wrong_length_beside_the_arrays_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, value: object
) -> None:
    frames = without_charges()
    frames[4].info[name] = np.array(value)
    keys = [] if name == "charges" else ["--data.keys.charges", name]
    with pytest.raises(SystemExit):
        run(tmp_path, *keys, frames=frames)
    assert f"water.xyz, frame 4: {name} must be one number per atom to serve as charges" in capsys.readouterr().err


def test_charges_beside_the_arrays_are_read(tmp_path: Path) -> None:
    frames = without_charges()
    for atoms in frames:
        atoms.info["charges"] = POINTS
    (structure, *_) = read_structures(write(tmp_path / "water.xyz", frames))
    np.testing.assert_allclose(structure.labels["charges"], POINTS)


@pytest.mark.slow
def test_charges_that_do_not_add_up_are_told_once(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = waters()
    for k in (1, 3, 5, 7):
        frames[k].info["q"] = 1.0
    frames[9].calc.results["charges"] = POINTS + 0.01  # within the tolerance
    told = "frame 5 and 1 more: the charges do not add up to the total charge within 0.05 e"

    def count() -> int:
        return sum(told in message and "(in the first to 0 e instead of 1 e)" in message for message in caplog.messages)

    data = write(tmp_path / "water.xyz", frames)
    evaluate(trained / "model.nnpot", data)
    assert not any("do not add up" in message for message in caplog.messages)
    evaluate(trained / "model.nnpot", data, keys=replace(LabelKeys(), total_charge="q"))
    assert count() == 1
    caplog.clear()
    run(tmp_path, "--data.keys.total_charge", "q", "--data.validation", "0.1", frames=frames)
    assert count() == 1


def test_no_charges_no_sums(tmp_path: Path) -> None:
    frames = without_charges()
    frames[0].info["charge"] = 2
    structures = read_structures(write(tmp_path / "water.xyz", frames))
    assert complaint_of_charges(structures, "--keys.total_charge") == ""


@pytest.mark.parametrize("option", ["total_charge", "group"])
def test_a_key_that_no_frame_has_is_told(
    trained: Path, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "water.xyz", waters())
    line = refusal(capsys, "evaluate", trained / "model.nnpot", data, f"--keys.{option}", "Q")
    assert f"Q is in no structure, but --keys.{option} Q was given" in line


def test_the_total_charge_of_a_prediction_may_have_another_name(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    frames = waters(2)
    for atoms in frames:
        atoms.info |= {"charge": 3.0, "q": -1.0}
    data, out = write(tmp_path / "water.xyz", frames), tmp_path / "out.xyz"
    common = ["predict", str(trained / "model.nnpot"), str(data), str(out)]
    for key, total in (([], 3.0), (["--keys.total_charge", "q"], -1.0)):
        main([*common, *key])
        (first, *_) = ase.io.read(out, ":")
        assert first.get_charges().sum() == pytest.approx(total, abs=1e-5)
        assert first.info["charge"] == 3.0
    assert "Q is in no structure" in refusal(capsys, *common, "--keys.total_charge", "Q")
    frames[1].info["q"] = "many"
    write(tmp_path / "water.xyz", frames)
    assert "water.xyz, frame 1: q must be one finite number" in refusal(capsys, *common, "--keys.total_charge", "q")
    model = save(network_potential(acsf(("H", "O"))), tmp_path / "m.nnpot")
    main(["predict", str(model), str(data), str(out), "--keys.total_charge", "q"])
    assert any("predicts neither charges nor dipoles" in message for message in caplog.messages)


@pytest.mark.parametrize("target", ["lammps", "aot", "metatomic", "n2p2"])
def test_an_export_says_that_it_leaves_them_out(
    trained: Path, target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for writer in ("_lammps", "_metatomic", "aot.write", "n2p2.write"):
        monkeypatch.setattr(f"nnpot.commands.export.{writer}", MagicMock())
    export(str(trained / "model.nnpot"), str(tmp_path / "out"), target)
    assert f"{target} takes only energies, forces and stress, without dipole and charges" in caplog.messages
    caplog.clear()
    export(str(save(network_potential(acsf()), tmp_path / "m.nnpot")), str(tmp_path / "out"), target)
    assert not any("without" in message for message in caplog.messages)


# the calculator -------------------------------------------------------------------------------------------------------


@pytest.fixture
def calculator(tmp_path: Path) -> NNPotCalculator:
    potential = network_potential(acsf(("H", "O", "Cu", "Au")), heads=("charges",))
    return NNPotCalculator(save(potential, tmp_path / "m.nnpot"), dtype="float64")


def test_the_calculator_says_what_it_has(calculator: NNPotCalculator) -> None:
    assert {"dipole", "charges"} <= set(calculator.implemented_properties)
    assert not {"dipole", "charges"} & set(NNPotCalculator(network_potential(acsf())).implemented_properties)


def test_charges_are_those_of_the_ion(calculator: NNPotCalculator) -> None:
    atoms = rattled(molecule("OH"))
    atoms.info["charge"] = -1
    atoms.calc = calculator
    assert atoms.get_charges().sum() == pytest.approx(-1, abs=1e-12)
    np.testing.assert_allclose(atoms.get_dipole_moment(), atoms.get_charges() @ atoms.positions, atol=1e-12)
    atoms.info["charge"] = 2
    assert atoms.get_charges().sum() == pytest.approx(2, abs=1e-12)


def test_a_crystal_has_no_dipole(calculator: NNPotCalculator) -> None:
    (atoms,) = labelled_alloys(1)
    atoms.calc = calculator
    assert atoms.get_charges().sum() == pytest.approx(0, abs=1e-12)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_dipole_moment()


def test_infrared_spectra_follow(calculator: NNPotCalculator, tmp_path: Path) -> None:
    atoms = molecule("H2O")
    atoms.calc = calculator
    spectrum = Infrared(atoms, name=str(tmp_path / "ir"))
    spectrum.run()
    frequencies = spectrum.get_frequencies()
    assert len(frequencies) == len(spectrum.intensities) == 9

    def dipole(k: int, step: float) -> np.ndarray:
        moved = atoms.copy()
        moved.positions.flat[k] += step
        moved.calc = calculator
        return moved.get_dipole_moment()

    slopes = np.array([(dipole(k, 1e-3) - dipole(k, -1e-3)) / 2e-3 for k in range(9)])
    modes = np.array([spectrum.get_mode(k).ravel() for k in range(9)])  # of unit length times 1/√mass
    wanted = np.square(modes @ slopes / Debye).sum(axis=1)
    # steps of 0.01 Å there and of 0.001 Å here
    np.testing.assert_allclose(spectrum.intensities, wanted, rtol=0.02, atol=0.02 * wanted.max())

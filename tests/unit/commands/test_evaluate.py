"""`nnpot evaluate`, `predict`, `info` and the door."""

import json
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from datasets import labelled_alloys, write
from systems import acsf, network_potential

from nnpot.__main__ import main
from nnpot.analysis.wording import with_unit
from nnpot.commands.evaluate import evaluate
from nnpot.io import save
from nnpot.label_names import LabelKeys
from nnpot.structure import Structure
from nnpot.units import GPA


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(network_potential(acsf(("Cu", "Au"))), tmp_path / "m.nnpot")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "test.xyz", labelled_alloys(6))


def test_errors_are_those_of_the_definition(model: Path, data: Path) -> None:
    found = evaluate(model, data)
    potential = network_potential(acsf(("Cu", "Au")))
    frames = labelled_alloys(6)
    predictions = [potential.predict(Structure.from_ase(a)) for a in frames]
    cases = list(zip(predictions, frames, strict=True))
    energy = [(float(p.energy) - a.get_potential_energy()) / len(a) * 1000 for p, a in cases]
    force = [(p.forces.numpy() - a.get_forces()) * 1000 for p, a in cases]
    stress = [(p.stress[0].numpy() - a.get_stress()) / GPA for p, a in cases]
    wanted = {
        "energy_mae_mev_per_atom": np.abs(energy).mean(),
        "energy_rmse_mev_per_atom": np.sqrt(np.square(energy).mean()),
        "force_mae_mev_per_ang": np.abs(force).mean(),
        "force_rmse_mev_per_ang": np.sqrt(np.square(force).mean()),
        "stress_mae_gpa": np.abs(stress).mean(),
        "stress_rmse_gpa": np.sqrt(np.square(stress).mean()),
        "n_structures": 6,
        "n_atoms": 24,
    }
    # evaluation runs in float32
    assert found == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(("name", "is_told"), [("train.xyz", True), ("test.xyz", False)])
def test_that_it_may_have_been_trained_on_them_is_told(
    name: str, is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    summary = {"training file": "train.xyz", "training structures": 4}
    model = save(network_potential(acsf(("Cu", "Au"))), tmp_path / "m.nnpot", summary)
    evaluate(model, write(tmp_path / name, labelled_alloys(4)))
    assert ("is called as the file that the model was trained on" in caplog.text) == is_told


def test_json_and_plots_are_written(model: Path, data: Path, tmp_path: Path) -> None:
    main(["evaluate", str(model), str(data), "--json", str(tmp_path / "e.json"), "--plots", str(tmp_path / "p")])
    assert json.loads((tmp_path / "e.json").read_text())["n_structures"] == 6
    assert (tmp_path / "p/parity.png").stat().st_size > 10_000


def test_a_page_is_written(model: Path, data: Path, tmp_path: Path) -> None:
    found = evaluate(model, data, report=tmp_path / "new/r.html")
    text = (tmp_path / "new/r.html").read_text()
    assert "<h1>m.nnpot on test.xyz</h1>" in text
    assert with_unit(found["force_rmse_mev_per_ang"], "meV/Å") in text
    assert "1 ns of 1" in text
    assert "test.xyz, frame 3" in text
    assert "Learning curves" not in text  # of which a model knows nothing


def test_the_picture_is_called_by_the_names_of_the_files(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr("nnpot.commands.evaluate.parity", lambda path, panels, title: titles.append(title))
    main(["evaluate", str(model), str(data), "--plots", str(tmp_path / "p")])
    assert titles == [f"{model} on {data}"]


def test_the_table_lists_configuration_types_and_elements(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(model, data)
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("Au0", "Au4", "forces on Cu", "forces on Au", "meV/atom"))


def test_a_set_without_forces_and_stress_has_energy_errors_only(model: Path, tmp_path: Path) -> None:
    frames = labelled_alloys(2)
    for atoms in frames:
        del atoms.calc.results["forces"], atoms.calc.results["stress"]
    keys = set(evaluate(model, write(tmp_path / "e.xyz", frames)))
    assert keys == {"energy_mae_mev_per_atom", "energy_rmse_mev_per_atom", "n_structures", "n_atoms"}


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    assert stop.value.code in {1, 2}
    return capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_an_unknown_element_is_named_with_its_frame(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    frames = [*labelled_alloys(1), Atoms("Ni")]
    path = write(tmp_path / "n.xyz", frames)
    error = complaint(capsys, command, model, path, *([tmp_path / "out.xyz"] if command == "predict" else []))
    assert "frame 1" in error
    assert "Ni" in error


@pytest.mark.parametrize("length", [0, 5, 200, 3000])
def test_a_truncated_model_is_one_clear_sentence(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], length: int
) -> None:
    model.write_bytes(model.read_bytes()[:length])
    assert re.search(r"m\.nnpot is (empty|not a complete)", complaint(capsys, "evaluate", model, data))


def test_prediction_keeps_the_frames_and_adds_atomic_energies(model: Path, data: Path, tmp_path: Path) -> None:
    main(["predict", str(model), str(data), str(tmp_path / "out.xyz")])
    frames = ase.io.read(tmp_path / "out.xyz", ":")
    assert len(frames) == 6
    np.testing.assert_allclose(frames[3].positions, labelled_alloys(6)[3].positions, atol=1e-7)
    assert frames[3].calc.results["energies"].sum() == pytest.approx(frames[3].get_potential_energy(), abs=1e-5)


def test_predictions_are_known_as_such(
    model: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out.xyz"
    main(["predict", str(model), str(data), str(out)])
    frames = ase.io.read(out, ":")
    assert {atoms.info["predicted_by"] for atoms in frames} == {f"{tmp_path.name}/m.nnpot"}
    main(["evaluate", str(model), str(data), "--doctor", "off"])
    assert "predicted_by" not in caplog.text
    main(["evaluate", str(model), str(out), "--doctor", "off"])
    (told,) = [message for message in caplog.messages if "predicted_by" in message]
    start = f"{out}: the labels of 6 of 6 structures are predictions of {tmp_path.name}/m.nnpot (predicted_by): "
    assert told.startswith(start)
    caplog.clear()
    for atoms in frames:  # as another program labels them, beside the predictions or in their place
        atoms.info["REF_energy"] = -1.0
    ase.io.write(tmp_path / "beside.xyz", frames)
    main(["evaluate", str(model), str(tmp_path / "beside.xyz"), "--keys.energy", "REF_energy", "--doctor", "off"])
    for atoms in frames:
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((len(atoms), 3)))
    ase.io.write(tmp_path / "anew.xyz", frames)
    main(["evaluate", str(model), str(tmp_path / "anew.xyz"), "--doctor", "off"])
    assert "predicted_by" not in caplog.text


def test_info_shows_elements_and_descriptor(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", str(model)])
    assert "Cu, Au" in capsys.readouterr().out


@pytest.mark.parametrize(("word", "answer"), [("trian", "did you mean train?"), ("zzz", "there is no command 'zzz'")])
def test_a_wrong_command_is_told(capsys: pytest.CaptureFixture[str], word: str, answer: str) -> None:
    assert answer in complaint(capsys, word)


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    assert all(name in capsys.readouterr().out for name in ("train",))


def renamed(frames: list[Atoms]) -> list[Atoms]:
    """The same with forces and energies under other names."""
    for atoms in frames:
        atoms.info["REF_energy"] = atoms.calc.results.pop("energy")
        atoms.arrays["REF_forces"] = atoms.calc.results.pop("forces")
    return frames


def test_the_labels_of_the_file_are_told(model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "r.xyz", renamed(labelled_alloys(2)))
    main(["evaluate", str(model), str(path), "--keys.energy", "REF_energy"])
    told = "energy 2/2 (REF_energy), forces 0/2 (array REF_forces is there: use --keys.forces REF_forces), stress 2/2"
    assert caplog.messages[0] == f"labels of {path}: {told}"


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_ases_own_names_may_be_given(model: Path, data: Path, label: str) -> None:
    assert evaluate(model, data, keys=LabelKeys(**{label: label})) == evaluate(model, data)


def test_the_flags_of_keys_are_those_of_evaluate(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "r.xyz", renamed(labelled_alloys(2)))
    assert "key REF_energy is there: use --keys.energy REF_energy" in complaint(capsys, "evaluate", model, path)


def test_a_name_that_is_not_there_is_an_error(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = complaint(capsys, "evaluate", model, data, "--keys.forces", "dft")
    assert "dft is in no structure, but --keys.forces dft was given; array forces is there" in error


@pytest.mark.parametrize("option", [["--data.keys.energy", "REF_energy"], ["--data.keys.energy=REF_energy"]])
def test_a_flag_of_train_is_answered_with_that_of_evaluate(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    error = complaint(capsys, "evaluate", model, data, *option)
    assert "there is no option --data.keys.energy: that of nnpot evaluate is --keys.energy" in error

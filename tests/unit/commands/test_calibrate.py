"""`nnpot calibrate`, and what a training lets its model know of its errors."""

import logging
import re
import shlex
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from datasets import labelled_alloys, tiny_config, write
from reports import Page
from runs import refusal, taking

from nnpot.__main__ import main
from nnpot.fingerprints import KEY as FINGERPRINTS
from nnpot.fingerprints import OF_ERROR_BARS, Fingerprints
from nnpot.io import Committee, load, read_summary, save
from nnpot.machine.signals import InterruptedRunError
from nnpot.potential import Potential
from nnpot.repulsion import ZBL
from nnpot.structure import Structure
from nnpot.training.data import Split
from nnpot.training.twin import Twin
from nnpot.uncertainty import OF_ATOMS


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A training by default, one whose model is to know nothing, and their data in two files."""
    folder = tmp_path_factory.mktemp("runs")
    config = tiny_config(folder, labelled_alloys(16))
    validation = write(folder / "validation.xyz", labelled_alloys(8, 5))
    config.write_text(config.read_text().replace("uncertainty: false\n", ""))
    quick = ["train", "--config", str(config), "--data.validation", str(validation), "--trainer.max_epochs", "1"]
    main([*quick, "--out", str(folder / "known")])
    main([*quick, "--uncertainty", "false", "--out", str(folder / "unknown")])
    return {name: folder / name for name in ("known", "unknown")} | {
        "train": folder / "train.xyz",
        "unseen": validation,
    }


def test_a_training_leaves_a_model_that_knows_its_errors(runs: dict[str, Path]) -> None:
    known, unknown = (load(runs[name]) for name in ("known", "unknown"))
    assert known.is_calibrated
    assert not unknown.is_calibrated
    s = Structure.from_ase(labelled_alloys(1, 9)[0])
    assert torch.equal(known.predict(s).forces, unknown.predict(s).forces)
    assert known.predict(s).unknown.keys() == OF_ATOMS.keys()


def test_the_page_of_a_training_says_that_its_error_bars_were_made_to_agree(runs: dict[str, Path]) -> None:
    text = (runs["known"] / "report.html").read_text()
    assert "These are the structures that it was calibrated with, so that it says little of others" in text


def test_a_training_knows_which_structures_its_error_bars_are_of(runs: dict[str, Path]) -> None:
    kept = Fingerprints.in_summary(read_summary(runs["known"]), OF_ERROR_BARS)
    assert kept is not None
    assert kept.known([Structure.from_ase(atoms) for atoms in read(runs["unseen"], ":")]) == [True] * 8
    assert OF_ERROR_BARS not in read_summary(runs["unknown"])


def test_a_finished_model_gets_the_same(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "new.nnpot"
    model = runs["unknown"] / "model.nnpot"
    main(["calibrate", str(model), str(runs["unseen"]), "--train", str(runs["train"]), "--out", str(out)])
    assert capsys.readouterr().out.splitlines()[0] == "calibrated with 8 structures that it was not trained on"
    ours, theirs = load(out).state_dict(), load(runs["known"]).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert read_summary(out)["uncertainty"] == "of validation.xyz, trained on train.xyz"


def test_of_a_model_without_error_bars_that_is_told_and_how_it_gets_some(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(runs["train"].parent)  # from where the training file has the name that the model gives it
    bare, told = save(load(runs["unknown"]), tmp_path / "bare.nnpot", read_summary(runs["unknown"])), "for error bars: "
    main(["evaluate", str(bare), str(runs["unseen"])])
    line = next(x for x in caplog.messages if told in x)
    assert line.startswith("the model does not know how large its errors are")
    words = shlex.split(line.split(told)[1].replace("UNSEEN", str(runs["unseen"])))
    assert words[0] == "nnpot"
    main(words[1:])
    assert load(tmp_path / "bare-calibrated.nnpot").is_calibrated
    caplog.clear()
    main(["evaluate", str(tmp_path / "bare-calibrated.nnpot"), str(runs["unseen"])])
    main(["evaluate", str(save(ZBL(("Cu", "Au")), tmp_path / "zbl.nnpot")), str(runs["unseen"])])
    assert told not in caplog.text
    assert "the model does not know how large its errors are, nor where it extrapolates" in caplog.messages


def test_an_element_that_it_does_not_know_is_told_with_its_frame(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = write(tmp_path / "mixed.xyz", [*read(runs["unseen"], ":"), labelled_iron()])
    line = refusal(capsys, "calibrate", runs["unknown"] / "model.nnpot", mixed, "--train", runs["train"])
    assert line.startswith("nnpot: mixed.xyz, frame 8: atom 0 is Fe, but the model knows only ")


def labelled_iron() -> Atoms:
    atoms = Atoms("Fe2", [[0, 0, 0], [0, 0, 2.5]])
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((2, 3)))
    return atoms


def test_nothing_is_claimed_of_structures_that_nobody_knows(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = {name: told for name, told in read_summary(runs["unknown"]).items() if name != FINGERPRINTS}
    old = save(load(runs["unknown"]), tmp_path / "old.nnpot", summary)  # as of a model that keeps none
    main(["calibrate", str(old), str(runs["train"]), "--out", str(tmp_path / "new.nnpot")])
    said = capsys.readouterr().out.splitlines()[0]
    assert said == "calibrated with 16 structures, any of which it may have been trained on"


def test_structures_that_it_was_trained_on_are_no_measure(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model, train, out = runs["unknown"] / "model.nnpot", runs["train"], tmp_path / "new.nnpot"
    line = refusal(capsys, "calibrate", model, train, "--train", train, "--out", out)
    assert "all 16 structures are in --train train.xyz as well" in line
    assert not out.exists()
    mixed = write(tmp_path / "mixed.xyz", [*read(train, ":3"), *read(runs["unseen"], ":")])
    main(["calibrate", str(model), str(mixed), "--train", str(train), "--out", str(out)])
    assert "left out: 3 of 11 structures, which are in train.xyz as well" in caplog.text
    assert capsys.readouterr().out.startswith("calibrated with 8 structures")
    theirs = load(runs["known"]).state_dict()
    assert all(torch.equal(x, theirs[name]) for name, x in load(out).state_dict().items())


def test_nor_are_they_where_only_the_model_knows_them(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model, out = runs["unknown"] / "model.nnpot", tmp_path / "new.nnpot"
    line = refusal(capsys, "calibrate", model, runs["train"], "--out", out)
    assert "16 of 16 structures are among those that the model was trained on" in line
    mixed = write(tmp_path / "mixed.xyz", [*read(runs["train"], ":3"), *read(runs["unseen"], ":")])
    main(["calibrate", str(model), str(mixed), "--out", str(out)])
    assert "left out: 3 of 11 structures are among those that the model was trained on" in caplog.text
    assert "nobody can tell" not in caplog.text
    assert capsys.readouterr().out.startswith("calibrated with 8 structures that it was not trained on\n")


def test_validation_structures_that_train_as_well_calibrate_nothing(
    runs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = runs["train"].parent
    both = write(tmp_path / "both.xyz", [*read(runs["train"], ":4"), *read(runs["unseen"], ":6")])
    config = ["train", "--config", str(folder / "config.yaml"), "--trainer.max_epochs", "1", "--check", "false"]
    main([*config, "--data.validation", str(both), "--out", str(tmp_path / "run")])
    assert "4 of 10 validation structures are among the training structures" in caplog.text
    assert "how large its errors are likely to be: calibrated with 6 structures" in caplog.text


@pytest.mark.parametrize("name", ["train.xyz", "renamed.xyz"])
def test_errors_of_training_structures_are_called_so_whatever_their_file_is_called(
    name: str,
    runs: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    data, page, model = write(tmp_path / name, read(runs["train"], ":")), tmp_path / "page.html", str(runs["known"])
    told = "16 of 16 structures are among those that the model was trained on, whose errors are smaller than those of"
    main(["evaluate", model, str(data), "--report", str(page)])
    assert told in caplog.text
    assert "; the model was trained on these structures\n" in capsys.readouterr().out
    text = page.read_text()
    assert told in text
    assert "16 training structures" in text
    assert "times the model's error" not in text
    caplog.clear()
    capsys.readouterr()
    with pytest.raises(SystemExit):  # after an epoch it is fit for nothing
        main(["check", model, str(data), "--short"])
    assert told in caplog.text
    assert "the model was trained on these structures; its errors there are smaller" in capsys.readouterr().out
    caplog.clear()
    main(["evaluate", model, str(runs["unseen"])])
    assert "was trained on" not in caplog.text


def test_what_error_bars_were_made_of_is_said_where_they_are_judged(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model, unseen, out = runs["unknown"] / "model.nnpot", runs["unseen"], tmp_path / "new.nnpot"
    main(["calibrate", str(model), str(unseen), "--out", str(out)])
    assert "--train train.xyz is not given: γ will say how far an atom is from validation.xyz" in caplog.text
    caplog.clear()
    page, renamed = tmp_path / "page.html", write(tmp_path / "renamed.xyz", read(unseen, ":"))
    main(["evaluate", str(out), str(renamed), "--doctor", "off", "--report", str(page)])
    told = "8 of 8 structures are among those that its error bars were calibrated with: that they fit says little"
    assert told in caplog.text
    assert "γ is how far an atom is from validation.xyz" in caplog.text
    assert "8 validation structures" in page.read_text()
    assert "its error bars were calibrated with these structures" in capsys.readouterr().out
    caplog.clear()
    with pytest.raises(SystemExit):  # after an epoch it is fit for nothing
        main(["check", str(out), str(renamed), "--short"])
    assert told in caplog.text
    assert "its error bars were made to agree with these structures" in capsys.readouterr().out
    caplog.clear()
    summary = {name: told for name, told in read_summary(out).items() if name != OF_ERROR_BARS}
    older = save(load(out), tmp_path / "older.nnpot", summary)
    main(["evaluate", str(older), str(unseen), "--doctor", "off"])
    assert "validation.xyz is called as the file that error bars were calibrated with" in caplog.text
    caplog.clear()
    main(["calibrate", str(model), str(unseen), "--train", str(runs["train"]), "--out", str(out)])
    main(["evaluate", str(out), str(runs["train"]), "--doctor", "off"])
    assert not {m for m in caplog.messages if "error bars were calibrated" in m or "not given" in m}


def test_it_is_said_if_the_training_structures_are_others_or_those_to_calibrate_with_lie_outside(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model, out = runs["unknown"] / "model.nnpot", tmp_path / "new.nnpot"
    frames = read(runs["unseen"], ":")
    for frame in frames:
        without, frame.calc = frame.calc.results, None
        frame.set_cell(0.8 * frame.cell, scale_atoms=True)
        frame.calc = SinglePointCalculator(frame, energy=without["energy"], forces=without["forces"])
    frames += [frame.copy() for frame in frames]  # without labels
    far = write(tmp_path / "far.xyz", frames)
    main(["calibrate", str(model), str(far), "--train", str(runs["train"]), "--out", str(out)])
    assert "atoms of the structures are beyond the training data (γ > 1): error bars agree" in caplog.text
    assert "was trained on" not in caplog.text
    assert capsys.readouterr().out.startswith("calibrated with 8 structures that it was not")  # of 16
    caplog.clear()
    main(["calibrate", str(model), str(runs["train"]), "--train", str(runs["unseen"]), "--out", str(out)])
    assert "the model was trained on train.xyz, by what its file says, and γ will say how far" in caplog.text


def test_labels_are_looked_at_before(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    frames = labelled_alloys(60, 7)
    for frame in frames:
        frame.calc.results["forces"] = -frame.calc.results["forces"]
    data, out = write(tmp_path / "gradients.xyz", frames), tmp_path / "new.nnpot"
    given = ["calibrate", str(runs["unknown"] / "model.nnpot"), str(data), "--out", str(out)]
    with pytest.raises(SystemExit):
        main([*given, "--train", str(runs["train"])])
    assert "gradients" in capsys.readouterr().err
    assert not out.exists()
    main([*given, "--doctor", "off"])
    assert "force-sign" not in caplog.text
    assert out.exists()


def test_by_default_beside_the_model_and_of_the_structures_alone(runs: dict[str, Path], tmp_path: Path) -> None:
    model = save(load(runs["unknown"]), tmp_path / "a.nnpot")
    main(["calibrate", str(model), str(runs["unseen"])])
    assert load(tmp_path / "a-calibrated.nnpot").is_calibrated


def test_a_run_that_goes_on_makes_it_anew(runs: dict[str, Path], tmp_path: Path) -> None:
    before = load(runs["known"]).state_dict()
    assert main(["train", "--resume", str(runs["known"])]) is None  # nothing to do: the file stays
    after = load(runs["known"]).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_predictions_hold_it(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.xyz"
    main(["predict", str(runs["known"]), str(runs["unseen"]), str(out)])
    assert re.search(r"\d of \d+ atoms are beyond the training data \(γ > 1\)", capsys.readouterr().out)
    frame = read(out)
    assert {"energies_uncertainty", "forces_uncertainty", "extrapolation"} <= frame.arrays.keys()
    assert {"energy_uncertainty", "stress_uncertainty"} <= frame.info.keys()
    told = load(runs["known"]).predict(frame)
    assert frame.info["energy_uncertainty"] == pytest.approx(float(told.energy_uncertainty), rel=1e-4)


def without_validation(folder: Path, n: int) -> list[str]:
    """The command of a training of n structures, all of which train."""
    config = tiny_config(folder, labelled_alloys(n))
    config.write_text(config.read_text().replace("uncertainty: false\n", ""))
    quick = ["--data.validation", "0", "--trainer.max_epochs", "1", "--out", str(folder / "run")]
    return ["train", "--config", str(config), *quick]


def test_frames_that_hardly_move_all_have_it(runs: dict[str, Path], tmp_path: Path) -> None:
    frames = [labelled_alloys(1)[0] for _ in range(4)]
    for k, atoms in enumerate(frames):
        atoms.rattle(0.01, seed=k)  # as in dynamics, where a calculator looks at every tenth step alone
    main(["predict", str(runs["known"]), str(write(tmp_path / "in.xyz", frames)), str(tmp_path / "out.xyz")])
    assert all("extrapolation" in atoms.arrays for atoms in read(tmp_path / "out.xyz", ":"))


def test_of_very_few_structures_nothing_is_known_and_a_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        main(without_validation(tmp_path, 6))
    start = "the model does not know how large its errors are: 0 structures"
    assert [m for m in caplog.messages if m.startswith(start)]
    assert not load(tmp_path / "run").is_calibrated


@pytest.mark.slow
def test_of_few_structures_a_twin_finds_errors_which_may_be_interrupted_and_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, trained = tmp_path / "run", Twin._trained
    monkeypatch.setattr(Twin, "_trained", mock.Mock(side_effect=InterruptedRunError(128 + signal.SIGINT)))
    with pytest.raises(SystemExit):
        main(without_validation(tmp_path, 15))
    assert not load(run).is_calibrated
    assert (run / "report.txt").is_file()
    before = load(run).bare().state_dict()
    monkeypatch.setattr(Twin, "_trained", trained)
    with caplog.at_level(logging.INFO):
        main(["train", "--resume", str(run)])
    told = "found with 5 structures that a twin, trained on the other 10, has not seen; "
    told += "so few may mislead by a factor of three"
    assert [m for m in caplog.messages if m.endswith(told)]
    summary = read_summary(run)
    assert summary["uncertainty"] == told
    assert load(run).is_calibrated
    errors = summary["errors of a twin on unseen structures"]
    assert re.fullmatch(r"energy \S+ meV/atom, forces \S+ meV/Å, stress \S+ GPa \(RMSE\)", errors)
    assert f"errors of the twin on these, which are about those of the model on new structures: {errors}" in caplog.text
    text = Page((run / "report.html").read_text()).text.replace("\u2060", "")
    assert f"a twin of the model has {errors} on some that it has not seen" in text
    assert errors != summary["errors on training structures"]
    assert all(torch.equal(before[name], x) for name, x in load(run).bare().state_dict().items())
    assert "expected" not in (run / "report.txt").read_text()  # which is of training structures


@pytest.mark.slow
def test_the_twin_of_a_resumed_run_has_the_time_of_all_of_it_and_says_if_that_was_too_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, trained = tmp_path / "run", Twin._trained
    monkeypatch.setattr(Twin, "_trained", mock.Mock(side_effect=InterruptedRunError(128 + signal.SIGINT)))
    with pytest.raises(SystemExit):
        main(without_validation(tmp_path, 15))
    taking(run / "last.ckpt", seconds=7200.0)
    given: list[float | None] = []

    def in_no_time(twin: Twin, split: Split, epochs: int, deadline: float | None) -> tuple[Potential, str]:
        given.append(deadline)
        with monkeypatch.context() as patch:
            patch.setattr("nnpot.training.stop.time", SimpleNamespace(perf_counter=lambda: float("inf")))
            return trained(twin, split, epochs, deadline)

    monkeypatch.setattr(Twin, "_trained", in_no_time)
    main(["train", "--resume", str(run)])
    assert given[0] is not None
    assert 7000 < given[0] - time.perf_counter() < 7200
    assert read_summary(run)["uncertainty"].endswith(
        "has not seen; its time was over after 0 of at most 1 epochs; so few may mislead by a factor of three"
    )


def test_of_a_committee_the_spread_is_scaled(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = [load(runs["known"]), load(runs["unknown"])]
    for weights in members[1].parameters():
        weights.data *= 1.01
    both, page, out = save(Committee(members), tmp_path / "c.nnpot"), tmp_path / "page.html", tmp_path / "p.xyz"
    main(["calibrate", str(both), str(runs["unseen"]), "--train", str(runs["train"])])
    path = tmp_path / "c-calibrated.nnpot"
    assert isinstance(load(path), Committee)
    capsys.readouterr()
    main(["evaluate", str(path), str(runs["unseen"]), "--report", str(page)])
    told = capsys.readouterr().out.replace("1.00", "1")
    assert "(RMS, 1 at best; of fewer than 10 structures, too few for an interval): energy per atom 1, forces 1" in told
    assert Page(page.read_text()).faults == []
    main(["predict", str(path), str(runs["unseen"]), str(out)])
    frame = read(out)
    assert OF_ATOMS.keys() <= {*frame.arrays, *frame.info}


def test_what_has_no_hidden_layers_is_refused(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save(ZBL(load(runs["known"]).elements), tmp_path / "zbl.nnpot")
    assert "a ZBL without hidden layers of nnpot" in refusal(capsys, "calibrate", model, runs["unseen"])
    few = refusal(capsys, "calibrate", runs["known"], f"{runs['unseen']}@:3")
    assert "3 structures with energies and forces" in few
    assert few.endswith("are too few; give nnpot calibrate MODEL DATA at least 5")

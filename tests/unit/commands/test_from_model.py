"""A training that starts from a model: what it keeps, what it fits anew."""

from pathlib import Path

import pytest
import torch
import yaml
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from datasets import labelled_alloys, tiny_config, write
from runs import refusal, weights
from systems import acsf, network_potential

from nnpot.__main__ import main
from nnpot.commands.train import inherited
from nnpot.committee import Committee
from nnpot.fingerprints import Fingerprints, fingerprint_of
from nnpot.formats import n2p2
from nnpot.io import load, read_summary, save
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import SumPotential
from nnpot.repulsion import ZBL
from nnpot.structure import Structure
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.options import DataOptions

STILL = ["--optimizer.lr", "1e-12", "--optimizer.ema", "0", "--trainer.max_epochs", "1"]
"""A training that leaves weights where they are."""
BARE = ["--repulsion", "false"]
"""Without a core, before which last layers may be changed."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    more = ["--trainer.max_epochs", "6", "--data.batch_size", "3", "--loss.forces", "7"]
    main(["train", "--config", str(tiny_config(folder)), "--out", str(folder / "run"), *more])
    return folder / "run/model.nnpot"


def shifted(frames: int, seed: int, **shift: float) -> list:
    """Frames whose energies are those of EMT and a constant for each atom of an element."""
    made = labelled_alloys(frames, seed)
    for atoms in made:
        atoms.calc.results["energy"] += sum(shift.get(symbol, 0.0) for symbol in atoms.symbols)
        atoms.calc.results.pop("free_energy", None)
    return made


def test_networks_and_scales_are_kept_and_only_reference_energies_are_fitted(model: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "new.xyz", shifted(10, 5, Cu=1.5, Au=-2.25))
    main(["train", "--from", str(model), "--data.train", str(data), "--out", str(tmp_path / "o"), *STILL, *BARE])
    old, new = load(model, torch.float64), load(tmp_path / "o/model.nnpot", torch.float64)
    assert isinstance(old, NeuralNetworkPotential)
    assert isinstance(new, NeuralNetworkPotential)
    # a step at a rate of 1e-13 moves no float32 weight by more than its last bit
    torch.testing.assert_close(weights(tmp_path / "o/model.nnpot"), weights(model), rtol=1e-6, atol=1e-9)
    assert (new.energy_scale, new.descriptor.arguments) == (old.energy_scale, old.descriptor.arguments)
    plain = write(tmp_path / "plain.xyz", labelled_alloys(10, 5))
    main(["train", "--from", str(model), "--data.train", str(plain), "--out", str(tmp_path / "p"), *STILL, *BARE])
    level = load(tmp_path / "p/model.nnpot", torch.float64)
    # a shift of the labels, a constant for each element, is found to the last digits of energies of some eV in float32
    assert new.reference[0] - level.reference[0] == pytest.approx(1.5, abs=1e-5)
    assert new.reference[1] - level.reference[1] == pytest.approx(-2.25, abs=1e-5)


def test_forgetting_is_told_unless_old_structures_are_there(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    new, old = write(tmp_path / "new.xyz", labelled_alloys(10, 5)), model.parent.parent / "train.xyz"
    told, command = "it learns from these structures alone and forgets others", f"nnpot merge {model}"
    for given, forgets in (([new], True), ([new, f"{old}@::2"], False)):
        caplog.clear()
        main(["train", *map(str, given), "--from", str(model), "--out", str(tmp_path / f"o{len(given)}"), *STILL])
        assert (told in caplog.text) == forgets
        line = next(line for line in capsys.readouterr().out.splitlines() if command in line)
        assert (" OLD.xyz: " in line) == forgets


def test_what_the_model_was_trained_on_is_not_set_aside_and_stays_known(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new, old = write(tmp_path / "new.xyz", labelled_alloys(12, 5)), model.parent.parent / "train.xyz"
    trained_on = Fingerprints.in_summary(read_summary(model))
    assert trained_on is not None
    n_old = len(trained_on.values)
    out, *more = tmp_path / "o", "--uncertainty", "true", "--check", "false", "--data.validation", "0.4"
    main(["train", "--from", str(model), str(old), str(new), "--out", str(out), *more, *STILL])
    record = Checkpoint.read(out / "last.ckpt").record
    split = record.split_of(DataOptions([old, new]))
    assert trained_on.count(split.validation) == 0
    assert trained_on.count(split.train) == n_old
    assert f"{n_old} that the model to start from was trained on stay for training" in caplog.text
    known = Fingerprints.in_summary(read_summary(out))
    assert known is not None
    assert known.count(split.train) == len(split.train)
    caplog.clear()
    main(["train", "--from", str(out), str(new), "--out", str(tmp_path / "p"), *STILL])
    known = Fingerprints.in_summary(read_summary(tmp_path / "p"))
    assert known is not None
    assert known.count(split.train) == len(split.train)  # of the trainings before as well
    again = Checkpoint.read(tmp_path / "p/last.ckpt").record.split_of(DataOptions(new))
    aside = [fingerprint_of(s) for s in split.validation if s.name.startswith("new.xyz")]
    assert aside
    assert set(aside) <= {fingerprint_of(s) for s in again.validation}  # as before


def test_validation_structures_that_the_model_was_trained_on_calibrate_nothing(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train, old = write(tmp_path / "new.xyz", labelled_alloys(12, 5)), model.parent.parent / "train.xyz"
    both = write(tmp_path / "both.xyz", [*read(old, ":"), *labelled_alloys(6, 7)])
    trained_on = Fingerprints.in_summary(read_summary(model))
    assert trained_on is not None
    n, n_all = len(trained_on.values), len(read(both, ":"))
    given = ["--data.validation", str(both), "--uncertainty", "true", "--check", "false", "--out", str(tmp_path / "o")]
    main(["train", "--from", str(model), str(train), *given, *STILL])
    assert (
        f"{n} of {n_all} validation structures are among the training structures, or those of the model" in caplog.text
    )
    assert f"calibrated with {n_all - n} structures that it was not trained on" in caplog.text
    told = f"its error bars were calibrated with {n_all - n} of these {n_all} structures, others are known to the model"
    assert told in (tmp_path / "o/report.txt").read_text()


@pytest.mark.slow
def test_an_element_that_does_not_occur_keeps_its_reference_energy(model: Path, tmp_path: Path) -> None:
    copper = [atoms for atoms in shifted(20, 5, Cu=1.5) if set(atoms.symbols) == {"Cu"}]
    data = write(tmp_path / "new.xyz", copper)
    main(["train", "--from", str(model), "--data.train", str(data), "--out", str(tmp_path / "o"), *STILL])
    old, new = load(model), load(tmp_path / "o/model.nnpot")
    assert new.reference[1] == old.reference[1]
    assert new.reference[0] > old.reference[0] + 1.0


def test_the_recipe_is_the_model_s_and_the_rate_a_tenth(model: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "new.xyz", labelled_alloys(10, 5))
    given = ["--data.train", str(data), "--out", str(tmp_path / "o"), "--trainer.max_epochs", "6"]
    main(["train", "--from", str(model), *given])
    found = yaml.safe_load((tmp_path / "o/config.yaml").read_text())
    assert (found["loss"]["forces"], found["data"]["batch_size"], found["trainer"]["max_epochs"]) == (7.0, 3, 6)
    assert found["data"]["validation"] == 0.25
    assert found["from_model"] == str(model)
    header, first, *_ = (tmp_path / "o/metrics.csv").read_text().splitlines()
    column = header.split(",").index("lr")
    last = (6 * 3 - 1) / 18  # time of the last step, of 6 epochs of 3 steps: 8 structures, 3 a step
    cosine = float(torch.cos(torch.tensor(torch.pi * (last - 0.02) / 0.98, dtype=torch.float64)))
    rates = [float(line.split(",")[column]) for line in (tmp_path / "o/metrics.csv").read_text().splitlines()[1:]]
    assert rates[-1] == pytest.approx(0.1 * 0.002 * (0.01 + 0.99 * 0.5 * (1 + cosine)), rel=1e-6)
    assert first


@pytest.mark.parametrize("source", ["folder", "model"])
def test_the_length_of_its_training_is_not_taken_over(model: Path, source: str) -> None:
    found = inherited(None, model if source == "model" else model.parent)["trainer"]
    assert (found["max_epochs"], found["validate_every"]) == ("auto", "auto")
    assert not {"patience", "max_time", "accelerator"} & found.keys()
    assert found["atom_budget"] == 16.0


@pytest.mark.slow
def test_it_learns_more_of_new_data_than_the_model_knew(model: Path, tmp_path: Path) -> None:
    frames = shifted(24, 5, Cu=0.3)
    data = write(tmp_path / "new.xyz", frames)
    more = ["--trainer.max_epochs", "40", "--optimizer.lr", "0.05"]
    main(["train", "--from", str(model), "--data.train", str(data), "--out", str(tmp_path / "o"), *more])

    def force_error(path: Path) -> float:
        potential = load(path)
        errors = [potential.predict(Structure.from_ase(a)).forces - torch.tensor(a.get_forces()) for a in frames]
        return float(torch.cat(errors).square().mean().sqrt())

    assert force_error(tmp_path / "o/model.nnpot") < 0.8 * force_error(model)


@pytest.mark.slow
def test_a_run_from_a_model_is_resumed_without_it(model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "m.nnpot"
    kept.write_bytes(model.read_bytes())
    data = write(tmp_path / "new.xyz", labelled_alloys(10, 5))
    straight = ["train", "--from", str(kept), "--data.train", str(data), "--out"]
    main([*straight, str(tmp_path / "o"), "--trainer.max_epochs", "2"])
    kept.unlink()
    main(["train", "--resume", str(tmp_path / "o"), "--trainer.max_epochs", "3"])
    assert (tmp_path / "o/metrics.csv").read_text().count("\n") == 4


@pytest.mark.slow
def test_repulsion_stays_part_of_the_model(tmp_path: Path) -> None:
    config = str(tiny_config(tmp_path))
    main(["train", "--config", config, "--out", str(tmp_path / "o"), "--repulsion", "true"])
    data = write(tmp_path / "new.xyz", labelled_alloys(10, 5))
    more = ["--from", str(tmp_path / "o/model.nnpot"), "--data.train", str(data), "--out", str(tmp_path / "p"), *STILL]
    main(["train", *more])
    new = load(tmp_path / "p/model.nnpot")
    assert isinstance(new, SumPotential)
    assert isinstance(new.second, ZBL)


@pytest.mark.slow
def test_a_potential_in_the_configuration_gives_way_to_the_model_which_is_said(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny_config(tmp_path)
    more = ["--potential.hidden", "[3]", "--out", str(tmp_path / "o"), *STILL]
    main(["train", "--config", str(config), "--from", str(model), *more])
    assert weights(tmp_path / "o/model.nnpot").shape == weights(model).shape
    assert "the potential of the settings is not used" in caplog.text
    assert yaml.safe_load((tmp_path / "o/config.yaml").read_text())["potential"] is None


@pytest.mark.slow
def test_the_folder_of_a_run_serves_even_without_its_model(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    for name in ("last.ckpt", "best.ckpt"):
        (folder / name).write_bytes((model.parent / name).read_bytes())
    data = write(tmp_path / "new.xyz", labelled_alloys(10, 5))
    for source, out in ((folder, "a"), (model, "b")):
        main(["train", "--from", str(source), "--data.train", str(data), "--out", str(tmp_path / out), *STILL])
    torch.testing.assert_close(*(weights(tmp_path / o / "model.nnpot") for o in "ab"), rtol=0, atol=0)


def test_repulsion_cannot_be_added(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "new.xyz", labelled_alloys(10, 5))
    common = ["train", "--from", str(model), "--data.train", str(data), "--out", str(tmp_path / "o")]
    assert "the model has no repulsion" in refusal(capsys, *common, "--repulsion", "true")


def test_atoms_at_one_place_are_named(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = labelled_alloys(10, 5)
    results = dict(frames[6].calc.results)
    frames[6].positions[1] = frames[6].positions[0]
    frames[6].calc = SinglePointCalculator(frames[6], **results)
    data = write(tmp_path / "new.xyz", frames)
    given = ["--from", model, "--data.train", data, "--out", tmp_path / "o"]
    assert "new.xyz, frame 6: atom 0" in refusal(capsys, "train", *given)
    line = refusal(capsys, "train", *given, "--data.doctor", "off")
    assert "new.xyz, frame 6: atoms 0 and 1 are at one place" in line


def with_nickel(frames: int, seed: int, shift: float = 0.0) -> list:
    """Labelled frames, some of their atoms nickel, each of which has more energy by a shift in eV."""
    made = labelled_alloys(frames, seed)
    for k, atoms in enumerate(made):
        atoms.symbols[: 1 + k % 3] = "Ni"
        atoms.calc = EMT()
        energy = atoms.get_potential_energy() + shift * list(atoms.symbols).count("Ni")
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=atoms.get_forces())
    return made


def test_elements_that_no_functions_are_for_are_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "new.xyz", with_nickel(10, 5))
    line = refusal(capsys, "train", "--from", model, "--data.train", data, "--out", tmp_path / "o")
    assert "a potential with ACSF cannot learn further elements (Cu, Au, Ni)" in line


@pytest.mark.parametrize("repulsion", ["auto", pytest.param("true", marks=pytest.mark.slow)])
def test_a_further_element_begins_like_another_and_has_its_own_reference_energy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, repulsion: str
) -> None:
    small = ["--potential.descriptor", "{class_path: ACE, init_args: {cutoff: 4.0, n_radial: 3, l_max: 1}}"]
    config = tiny_config(tmp_path)
    first = ["--config", str(config), *small, "--repulsion", repulsion, "--trainer.max_epochs", "2"]
    main(["train", *first, "--out", str(tmp_path / "first")])
    data = write(tmp_path / "new.xyz", with_nickel(10, 5))
    main(["train", "--from", str(tmp_path / "first"), "--data.train", str(data), "--out", str(tmp_path / "o"), *STILL])
    assert "the model learns further elements, which begin like others: Ni as Cu" in caplog.messages
    old, new = load(tmp_path / "first/model.nnpot", torch.float64), load(tmp_path / "o/model.nnpot", torch.float64)
    assert new.elements == ("Cu", "Au", "Ni")
    assert new.has_core is (repulsion == "auto")
    data = write(tmp_path / "shifted.xyz", with_nickel(10, 5, shift=1.5))
    main(["train", "--from", str(tmp_path / "first"), "--data.train", str(data), "--out", str(tmp_path / "p"), *STILL])
    shifted = load(tmp_path / "p/model.nnpot", torch.float64)
    references = [(m.first if isinstance(m, SumPotential) else m).reference for m in (new, shifted)]
    differences = [b - a for a, b in zip(*references, strict=True)]
    assert differences == pytest.approx([0.0, 0.0, 1.5], abs=1e-4)
    plain = Structure.from_ase(labelled_alloys(3, 9)[2])
    torch.testing.assert_close(new.predict(plain).forces, old.predict(plain).forces, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_trained_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    committee = save(Committee((load(model), load(model))), tmp_path / "c.nnpot")
    data = write(tmp_path / "new.xyz", labelled_alloys(10, 5))
    for path, why in ((committee, "a Committee cannot be trained"), (tmp_path / "no.nnpot", "there is no model")):
        assert why in refusal(capsys, "train", "--from", path, "--data.train", data, "--out", tmp_path / "o")


@pytest.mark.slow
def test_a_potential_of_n2p2_is_trained_further(tmp_path: Path) -> None:
    functions = {"g2": ((0.5, 0.0), (2.0, 2.5)), "g3": (), "g4": ((0.05, 1.0, -1.0, 0.0),), "g5": ()}
    folder = n2p2.write(network_potential(acsf(("Cu", "Au"), **functions), linear=False), tmp_path / "n2p2")
    data = write(tmp_path / "new.xyz", labelled_alloys(10, 5))
    more = ["--trainer.max_epochs", "2", "--trainer.accelerator", "cpu"]
    main(["train", "--from", str(folder), "--data.train", str(data), "--out", str(tmp_path / "o"), *more])
    new = load(tmp_path / "o/model.nnpot")
    assert isinstance(new, NeuralNetworkPotential)
    assert new.descriptor.arguments == n2p2.read(folder).descriptor.arguments

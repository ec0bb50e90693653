"""`nnpot merge`: the average of a model and of one that was fine-tuned from it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from datasets import labelled_alloys, tiny_config, write
from runs import refusal
from systems import acsf, core, network_potential

from nnpot.__main__ import main
from nnpot.io import Committee, load, read_summary, save
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential, SumPotential
from nnpot.reading import read_structures
from nnpot.repulsion import ZBL
from nnpot.structure import Structure
from nnpot.training.merging import merged, reference_shifts

QUICK = ["--repulsion", "false", "--trainer.max_epochs", "2", "--optimizer.lr", "0.05"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model, one fine-tuned from it on other data, and the data of both."""
    folder = tmp_path_factory.mktemp("runs")
    old, cold, hot = folder / "cold", folder / "train.xyz", write(folder / "hot.xyz", labelled_alloys(8, 5))
    main(["train", "--config", str(tiny_config(folder)), "--out", str(old), *QUICK])
    main(["train", str(hot), str(cold), "--from", str(old), "--out", str(folder / "hot"), *QUICK])
    return {"old": old, "new": folder / "hot", "cold data": cold, "hot data": hot}


def command(runs: dict[str, Path], *more: str | Path) -> list[str]:
    names = ("old", "new", "--data", "hot data", "cold data")
    return ["merge", *(str(runs.get(name, name)) for name in names), *map(str, more)]


def parameters(potential: Potential) -> dict[str, np.ndarray]:
    return {name: p.detach().numpy() for name, p in potential.named_parameters()}


def labelled(path: Path) -> list[Structure]:
    return list(read_structures(path))


def test_weights_lie_between_and_errors_of_all_shares_are_shown(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "between.nnpot"
    main(command(runs, "--share", "0.3", "--out", out))
    told = capsys.readouterr().out
    old, new, mine = (parameters(load(path, torch.float64)) for path in (runs["old"], runs["new"], out))
    assert old.keys() == new.keys() == mine.keys()
    for name in mine:
        np.testing.assert_allclose(mine[name], 0.7 * old[name] + 0.3 * new[name], rtol=1e-5, atol=1e-7)
    assert any((old[name] != new[name]).any() for name in mine)
    rows = [line.split("│")[1].strip() for line in told.splitlines() if line.count("│") > 2]
    assert rows == ["0, old", "0.25", "→ 0.3", "0.5", "0.75", "1, new"]
    assert f"written: {out}, without error bars" in told
    assert "hot.xyz" in told
    assert "train.xyz" in told


def test_it_is_said_which_structures_of_a_test_a_model_was_trained_on(
    runs: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, new = tmp_path / "between.nnpot", write(tmp_path / "new.xyz", labelled_alloys(4, 9))
    main(command(runs, "--test", runs["hot data"], new, "--out", out))
    told = [line for line in caplog.messages if "was trained on, whose errors are smaller" in line]
    assert len(told) == 1  # the old model has seen none of them
    assert told[0].startswith(f"hot.xyz and {runs['new']}: ")
    assert " of 8 structures are among those that the model was trained on" in told[0]
    assert read_summary(out)["training files"] == "hot.xyz, train.xyz"
    assert "training file" not in read_summary(out)


def test_the_table_holds_the_errors_of_the_models(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "between.nnpot"
    main(command(runs, "--test", runs["hot data"], "--out", out))
    cells = {
        line.split("│")[1].strip(): line.split("│")[3] for line in capsys.readouterr().out.splitlines() if "│" in line
    }
    for name, path in {"0, old": runs["old"], "→ 0.5": out, "1, new": runs["new"]}.items():
        model, structures = load(path, torch.float32), labelled(runs["hot data"])
        errors = [p.forces.double() - s.forces for p, s in zip(model.predict(structures), structures, strict=True)]
        rmse = 1000 * float(torch.cat(errors).square().mean().sqrt())
        assert float(cells[name]) == pytest.approx(rmse, rel=1e-3)


def test_energies_have_no_constant_error(runs: dict[str, Path]) -> None:
    structures = [*labelled(runs["hot data"]), *labelled(runs["cold data"])]
    model = merged(load(runs["old"]), load(runs["new"]), 0.5, structures)
    again = reference_shifts(model, structures)
    assert max(map(abs, again.values())) < 1e-4  # eV; the fits go on until nothing changes

    def total(potential: Potential) -> float:
        errors = [
            (float(p.energy) - s.energy) / len(s)
            for p, s in zip(potential.predict(structures), structures, strict=True)
        ]
        return float(np.abs(errors).sum())

    assert isinstance(model, NeuralNetworkPotential)
    for shift in ({"Cu": 0.1}, {"Cu": -0.1}, {"Au": 0.1}, {"Au": -0.1}):
        assert total(model.with_references(shift)) > total(model)


def test_structures_with_large_errors_do_not_move_the_others() -> None:
    potential = network_potential(acsf(("Cu", "Au")))
    structures = [Structure.from_ase(a) for a in labelled_alloys(25, 2)]
    shifts = {"Cu": 0.3, "Au": -0.7}
    labelled = []
    for k, (s, p) in enumerate(zip(structures, potential.predict(structures), strict=True)):
        n_gold = int((s.numbers == 79).sum())
        energy = float(p.energy) + (4 - n_gold) * shifts["Cu"] + n_gold * shifts["Au"]
        labelled.append(s.with_labels(energy=torch.tensor(energy + (3.0 if k < 5 else 0.0), dtype=torch.float64)))
    assert reference_shifts(potential, labelled) == pytest.approx(shifts, abs=1e-3)  # by squares it would be 0.15 eV


def test_the_core_keeps_to_the_distances_of_the_fine_tuned_model(runs: dict[str, Path], tmp_path: Path) -> None:
    out, closer = tmp_path / "between.nnpot", tmp_path / "closer.nnpot"
    new, table = load(runs["new"]), core(("Cu", "Au"), 0.5)
    save(new.bare().with_core(table), closer, read_summary(runs["new"]))
    main(["merge", str(runs["old"]), str(closer), "--data", str(runs["cold data"]), "--out", str(out)])
    made = load(out).core
    assert made is not None
    np.testing.assert_allclose(made.distances, table.distances, rtol=1e-6)  # smaller than those of the data
    save(new.bare(), closer, read_summary(runs["new"]))
    main(["merge", str(runs["old"]), str(closer), "--data", str(runs["cold data"]), "--out", str(out)])
    assert load(out).core is None


def test_a_repulsion_is_taken_along(tmp_path: Path) -> None:
    copper = network_potential(acsf(("Cu",)))
    structures = [Structure.from_ase(a) for a in labelled_alloys(10, 2)]
    old, new = (p + ZBL(p.elements) for p in (copper, copper.with_references({"Cu": 0.1})))
    only_copper = [s for s in structures if set(s.numbers.tolist()) == {29}]
    model = merged(old, new, 0.5, only_copper)
    assert isinstance(model, SumPotential)
    assert isinstance(model.second, ZBL)
    for structure, prediction in zip(only_copper, model.predict(only_copper), strict=True):
        assert torch.allclose(prediction.forces, old.predict(structure).forces)


def test_what_is_no_fine_tuned_model_of_the_other_is_refused(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new, data = runs["old"], runs["new"], runs["cold data"]

    def said(first: Path, second: Path, *more: str | Path) -> str:
        return refusal(capsys, "merge", first, second, "--data", data, *more)

    another = save(load(old), tmp_path / "another.nnpot", {"written by": "hand"})
    both = save(Committee([load(old), load(new)]), tmp_path / "both.nnpot")
    assert said(new, old).startswith(f"nnpot: {new} started from {old}, have they changed places? usage: nnpot merge")
    assert said(old, another) == f"nnpot: {another} was not fine-tuned: train it by nnpot train FILE --from {old}"
    assert f"{new} did not start from {another}, but from cold/model.nnpot (checksum " in said(another, new)
    assert f"{old} is given twice" in said(old, old)
    for pair in ((both, new), (old, both)):
        assert f"{both} is a committee, whose members have weights of their own" in said(*pair)
    assert "give the structures that the second model was trained on, by --data" in refusal(capsys, "merge", old, new)
    for share in ("0", "1", "1.5"):
        assert "share must be more than 0, which is" in said(old, new, "--share", share)
    before = (new / "model.nnpot").read_bytes()
    for path in (old / "model.nnpot", new / "model.nnpot"):
        assert f"{path} is one of the two models and would be replaced" in said(old, new, "--out", path)
    assert (new / "model.nnpot").read_bytes() == before
    between = tmp_path / "between.nnpot"
    main(command(runs, "--out", between))
    assert f"{between} was merged already; give the fine-tuned model" in said(old, between)
    with pytest.raises(ValueError, match="not of one descent"):
        merged(network_potential(acsf(("Cu", "Au"))), load(new), 0.5, labelled(data))
    with pytest.raises(ValueError, match="a ZBL has no weights to average"):
        merged(ZBL(("Cu",)), load(new), 0.5, labelled(data))


def test_frames_of_another_element_are_named(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nickel = labelled_alloys(2, 3)
    for atoms in nickel:
        atoms.symbols[0] = "Ni"
        atoms.calc = EMT()
        atoms.calc = SinglePointCalculator(atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces())
    line = refusal(capsys, "merge", runs["old"], runs["new"], "--data", write(tmp_path / "ni.xyz", nickel))
    assert line.startswith("nnpot: ni.xyz, frame 0: atom 0 is Ni, but the model knows only ")


def test_a_further_element_is_in_the_columns_of_who_knows_it(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {name: tmp_path / f"{name}.xyz" for name in ("copper", "alloys")}
    frames = labelled_alloys(20, 4)
    copper = [atoms for atoms in frames if set(atoms.symbols) == {"Cu"}]
    alloys = [atoms for atoms in frames if set(atoms.symbols) != {"Cu"}]
    write(data["copper"], copper)
    write(data["alloys"], alloys)
    ace = ["--recipe", "ace", "--data.doctor", "off", "--check", "false", "--uncertainty", "false", *QUICK]
    main(["train", str(data["copper"]), "--out", str(tmp_path / "old"), *ace])
    main(["train", str(data["alloys"]), "--from", str(tmp_path / "old"), "--out", str(tmp_path / "new"), *ace[2:]])
    capsys.readouterr()
    both = [str(data[name]) for name in ("alloys", "copper")]
    main(["merge", str(tmp_path / "old"), str(tmp_path / "new"), "--data", *both, "--out", str(tmp_path / "m.nnpot")])
    first = next(line for line in capsys.readouterr().out.splitlines() if "0, old" in line)
    cells = [cell.strip() for cell in first.split("│")[2:-1]]
    assert cells[: len(cells) // 2] == ["–"] * (len(cells) // 2)
    assert "–" not in cells[len(cells) // 2 :]
    assert load(tmp_path / "m.nnpot").elements == ("Cu", "Au")


def test_a_model_that_is_the_best_by_itself_is_told(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "itself has the smallest error in every column: there is nothing to gain by merging"
    out = tmp_path / "m.nnpot"
    for name in ("old", "new"):
        model, structures = load(runs[name]), labelled(runs["cold data"])
        frames = labelled_alloys()
        for atoms, p in zip(frames, model.predict(structures), strict=True):
            results = {"energy": float(p.energy), "forces": p.forces.numpy(), "stress": p.stress[0].numpy()}
            atoms.calc = SinglePointCalculator(atoms, **results)
        test = write(tmp_path / f"{name}.xyz", frames)
        main(command(runs, "--test", test, "--out", out))
        assert f"{runs[name]} {told}" in capsys.readouterr().out
    main(command(runs, "--test", tmp_path / "old.xyz", tmp_path / "new.xyz", "--out", out))
    assert told not in capsys.readouterr().out


def test_a_fine_tuning_tells_of_it_and_the_file_says_what_it_is(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["--from", str(runs["old"]), "--out", str(tmp_path / "again"), *QUICK]
    main(["train", str(runs["hot data"]), *again])
    line = next(line for line in capsys.readouterr().out.splitlines() if "nnpot merge" in line)
    words = line.split(":")[0].split()[1:]
    assert words == ["merge", str(runs["old"]), str(tmp_path / "again"), "--data", str(runs["hot data"]), "OLD.xyz"]
    main(words[:-1])
    summary = read_summary(tmp_path / "again/model-merged.nnpot")
    assert summary["merged"].startswith("0.5 of these weights, the rest of cold/model.nnpot (checksum ")
    assert summary["merged"].endswith(", energies fitted to hot.xyz")
    assert "validation errors" not in summary
    assert "errors on training structures" not in summary
    assert "trained weights" not in summary  # it is no result of the training that these were of

"""A configuration with comments, made for some data."""

from pathlib import Path

import pytest
import yaml
from datasets import labelled_alloys, write
from runs import refusal

from nnpot.__main__ import main
from nnpot.commands.recipes import recipe_file, recipes


def settings_in(path: Path) -> dict:
    """A configuration as plain data."""
    settings: dict = yaml.safe_load(path.read_text())
    return settings


@pytest.mark.parametrize("recipe", [name for name in recipes() if name != "full"])
def test_it_is_the_recipe_with_the_data_and_a_meaning_behind_settings(recipe: str, tmp_path: Path) -> None:
    data, out = write(tmp_path / "train.xyz", labelled_alloys(6)), tmp_path / "my.yaml"
    main(["init", str(data), "--recipe", recipe, "--out", str(out)])
    wanted = settings_in(recipe_file(recipe))
    assert settings_in(out) == {**wanted, "data": {**wanted["data"], "train": str(data)}}
    assert "\n#   6 structures of 4 atoms each, 24 in all; Cu, Au; periodic\n" in out.read_text()
    assert "  # Units in each hidden layer\n" in out.read_text()
    assert max(map(len, out.read_text().splitlines())) < 250


def test_labels_under_other_names_are_found_and_the_configuration_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = labelled_alloys(8)
    for atoms in frames:
        results, atoms.calc = atoms.calc.results, None
        atoms.info |= {"dft_energy": results["energy"], "dft_virial": -results["stress"] * atoms.get_volume()}
        atoms.arrays["dft_forces"] = results["forces"]
    data, out = write(tmp_path / "train.xyz", frames), tmp_path / "my.yaml"
    main(["init", str(data), "--out", str(out)])
    assert settings_in(out)["data"]["keys"] == {
        "energy": "dft_energy",
        "forces": "dft_forces",
        "virial": "dft_virial",
    }
    said = capsys.readouterr().out
    assert "labels: energy 8, forces 8, stress 8" in said
    assert f"  nnpot train --config {out} --plan\n" in said
    tiny = ["--potential.descriptor.init_args.n_radial=2", "--potential.descriptor.init_args.l_max=1"]
    run = tmp_path / "run"
    main(["train", "--config", str(out), "--out", str(run), "--trainer.max_epochs", "1", *tiny])
    assert (run / "model.nnpot").is_file()


def test_what_goes_wrong_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = labelled_alloys(3)
    data = write(tmp_path / "train.xyz", frames)
    there = tmp_path / "there.yaml"
    there.write_text("seed: 1")
    assert f"{there} is there already" in refusal(capsys, "init", data, "--out", there)
    assert there.read_text() == "seed: 1"
    assert "did you mean ace?" in refusal(capsys, "init", data, "--out", tmp_path / "n.yaml", "--recipe", "acee")
    for atoms in frames:
        atoms.calc = None
    bare = write(tmp_path / "bare.xyz", frames)
    assert "bare.xyz has no energies" in refusal(capsys, "init", bare, "--out", tmp_path / "n.yaml")
    assert not (tmp_path / "n.yaml").exists()

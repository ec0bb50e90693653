"""What `nnpot train` says of the structures that it sets aside, and that a run which goes on keeps them."""

from pathlib import Path

import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from datasets import labelled_alloys, tiny_config, write
from runs import refusal

from nnpot.__main__ import main
from nnpot.training.checkpoint import Checkpoint


def run(config: Path, out: Path, *more: str) -> Path:
    main(["train", "--config", str(config), "--out", str(out), "--optimizer.schedule", "constant", *more])
    return out


@pytest.mark.slow
def test_a_run_that_goes_on_has_the_same_structures_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(tmp_path)
    whole = run(config, tmp_path / "whole", "--data.split", "blocks")
    begun = run(config, tmp_path / "begun", "--data.split", "blocks", "--trainer.max_epochs", "2")
    line = refusal(capsys, "train", "--resume", begun, "--trainer.max_epochs", "4", "--data.split", "random")
    assert "cannot go on with data.split random instead of blocks" in line
    main(["train", "--resume", str(begun), "--trainer.max_epochs", "4"])
    first, second = (Checkpoint.read(folder / "last.ckpt") for folder in (whole, begun))
    assert first.record.aside == second.record.aside != ()
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


@pytest.mark.parametrize("seed", ["0", "2"])
def test_free_atoms_are_there_whatever_the_seed(tmp_path: Path, seed: str) -> None:
    atoms = []
    for symbol, energy in (("Cu", -3.5), ("Au", -3.8)):
        atoms.append(Atoms(symbol))
        atoms[-1].calc = SinglePointCalculator(atoms[-1], energy=energy)
    config = tiny_config(tmp_path, [*labelled_alloys(4), *atoms])
    folder = run(
        config, tmp_path / "run", *("--seed", seed, "--trainer.max_epochs", "1", "--data.validation", "0.5"),
        *("--potential.atomic_energies", "isolated_atoms"),
    )  # fmt: skip
    assert {4, 5} & set(Checkpoint.read(folder / "last.ckpt").record.aside) == set()


def test_a_run_that_goes_on_says_again_what_was_found_and_why_some_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = labelled_alloys(6)
    config = tiny_config(tmp_path, [*frames, *frames[:2]])
    folder = run(config, tmp_path / "run", "--data.validation", "0.4", "--trainer.max_epochs", "1")
    caplog.clear()
    main(["train", "--resume", str(folder), "--trainer.max_epochs", "2"])
    told = next(line for line in caplog.messages if line.startswith("split: "))
    assert told.endswith("for validation; 4 near copies are kept together")
    for name in ("report.txt", "report.html"):
        assert told in (folder / name).read_text()


def test_there_is_nothing_to_split_beside_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, other = tiny_config(tmp_path), write(tmp_path / "other.xyz", labelled_alloys(2))
    line = refusal(capsys, "train", "--config", config, "--data.validation", other, "--data.split", "blocks")
    assert "data.split blocks splits nothing" in line
    assert "other.xyz holds what validates" in line

"""`nnpot select`: a file of structures to label, a summary and a picture."""

from pathlib import Path

import pytest
from ase import Atoms
from ase.io import read
from datasets import labelled_alloys, tiny_config, write
from runs import refusal

from nnpot.__main__ import main
from nnpot.io import load, save
from nnpot.selection import selected
from nnpot.structure import Structure


def frames() -> list[Atoms]:
    """More and more unlike those of the training, then one with two atoms at one place, and one of the training."""
    pool = labelled_alloys(8, 7)
    for k, atoms in enumerate(pool):
        atoms.rattle(0.05 * k, seed=k)
    touching = pool[0].copy()
    touching.positions[1] = touching.positions[0] + 0.1
    return [*pool, touching, labelled_alloys(16)[0]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of a moment that knows its errors, its data, and a pool."""
    folder = tmp_path_factory.mktemp("select")
    config = tiny_config(folder, labelled_alloys(16))
    unseen = write(folder / "validation.xyz", labelled_alloys(8, 5))
    config.write_text(config.read_text().replace("uncertainty: false\n", ""))
    main(["train", "--config", str(config), "--data.validation", str(unseen), "--trainer.max_epochs", "1",
          "--out", str(folder / "run")])  # fmt: skip
    write(folder / "pool.xyz", frames())
    return folder


def words(folder: Path, *more: object) -> list[str]:
    return ["select", str(folder / "pool.xyz"), "--model", str(folder / "run"), *map(str, more)]


def test_a_file_to_label(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "chosen.xyz"
    main(words(folder, "--train", folder / "train.xyz", folder / "validation.xyz", "-n", 4, "--out", out))
    chosen, pool = read(out, ":"), frames()
    structures = [Structure.from_ase(atoms) for atoms in pool]
    train = [Structure.from_ase(atoms) for atoms in [*labelled_alloys(16), *labelled_alloys(8, 5)]]
    found = selected(load(folder / "run"), structures, 4, train)
    assert [atoms.info["source"] for atoms in chosen] == [f"pool.xyz@{k}" for k in found.chosen]
    for atoms, k in zip(chosen, found.chosen, strict=True):
        assert atoms.calc is None  # no label, which might be taken for one of the program that is to label them
        assert atoms.info.keys() == {"config_type", "extrapolation", "forces_uncertainty", "source"}
        told = load(folder / "run").predict(pool[k])
        assert atoms.info["extrapolation"] == pytest.approx(float(told.extrapolation.max()), rel=1e-3)
        assert atoms.info["forces_uncertainty"] == pytest.approx(float(told.forces_uncertainty.max()), rel=1e-3)
        assert atoms.positions == pytest.approx(pool[k].positions, abs=1e-6)
    said = capsys.readouterr().out.splitlines()
    closer, others = found.left_out["closer"], 8 - found.left_out["closer"]
    files = f"{folder / 'train.xyz'} {folder / 'validation.xyz'}"
    assert closer
    assert said[0] == (
        f"10 structures, left out: 1 whose atoms touch, {closer} with atoms closer than 0.8 of the shortest distance "
        f"in {files}, 1 near copies of what is labelled already"
    )
    assert said[1] == f"of the other {others}, {found.candidates} with an atom beyond the training data (γ > 1)"
    assert said[2].startswith("chosen: 4")
    assert f"pool.xyz, frame {found.chosen[0]}" in said[5]
    assert said[-4].startswith("uncertainty of the worst force of a structure")
    assert said[-3].startswith("  before: median ")
    assert said[-2].startswith("  once the chosen ones are labelled: median ")
    assert said[-1] == f"written: {out}, {tmp_path / 'chosen.png'}"
    assert (tmp_path / "chosen.png").read_bytes().startswith(b"\x89PNG")


def test_all_that_there_is(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all.xyz").write_text("of an earlier round")
    main(words(folder, "-n", "50", "--out", tmp_path / "all.xyz", "--plot", tmp_path / "own.pdf"))
    assert len(read(tmp_path / "all.xyz", ":")) == 9
    said = capsys.readouterr().out
    assert "chosen: 9" in said
    assert "; 50 were asked for, all others were left out\n" in said
    assert "  once the chosen ones are labelled: median 0, largest 0\n" in said
    assert f"\nwritten over the file that was there: {tmp_path / 'all.xyz'}, " in said
    assert (tmp_path / "own.pdf").exists()


def test_what_is_all_far_away_may_be_nonsense(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(words(folder, "-n", "8", "--out", tmp_path / "some.xyz"))
    assert "may be nonsense" not in caplog.text
    monkeypatch.setattr("nnpot.commands.select.DOUBTFUL", 0.0)
    main(words(folder, "-n", "8", "--out", tmp_path / "some.xyz"))
    assert (
        "all that was chosen has γ > 0 and may be nonsense: look at it before you label it; --max_gamma" in caplog.text
    )


@pytest.mark.slow
def test_a_limit_of_extrapolation(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(words(folder, "--max_gamma", "1.5", "--out", tmp_path / "near.xyz"))
    assert "with γ > 1.5, too far to be of use (--max_gamma)" in capsys.readouterr().out
    assert max(atoms.info["extrapolation"] for atoms in read(tmp_path / "near.xyz", ":")) <= 1.5


def test_what_cannot_be_done_is_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = save(load(folder / "run").bare(), tmp_path / "bare.nnpot")
    pool = folder / "pool.xyz"
    assert "nnpot calibrate MODEL DATA lets it" in refusal(capsys, "select", pool, "--model", bare, "-n", "3")
    assert "give the model that is to choose, by --model" in refusal(capsys, "select", pool, "-n", "3")
    assert "nnpot: -n must be positive, got -3; give how many" in refusal(capsys, *words(folder, "-n", "-3"))
    assert "--max_gamma must be positive, got 0" in refusal(capsys, *words(folder, "--max_gamma", "0"))
    assert "-n must be a whole number" in refusal(capsys, *words(folder, "-n", "many"))
    assert "there is no" in refusal(capsys, *words(folder, "-x", "3"))
    assert "is the pool, which would be lost" in refusal(capsys, *words(folder, "--out", pool))
    only = write(tmp_path / "only.xyz", labelled_alloys(16)[:2])
    line = refusal(capsys, "select", only, "--model", folder / "run", "--train", folder / "train.xyz")
    assert "is worth labelling: 2 near copies of what is labelled already; give other structures" in line
    silver = frames()[0]
    silver.symbols[0] = "Ag"
    other = write(tmp_path / "other.xyz", [frames()[1], silver])
    assert "other.xyz, frame 1: atom 0 is Ag" in refusal(capsys, "select", other, "--model", folder / "run")

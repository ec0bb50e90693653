"""`nnpot core`, and the core that a training puts on its result."""

from pathlib import Path

import pytest
import torch
from datasets import labelled_alloys, tiny_config, write
from systems import acsf, core, network_potential

from nnpot.__main__ import main
from nnpot.core import Core
from nnpot.io import load, read_summary, save
from nnpot.repulsion import ZBL
from nnpot.structure import Structure

ALLOYS = labelled_alloys()


def trained(folder: Path, *arguments: str) -> Path:
    folder.mkdir()
    quick = ["--trainer.max_epochs", "1", "--out", str(folder / "run"), *arguments]
    config = tiny_config(folder)
    config.write_text(config.read_text().replace("repulsion: false\n", ""))
    main(["train", "--config", str(config), *quick])
    return folder / "run/model.nnpot"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model by default, one without a core, and one with ZBL."""
    folder = tmp_path_factory.mktemp("models")
    settings = {"auto": (), "false": ("--repulsion", "false"), "true": ("--repulsion", "true")}
    return {name: trained(folder / name, *arguments) for name, arguments in settings.items()}


def test_a_training_ends_with_a_core_unless_told_otherwise(models: dict[str, Path]) -> None:
    potentials = {name: load(path) for name, path in models.items()}
    assert potentials["auto"].core is not None
    assert potentials["false"].core is None
    assert potentials["true"].core is None
    assert any(isinstance(part, ZBL) for part in potentials["true"].modules())
    structures = [Structure.from_ase(atoms) for atoms in ALLOYS]
    for s in structures:
        ours, wanted = (potentials[name].predict(s) for name in ("auto", "false"))
        assert torch.equal(ours.energy, wanted.energy)
        assert torch.equal(ours.forces, wanted.forces)
    d = potentials["auto"].core.distances[0][0]
    shortest = min(
        float(torch.pdist(s.positions[s.numbers == 29]).min()) for s in structures if int((s.numbers == 29).sum()) > 1
    )
    assert d < shortest


def test_a_finished_model_gets_the_same(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write(tmp_path / "train.xyz", ALLOYS), tmp_path / "new.nnpot"
    main(["core", str(models["false"]), "--data", str(data), "--out", str(out)])
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["Cu-Cu", "Cu-Au", "Au-Au", "written"]
    assert "distances, k = " in said[0]
    old, new = load(models["false"]), load(out)
    assert isinstance(new.core, Core)
    for name, tensor in old.state_dict().items():
        assert torch.equal(new.state_dict()[name], tensor)
    assert read_summary(out)["core"] == "of train.xyz"
    assert read_summary(out)["seed"] == read_summary(models["false"])["seed"]
    assert out.stat().st_size < 1.5 * models["false"].stat().st_size  # as precise as it was


def test_it_is_written_beside_the_model_by_default(models: dict[str, Path], tmp_path: Path) -> None:
    data = write(tmp_path / "train.xyz", ALLOYS)
    main(["core", str(models["false"]), "--data", str(data)])
    assert load(models["false"].with_name("model-core.nnpot")).core is not None


def test_what_cannot_have_one_is_refused(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(tmp_path / "train.xyz", ALLOYS)
    for arguments, words in (
        (
            [str(models["true"]), "--data", str(data)],
            "the model repels the nuclei by ZBL",
        ),
        ([str(models["false"])], "give the structures that the model was trained on, by --data train.xyz"),
    ):
        with pytest.raises(SystemExit):
            main(["core", *arguments])
        assert words in capsys.readouterr().err


def test_zbl_is_not_added_to_a_potential_with_a_core() -> None:
    potential = network_potential(acsf(), core=core())
    with pytest.raises(ValueError, match="a potential with a core repels the nuclei already"):
        _ = potential + ZBL(potential.elements)
    assert (potential.with_core(None) + ZBL(potential.elements)).core is None


@pytest.mark.slow
def test_a_model_that_learns_on_keeps_what_it_knew(models: dict[str, Path], tmp_path: Path) -> None:
    """A core of the data that it learned from before is not forgotten where the new data say nothing."""
    potential = load(models["auto"])
    assert potential.core is not None
    close = tuple(tuple(1.0 for _ in row) for row in potential.core.distances)
    old = save(potential.with_core(Core(potential.elements, close, potential.core.factors)), tmp_path / "old.nnpot")
    arguments = ["--data.validation", "0.25", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    data = write(tmp_path / "train.xyz", ALLOYS)
    main(["train", "--from", str(old), "--data.train", str(data), "--out", str(tmp_path / "new"), *arguments])
    new = load(tmp_path / "new/model.nnpot")
    assert new.core is not None
    assert new.core.distances == close


def test_files_of_n2p2_cannot_carry_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    guarded = network_potential(acsf(g3=()), linear=False, core=core())
    path = save(guarded, tmp_path / "model.nnpot")
    main(["export", str(path), str(tmp_path / "n2p2"), "--to", "n2p2"])
    assert [m for m in caplog.messages if "cannot carry the core" in m]
    caplog.clear()
    save(guarded.with_core(None), path)
    main(["export", str(path), str(tmp_path / "without"), "--to", "n2p2"])
    assert not [m for m in caplog.messages if "core" in m]

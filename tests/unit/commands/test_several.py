"""Several files, folders, patterns and frames wherever a command takes structures."""

import json
import logging
from pathlib import Path

import ase.io
import pytest
import yaml
from ase import Atoms
from datasets import TINY_CONFIG, labelled_alloys, write
from runs import refusal

from nnpot.__main__ import main
from nnpot.commands.several import as_lists
from nnpot.doctor import SHORT, Level, examine
from nnpot.io import read_summary
from nnpot.label_names import LabelKeys
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.data import Split
from nnpot.training.options import DataOptions

FRAMES = labelled_alloys(16)
QUICK = ("--trainer.max_epochs", "1", "--data.validation", "0.25")
HEAVY = "{file: b.xyz, weight: 3, group: heavy}"


def put(folder: Path) -> None:
    """Three files and a configuration."""
    for k, name in enumerate(("a.xyz", "b.xyz", "more/c.xyz")):
        (folder / name).parent.mkdir(exist_ok=True)
        write(folder / name, FRAMES[4 * k : 4 * k + 4])
    (folder / "config.yaml").write_text(TINY_CONFIG.replace("train: TRAIN, ", ""))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch on files of all forms, given by paths of the folder in which it is started."""
    folder = tmp_path_factory.mktemp("several")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        put(folder)
        main(["train", "--config", "config.yaml", "--data.train", "a.xyz@1:", HEAVY, "more", *QUICK, "--out", "run"])
    return folder / "run"


# words ----------------------------------------------------------------------------------------------------------------


def test_words_behind_an_option_become_a_list() -> None:
    given = ["--data.train", "a b.xyz", HEAVY, "--seed", "1", "--data.validation=c.xyz", "d.xyz", "--plan"]
    heavy = {"file": "b.xyz", "weight": 3, "group": "heavy"}
    train = json.dumps(["a b.xyz", heavy])
    wanted = ["--data.train", train, "--seed", "1", "--data.validation", '["c.xyz", "d.xyz"]', "--plan"]
    assert as_lists("train", given) == wanted
    assert as_lists("train", wanted) == wanted
    again = ["--data.train", "a b.xyz", "--seed", "1", f"--data.train={HEAVY}", "--data.validation=c.xyz", "--plan"]
    again += ["--data.validation", "d.xyz"]
    assert as_lists("train", again) == wanted
    assert as_lists("evaluate", given) == given
    assert as_lists("core", ["m.nnpot", "--data", "{a}.xyz", "{a: [}.xyz"]) == [
        "m.nnpot",
        "--data",
        '["{a}.xyz", "{a: [}.xyz"]',
    ]


# training -------------------------------------------------------------------------------------------------------------


def test_a_training_takes_files_of_all_forms(run: Path) -> None:
    settings = yaml.safe_load((run / "config.yaml").read_text())
    folder = run.parent
    heavy = {"file": f"{folder}/b.xyz", "weight": 3.0, "group": "heavy"}
    assert settings["data"]["train"] == [f"{folder}/a.xyz@1:", heavy, f"{folder}/more"]
    record = Checkpoint.read(run / "last.ckpt").record
    split = record.split_of(DataOptions(train=settings["data"]["train"]))
    both = [*split.train, *split.validation]
    assert (len(both), record.structures, len(split.validation)) == (11, 8, 3)
    assert {s.name for s in both if s.group == "heavy"} == {f"b.xyz, frame {k}" for k in range(4)}
    assert all(set(s.weights.values()) == ({3.0} if s.group == "heavy" else set()) for s in both)
    assert {s.name for s in both} >= {"a.xyz, frame 1", "c.xyz, frame 0"}
    assert split.fingerprint == record.data
    assert "heavy" in (run / "report.txt").read_text()


@pytest.mark.slow
def test_such_a_run_goes_on_from_anywhere(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    main(["train", "--resume", str(run), "--trainer.max_epochs", "2"])
    assert Checkpoint.read(run / "last.ckpt").epochs == 2
    files = [str(run.parent / name) for name in ("a.xyz@1:", "b.xyz", "more/*.xyz")]
    heavy = f"{{file: {files[1]}, weight: 3}}"
    main(["train", "--resume", str(run), "--data.train", files[0], heavy, files[2], "--trainer.max_epochs", "3"])
    assert Checkpoint.read(run / "last.ckpt").epochs == 3


def test_a_run_does_not_go_on_with_other_weights_or_frames(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, c = (str(run.parent / name) for name in ("a.xyz@1:", "b.xyz", "more"))
    line = refusal(capsys, "train", "--resume", run, "--data.train", a, b, c, "--trainer.max_epochs", "9")
    assert "a.xyz@1:, b.xyz, more (or the validation file) does not hold the structures, labels and weights" in line
    assert line.endswith(f"nnpot train --from {run} --data.train {a} {b} {c}")
    line = refusal(
        capsys, "train", "--resume", run, "--data.train", a, HEAVY.replace("b.xyz", b), "--trainer.max_epochs", "9"
    )
    assert line.endswith(f"""--data.train {a} '{{"file": "{b}", "weight": 3.0, "group": "heavy"}}'""")


def test_files_of_validation_may_be_others_with_the_same_structures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path)
    options = ["--data.train", "a.xyz", "--data.validation", "b.xyz@:2", "more/*.xyz", "--trainer.max_epochs", "1"]
    main(["train", "--config", "config.yaml", *options, "--out", "run"])
    assert (
        "4 structures of a.xyz for training, 6 of b.xyz@:2, *.xyz for validation" in Path("run/report.txt").read_text()
    )
    write(tmp_path / "v.xyz", FRAMES[4:6] + FRAMES[8:12])
    main(["train", "--resume", "run", "--data.validation", "v.xyz", "--trainer.max_epochs", "2"])
    assert Checkpoint.read(Path("run/last.ckpt")).epochs == 2
    recipe = read_summary(Path("run/model.nnpot"))["recipe"]
    assert "validation" not in recipe["data"]
    main(["train", "--from", "run", "--data.train", "b.xyz", "more", *QUICK, "--out", "again"])
    assert Checkpoint.read(Path("again/last.ckpt")).record.structures == 6


def test_what_is_wrong_is_said_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path)
    train = ("train", "--config", "config.yaml", "--data.train")
    assert refusal(capsys, *train, "a.xyz", "d.xyz").startswith("nnpot: there is no file d.xyz; did you mean ")
    assert "there is no file of the pattern none/*.xyz" in refusal(capsys, *train, "a.xyz", "none/*.xyz")
    assert "a.xyz@9 takes no frame: the file has frame 0 to frame 3" in refusal(capsys, *train, "a.xyz@9")
    assert "data.split groups splits nothing" in refusal(
        capsys, *train, "a.xyz", "--data.validation", "b.xyz", "a.xyz", "--data.split", "groups"
    )
    for k in range(2):
        write(tmp_path / f"bare{k}.xyz", [Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]])])
    assert "bare0.xyz, bare1.xyz holds 2 structures but no energies" in refusal(
        capsys, *train, "bare0.xyz", "bare1.xyz"
    )


# the other commands ---------------------------------------------------------------------------------------------------


def test_errors_and_predictions_of_several_files(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, model = run.parent, str(run / "model.nnpot")
    files = [f"{folder}/a.xyz@0:2", f"{folder}/more"]
    main(["evaluate", model, *files, "--json", str(tmp_path / "errors.json"), "--doctor", "off"])
    assert f"{model} on a.xyz, c.xyz" in capsys.readouterr().out
    together = json.loads((tmp_path / "errors.json").read_text())
    write(tmp_path / "one.xyz", FRAMES[:2] + FRAMES[8:12])
    main(["evaluate", model, str(tmp_path / "one.xyz"), "--json", str(tmp_path / "again.json"), "--doctor", "off"])
    again = json.loads((tmp_path / "again.json").read_text())
    assert together == pytest.approx(again, rel=1e-6)
    main(["predict", model, *files, str(tmp_path / "out.xyz"), "--device", "cpu"])
    assert len(ase.io.read(tmp_path / "out.xyz", ":")) == 6
    line = refusal(capsys, "predict", model, folder / "more/c.xyz", folder / "a.xyz", folder / "a.xyz")
    assert f"{folder / 'a.xyz'} is the file to predict" in line
    line = refusal(capsys, "predict", model, folder / "a.xyz", folder / "b.xyz")  # as of ?.xyz alone
    assert f"{folder / 'b.xyz'} is there already and holds no predictions" in line
    write(tmp_path / "iron.xyz", [Atoms("Fe2", [[0, 0, 0], [0, 0, 2.5]])])
    line = refusal(capsys, "predict", model, folder / "a.xyz", tmp_path / "iron.xyz", tmp_path / "out.xyz")
    assert "iron.xyz, frame 0: " in line
    capsys.readouterr()
    main(["predict", model, f"{folder}/a.xyz", str(tmp_path / "out.xyz")])
    assert "4 structures written to " in (told := capsys.readouterr().out)
    assert "out.xyz, in place of earlier predictions" in told
    assert len(ase.io.read(tmp_path / "out.xyz", ":")) == 4


@pytest.mark.slow
def test_a_core_by_several_files(run: Path, tmp_path: Path) -> None:
    data = [f"{run.parent}/a.xyz", f"{run.parent}/b.xyz"]
    main(["core", str(run / "model.nnpot"), "--data", *data, "--out", str(tmp_path / "core.nnpot")])
    assert read_summary(tmp_path / "core.nnpot")["core"] == "of a.xyz, b.xyz"


# the doctor -----------------------------------------------------------------------------------------------------------


def turned(frames: list[Atoms]) -> list[Atoms]:
    """The same with gradients in the place of forces."""
    changed = [atoms.copy() for atoms in frames]
    for atoms, old in zip(changed, frames, strict=True):
        atoms.calc = type(old.calc)(atoms, **{**old.calc.results, "forces": -old.get_forces()})
    return changed


@pytest.mark.slow
def test_the_doctor_looks_at_each_file_of_a_folder(tmp_path: Path) -> None:
    frames = labelled_alloys(60)
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "a.xyz", frames[:40])
    write(folder / "b.xyz", turned(frames[40:]))
    found = [finding for finding in examine(folder, budget=SHORT).findings if finding.level >= Level.LOOK]
    assert [finding.kind for finding in found] == ["force-sign"]
    assert "in b.xyz forces are -1" in str(found[0])
    write(folder / "b.xyz", frames[40:])
    assert not [finding for finding in examine(folder, budget=SHORT).findings if finding.level >= Level.LOOK]


def test_files_of_one_part_do_not_leak_into_each_other(tmp_path: Path) -> None:
    frames = labelled_alloys(12)
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "a.xyz", frames[:8])
    write(folder / "b.xyz", frames[6:10])
    test = write(tmp_path / "test.xyz", frames[9:])
    kinds = {finding.kind: finding.where for finding in examine([folder, test]).findings}
    assert kinds["copies"] == "b.xyz, frames 0 and 1"
    assert kinds["leak"] == "test.xyz, frame 0"


def test_the_doctor_counts_frames_as_the_file_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = labelled_alloys(8)
    frames[6].calc.results["energy"] = float("nan")
    path = write(tmp_path / "a.xyz", frames)
    with pytest.raises(SystemExit):
        main(["doctor", f"{path}@4:"])
    assert "stop: a.xyz, frame 6: the energy holds NaN" in capsys.readouterr().out


@pytest.mark.slow
def test_the_look_at_the_start_of_a_training_is_at_each_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = labelled_alloys(80)
    for name, part in (("a.xyz", frames[:50]), ("b.xyz", turned(frames[50:]))):
        write(tmp_path / name, part)
    (tmp_path / "config.yaml").write_text(TINY_CONFIG.replace("train: TRAIN, ", ""))
    data = [str(tmp_path / "a.xyz"), str(tmp_path / "b.xyz")]
    with caplog.at_level(logging.WARNING, "nnpot"):
        main(
            [
                "train",
                "--config",
                str(tmp_path / "config.yaml"),
                "--data.doctor",
                "warn",
                "--plan",
                "--data.train",
                *data,
            ]
        )
    assert "in b.xyz forces are -1" in caplog.text


def test_keys_serve_all_files(tmp_path: Path) -> None:
    frames = [atoms.copy() for atoms in labelled_alloys(4)]
    for atoms in frames:
        atoms.info["REF_energy"] = -1.0
    files = [write(tmp_path / f"{name}.xyz", frames) for name in "ab"]
    options = DataOptions(train=files, validation=0.0, keys=LabelKeys(energy="REF_energy"))
    assert [s.energy for s in Split.read(options, 0).train] == [-1.0] * 8

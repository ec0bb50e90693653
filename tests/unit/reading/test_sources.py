"""Where structures are asked for: files, folders, patterns, some frames, weights and configuration types."""

import gzip
import logging
import re
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from datasets import labelled_alloys, write

from nnpot.doctor import Level, examine
from nnpot.label_names import LabelKeys
from nnpot.labels import LABELS
from nnpot.reading import Source, as_words, plain_sources, read_atoms, read_labelled, read_structures, short_name

FRAMES = labelled_alloys(6)


def energies(given: Any) -> list[float | None]:
    return [s.energy for s in read_structures(given)]


def of(*numbers: int) -> Any:
    return pytest.approx([FRAMES[k].get_potential_energy() for k in numbers], rel=1e-6)


def refusal(given: Any) -> str:
    """What is said of it, on one line."""
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        read_structures(given)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three files of two frames each."""
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(("data/a.xyz", "data/b.traj", "data/c d.xyz")):
        Path(name).parent.mkdir(exist_ok=True)
        ase.io.write(name, FRAMES[2 * k : 2 * k + 2])
    return tmp_path


# which files ----------------------------------------------------------------------------------------------------------


def test_several_files_in_the_order_in_which_they_are_given(folder: Path) -> None:
    assert energies(["data/b.traj", folder / "data/a.xyz"]) == of(2, 3, 0, 1)
    assert energies(("data/a.xyz",)) == of(0, 1)


def test_a_pattern_takes_files_by_name(folder: Path) -> None:
    assert energies("data/*.xyz") == of(0, 1, 4, 5)
    assert energies("*/[ab].*") == of(0, 1, 2, 3)
    assert energies(["data/*.traj", "data/a*"]) == of(2, 3, 0, 1)
    assert "there is no file of the pattern data/*.extxyz" in refusal("data/*.extxyz")


def test_files_that_cannot_be_read_are_named_together(folder: Path) -> None:
    Path("data/b.traj").write_bytes(b"")
    assert refusal("data/*") == "data/b.traj holds no structures"
    assert refusal(["x.xyz", "data/a.xyz", "y.xyz"]).startswith("2 of 3 files are not there: x.xyz, y.xyz; there is no")
    Path("data/a.xyz").write_text("2\n\n")
    said = refusal(["data/*", "data/b.traj", "x.xyz", "y.xyz"])
    assert said.startswith("4 of 5 files cannot be read, leave them out or mend them: data/a.xyz, data/b.traj, x.xyz ")
    assert " and 1 more; data/a.xyz, frame 0" in said
    (finding,) = examine(["data/*"]).findings
    assert (finding.kind, finding.level, finding.places) == ("reading", Level.STOP, ())
    assert str(finding).count("2 of 3 files cannot be read") == 1


def test_a_pattern_through_all_folders(folder: Path) -> None:
    Path("more/deep").mkdir(parents=True)
    write(folder / "more/deep/e.xyz", FRAMES[:1])
    assert energies("**/*.xyz") == of(0, 1, 4, 5, 0)


def test_a_folder_is_all_of_its_files_of_structures(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in (
        "notes.txt",
        "INCAR",
        "run.log",
        "table.csv",
        "model.nnpot",
        "settings.json",
        "scales.npz",
        ".hidden.xyz",
    ):
        Path("data", name).write_text("no structures\n")
    with caplog.at_level(logging.INFO, "nnpot"):
        assert energies("data") == energies("data/") == of(*range(6))
    assert "data: 3 files are read, not INCAR, model.nnpot, notes.txt, run.log, " in caplog.text


def test_of_a_folder_packed_files_and_databases_are_read(tmp_path: Path) -> None:
    for name in ("a.db", "b.json"):
        ase.io.write(tmp_path / name, FRAMES[:1])
    ase.io.write(tmp_path / "c.xyz", FRAMES[:1])
    (tmp_path / "d.xyz.gz").write_bytes(gzip.compress((tmp_path / "c.xyz").read_bytes()))
    (tmp_path / "other.json").write_text('{"1": 2}')
    (tmp_path / "other.db").write_bytes(b"SQLite format 3\0" + bytes(84))
    assert energies(tmp_path) == of(0, 0, 0, 0)


def test_of_a_folder_structures_without_labels_are_read_where_nothing_else_is(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "POSCAR", FRAMES[0])
    ase.io.write(tmp_path / "a.cif", FRAMES[1])
    assert [len(atoms) for atoms in read_atoms(tmp_path)] == [len(FRAMES[0]), len(FRAMES[1])]
    ase.io.write(tmp_path / "b.xyz", FRAMES[2])
    assert energies(tmp_path) == of(2)


def test_a_folder_without_structures_names_what_is_below(folder: Path) -> None:
    Path("data/empty").mkdir()
    assert refusal("data/empty").endswith("data/empty is a folder without a file of structures; it is empty")
    Path("data/empty/x.yaml").write_text("")
    assert refusal("data/empty").endswith("it holds x.yaml")
    said = refusal(".")
    assert ". is a folder without a file of structures, but there is data/a.xyz: give './*/a.xyz'" in said
    assert energies(re.findall("'(.*)'", said)[0]) == of(0, 1)
    Path("data/none").mkdir()
    assert refusal("data/[en]*") == "data/[en]*: none of these 2 folders holds a file of structures"


def test_a_link_in_a_folder_that_leads_nowhere_is_not_left_out(folder: Path) -> None:
    Path("data/notes").symlink_to("gone")
    assert len(energies("data")) == 6
    Path("data/e.xyz").symlink_to("gone.xyz")
    assert "data/e.xyz: it is a link to gone.xyz, which is not there" in refusal("data")


def test_a_name_with_brackets_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    write(tmp_path / "more/[1].xyz", FRAMES[:1])
    assert energies(re.findall("give '(.*)'", refusal(tmp_path))[0]) == of(0)


def test_names_of_structures_tell_files_apart_and_count_in_each(tmp_path: Path) -> None:
    for k in range(3):
        (tmp_path / f"runs/{k // 2}/x{k % 2}").mkdir(parents=True)
        write(tmp_path / f"runs/{k // 2}/x{k % 2}/a.xyz", FRAMES[:2])
    write(tmp_path / "runs/b.xyz", FRAMES[:1])
    names = [s.name for s in read_structures([tmp_path / "runs/**/a.xyz", tmp_path / "runs/b.xyz"])]
    assert names == [
        *("0/x0/a.xyz, frame 0", "0/x0/a.xyz, frame 1", "x1/a.xyz, frame 0", "x1/a.xyz, frame 1"),
        *("1/x0/a.xyz, frame 0", "1/x0/a.xyz, frame 1", "b.xyz, frame 0"),
    ]


def test_a_damaged_file_among_others_is_named(folder: Path) -> None:
    with Path("data/c d.xyz").open("a") as file:
        file.write("2\nwrong\n")
    assert "data/c d.xyz, frame 2 (line" in refusal("data")
    Path("data/c d.xyz").write_text("")
    assert refusal("data/*") == "data/c d.xyz holds no structures"


def test_a_home_that_no_shell_has_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert energies("~/data/a.xyz@0") == of(0)
    assert refusal("~nobody-of-this-name/a.xyz") == "there is no file ~nobody-of-this-name/a.xyz"


def test_a_name_that_is_nearly_right(folder: Path) -> None:
    assert refusal("data/aa.xyz") == "there is no file data/aa.xyz; did you mean data/a.xyz?"
    assert refusal("data/quite_another") == "there is no file data/quite_another"


# which frames ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "numbers"),
    [
        *(
            ("0:3", [0, 1, 2]),
            (":2", [0, 1]),
            ("4:", [4, 5]),
            ("-1", [5]),
            ("0", [0]),
            ("::5", [0, 5]),
            (":", [*range(6)]),
        ),
        *(("-2:", [4, 5]), ("3:100", [3, 4, 5]), ("::-3", [5, 2]), ("-6", [0])),
    ],
)
def test_some_frames_as_in_ase(tmp_path: Path, frames: str, numbers: list[int]) -> None:
    path = write(tmp_path / "a.xyz", FRAMES)
    structures = read_structures(f"{path}@{frames}")
    assert [s.energy for s in structures] == of(*numbers)
    assert [s.name for s in structures] == [f"a.xyz, frame {k}" for k in numbers]
    expected = ase.io.read(path, frames)
    assert len(expected if isinstance(expected, list) else [expected]) == len(numbers)


@pytest.mark.parametrize("frames", ["6", "-7", "6:", "3:3"])
def test_no_frame_is_among_the_chosen(tmp_path: Path, frames: str) -> None:
    path = write(tmp_path / "a.xyz", FRAMES)
    assert f"a.xyz@{frames} takes no frame: the file has frame 0 to frame 5" in refusal(f"{path}@{frames}")


def test_what_is_no_choice_of_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", FRAMES)
    for frames in ("first", "", "1,2", "1:2:3:4", "H>1", "1.5"):
        assert "frames such as 0:10, -1 or ::5 must stand behind the @" in refusal(f"{path}@{frames}")
    assert "the step must not be 0" in refusal(f"{path}@::0")
    assert refusal(tmp_path / "b.xyz@0:1") == f"there is no file {tmp_path / 'b.xyz'}; did you mean {path}?"


def test_a_file_with_such_a_name_comes_first(tmp_path: Path) -> None:
    write(tmp_path / "a.xyz", FRAMES)
    write(tmp_path / "a.xyz@0:2", FRAMES[3:4])
    assert energies(tmp_path / "a.xyz@0:1") == of(0)
    write(tmp_path / "b[1]*@2.xyz", FRAMES[4:])
    assert energies(tmp_path / "b[1]*@2.xyz") == of(4, 5)
    assert energies(tmp_path / "b[1]*@2.xyz@-1") == of(5)


def test_frames_of_each_file_of_a_folder_or_pattern(folder: Path) -> None:
    assert energies("data@-1") == energies("data/*@1") == of(1, 3, 5)


def test_what_is_given_twice_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert energies(["data/a.xyz@0", "data/a.xyz@1", "data/b.traj"]) == of(0, 1, 2, 3)
    assert not caplog.text
    assert energies(["data/a.xyz", "data/../data/a.xyz"]) == of(0, 1, 0, 1)
    assert "data/../data/a.xyz is given twice, and counts twice" in caplog.text
    assert len(read_structures(["data/a.xyz@:1", "data/a.xyz"])) == 3
    assert "1 frame of data/a.xyz is given twice, and counts twice" in caplog.text


# weights and configuration types --------------------------------------------------------------------------------------


def test_a_weight_multiplies_those_of_the_file(tmp_path: Path) -> None:
    frames = [atoms.copy() for atoms in FRAMES[:2]]
    for atoms, weight in zip(frames, (1.0, 0.25), strict=True):
        atoms.calc = FRAMES[0].calc
        atoms.info |= {"config_forces_weight": weight, "config_type": "bulk"}
    path = write(tmp_path / "a.xyz", frames)
    plain, weighed = read_structures([path, {"file": path, "weight": 4, "group": "surface"}])[1::2]
    assert (plain.weights, plain.group) == ({"forces": 0.25}, "bulk")
    assert weighed.weights == {name: 4.0 for name in LABELS if name != "forces"}
    assert weighed.group == "surface"
    assert read_structures(Source(str(path), weight=0.0))[0].weights == dict.fromkeys(LABELS, 0.0)


def test_a_configuration_type_may_be_a_number(tmp_path: Path) -> None:
    assert read_structures({"file": write(tmp_path / "a.xyz", FRAMES[:1]), "group": 300})[0].group == "300"


@pytest.mark.parametrize(
    ("given", "said"),
    {
        "several": ([], "no file of structures is given; name at least one"),
        "a number": ([3], "a path, or file, weight and group by name, must stand for structures, got 3"),
        "nested": ([["a.xyz"]], "must stand for structures, got ['a.xyz']"),
        "misspelt": ({"file": "a.xyz", "wieght": 2}, "has no setting wieght; did you mean weight?"),
        "unknown": ({"file": "a.xyz", "x": 2}, "has no setting x; there are file, weight, group"),
        "no file": ({"weight": 2}, "beside weight there must be file, one path"),
        "several files": ({"file": ["a", "b"]}, "there must be file, one path"),
        "negative": ({"file": "a.xyz", "weight": -1}, "weight of a.xyz must not be negative, got -1"),
        "not finite": ({"file": "a.xyz", "weight": float("nan")}, "must not be negative, got nan"),
        "no number": ({"file": "a.xyz", "weight": "much"}, "weight of a.xyz must be a number, got much"),
        "a truth": ({"file": "a.xyz", "weight": True}, "weight of a.xyz must be a number, got True"),
        "nothing": ("", "file must name a file, a folder or a pattern of files, got nothing"),
    }.values(),
)
def test_what_is_no_source(given: Any, said: str) -> None:
    assert said in refusal(given)


# what is said ---------------------------------------------------------------------------------------------------------


def test_the_file_without_a_label_is_named(folder: Path) -> None:
    bare = [Atoms(a.symbols, a.positions, cell=a.cell, pbc=True) for a in FRAMES[:2]]
    write(folder / "data/z.xyz", bare)
    told = str(read_labelled("data")[1])
    assert told.startswith(
        "labels of a.xyz, b.traj, c d.xyz, z.xyz: energy 6/8 (none in z.xyz), forces 6/8 (none in z.xyz)"
    )
    assert "none in" not in str(read_labelled("data/a.xyz")[1])
    for k in range(4):
        write(folder / f"data/z{k}.xyz", bare)
    told = str(read_labelled("data")[1])
    assert "labels of 8 files (a.xyz, b.traj, … z3.xyz): energy 6/16 (none in z.xyz, z0.xyz, z1.xyz and 2 more)" in told


def test_a_name_must_be_in_one_of_the_files(folder: Path) -> None:
    named = [atoms.copy() for atoms in FRAMES[:2]]
    for atoms in named:
        atoms.info["REF_energy"] = -1.5
    write(folder / "data/z.xyz", named)
    found, told = read_labelled("data", LabelKeys(energy="REF_energy"))
    assert [s.energy for s in found] == [None] * 6 + [-1.5] * 2
    assert "none in a.xyz, b.traj, c d.xyz" in str(told)
    with pytest.raises(ValueError, match=r"a\.xyz, b\.traj: REF_energy is in no structure"):
        read_labelled(["data/a.xyz", "data/b.traj"], LabelKeys(energy="REF_energy"))


def test_sources_are_written_so_that_they_are_found_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["data/a.xyz@0", {"file": "data/b*", "weight": 2.0, "group": "s"}]
    written = plain_sources(given, absolute=True)
    assert written == [f"{folder}/data/a.xyz@0", {"file": f"{folder}/data/b*", "weight": 2.0, "group": "s"}]
    assert plain_sources("data/a.xyz") == plain_sources([Path("data/a.xyz")]) == "data/a.xyz"
    assert plain_sources(written) == written
    monkeypatch.chdir("/")
    assert energies(written) == of(0, 2, 3)
    assert as_words(["a b.xyz", "c.xyz"]) == "'a b.xyz' c.xyz"
    assert as_words(given) == """data/a.xyz@0 '{"file": "data/b*", "weight": 2.0, "group": "s"}'"""
    assert short_name([*given, "x/d.xyz", "e.xyz"]) == "a.xyz@0, b* and 2 more"


def test_frames_do_not_change_by_being_taken_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", FRAMES)
    first, second = read_structures([f"{path}@2", {"file": f"{path}@2", "weight": 3}])
    np.testing.assert_array_equal(first.positions, second.positions)
    assert (first.weights, second.weights["energy"]) == ({}, 3.0)

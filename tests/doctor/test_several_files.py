"""Several files: what is wrong in one alone is said of it; what the short form says of where it has not looked."""

import logging
from pathlib import Path

import pytest
from ase import Atoms
from planted import faults as f
from planted.bases import frames
from planted.case import file_of

from nnpot.commands.doctor import doctor
from nnpot.doctor import Finding, Level, Place, examine
from nnpot.doctor.consultation import consult
from nnpot.doctor.examination import _read
from nnpot.label_names import LabelKeys
from nnpot.structure import Structure


def suspicious(train: list[Atoms], test: list[Atoms], folder: Path) -> list[Finding]:
    paths = [file_of(train, folder / "train.xyz"), file_of(test, folder / "test.xyz")]
    return [finding for finding in examine(paths).findings if finding.level >= Level.LOOK]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (f.scaled(forces=-1.0), "force-sign"),
        pytest.param(f.scaled(1 / f.HARTREE), "units", marks=pytest.mark.slow),
        pytest.param(f.scaled(stress=1 / f.KBAR), "stress-unit", marks=pytest.mark.slow),
        pytest.param(f.cell_in_bohr, "length-unit", marks=pytest.mark.slow),
    ],
    ids=["gradients", "hartree", "kbar", "cell in bohr"],
)
@pytest.mark.parametrize("wrong", [pytest.param("train.xyz", marks=pytest.mark.slow), "test.xyz"])
def test_a_fault_of_one_file_is_said_of_it(change: f.Change, kind: str, wrong: str, tmp_path: Path) -> None:
    structures = frames("rocksalt")
    parts = {"train.xyz": structures[:26], "test.xyz": structures[26:]}
    parts[wrong] = f.each(change)(parts[wrong])
    findings = suspicious(*parts.values(), tmp_path)
    found = [finding for finding in findings if finding.kind == kind]
    assert found, [str(finding) for finding in findings]
    assert all(f"in {wrong} " in str(finding) or wrong in finding.where for finding in found)
    other = ({"train.xyz", "test.xyz"} - {wrong}).pop()
    blamed = [str(finding).replace(f"a fit to {other}", "") for finding in findings]
    assert all(other not in words for words in blamed), blamed


@pytest.mark.slow
def test_a_few_frames_are_compared_with_a_fit_to_the_first_file(tmp_path: Path) -> None:
    structures = frames("rocksalt")
    findings = suspicious(structures[:30], f.each(f.scaled(forces=-1.0))(structures[30:36]), tmp_path)
    assert [finding.kind for finding in findings] == ["force-sign"]
    assert str(findings[0]).startswith("in test.xyz forces are -")


def test_frames_of_a_further_file_that_lack_energies_do_not_count(tmp_path: Path) -> None:
    structures = f.each(f.scaled(1 / f.HARTREE))(frames("rocksalt")[30:36])
    structures[2].calc.results.pop("energy")
    findings = suspicious(frames("rocksalt")[:30], structures, tmp_path)
    assert "units" in [finding.kind for finding in findings]


@pytest.mark.slow
def test_what_is_wrong_in_all_files_is_said_once(tmp_path: Path) -> None:
    structures = f.each(f.scaled(forces=-1.0))(frames("large alloy"))
    findings = suspicious(structures[:50], structures[50:90], tmp_path)
    assert findings[0].kind == "force-sign"
    assert "train.xyz" not in str(findings[0])


@pytest.mark.slow
def test_right_files_stay_right_together(tmp_path: Path) -> None:
    structures = frames("rocksalt")
    assert suspicious(structures[:24], structures[24:], tmp_path) == []


@pytest.mark.slow
def test_an_offset_between_files_that_are_each_right_is_still_seen(tmp_path: Path) -> None:
    structures = frames("rocksalt")
    findings = suspicious(structures[:24], f.each(f.shifted(0.5))(structures[24:]), tmp_path)
    assert [finding.kind for finding in findings] == ["two-codes"]


def zero_energies() -> list[Structure]:
    return [Structure.from_ase(atoms, f"a.xyz, frame {k}").with_labels(energy=0.0)
            for k, atoms in enumerate(frames("alloy"))]  # fmt: skip


def test_a_process_beside_the_first_ends_with_it_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nnpot")
    with pytest.raises(SystemExit) as end:
        consult({"training": zero_energies()}, 5.0, "--data.doctor", quiet=True)
    assert end.value.code == 1
    assert consult({"training": zero_energies()}, 5.0, "--data.doctor", "warn", quiet=True) is not None
    assert caplog.messages == []


def test_a_line_in_the_text_has_the_kind_by_which_to_look_it_up(tmp_path: Path) -> None:
    structures = f.part(f.energy_is(1e30), [5])(frames("alloy"))
    assert "remove the frame [huge-label]" in str(examine(file_of(structures, tmp_path / "train.xyz")))
    with pytest.raises(ValueError, match=r"\[constant-energy\]; to go on all the same"):
        consult({"training": zero_energies()}, 5.0, "--data.doctor")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (f.kept_as(forces="grad"), "30 of 30 frames of a.xyz have no forces, and grad is not used; if these are "
                                   "gradients, write forces = −grad into the file; if forces: --keys.forces grad "),
        (f.kept_as(energy="E"), "have no energy, and E is not used; if these are the energies: --keys.energy E "),
    ],
    ids=["gradients", "E"],
)  # fmt: skip
def test_what_looks_like_a_label_is_named_with_the_option(change: f.Change, words: str, tmp_path: Path) -> None:
    text = str(examine(file_of(f.each(change)(frames("alloy")), tmp_path / "a.xyz")))
    assert words in text


def test_an_error_of_reading_names_file_frame_and_line_once(tmp_path: Path) -> None:
    path = file_of(frames("alloy"), tmp_path / "a.xyz", lambda text: text.replace("Au ", "Qq ", 1))
    (finding,) = examine(path).findings
    assert finding.where == "a.xyz, frame 0"
    assert finding.seen.startswith("line ")
    assert str(finding).count("line") == 1


def test_causes_are_told_before_what_follows_from_them(tmp_path: Path) -> None:
    diagnosis = examine(file_of(f.each(f.cell_in_bohr)(frames("rocksalt")), tmp_path / "a.xyz"))
    assert diagnosis.findings[0].kind == "length-unit"


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    places = (Place("a/OUTCAR", 1), Place("b/OUTCAR", 3))
    assert (
        Finding(Level.LOOK, "energy-outlier", "it is off", "", places).where == "a/OUTCAR, frame 1; b/OUTCAR, frame 3"
    )


def test_a_file_that_cannot_be_read_is_named_with_its_folder(tmp_path: Path) -> None:
    for name, text in (("a", "1\n\nH 0 0 0\n"), ("b", "1\n\nH 0 0\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "h.xyz").write_text(text)
    (finding,) = (f for f in examine([tmp_path / "*/h.xyz"]).findings if f.kind == "reading")
    assert str(finding).startswith(f"{tmp_path / 'b/h.xyz'}, frame 0: "), str(finding)


def test_a_pattern_that_is_advised_is_no_overflown_number(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file_of(frames("rocksalt")[:1], tmp_path / "a/x.xyz")
    (finding,) = examine(tmp_path).findings
    assert finding.kind == "reading"
    assert "*/x.xyz" in finding.seen


def test_files_of_several_patterns_are_told_apart(tmp_path: Path) -> None:
    for name in ("calc/a", "calc/b", "test/a", "test/d", "new/c"):
        (tmp_path / name).mkdir(parents=True)
        file_of([frames("rocksalt")[0]], tmp_path / name / "x.xyz")
    sources = _read([tmp_path / f"{name}/*/x.xyz" for name in ("calc", "test", "new")], LabelKeys(), [], [])
    names = [place.file for source in sources for place in source.places]
    assert names == ["a/x.xyz", "b/x.xyz", f"{tmp_path}/test/a/x.xyz", "d/x.xyz", f"{tmp_path}/new/c/x.xyz"]


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        pytest.param([f"calc/{k}/train.xyz" for k in range(6)], "calc/*/train.xyz", marks=pytest.mark.slow),
        pytest.param([f"{k}/train.xyz" for k in range(6)], "*/train.xyz", marks=pytest.mark.slow),
        ([f"calc/{'deep/' * (k % 2)}{k}/train.xyz" for k in range(6)], "calc/**/train.xyz"),
    ],
)
def test_many_files_of_one_name_are_told_to_be_parts(
    names: list[str], pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    structures = frames("alloy")
    for k, name in enumerate(names):
        Path(name).parent.mkdir(parents=True)
        file_of(structures[k : k + 1], Path(name))
    doctor([Path(name) for name in names])
    (advice,) = (line for line in caplog.messages if "parts of the data" in line)
    assert advice.startswith("6 files train.xyz are 6 parts of the data; if they are one, give their pattern in")
    assert advice.endswith(f"quotation marks, '{pattern}'")
    caplog.clear()
    doctor([Path(pattern)])
    doctor([Path(name) for name in names[:5]])
    assert not [line for line in caplog.messages if "parts of the data" in line]

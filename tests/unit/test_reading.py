"""Reading structures: every format, every complaint."""

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest
from datasets import labelled_alloys, write

from nnpot.reading import LabelKeys, read_structures, require_labels


def test_labels_are_those_of_the_file(tmp_path: Path) -> None:
    frames = labelled_alloys(3)
    structures = read_structures(write(tmp_path / "a.xyz", frames))
    wanted = [f.get_stress() for f in frames]
    # extended XYZ keeps at least 8 digits
    np.testing.assert_allclose([s.stress.numpy() for s in structures], wanted, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("suffix", "opener"), [(".xz", lzma.open), (".gz", gzip.open), (".bz2", bz2.open)])
def test_a_compressed_file_reads_as_the_plain_one(tmp_path: Path, suffix: str, opener: object) -> None:
    plain = write(tmp_path / "a.xyz", labelled_alloys(3))
    packed = tmp_path / f"a.xyz{suffix}"
    with opener(packed, "wt") as file:  # type: ignore[operator]
        file.write(plain.read_text())
    assert [s.energy for s in read_structures(packed)] == [s.energy for s in read_structures(plain)]


@pytest.mark.parametrize("name", ["a.traj", "a.json", "a.extxyz"])
def test_formats_of_ase_read_alike(tmp_path: Path, name: str) -> None:
    import ase.io

    frames = labelled_alloys(2)
    ase.io.write(tmp_path / name, frames)
    energies = [s.energy for s in read_structures(tmp_path / name)]
    np.testing.assert_allclose(energies, [f.get_potential_energy() for f in frames], rtol=1e-8)


def test_free_energy_is_preferred_because_forces_derive_from_it(tmp_path: Path) -> None:
    frames = labelled_alloys(1)
    frames[0].calc.results["free_energy"] = frames[0].calc.results["energy"] - 1.0
    (structure,) = read_structures(write(tmp_path / "a.xyz", frames))
    assert structure.energy == pytest.approx(frames[0].calc.results["energy"] - 1.0, abs=1e-7)


def test_labels_under_other_names(tmp_path: Path) -> None:
    frames = labelled_alloys(1)
    frames[0].info["REF_energy"] = -3.5
    frames[0].arrays["REF_forces"] = np.full((4, 3), 0.25)
    keys = LabelKeys(energy="REF_energy", forces="REF_forces")
    (structure,) = read_structures(write(tmp_path / "a.xyz", frames), keys)
    assert (structure.energy, float(structure.forces.mean())) == (-3.5, 0.25)


def test_a_virial_becomes_a_stress_of_ases_sign(tmp_path: Path) -> None:
    (atoms,) = labelled_alloys(1)
    stress = atoms.get_stress(voigt=False)
    del atoms.calc.results["stress"]
    atoms.info["virial"] = -atoms.get_volume() * stress
    (structure,) = read_structures(write(tmp_path / "a.xyz", [atoms]))
    np.testing.assert_allclose(structure.stress.numpy(), stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], atol=1e-8)


def test_labels_may_be_missing_per_structure(tmp_path: Path) -> None:
    frames = labelled_alloys(2)
    del frames[0].calc.results["forces"], frames[1].calc.results["stress"]
    structures = read_structures(write(tmp_path / "a.xyz", frames))
    assert [(s.forces is None, s.stress is None) for s in structures] == [(True, False), (False, True)]


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_nan_in_a_label_names_file_and_frame(tmp_path: Path, label: str) -> None:
    frames = labelled_alloys(3)
    frames[1].calc.results[label] = np.nan * np.asarray(frames[1].calc.results[label])
    with pytest.raises(ValueError, match=rf"a\.xyz, frame 1: the {label} hold NaN"):
        read_structures(write(tmp_path / "a.xyz", frames))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere\.xyz"):
        read_structures(tmp_path / "nowhere.xyz")


@pytest.mark.parametrize("text", ["", "3\n", "not\na structure\n", "2\nProperties=species:S:1:pos:R:3\nCu 0 0 0\n"])
def test_an_unreadable_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.xyz"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"broken\.xyz"):
        read_structures(path)


def test_structures_without_energies_are_refused_for_training(tmp_path: Path) -> None:
    frames = labelled_alloys(2)
    for atoms in frames:
        atoms.calc = None
    structures = read_structures(write(tmp_path / "a.xyz", frames))
    with pytest.raises(ValueError, match=r"a\.xyz holds 2 structures but no energies"):
        require_labels(structures, "a.xyz")

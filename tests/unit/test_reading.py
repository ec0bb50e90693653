"""Reading structures: every format, every complaint."""

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc100
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from datasets import labelled_alloys, write

from nnpot.label_names import LabelKeys
from nnpot.labels import LABELS
from nnpot.reading import read_labelled, read_structures, require_labels


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
    with pytest.raises(ValueError, match=rf"a\.xyz, frame 1: the {label} holds? NaN"):
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


FLAG = "--data.keys.{label} {name}"
STORED = {"energy": "REF_energy", "forces": "REF_forces", "stress": "REF_stress"}


def renamed(frames: list[Atoms], **names: str) -> list[Atoms]:
    """The same with labels under other names; a stress becomes 9 numbers in a row."""
    for atoms in frames:
        for label, name in names.items():
            value = atoms.calc.results.pop(label)
            if label == "stress":
                value = value[[0, 5, 4, 5, 1, 3, 4, 3, 2]]
            (atoms.arrays if label == "forces" else atoms.info)[name] = value
    return frames


def line_of(path: Path, frames: list[Atoms], **keys: str) -> str:
    _, found = read_labelled(write(path, frames), LabelKeys(**keys), FLAG)
    return str(found).removeprefix(f"labels of {path}: ")


# what is found --------------------------------------------------------------------------------------------------------


def test_the_labels_of_a_file_are_counted(tmp_path: Path) -> None:
    frames = labelled_alloys(4)
    del frames[0].calc.results["forces"], frames[1].calc.results["forces"], frames[2].calc.results["stress"]
    assert line_of(tmp_path / "a.xyz", frames) == "energy 4/4, forces 2/4, stress 3/4"


def test_names_that_were_given_are_told(tmp_path: Path) -> None:
    frames = renamed(labelled_alloys(3), **STORED)
    wanted = "energy 3/3 (REF_energy), forces 3/3 (REF_forces), stress 3/3 (REF_stress)"
    assert line_of(tmp_path / "a.xyz", frames, **STORED) == wanted


def test_a_free_energy_is_told(tmp_path: Path) -> None:
    frames = labelled_alloys(2)
    frames[0].calc.results["free_energy"] = frames[0].calc.results["energy"] - 100.0
    told = line_of(tmp_path / "a.xyz", frames)
    assert told.startswith("energy 2/2 (free_energy; up to 100 eV from energy), ")
    assert "not used" not in told


@pytest.mark.parametrize(
    ("label", "name", "place"),
    [
        ("energy", "REF_energy", "key"),
        ("energy", "Energy", "key"),
        ("forces", "dft_forces", "array"),
        ("forces", "force", "array"),
        ("stress", "REF_stress", "key"),
    ],
)
def test_a_label_under_another_name_is_pointed_out(tmp_path: Path, label: str, name: str, place: str) -> None:
    told = line_of(tmp_path / "a.xyz", renamed(labelled_alloys(2), **{label: name}))
    assert f"{label} 0/2 ({place} {name} is there: use --data.keys.{label} {name})" in told


def test_what_is_pointed_out_works(tmp_path: Path) -> None:
    frames = renamed(labelled_alloys(2), forces="force")
    (first, _) = read_structures(write(tmp_path / "a.xyz", frames), LabelKeys(forces="force"))
    np.testing.assert_allclose(first.forces.numpy(), labelled_alloys(1)[0].get_forces(), atol=1e-7)


@pytest.mark.parametrize("name", ["energy_weight", "energy_per_atom", "energy_note"])
def test_what_cannot_be_a_label_is_not_pointed_out(tmp_path: Path, name: str) -> None:
    frames = labelled_alloys(1)
    del frames[0].calc.results["energy"]
    frames[0].info[name] = "PBE" if name == "energy_note" else 1.0
    assert line_of(tmp_path / "a.xyz", frames).startswith("energy 0/1, ")


def test_two_names_are_both_pointed_out(tmp_path: Path) -> None:
    frames = renamed(labelled_alloys(1), forces="pbe_forces")
    frames[0].arrays["scan_forces"] = frames[0].arrays["pbe_forces"]
    told = line_of(tmp_path / "a.xyz", frames)
    assert "arrays pbe_forces, scan_forces are there: use e.g. --data.keys.forces pbe_forces" in told


def test_a_name_that_only_some_structures_need_is_not_advised(tmp_path: Path) -> None:
    frames = [*labelled_alloys(2), *renamed(labelled_alloys(3, seed=1), energy="Energy")]
    assert line_of(tmp_path / "a.xyz", frames).startswith("energy 2/5 (3 others have key Energy), ")


def test_a_stress_is_expected_of_periodic_structures_alone(tmp_path: Path) -> None:
    frames = labelled_alloys(3)
    frames[1].pbc = False
    assert line_of(tmp_path / "a.xyz", frames).endswith("stress 2/2 periodic (1 others hold one and cannot have it)")


def test_molecules_are_told_apart_from_a_missing_stress(tmp_path: Path) -> None:
    frames = labelled_alloys(2)
    for atoms in frames:
        atoms.pbc = False
    assert line_of(tmp_path / "a.xyz", frames).endswith("stress 0/0 (no structure is periodic)")


@pytest.mark.parametrize("name", ["virial", "virials"])
def test_virials_are_read_and_told(tmp_path: Path, name: str) -> None:
    frames = labelled_alloys(2)
    wanted = [atoms.get_stress() for atoms in frames]
    for atoms in frames:
        atoms.info[name] = -atoms.get_volume() * atoms.get_stress(voigt=False)
        del atoms.calc.results["stress"]
    structures, found = read_labelled(write(tmp_path / "a.xyz", frames))
    assert str(found).endswith(f"stress 2/2 ({name})")
    np.testing.assert_allclose([s.stress.numpy() for s in structures], wanted, atol=1e-8)


def test_a_virial_under_another_name_is_not_taken_for_a_stress(tmp_path: Path) -> None:
    frames = labelled_alloys(1)
    stress = frames[0].get_stress()
    frames[0].info["REF_virial"] = (-frames[0].get_volume() * frames[0].get_stress(voigt=False)).ravel()
    del frames[0].calc.results["stress"]
    told = line_of(tmp_path / "a.xyz", frames)
    assert told.endswith("stress 0/1 (key REF_virial is there: use --data.keys.virial REF_virial)")
    (structure,) = read_structures(tmp_path / "a.xyz", LabelKeys(virial="REF_virial"))
    np.testing.assert_allclose(structure.stress.numpy(), stress, atol=1e-8)


@pytest.mark.parametrize("name", ["virial", "REF_Virials"])
def test_a_stress_is_not_given_the_name_of_a_virial(name: str) -> None:
    with pytest.raises(ValueError, match=rf"keys\.stress .* got {name}, .* give it as keys\.virial"):
        LabelKeys(stress=name)


def test_stress_and_virial_are_not_both_named() -> None:
    with pytest.raises(ValueError, match="leave out one of them"):
        LabelKeys(stress="REF_stress", virial="REF_virial")


# names that were given ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
@pytest.mark.parametrize("name", ["a.xyz", "a.traj"])
def test_ases_own_names_may_be_given(tmp_path: Path, label: str, name: str) -> None:
    import ase.io

    frames = labelled_alloys(2)
    ase.io.write(tmp_path / name, frames)
    structures = read_structures(tmp_path / name, LabelKeys(**{label: label}))
    wanted = [atoms.calc.results[label] for atoms in frames]
    found = [np.asarray(getattr(s, label)) for s in structures]
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-7)


def test_energy_by_name_is_not_the_free_energy(tmp_path: Path) -> None:
    frames = labelled_alloys(1)
    frames[0].calc.results["free_energy"] = 7.0
    path = write(tmp_path / "a.xyz", frames)
    energies = [read_structures(path, LabelKeys(energy=name))[0].energy for name in ("energy", "free_energy")]
    assert energies == pytest.approx([frames[0].calc.results["energy"], 7.0], abs=1e-7)


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_a_name_that_is_in_no_structure_is_an_error(tmp_path: Path, label: str) -> None:
    path = write(tmp_path / "a.xyz", labelled_alloys(2))
    there = f"a.xyz: nothing is in no structure, but --data.keys.{label} nothing was given; .* is there: use "
    with pytest.raises(ValueError, match=f"{there}--data.keys.{label} {label}"):
        read_labelled(path, LabelKeys(**{label: "nothing"}), FLAG)


def test_a_misspelt_name_is_told_with_the_right_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", renamed(labelled_alloys(2), forces="REF_forces"))
    with pytest.raises(ValueError, match=r"array REF_forces is there: use LabelKeys\(forces='REF_forces'\)"):
        read_structures(path, LabelKeys(forces="REF_force"))


def test_a_name_may_be_missing_in_some_structures(tmp_path: Path) -> None:
    frames = [*renamed(labelled_alloys(1), forces="REF_forces"), *labelled_alloys(2)]
    path = write(tmp_path / "a.xyz", frames)
    found = read_structures(path, LabelKeys(forces="REF_forces"))
    assert [s.forces is None for s in found] == [False, True, True]


def test_a_missing_energy_is_pointed_out_with_the_flag(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", renamed(labelled_alloys(2), energy="E_pbe_energy"))
    structures, found = read_labelled(path, naming="--keys.{label} {name}")
    with pytest.raises(ValueError, match=r"no energies; key E_pbe_energy is there: use --keys\.energy E_pbe_energy"):
        require_labels(structures, "a.xyz", found)


# what cannot be a label -----------------------------------------------------------------------------------------------


def test_a_stress_of_nine_numbers_is_a_matrix(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", renamed(labelled_alloys(2), stress="REF_stress"))
    found = [s.stress.numpy() for s in read_structures(path, LabelKeys(stress="REF_stress"))]
    np.testing.assert_allclose(found, [atoms.get_stress() for atoms in labelled_alloys(2)], atol=1e-8)


WRONG: dict[str, tuple[str, object, str]] = {
    "stress of 5 numbers": ("stress", np.ones(5), "x must be 6 numbers, 9 numbers or a 3×3 matrix .* shape \\(5,\\)"),
    "stress of words": ("stress", "none", "x must be 6 numbers, 9 numbers or a 3×3 matrix .* got 'none'"),
    "energy of words": ("energy", "unknown", "x must be one number .* got 'unknown'"),
    "energy that is true": ("energy", True, "x must be one number .* got 'True'"),
    "energy of 2 numbers": ("energy", np.ones(2), "x must be one number .* shape \\(2,\\)"),
    "forces of 2 components": ("forces", np.ones((4, 2)), "x must be three numbers per atom .* shape \\(4, 2\\)"),
    "forces of words": ("forces", np.full((4, 3), "up"), "x must be three numbers per atom"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_a_label_names_file_and_frame(tmp_path: Path, case: str) -> None:
    label, value, message = WRONG[case]
    frames = labelled_alloys(3)
    (frames[2].arrays if label == "forces" else frames[2].info)["x"] = value
    with pytest.raises(ValueError, match=rf"a\.xyz, frame 2: {message}"):
        read_structures(write(tmp_path / "a.xyz", frames), LabelKeys(**{label: "x"}))


def test_an_energy_of_words_under_ases_own_name_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", renamed(labelled_alloys(1), energy="E"))
    path.write_text(path.read_text().replace(" E=", " energy=about"))
    with pytest.raises(ValueError, match=r"a\.xyz, frame 0: energy must be one number"):
        read_structures(path)


def test_a_cell_that_ase_overlooks_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", labelled_alloys(2))
    path.write_text(path.read_text().replace("Lattice=", "lattice="))
    with pytest.raises(ValueError, match=r"a\.xyz, frame 0 .*: the cell is written as lattice, .* write Lattice"):
        read_structures(path)


# weights, charges, dipoles --------------------------------------------------------------------------------------------


def test_weights_are_those_of_the_file(tmp_path: Path) -> None:
    frames = labelled_alloys(3)
    frames[0].info |= {"config_weight": 2.0, "config_energy_weight": 3.0, "config_virials_weight": 0.0}
    frames[1].info |= {"config_forces_weight": 0.5, "config_stress_weight": 4, "config_virials_weight": 7.0}
    structures, found = read_labelled(write(tmp_path / "a.xyz", frames))
    assert structures[0].weights == {**dict.fromkeys(LABELS, 2.0), "energy": 6.0, "stress": 0.0}
    assert structures[1].weights == {"forces": 0.5, "stress": 4.0}
    assert structures[2].weights == {}
    told = "config_weight 1/3, config_energy_weight 1/3, config_forces_weight 1/3, config_stress_weight 1/3"
    assert str(found).endswith(f"stress 3/3; weights: {told}, config_virials_weight 2/3")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("config_weight", -1.0, "config_weight must not be negative, got -1"),
        ("config_forces_weight", "high", "config_forces_weight must be one finite number, got 'high'"),
        ("config_energy_weight", np.inf, "config_energy_weight must be one finite number, got 'inf'"),
        ("charge", "plus", "charge must be one finite number, got 'plus'"),
    ],
)
def test_weights_and_charges_must_be_numbers(tmp_path: Path, name: str, value: object, said: str) -> None:
    frames = labelled_alloys(2)
    frames[1].info[name] = value
    with pytest.raises(ValueError, match=rf"a\.xyz, frame 1: {said}"):
        read_structures(write(tmp_path / "a.xyz", frames))


def ions(**info: object) -> list[Atoms]:
    """Hydroxide with a dipole, its charges, and perhaps more."""
    atoms = Atoms("OH", positions=[[0, 0, 0.1], [0, 0, 1.0]])
    atoms.info |= info
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, dipole=[0.1, 0.2, -0.3], charges=[-1.25, 0.25])
    return [atoms]


def test_dipole_and_charges_are_labels(tmp_path: Path) -> None:
    (structure,), found = read_labelled(write(tmp_path / "a.xyz", ions(charge=-1)))
    assert structure.charge == -1.0
    assert structure.labels["dipole"].tolist() == [0.1, 0.2, -0.3]
    assert structure.labels["charges"].tolist() == [-1.25, 0.25]
    assert str(found).endswith("stress 0/0 (no structure is periodic), dipole 1/1, charges 1/1")


def test_dipole_and_charges_under_other_names(tmp_path: Path) -> None:
    frames = ions(REF_dipole=np.array([1.0, 2.0, 3.0]), total_charge=-2)
    del frames[0].calc.results["dipole"], frames[0].calc.results["charges"]
    frames[0].arrays["hirshfeld_charges"] = np.array([-1.5, -0.5])
    path = write(tmp_path / "a.xyz", frames)
    told = line_of(path, frames)
    assert "dipole 0/1 (key REF_dipole is there: use --data.keys.dipole REF_dipole)" in told
    assert "charges 0/1 (array hirshfeld_charges is there: use --data.keys.charges hirshfeld_charges)" in told
    keys = LabelKeys(dipole="REF_dipole", charges="hirshfeld_charges", total_charge="total_charge")
    (structure,) = read_structures(path, keys)
    assert (structure.labels["dipole"].tolist(), structure.charge) == ([1.0, 2.0, 3.0], -2.0)
    assert structure.labels["charges"].tolist() == [-1.5, -0.5]


def test_initial_charges_are_no_labels(tmp_path: Path) -> None:
    frames = labelled_alloys(1)
    frames[0].set_initial_charges([1.0, -1.0, 0.0, 0.0])
    assert line_of(tmp_path / "a.xyz", frames) == "energy 1/1, forces 1/1, stress 1/1"
    assert read_structures(tmp_path / "a.xyz")[0].labels.keys() == {"energy", "forces", "stress"}


def test_a_periodic_structure_has_no_dipole_which_is_said(tmp_path: Path) -> None:
    frames = ions()
    frames[0].set_cell([8, 8, 8])
    frames[0].pbc = True
    (structure,), found = read_labelled(write(tmp_path / "a.xyz", frames))
    assert "dipole" not in structure.labels
    assert str(found).endswith("dipole 0/0 (periodic cells have no dipole label), charges 1/1")


def test_the_stress_of_a_slab_is_read(tmp_path: Path) -> None:
    atoms = fcc100("Cu", (2, 2, 3), vacuum=6.0)
    atoms.rattle(0.1, seed=0)
    atoms.info = {}
    atoms.calc = EMT()
    stress = atoms.get_stress()
    (structure,), found = read_labelled(write(tmp_path / "a.xyz", [atoms]))
    np.testing.assert_allclose(structure.stress.numpy(), stress, atol=1e-8)
    assert str(found).endswith("stress 1/1; not used: column energies 1/1")
    atoms.info["virial"] = -atoms.get_volume() * atoms.get_stress(voigt=False)
    atoms.calc = None
    (of_virial,) = read_structures(write(tmp_path / "b.xyz", [atoms]))
    np.testing.assert_allclose(of_virial.stress.numpy(), stress, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "advice"), [("conf.yaml", "a configuration is given by --config "), ("a.unknown", "use extended XYZ")]
)
def test_a_file_of_no_known_format_is_answered_by_what_to_give(name: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("trainer: {max_epochs: 3}\n")
    with pytest.raises(ValueError, match=f"{name}: the file format is not known to ASE; {advice}"):
        read_structures(tmp_path / name)

"""Archives of NumPy with molecules, their units, and what is no such archive."""

import io
import logging
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import units
from ase.build import molecule

from nnpot.reading import read_structures

KCAL = units.kcal / units.mol
ETHANOL = molecule("CH3CH2OH")
RNG = np.random.default_rng(0)
POSITIONS = ETHANOL.positions + RNG.normal(scale=0.05, size=(5, 9, 3))
FORCES = RNG.normal(size=(5, 9, 3))
ENERGIES = -4215.4 + RNG.normal(size=5)
Z = ETHANOL.numbers


def rmd17(**changes: Any) -> dict[str, Any]:
    """The arrays of rMD17, whose numbers are in kcal/mol."""
    arrays = {
        "nuclear_charges": Z.astype(np.uint8),
        "coords": POSITIONS,
        "energies": ENERGIES / KCAL,
        "forces": FORCES / KCAL,
    }
    return {**arrays, "old_indices": np.arange(5), "old_energies": ENERGIES, "old_forces": FORCES, **changes}


def md17(**changes: Any) -> dict[str, Any]:
    return {"z": Z, "R": POSITIONS, "E": (ENERGIES / KCAL)[:, None], "F": FORCES / KCAL, **changes}


def put(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def check(path: Path) -> None:
    structures = read_structures(path)
    assert [s.name for s in structures] == [f"{path.name}, frame {k}" for k in range(5)]
    np.testing.assert_allclose([s.energy for s in structures], ENERGIES, rtol=1e-12)
    for k, s in enumerate(structures):
        assert s.numbers.tolist() == Z.tolist()
        assert s.pbc == (False, False, False)
        np.testing.assert_allclose(s.positions, POSITIONS[k], rtol=1e-12)
        np.testing.assert_allclose(s.forces, FORCES[k], rtol=1e-12)


def refusal(path: Path) -> str:
    with pytest.raises(ValueError, match=path.name) as error:
        read_structures(path)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize("arrays", [rmd17(), md17(name="ethanol", theory="DFT")], ids=["rMD17", "MD17"])
def test_molecules_in_kcal_per_mol(tmp_path: Path, arrays: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "nnpot"):
        check(put(tmp_path / "a.npz", arrays))
    layout = "rMD17" if "coords" in arrays else "MD17"
    assert f"energies in kcal/mol, forces in kcal/mol/Å, as in {layout}, since the file does not say" in caplog.text


@pytest.mark.parametrize("kind", [str, np.bytes_])
def test_units_that_the_file_names(tmp_path: Path, kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    in_units = {"E": ENERGIES / units.Hartree, "F": FORCES * units.Bohr / units.Hartree, "R": POSITIONS / units.Bohr}
    with caplog.at_level(logging.INFO, "nnpot"):
        check(put(tmp_path / "a.npz", md17(**in_units, e_unit=kind("Hartree"), r_unit=kind("bohr"))))
    assert "energies in Hartree, forces in Hartree/bohr, as the file says" in caplog.text
    said = refusal(put(tmp_path / "b.npz", md17(e_unit="furlong")))
    assert "e_unit is 'furlong', which is no unit that is known; write kcal/mol or eV, and Ang" in said


@pytest.mark.parametrize(("unit", "name"), [(1.0, "eV"), (units.Hartree, "Hartree")])
def test_energies_that_are_not_in_the_unit_of_their_layout(tmp_path: Path, unit: float, name: str) -> None:
    said = refusal(put(tmp_path / "a.npz", rmd17(energies=ENERGIES / unit)))
    assert f"is in {name} by its size; write the arrays e_unit='{name}' and r_unit='Ang' into the file" in said


def test_a_lattice_and_numbers_of_each_frame(tmp_path: Path) -> None:
    lattice = np.array([[9.0, 1.0, 0.0], [0.0, 9.0, 2.0], [0.0, 0.0, 9.0]])
    structure = read_structures(put(tmp_path / "a.npz", md17(lattice=lattice, z=np.tile(Z, (5, 1)))))[4]
    np.testing.assert_allclose(structure.cell, lattice.T)
    assert structure.pbc == (True, True, True)
    assert structure.numbers.tolist() == Z.tolist()


def test_positions_alone(tmp_path: Path) -> None:
    assert read_structures(put(tmp_path / "a.npz", {"z": Z, "R": POSITIONS[0]}))[0].labels == {}


def test_some_frames_of_an_archive(tmp_path: Path) -> None:
    path = put(tmp_path / "a.npz", rmd17())
    assert [s.energy for s in read_structures(f"{path}@1::3")] == pytest.approx(list(ENERGIES[1::3]))


@pytest.mark.parametrize(
    ("changes", "words"),
    {
        "forces of other frames": (
            {"forces": FORCES[:4]},
            "forces has 108 numbers of shape (4, 9, 3) where 5 × 9 × 3 are",
        ),
        "energies of other frames": (
            {"energies": ENERGIES[:3]},
            "energy has 3 numbers of shape (3,) where 5 are needed",
        ),
        "words": ({"energies": np.array(["a"] * 5)}, "energy holds no numbers"),
        "objects": ({"energies": np.array([{}] * 5)}, "array energies holds Python objects"),
        "no atoms": ({"nuclear_charges": np.zeros(0)}, "they must be one for each atom"),
        "numbers of other frames": ({"nuclear_charges": np.tile(Z, (4, 1))}, "shape (4, 9) beside 5 frames"),
        "no elements": ({"nuclear_charges": np.full(9, 500)}, "of atomic number 500, which does not exist"),
    }.values(),
)
def test_what_does_not_fit_together(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    assert words in refusal(put(tmp_path / "a.npz", rmd17(**changes)))


def test_other_archives_say_what_they_hold(tmp_path: Path) -> None:
    said = refusal(put(tmp_path / "a.npz", {"mean": np.zeros(3), "scale": np.ones(3)}))
    assert (
        "the arrays mean, scale; those that are read are nuclear_charges, coords, energies, forces (rMD17); z, R, E, F"
        in said
    )


@pytest.mark.parametrize("part", [0.5, 0.99])
def test_a_damaged_archive(tmp_path: Path, part: float) -> None:
    path = put(tmp_path / "a.npz", rmd17())
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert "is damaged or cut off" in refusal(path)


def test_a_damaged_array_in_an_archive(tmp_path: Path) -> None:
    path = put(tmp_path / "a.npz", rmd17())
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("coords.npy").header_offset + 60
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    assert re.search("array coords is .*damaged", refusal(path))


def test_a_small_archive_does_not_unpack_to_a_huge_array(tmp_path: Path) -> None:
    array, small = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros(2**24))
    np.save(small, Z)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("R.npy", array.getvalue())
        archive.writestr("z.npy", small.getvalue())
    assert "array R unpacks to over 100 times the size of the file" in refusal(tmp_path / "a.npz")


def test_an_array_that_promises_more_than_there_is(tmp_path: Path) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    content = array.getvalue().replace(b"(3,)", b"(3000000000000,)".ljust(4))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("R.npy", content)
        archive.writestr("z.npy", array.getvalue())
    assert "array R is" in refusal(tmp_path / "a.npz")

"""Folders of DeePMD-kit: sets, text, mixed types; what is missing or damaged."""

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from datasets import labelled_alloys

from nnpot.reading import read_labelled, read_structures

FRAMES = [atoms for atoms in labelled_alloys(20) if str(atoms.symbols) == "Au2Cu2"]
TYPES = [1 if symbol == "Au" else 0 for symbol in FRAMES[0].symbols]


def put(folder: Path, frames: list[Atoms], *, ending: str = ".npy", precision: Any = np.float64) -> Path:
    """Write a set as DeePMD-kit has it; its virial is −volume · stress."""
    folder.mkdir(parents=True, exist_ok=True)
    n = len(frames)
    arrays = {
        "coord": np.array([a.positions for a in frames]).reshape(n, -1),
        "box": np.array([a.cell.array for a in frames]).reshape(n, 9),
        "energy": np.array([a.get_potential_energy() for a in frames]),
        "force": np.array([a.get_forces() for a in frames]).reshape(n, -1),
        "virial": np.array([-a.get_volume() * a.get_stress(voigt=False) for a in frames]).reshape(n, 9),
    }
    for name, array in arrays.items():
        if ending == ".npy":
            np.save(folder / f"{name}.npy", array.astype(precision))
        else:
            np.savetxt(folder / f"{name}.raw", array)
    return folder


def types(folder: Path, numbers: list[int] = TYPES, names: str = "Cu Au") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "type.raw").write_text("\n".join(map(str, numbers)))
    (folder / "type_map.raw").write_text("\n".join(names.split()))
    return folder


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A folder with two sets of two frames."""
    for k in range(2):
        put(tmp_path / f"system/set.00{k}", FRAMES[2 * k : 2 * k + 2])
    return types(tmp_path / "system")


def refusal(path: Path) -> str:
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        read_structures(path)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def check(structures: Any, frames: list[Atoms], tolerance: float = 1e-10) -> None:
    """Compare with what was written."""
    assert len(structures) == len(frames)
    for s, atoms in zip(structures, frames, strict=True):
        assert s.numbers.tolist() == atoms.numbers.tolist()
        assert s.pbc == (True, True, True)
        np.testing.assert_allclose(s.positions, atoms.positions, atol=tolerance)
        np.testing.assert_allclose(s.cell, atoms.cell.array, atol=tolerance)
        np.testing.assert_allclose(s.energy, atoms.get_potential_energy(), atol=tolerance)
        np.testing.assert_allclose(s.forces, atoms.get_forces(), atol=tolerance)
        np.testing.assert_allclose(s.stress, atoms.get_stress(), atol=tolerance)


def test_all_sets_are_read_one_after_the_other(system: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(system / "set.000/atom_ener.npy", np.zeros((2, 4)))
    with caplog.at_level(logging.INFO, "nnpot"):
        structures, told = read_labelled(system)
    check(structures, FRAMES[:4])
    assert [s.name for s in structures] == [f"system, frame {k}" for k in range(4)]
    assert "energies in eV, forces in eV/Å, stress from −virial/volume" in caplog.text
    assert "not used: atom_ener.npy" in caplog.text
    assert "stress 4/4 (virial)" in str(told)


def test_one_set_some_frames_and_folders_of_systems(system: Path, tmp_path: Path) -> None:
    check(read_structures(system / "set.001"), FRAMES[2:4])
    check(read_structures(f"{system}@-1"), FRAMES[3:4])
    types(tmp_path / "other/deep")
    put(tmp_path / "other/deep/set.000", FRAMES[:1])
    check(read_structures(tmp_path), [FRAMES[0], *FRAMES[:4]])
    check(read_structures(tmp_path / "sys*"), FRAMES[:4])


def test_text_is_read_where_there_are_no_sets(tmp_path: Path) -> None:
    put(types(tmp_path), FRAMES[:2], ending=".raw")
    check(read_structures(tmp_path), FRAMES[:2])
    put(tmp_path, FRAMES[:1], ending=".raw")
    check(read_structures(tmp_path), FRAMES[:1])
    (tmp_path / "force.raw").write_text("1 2 x\n")
    assert "force.raw must hold one line of numbers for each frame" in refusal(tmp_path)


def test_mixed_types_without_what_fills_them_up(system: Path) -> None:
    of_frames = np.array([TYPES, TYPES[::-1]])
    of_frames[1, 0] = -1
    np.save(system / "set.000/real_atom_types.npy", of_frames)
    first, second = read_structures(system / "set.000")
    assert first.numbers.tolist() == FRAMES[0].numbers.tolist()
    assert second.numbers.tolist() == [(29, 79)[t] for t in TYPES[::-1]][1:]
    np.testing.assert_allclose(second.positions, FRAMES[1].positions[1:])
    np.testing.assert_allclose(second.forces, FRAMES[1].get_forces()[1:])


def test_molecules_have_neither_cell_nor_stress(system: Path) -> None:
    (system / "nopbc").touch()
    structure = read_structures(system)[0]
    assert (structure.pbc, structure.stress) == ((False,) * 3, None)
    (system / "nopbc").unlink()
    (system / "set.001/box.npy").unlink()
    assert f"{system / 'set.001'} has no box; if nothing is periodic put an empty file nopbc into {system}" in refusal(
        system
    )


def test_rounded_energies_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    large = [atoms.copy() for atoms in FRAMES[:2]]
    for atoms, old in zip(large, FRAMES, strict=False):
        atoms.calc = type(old.calc)(atoms, **{**old.calc.results, "energy": old.get_potential_energy() - 5e4})
    put(types(tmp_path) / "set.000", large, precision=np.float32)
    with caplog.at_level(logging.INFO, "nnpot"):
        check(read_structures(tmp_path), large, tolerance=5e-3)
    assert "energies in single precision are rounded to 0.98 meV/atom" in caplog.text


class Trap:
    """What leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_objects_are_never_loaded(system: Path) -> None:
    np.save(system / "set.000/energy.npy", np.array([Trap(system / "sprung")] * 2, dtype=object), allow_pickle=True)
    said = refusal(system)
    assert "set.000/energy.npy holds Python objects, which could be programs and are not loaded" in said
    (system / "set.000/energy.npy").write_bytes(pickle.dumps(Trap(system / "sprung")))
    assert "energy.npy is no array of NumPy, or damaged" in refusal(system)
    assert not (system / "sprung").exists()


def header(shape: str, descr: str = "<f8") -> bytes:
    """The first bytes of an array of some shape."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


BROKEN = {
    "cut off": ("energy", header("(2,)") + bytes(9), "is cut off after 9 of 16 bytes; copy it again"),
    "a huge promise": ("force", header(f"({10**15},)") + bytes(8), "ends before"),
    "a negative shape": ("force", header("(-1, 3)") + bytes(48), "ends before"),
    "text": ("coord", header("(2,)", "<U4") + bytes(32), "coord.npy holds no numbers"),
    "empty": ("coord", b"", "coord.npy is no array of NumPy, or damaged"),
    "a huge header": (
        "box",
        b"\x93NUMPY\x02\x00\xff\xff\xff\x0f{" + b" " * 99,
        "box.npy is no array of NumPy, or damaged",
    ),
    "a header that is no Python": (
        "box",
        header("(2,").replace(b", }", b"  {"),
        "box.npy is no array of NumPy, or damaged",
    ),
    "another number": (
        "force",
        header("(2, 3)") + bytes(48),
        "has 6 numbers of shape (2, 3) where 2 × 4 × 3 are needed",
    ),
    "another number of frames": (
        "energy",
        header("(3,)") + bytes(24),
        "has 3 numbers of shape (3,) where 2 are needed",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_damaged_array_is_named(system: Path, case: str) -> None:
    name, content, words = BROKEN[case]
    (system / f"set.001/{name}.npy").write_bytes(content)
    said = refusal(system)
    assert words in said
    assert "set.001" in said


def test_what_is_missing_or_wrong_is_named(system: Path) -> None:
    (system / "type.raw").write_text("0 1 2 1")
    assert "there is a type 2, but type_map.raw names only 2" in refusal(system)
    (system / "type.raw").write_text("0 1 Cu 1")
    assert "type.raw must hold the number of the type of each atom" in refusal(system)
    types(system, names="Cu OW")
    assert "type_map.raw: 'OW' is no chemical symbol" in refusal(system)
    (system / "type_map.raw").unlink()
    assert "type_map.raw is missing, without which types are no elements" in refusal(system)
    types(system)
    (system / "set.001/coord.npy").unlink()
    assert f"{system / 'set.001/coord.npy'} is missing: there are no positions" in refusal(system)


def test_an_array_alone_points_to_its_folder(system: Path) -> None:
    assert "if it is of DeePMD-kit give the folder with type.raw" in refusal(system / "set.000/coord.npy")


def test_the_same_as_dpdata(tmp_path: Path) -> None:
    dpdata = pytest.importorskip("dpdata")
    system = dpdata.LabeledSystem()
    for atoms in FRAMES[:3]:
        system.append(dpdata.LabeledSystem(atoms, fmt="ase/structure"))
    system.to_deepmd_npy(str(tmp_path / "npy"), prec=np.float64, set_size=2)
    system.to_deepmd_raw(str(tmp_path / "raw"))
    for form in ("npy", "raw"):
        found = read_structures(tmp_path / form)
        by_energy = sorted(found, key=lambda s: s.energy or 0.0)
        wanted = sorted(FRAMES[:3], key=lambda a: a.get_potential_energy())
        for s, atoms in zip(by_energy, wanted, strict=True):
            np.testing.assert_allclose(s.energy, atoms.get_potential_energy(), rtol=1e-7)
            np.testing.assert_allclose(s.stress, full_3x3_to_voigt_6_stress(atoms.get_stress(voigt=False)), atol=1e-7)
            assert s.volume == pytest.approx(atoms.get_volume(), rel=1e-6)
            assert sorted(s.numbers.tolist()) == sorted(atoms.numbers.tolist())
            np.testing.assert_allclose(
                sorted(s.forces.flatten().tolist()), np.sort(atoms.get_forces().ravel()), atol=1e-6
            )

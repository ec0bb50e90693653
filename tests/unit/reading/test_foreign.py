"""What other programs write: right, or one sentence that says what it is and what to do."""

import bz2
import gzip
import io
import logging
import lzma
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from datasets import labelled_alloys, write
from outputs import outcar, vasprun

from nnpot.label_names import LabelKeys
from nnpot.reading import read_atoms, read_labelled, read_structures, require_labels

ROWS = "Cu 0 0 0\nAu 0 2 2\n"
FORCES = "Properties=species:S:1:pos:R:3:forces:R:3"
ROWS_WITH_FORCES = "Cu 0 0 0 0.1 0.2 0.3\nAu 0 2 2 -0.1 -0.2 -0.3\n"
LATTICE = 'Lattice="4 0 0 0 4 0 0 0 4"'


def frame(comment: str, rows: str = ROWS) -> str:
    return f"2\n{comment}\n{rows}"


def refusal(path: Path, content: str | bytes) -> str:
    """What is said of a file, on one line that names it."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=re.escape(path.name)) as error:
        read_structures(path)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


# cells ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "comment",
    [
        "# CELL(abcABC):   10.0    10.0    10.0    90.0    90.0    90.0  Step:  0  Bead:  0 positions{angstrom}",
        "# CELL{H}: 10 0 0 0 10 0 0 0 10 Traj: positions{atomic_unit} Step: 0",
        "Cell: 4 0 0 0 4 0 0 0 4 energy: -3.5",
        "simulation box 4.0, 4.0, 4.0",
        '{"energy": -3.5, "Lattice": [[4,0,0],[0,4,0],[0,0,4]]}',
        *(f'{name}="4 0 0 0 4 0 0 0 4" energy=-3.5' for name in ("cell", "unit_cell", "Supercell", "lattice_vectors")),
        *('box="4 4 4"', "lattice=[4, 4, 4, 90, 90, 90]", "UnitCell={4 4.0 4.d0}"),
    ],
)
def test_a_cell_in_another_form_is_not_overlooked(tmp_path: Path, comment: str) -> None:
    said = refusal(tmp_path / "a.xyz", frame(comment))
    assert "frame 0 (line 1): the cell is written as" in said
    assert "write Lattice instead" in said


@pytest.mark.parametrize(
    "comment",
    [
        *("a supercell of 2 x 2 x 2, relaxed", "cell 3 of 7", "excellent 1 2 3", "energy=-3.5 unit_cell=conventional"),
        f"{LATTICE} cell='8 0 0 0 8 0 0 0 8'",
    ],
)
def test_what_only_speaks_of_cells_is_read(tmp_path: Path, comment: str) -> None:
    (tmp_path / "a.xyz").write_text(frame(comment))
    assert len(read_atoms(tmp_path / "a.xyz")) == 1


@pytest.mark.parametrize("name", ["a.json", "a.traj"])
@pytest.mark.parametrize("size", [3, 6, 9])
def test_a_cell_beside_the_cell_in_any_format(tmp_path: Path, name: str, size: int) -> None:
    atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 2]])
    atoms.info["box"] = np.full(size, 4.0)
    ase.io.write(tmp_path / name, atoms)
    if name == "a.json":  # keeps no such key
        assert len(read_atoms(tmp_path / name)) == 1
        return
    with pytest.raises(ValueError, match=r"a\.traj, frame 0: the cell is written as box"):
        read_atoms(tmp_path / name)


# units ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("energy_unit", "Hartree"), ("forces_units", "hartree/bohr"), ("unit", "bohr"), ("units", "real")),
        *(("stress_unit", "GPa"), ("Units", '"kcal/mol, Angstrom"'), ("length_unit", "a.u.")),
    ],
)
def test_units_that_the_file_itself_names_are_believed(tmp_path: Path, key: str, value: str) -> None:
    said = refusal(tmp_path / "a.xyz", frame(f"{LATTICE} {FORCES} energy=-3.5 {key}={value}", ROWS_WITH_FORCES))
    assert f"frame 0: {key} is {value.strip(chr(34))}; give all numbers in eV and Å" in said


@pytest.mark.parametrize("pair", ["energy_unit=eV", "unit=Angstrom", "units=metal", "charge_unit=au", "time_unit=au"])
def test_units_as_they_should_be_do_no_harm(tmp_path: Path, pair: str) -> None:
    (tmp_path / "a.xyz").write_text(frame(f"{LATTICE} {FORCES} energy=-3.5 {pair}", ROWS_WITH_FORCES))
    assert read_structures(tmp_path / "a.xyz")[0].energy == pytest.approx(-3.5)


@pytest.mark.parametrize("comment", ["i =  0, time =  0.500, E =  -17.1643447508", "E=-3.5", "toten=-3.5 Etot=-3"])
def test_a_short_name_of_the_energy_is_named(tmp_path: Path, comment: str) -> None:
    (tmp_path / "a.xyz").write_text(frame(comment))
    structures, inventory = read_labelled(tmp_path / "a.xyz")
    with pytest.raises(ValueError, match=r"no energies; .*not used is keys? (E|Etot) 1/1"):
        require_labels(structures, "a.xyz", inventory)


@pytest.mark.parametrize(
    "name", ["kinetic_energy", "energy_std", "energy_error", "energy_peratom", "energy_per_molecule", "energy_unit"]
)
def test_what_is_no_energy_is_not_advised_but_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.xyz").write_text(frame(f"{LATTICE} {FORCES} {name}=-3.5", ROWS_WITH_FORCES))
    inventory = read_labelled(tmp_path / "a.xyz")[1]
    assert inventory.hint("energy") == ""
    assert f"key {name} 1/1" in str(inventory)


# LAMMPS ---------------------------------------------------------------------------------------------------------------

DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 4
0 4
0 4
ITEM: ATOMS id {0} x y z fx fy fz
1 {1} 0 0 0 0.1 0.2 0.3
2 {2} 0 2 2 -0.1 -0.2 -0.3
"""


def test_a_dump_of_lammps_has_no_energy(tmp_path: Path) -> None:
    (tmp_path / "a.lammpstrj").write_text(DUMP.format("element", "Cu", "Au"))
    (structure,) = read_structures(tmp_path / "a.lammpstrj")
    assert structure.energy is None
    assert structure.numbers.tolist() == [29, 79]
    np.testing.assert_allclose(structure.labels["forces"], [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])


def test_types_of_lammps_are_no_elements(tmp_path: Path) -> None:
    assert "tells types and no elements" in refusal(tmp_path / "a.lammpstrj", DUMP.format("type", "1", "2"))
    types = "1 0 0 0\n2 0 2 2\n"
    assert "LAMMPS" in refusal(tmp_path / "a.xyz", frame("Atoms. Timestep: 0", types))
    assert "LAMMPS" in refusal(tmp_path / "b.xyz", frame("Atoms. Timestep: 0", types.replace("2 0", "1 0")))
    assert "1 to 2" in refusal(tmp_path / "c.xyz", frame(f"{LATTICE} energy=-3.5", types))


def test_what_a_format_means_by_its_numbers_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "input.data").write_text("begin\nlattice 9 0 0\nlattice 0 9 0\nlattice 0 0 9\natom 0 0 0 Cu 0 0 0 0 0\n"
                                         "energy -0.1\ncharge 0\nend\n")  # fmt: skip
    with caplog.at_level(logging.INFO, "nnpot"):
        (structure,) = read_structures(tmp_path / "input.data")
    assert structure.energy == pytest.approx(-2.7211386)
    assert "input.data: its numbers are taken to be in Hartree and bohr" in caplog.text


# calculations ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
@pytest.mark.parametrize(("name", "text"), [("OUTCAR", outcar(3)), ("vasprun.xml", vasprun(3))])
def test_the_output_of_vasp_is_read_also_packed(
    tmp_path: Path, name: str, text: str, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}
    (tmp_path / (name + suffix)).write_bytes(pack[suffix](text.encode()))
    with caplog.at_level(logging.WARNING, "nnpot"):
        structures = read_structures(tmp_path / (name + suffix))
    np.testing.assert_allclose([s.energy for s in structures], [-3.5, -4.5, -5.5])
    np.testing.assert_allclose(structures[2].labels["forces"], [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
    assert not caplog.text


@pytest.mark.parametrize(("name", "text"), [("OUTCAR", outcar(3)), ("vasprun.xml", vasprun(3))])
def test_a_calculation_that_was_stopped_is_named(
    tmp_path: Path, name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / name).write_text(text[: int(0.85 * len(text))])
    with caplog.at_level(logging.WARNING, "nnpot"):
        assert len(read_structures(tmp_path / name)) == 2
    assert f"{name}: the calculation has not ended by itself; its last step may be missing" in caplog.text


# what is no such file -------------------------------------------------------------------------------------------------


def archive_of(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.xyz", text)
    return buffer.getvalue()


def tar_of(text: str, mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:  # type: ignore[call-overload]
        info = tarfile.TarInfo("a.xyz")
        info.size = len(text)
        file.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def text_of(frames: list[Atoms]) -> str:
    buffer = io.StringIO()
    ase.io.write(buffer, frames, format="extxyz")
    return buffer.getvalue()


TEXT = text_of(labelled_alloys(2))
FOREIGN: dict[str, tuple[bytes, str]] = {
    "a.zip": (archive_of(TEXT), r"an archive \(zip\); unpack it"),
    "a.tar": (tar_of(TEXT, "w"), r"an archive \(tar\)"),
    "a.tar.gz": (tar_of(TEXT, "w:gz"), r"an archive \(tar\)"),
    "a.xyz.gz": (gzip.compress(gzip.compress(TEXT.encode())), "packed twice"),
    "a.xyz.lzma": (lzma.compress(TEXT.encode(), format=lzma.FORMAT_ALONE), "packed by lzma"),
    "a.xyz.zst": (b"\x28\xb5\x2f\xfd" + bytes(40), "packed by zstd"),
    "a.hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
    "coord.npy": (b"\x93NUMPY\x01\0v\0{'descr': '<f8'}", "an array of NumPy"),
    "train.cfg": (b"BEGIN_CFG\n Size\n    2\n", "MLIP"),
    "a.xyz": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
    "b.xyz": (b"\n<!DOCTYPE html><html><body>Not found</body></html>", "a web page"),
    "c.xyz": (archive_of(TEXT), r"an archive \(zip\); unpack it"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_holds_no_structures_is_recognized(tmp_path: Path, name: str) -> None:
    content, words = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is .*{words}"):
        read_atoms(tmp_path / name)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["a.xyz", "a.txt", "a.xyz.gz", "a.traj"])
def test_what_is_packed_is_unpacked_by_whatever_name(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    frames = labelled_alloys(2)
    if name == "a.traj":
        ase.io.write(tmp_path / name, frames)
        (tmp_path / name).write_bytes(pack((tmp_path / name).read_bytes()))
    else:
        (tmp_path / name).write_bytes(pack(text_of(frames).encode()))
    np.testing.assert_allclose([s.energy for s in read_structures(tmp_path / name)],
                               [a.get_potential_energy() for a in frames])  # fmt: skip


@pytest.mark.parametrize("name", ["a.db.gz", "a.json.xz"])
def test_a_packed_database_is_read(tmp_path: Path, name: str) -> None:
    plain, pack = tmp_path / Path(name).stem, {".gz": gzip.compress, ".xz": lzma.compress}[Path(name).suffix]
    ase.io.write(plain, labelled_alloys(2))
    (tmp_path / name).write_bytes(pack(plain.read_bytes()))
    assert len(read_structures(tmp_path / name)) == 2


def test_a_name_that_promises_a_packed_file(tmp_path: Path) -> None:
    assert r"is not packed, as the .gz in its name tells" in refusal(tmp_path / "a.xyz.gz", TEXT)


@pytest.mark.parametrize("name", ["a.db", "a.traj", "a.json", "OUTCAR", "vasprun.xml", "a.xyz.gz"])
def test_a_file_of_no_bytes_holds_no_structures(tmp_path: Path, name: str) -> None:
    assert "holds no structures" in refusal(tmp_path / name, b"")


def test_a_format_without_its_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "netCDF4", None)
    said = refusal(tmp_path / "a.nc", b"CDF\x01" + bytes(100))
    assert "cannot be read as netcdftrajectory without the package netCDF4; install it" in said


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-be", "utf-16-be"])
def test_wide_characters_are_read_by_their_mark(tmp_path: Path, encoding: str) -> None:
    mark = "" if encoding == "utf-32" else "\ufeff"
    (tmp_path / "a.xyz").write_bytes((mark + TEXT).encode(encoding))
    assert len(read_structures(tmp_path / "a.xyz")) == 2


def test_the_first_line_of_what_is_no_xyz(tmp_path: Path) -> None:
    assert "got '<<<<<<< HEAD'; is it extended XYZ?" in refusal(tmp_path / "a.xyz", "<<<<<<< HEAD\n" + TEXT)


def test_names_of_quippy_are_pointed_out_and_work(tmp_path: Path) -> None:
    frames = labelled_alloys(2)
    for atoms in frames:
        atoms.arrays["dft_force"] = atoms.get_forces()
        atoms.info |= {"dft_energy": atoms.get_potential_energy(), "nneightol": 1.2}
        atoms.info["dft_virial"] = -atoms.get_stress(voigt=False) * atoms.get_volume()
    wanted = frames[1].get_stress()
    for atoms in frames:
        atoms.calc = None
    write(tmp_path / "a.xyz", frames)
    told = str(read_labelled(tmp_path / "a.xyz")[1])
    assert "array dft_force is there" in told
    assert "use LabelKeys(virial='dft_virial')" in told
    assert "not used: key nneightol 2/2" in told
    keys = LabelKeys(energy="dft_energy", forces="dft_force", virial="dft_virial")
    np.testing.assert_allclose(read_structures(tmp_path / "a.xyz", keys)[1].labels["stress"], wanted, atol=1e-7)


@pytest.mark.parametrize("end", ["", ":x:R"])
def test_thousands_of_columns_are_short(tmp_path: Path, end: str) -> None:
    properties = "Properties=species:S:1:pos:R:3" + "".join(f":c{k}:R:1" for k in range(5000)) + end
    said = refusal(tmp_path / "a.xyz", frame(f"{LATTICE} {properties}"))
    assert "frame 0 (line 1)" in said
    assert len(said) < 600

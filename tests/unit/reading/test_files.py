"""Files of any kind, name and state: every frame, or one sentence."""

import bz2
import gzip
import io
import lzma
import os
import re
from collections.abc import Callable
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from datasets import labelled_alloys, write

from nnpot.label_names import LabelKeys
from nnpot.reading import read_atoms, read_labelled, read_structures, require_labels
from nnpot.structure import keep_results

PROPERTIES = "Properties=species:S:1:pos:R:3"
PACKED: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


def text_of(frames: list[Atoms]) -> str:
    buffer = io.StringIO()
    ase.io.write(buffer, frames, format="extxyz")
    return buffer.getvalue()


# names and places -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("a@1.xyz", "a b.xyz", "a%20s.xyz", "it's.xyz", 'a"b.xyz', "naïve.xyz", "a*.xyz", "a[1]?.xyz", "-.xyz"),
        *("@.traj", "a@0.json", "b*@2.db", "postgres.traj", "a@1.xyz.gz", "A.XYZ", "a.exyz", "a.dat", "a#b;c"),
    ],
)
def test_any_name_is_read(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frames, kind = labelled_alloys(3), Path(name).suffix.removeprefix(".")
    if kind in ("db", "json", "traj"):
        ase.io.write(tmp_path / f"written.{kind}", frames)
        (tmp_path / f"written.{kind}").rename(name)
    else:
        Path(name).write_bytes(PACKED.get(Path(name).suffix, bytes)(text_of(frames).encode()))
    energies = [s.energy for s in read_structures(name)]
    np.testing.assert_allclose(energies, [a.get_potential_energy() for a in frames], rtol=1e-7)


def test_a_broken_link_says_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").symlink_to(tmp_path / "gone.xyz")
    with pytest.raises(FileNotFoundError, match=r"it is a link to .*gone\.xyz, which is not there"):
        read_atoms(tmp_path / "a.xyz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.xyz")
    with pytest.raises(ValueError, match="is a device or a pipe"):
        read_atoms(tmp_path / "a.xyz")


# states ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_file_holds_no_structures(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.xyz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.xyz holds no structures"):
        read_atoms(tmp_path / "a.xyz")


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("part", [0.3, 0.8])
def test_a_packed_file_that_is_cut_off(tmp_path: Path, suffix: str, part: float) -> None:
    content = PACKED[suffix](text_of(labelled_alloys(40)).encode())
    path = tmp_path / f"a.xyz{suffix}"
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"is damaged or cut off"):
        read_atoms(path)


@pytest.mark.slow
def test_how_much_is_left_of_a_packed_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz.gz"
    path.write_bytes(gzip.compress(text_of(labelled_alloys(200)).encode())[:-9])
    with pytest.raises(ValueError, match=r"a\.xyz\.gz is damaged or cut off.*frame"):
        read_atoms(path)


@pytest.mark.parametrize(
    "name", ["a.xyz", "a.xyz.gz", "a.traj", "a.json", "a.db", "OUTCAR", "vasprun.xml", "a.data", "a"]
)
def test_garbage_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(np.random.default_rng(0).bytes(3000))
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        read_atoms(path)
    assert len(str(error.value)) < 600


def test_a_small_file_does_not_unpack_to_a_huge_one(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz.xz"
    path.write_bytes(lzma.compress(bytes(2**27), preset=0))
    with pytest.raises(ValueError, match="unpacks to over 100 times its size"):
        read_atoms(path)


def test_a_trajectory_that_breaks_off_names_the_frame(tmp_path: Path) -> None:
    frames = labelled_alloys(4)
    ase.io.write(tmp_path / "a.traj", frames)
    content = bytearray((tmp_path / "a.traj").read_bytes())
    at = [m.start() for m in re.finditer(rb'"positions.":', content)][2]
    content[at : at + 1] = b"#"
    (tmp_path / "a.traj").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.traj, frame 2 cannot be read as traj"):
        read_atoms(tmp_path / "a.traj")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_any_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    frames = labelled_alloys(2)
    for atoms in frames:
        atoms.info["config_type"] = "Grüneisen"
    (tmp_path / "a.xyz").write_bytes(text_of(frames).encode(encoding))
    assert [s.group for s in read_structures(tmp_path / "a.xyz")] == ["Grüneisen"] * 2


# what is in them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.db", "a.json"])
def test_a_database_keeps_all_that_it_holds(tmp_path: Path, name: str) -> None:
    frames = labelled_alloys(3)
    with ase.db.connect(tmp_path / name) as database:
        for k, atoms in enumerate(frames):
            results = {"REF_forces": atoms.get_forces(), "REF_stress": atoms.get_stress()}
            bare = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)
            pairs = {"config_type": f"type {k}", "REF_energy": float(k), "config_weight": 2.0, "origin": "PBE"}
            database.write(bare, key_value_pairs=pairs, data=results)
    keys = LabelKeys(energy="REF_energy", forces="REF_forces", stress="REF_stress")
    structures, found = read_labelled(tmp_path / name, keys)
    assert [(s.energy, s.group, s.weights["energy"]) for s in structures] == [(k, f"type {k}", 2.0) for k in range(3)]
    np.testing.assert_allclose(structures[1].forces.numpy(), frames[1].get_forces())
    np.testing.assert_allclose(structures[1].stress.numpy(), frames[1].get_stress())
    assert str(found).endswith("weights: config_weight 3/3; not used: key origin 3/3")


def test_columns_that_nothing_names_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("2\nenergy=1\nCu 0 0 0 0.1 0.2 0.3\nCu 0 0 2 0.1 0.2 0.3\n")
    _, found = read_labelled(tmp_path / "a.xyz")
    assert str(found).endswith("not used: column unnamed_columns 1/1")


def test_what_was_read_is_written_with_other_results(tmp_path: Path) -> None:
    comments = ("stress", "stress=none energy=1", f'Lattice="9 0 0 0 9 0 0 0 9" {PROPERTIES} stress="1 2 3 4 5 6"')
    (tmp_path / "a.xyz").write_text("".join(f"1\n{comment}\nCu 0 0 0\n" for comment in comments))
    frames = read_atoms(tmp_path / "a.xyz")
    for atoms in frames:
        keep_results(atoms, {"energy": -3.5, "forces": np.zeros((1, 3))})
    ase.io.write(tmp_path / "b.xyz", frames, format="extxyz")
    structures = read_structures(tmp_path / "b.xyz")
    assert [s.labels.keys() for s in structures] == [{"energy", "forces"}] * 3


def test_energies_of_atoms_are_no_energy(tmp_path: Path) -> None:
    rows = "Cu 0 0 0 -1.5\nCu 0 0 2 -2.5\n"
    (tmp_path / "a.xyz").write_text(f"2\n{PROPERTIES}:energy:R:1 dft=7 config_type=a\n{rows}")
    structures, found = read_labelled(tmp_path / "a.xyz")
    assert str(found).endswith("not used: key dft 1/1; column energy 1/1")
    with pytest.raises(ValueError, match=r"no energies; if .*; not used is key dft 1/1; column energy 1/1"):
        require_labels(structures, "a.xyz", found)


def test_elements_at_odds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(f"2\n{PROPERTIES}:Z:I:1\nCu 0 0 0 29\nAu 0 0 2 29\n")
    with pytest.raises(ValueError, match=r"frame 0 .*line 4: the element is Au by species, 29 by Z"):
        read_atoms(tmp_path / "a.xyz")


@pytest.mark.parametrize("line", range(3, 7))
def test_the_line_of_a_word_that_is_no_number_is_named(tmp_path: Path, line: int) -> None:
    lines = text_of(labelled_alloys(1)).splitlines()
    lines[line - 1] = lines[line - 1].replace(lines[line - 1].split()[6], "***")
    (tmp_path / "a.xyz").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=rf"line {line}: '\*+' is no number \(column forces\)"):
        read_atoms(tmp_path / "a.xyz")


def test_many_unused_names_are_short(tmp_path: Path) -> None:
    frames = labelled_alloys(2)
    frames[0].info |= {f"key{k}": k for k in range(12)}
    frames[0].arrays["spin"] = np.zeros(4)
    _, found = read_labelled(write(tmp_path / "a.xyz", frames))
    assert re.search(r"not used: keys key0 1/2, (key\d+ 1/2, ){6}key\d+ 1/2 and 4 more; column spin 1/2$", str(found))


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_an_energy_may_be_a_list_of_one(tmp_path: Path, shape: tuple[int, ...]) -> None:
    frames = labelled_alloys(1)
    frames[0].info["E_dft"] = np.full(shape, -3.5)
    (structure,) = read_structures(write(tmp_path / "a.xyz", frames), LabelKeys(energy="E_dft"))
    assert structure.energy == -3.5


@pytest.mark.parametrize("shape", [(9,), (3, 3), (1, 9), (9, 1), (6,), (1, 6)])
@pytest.mark.parametrize("name", ["stress", "x"])
def test_a_stress_of_any_shape(tmp_path: Path, shape: tuple[int, ...], name: str) -> None:
    (atoms,) = labelled_alloys(1)
    stress = atoms.calc.results.pop("stress")
    matrix = stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]]
    atoms.info["x"] = (stress if 6 in shape else matrix).reshape(shape)
    (tmp_path / "a.xyz").write_text(text_of([atoms]).replace(" x=", f" {name}="))
    (structure,), found = read_labelled(tmp_path / "a.xyz", LabelKeys(stress="" if name == "stress" else "x"))
    np.testing.assert_allclose(structure.stress.numpy(), stress, rtol=1e-12)
    assert ("6 numbers taken as xx, yy, zz, yz, xz, xy" in str(found)) == (6 in shape)


@pytest.mark.parametrize(("difference", "is_told"), [(0.0, False), (1e-6, False), (0.2, True)])
@pytest.mark.parametrize("name", ["stress", "virial", "x"])
def test_a_stress_that_is_not_symmetric_is_told(tmp_path: Path, name: str, difference: float, is_told: bool) -> None:
    (atoms,) = labelled_alloys(1)
    atoms.calc.results.pop("stress")
    matrix = np.diag([1.0, 2.0, 3.0])
    matrix[0, 1] = difference
    text = text_of([atoms]).replace(" energy=", f' {name}="{" ".join(map(str, matrix.ravel()))}" energy=')
    (tmp_path / "a.xyz").write_text(text)
    (structure,), found = read_labelled(tmp_path / "a.xyz", LabelKeys(stress="x" if name == "x" else ""))
    assert ("not symmetric" in str(found)) == is_told
    assert ("up to 6.7 %, the symmetric part is taken" in str(found)) == is_told
    volume = -atoms.get_volume() if name == "virial" else 1.0
    assert volume * float(structure.stress[5]) == pytest.approx(difference / 2)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([], "frame 1 has no atoms; remove it"),
        ([29, 0], "frame 1: atom 1 is a dummy"),
        ([29, -1], "of atomic number -1"),
    ],
)
@pytest.mark.parametrize("name", ["a.traj", "a.json"])
def test_what_no_potential_knows_is_refused_in_any_format(
    tmp_path: Path, name: str, numbers: list[int], said: str
) -> None:
    wrong = Atoms([29] * len(numbers), positions=[[0, 0, 2 * k] for k in range(len(numbers))])
    wrong.numbers[:] = numbers
    wrong.calc = SinglePointCalculator(wrong, energy=1.0)
    ase.io.write(tmp_path / name, [Atoms("Cu"), wrong])
    with pytest.raises(ValueError, match=said):
        read_atoms(tmp_path / name)


def test_cell_vectors_as_atoms_are_read(tmp_path: Path) -> None:
    frames = labelled_alloys(2)
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz", vec_cell=True)
    cells = [atoms.cell.array for atoms in read_atoms(tmp_path / "a.xyz")]
    np.testing.assert_allclose(cells, [atoms.cell.array for atoms in frames], atol=1e-8)


def test_constraints_and_further_columns_are_kept_as_by_ase(tmp_path: Path) -> None:
    from ase.constraints import FixAtoms, FixCartesian

    frames = labelled_alloys(2)
    frames[0].set_constraint(FixAtoms([1]))
    frames[1].set_constraint(FixCartesian([2], mask=(True, False, True)))
    for atoms in frames:
        atoms.set_initial_charges([1, -1, 0, 0])
        atoms.arrays["tags"], atoms.arrays["word"] = np.arange(4), np.array(["a", "b", "c", "d"])
    path = write(tmp_path / "a.xyz", frames)
    for own, wanted in zip(read_atoms(path), ase.io.read(path, ":"), strict=True):
        assert own == wanted
        assert own.arrays.keys() == wanted.arrays.keys()
        assert all(np.array_equal(own.arrays[name], wanted.arrays[name]) for name in wanted.arrays)
        assert own.calc.results.keys() == wanted.calc.results.keys()
        assert all(np.array_equal(own.calc.results[n], wanted.calc.results[n]) for n in wanted.calc.results)
        assert list(map(repr, own.constraints)) == list(map(repr, wanted.constraints))

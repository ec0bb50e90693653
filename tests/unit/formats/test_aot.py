"""A package says what its potential says, and refuses what it cannot do."""

import hashlib
import io
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from packages import EXPORTED, package_of, with_metadata
from proofs import assert_close
from systems import ELEMENTS, SYSTEMS, pairs_of, structure

from nnpot.batch import Pairs
from nnpot.calculator import NNPotCalculator
from nnpot.formats import aot, aot_compiler
from nnpot.formats.aot import AOTPotential, read_metadata, read_summary
from nnpot.formats.seal import sealed
from nnpot.io import load
from nnpot.machine import processor
from nnpot.machine.build import NATIVE, find_compiler, pytorch_release
from nnpot.native import are_compiled, library
from nnpot.potential import Potential
from nnpot.repulsion import ZBL
from nnpot.uncertainty import OF_ATOMS

pytestmark = pytest.mark.skipif(not are_compiled(torch.float64, torch.device("cpu")), reason="no C++ compiler")
each_potential = pytest.mark.parametrize("name", EXPORTED)


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_tells_the_same_of_what_is_unknown(system: str) -> None:
    model, packaged = EXPORTED["ACE + ZBL"](), load(package_of("ACE + ZBL"))
    assert packaged.is_calibrated
    ours, theirs = (p.predict(structure(system)) for p in (packaged, model))
    for name in OF_ATOMS:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-9, atol=0, equal_nan=True)
    assert not load(package_of("ACSF")).is_calibrated


@each_potential
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_package_gives_the_same(name: str, system: str) -> None:
    wanted = EXPORTED[name]().predict(structure(system))
    packaged = load(package_of(name)).predict(structure(system))
    assert_close(packaged.energies, wanted.energies, 1e-12)
    assert_close(packaged.forces, wanted.forces, 1e-11)
    torch.testing.assert_close(packaged.stress, wanted.stress, rtol=1e-11, atol=1e-13, equal_nan=True)


@each_potential
def test_any_number_of_atoms_in_parts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.potential.CENTERS_AT_ONCE", 50)
    atoms = SYSTEMS["alloy"]().repeat(3)
    atoms.calc = NNPotCalculator(package_of(name))
    potential = NNPotCalculator(EXPORTED[name](), dtype="float64")
    np.testing.assert_allclose(atoms.get_forces(), potential.get_forces(atoms), atol=1e-11)
    np.testing.assert_allclose(atoms.get_stress(), potential.get_stress(atoms), atol=1e-12)


def test_pairs_need_not_be_sorted() -> None:
    pairs = pairs_of(structure("alloy"))
    order = torch.randperm(len(pairs.r_ij))
    shuffled = Pairs(pairs.r_ij[order], pairs.pair_i[order], pairs.pair_j[order], pairs.species)
    packaged = load(package_of("ACSF"))
    (outputs, gradient), (wanted, wanted_gradient) = map(packaged.evaluate_in_chunks, (shuffled, pairs))
    assert_close(outputs["energies"], wanted["energies"], 1e-12)
    assert_close(gradient, wanted_gradient[order], 1e-12)


def test_the_calculator_takes_the_precision_of_the_package() -> None:
    calculator = NNPotCalculator(package_of("ACSF"), dtype="float32")
    assert calculator.dtype == torch.float64
    assert calculator.potential.elements == ELEMENTS
    assert calculator.potential.cutoff == EXPORTED["ACSF"]().cutoff


@pytest.mark.slow
def test_it_loads_in_a_fresh_process() -> None:
    code = f"from nnpot import load; print(load({str(package_of('ACSF'))!r}).elements)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == str(ELEMENTS)


def test_results_have_no_history() -> None:
    energies, gradient = load(package_of("ACSF")).train().energies_and_pair_gradient(pairs_of(structure("alloy")))
    assert not energies.requires_grad
    assert not gradient.requires_grad


def test_packages_add_to_other_potentials() -> None:
    total = load(package_of("ACE + ZBL")) + ZBL(("Cu", "Au"))
    atoms = structure("alloy")
    wanted = EXPORTED["ACE + ZBL"]().predict(atoms).energy + ZBL(("Cu", "Au")).predict(atoms).energy
    assert_close(total.predict(atoms).energy, wanted, 1e-12)


def test_zbl_is_not_added_to_a_package_with_a_core() -> None:
    packaged = load(package_of("ACSF"))
    assert packaged.has_core
    with pytest.raises(ValueError, match="repels the nuclei already"):
        _ = packaged + ZBL(("Cu", "Au"))


# refusals -------------------------------------------------------------------------------------------------------------


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no package .*nothing\.pt2"):
        AOTPotential.read(tmp_path / "nothing.pt2")


@pytest.mark.parametrize("size", [0, 1000, 100_000])
def test_a_truncated_package_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(package_of("ACSF").read_bytes()[:size])
    with pytest.raises(ValueError, match=r"model\.pt2 is not a complete package .*export the model again"):
        AOTPotential.read(path)


def test_another_release_of_pytorch_is_refused(tmp_path: Path) -> None:
    path = with_metadata(tmp_path / "model.pt2", f'"{pytorch_release()}"', '"1.0.0"')
    with pytest.raises(ValueError, match=r"made with PyTorch 1\.0\.0, this is"):
        AOTPotential.read(path)


def test_the_release_is_that_of_pip_as_the_plugin_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_metadata(package_of("ACSF"))["torch"] == pytorch_release()
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")  # of a wheel that pip knows as 2.13.0
    AOTPotential.read(package_of("ACSF"))


def test_a_package_of_something_else_is_refused(tmp_path: Path) -> None:
    path = with_metadata(tmp_path / "model.pt2", '"nnpot"', '"other"')
    with pytest.raises(ValueError, match="not a package that this nnpot reads"):
        AOTPotential.read(path)


def test_packages_of_older_versions_are_refused(tmp_path: Path) -> None:
    path = with_metadata(tmp_path / "model.pt2", f'"nnpot": "{aot.FORMAT}"', '"nnpot": "4"')
    with pytest.raises(ValueError, match="not a package that this nnpot reads; export the model again"):
        AOTPotential.read(path)


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 0.9999, 1.0])
def test_a_changed_byte_is_found_before_anything_is_loaded(
    place: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(package_of("ACSF").read_bytes())
    content[round(place * (len(content) - 1))] ^= 1
    path = tmp_path / "model.pt2"
    path.write_bytes(content)
    monkeypatch.setattr("torch._inductor.aoti_load_package", lambda _: pytest.fail("it is loaded"))
    with pytest.raises(ValueError, match=r"model\.pt2 has changed since it was written: its checksum differs"):
        AOTPotential.read(path)


def test_a_package_without_its_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(package_of("ACSF")) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(ValueError, match=r"model\.pt2 has changed since it was written: its checksum differs"):
        AOTPotential.read(path)


def test_a_sealed_archive_is_an_archive_that_ends_with_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "some text")
    path.write_bytes(sealed(path.read_bytes()))
    content = path.read_bytes()
    assert content[-64:].decode() == hashlib.sha256(content[:-64]).hexdigest()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.comment == b"sha256 " + content[-64:]


def test_a_package_says_where_its_potential_comes_from() -> None:
    assert read_summary(package_of("ACSF")) == {"level of theory": "PBE"}


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as package:
        package.writestr("weights", "1 2 3")
    with pytest.raises(ValueError, match="not a package that this nnpot reads"):
        AOTPotential.read(tmp_path / "model.pt2")


@pytest.mark.parametrize(("name", "dtype"), [("model.pt2", "float16"), ("model.nnpot", "float32")])
def test_wrong_arguments_are_refused(tmp_path: Path, name: str, dtype: str) -> None:
    with pytest.raises(ValueError, match=r"dtype must be|ends in \.pt2"):
        aot.write(ZBL(("Cu",)), tmp_path / name, dtype)


def test_it_needs_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.formats.aot.find_compiler", lambda: None)
    with pytest.raises(FileNotFoundError, match=r"C\+\+ compiler.*install g\+\+"):
        aot.write(ZBL(("Cu",)), tmp_path / "model.pt2")


def test_it_needs_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = library.State(None, "NNPOT_NATIVE=off switches the C++ kernels off")
    monkeypatch.setattr("nnpot.formats.aot.are_compiled", lambda *_: False)
    monkeypatch.setattr("nnpot.formats.aot.state", lambda: state)
    with pytest.raises(FileNotFoundError, match="they do not run here: NNPOT_NATIVE=off"):
        aot.write(ZBL(("Cu",)), tmp_path / "model.pt2")


def test_what_depends_on_the_numbers_cannot_be_recorded(tmp_path: Path) -> None:
    class Loop(Potential):
        elements, cutoff = ("Cu",), 3.0

        def atomic_energies(self, pairs: Pairs) -> torch.Tensor:
            return pairs.r_ij.sum() * torch.ones(int(pairs.r_ij.norm()))

    with pytest.raises(ValueError, match="cannot be recorded as one graph"):
        aot.write(Loop(), tmp_path / "model.pt2")


def test_an_empty_structure_is_no_trouble() -> None:
    assert NNPotCalculator(package_of("ACSF")).get_potential_energy(Atoms()) == 0.0


def test_nothing_is_left_beside_it(tmp_path: Path) -> None:
    shutil.copy(package_of("ACSF"), tmp_path / "model.pt2")
    load(tmp_path / "model.pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]


# processors -----------------------------------------------------------------------------------------------------------


def test_a_package_says_what_its_code_needs() -> None:
    compiler, metadata = find_compiler(), read_metadata(package_of("ACSF"))
    assert compiler is not None
    needed = processor.instructions_of(compiler, NATIVE)
    assert set(metadata["instructions"].split()) == needed
    assert int(metadata["register"]) == processor.register(needed)
    assert metadata["processor"] == processor.name()


def test_a_package_for_a_processor_that_can_do_more_is_refused_before_its_code_is_loaded(tmp_path: Path) -> None:
    path = with_metadata(tmp_path / "model.pt2", '"instructions": "', '"instructions": "moon512f ')  # and broken code
    with pytest.raises(ValueError, match=r"another processor \(.+\): this one has no moon512f; .* a --target"):
        AOTPotential.read(path)


def test_a_package_of_the_same_kind_is_loaded_without_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    isa = {"AOTI_CPU_ISA": "that of the moon"}
    monkeypatch.setattr("torch._inductor.codecache.get_device_information", lambda _: isa, raising=False)
    monkeypatch.setattr("torch.export.pt2_archive._package.get_device_information", lambda _: isa, raising=False)
    AOTPotential.read(package_of("ACSF"))
    assert caplog.records == []


def test_a_package_for_another_kind_of_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_metadata(tmp_path / "model.pt2", '"machine": "', '"machine": "moon_')
    with pytest.raises(ValueError, match=r"this one has no moon_"):
        AOTPotential.read(path)


def test_a_target_that_no_compiler_knows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"knows no processor 'moon'; one with AVX2 is x86-64-v3"):
        aot.write(ZBL(("Cu",)), tmp_path / "model.pt2", target="moon")


needs_x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="another kind of processor")


@needs_x86
def test_a_compiler_for_another_processor(tmp_path: Path) -> None:
    compiler = find_compiler()
    assert compiler is not None
    other = aot_compiler.compiler_for(compiler, "x86-64-v3", tmp_path / "other")
    assert processor.instructions_of(str(other), NATIVE) == processor.instructions_of(compiler, "x86-64-v3")
    assert processor.instructions_of(str(other), "x86-64-v2") == processor.instructions_of(compiler, "x86-64-v2")


@needs_x86
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("objdump") is None, reason="no disassembler")
@pytest.mark.parametrize("by", ["setting", "compiler"])
def test_a_package_for_a_named_processor_uses_nothing_more(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnpot.formats.aot_compiler.pytorch_takes_targets", lambda: by == "setting")
    path = aot.write(EXPORTED["ACSF"](), tmp_path / "model.pt2", "float64", target="x86-64-v3")
    assert read_metadata(path)["processor"] == "x86-64-v3"
    assert read_metadata(path)["register"] == "32"
    with zipfile.ZipFile(path) as package:
        (code,) = (package.extract(name, tmp_path) for name in package.namelist() if name.endswith(".so"))
    instructions = subprocess.run(["objdump", "-d", code], capture_output=True, text=True, check=True).stdout
    assert "ymm" in instructions
    assert "zmm" not in instructions
    wanted = EXPORTED["ACSF"]().predict(structure("alloy"))
    assert_close(load(path).predict(structure("alloy")).forces, wanted.forces, 1e-11)


def test_a_package_without_the_list_of_its_operators_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(package_of("ACSF")) as whole, zipfile.ZipFile(buffer, "w") as less:
        for name in whole.namelist():
            if not name.endswith(".wrapper.json"):
                less.writestr(name, whole.read(name))
    (tmp_path / "less.pt2").write_bytes(sealed(buffer.getvalue()))
    with pytest.raises(ValueError, match=r"less\.pt2 lacks its member .*wrapper\.json; export the model again"):
        AOTPotential.read(tmp_path / "less.pt2")

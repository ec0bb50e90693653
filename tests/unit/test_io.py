"""The one door: what a file holds is told from its content, and what is none is said in one sentence."""

import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from packages import EXPORTED, package_of
from systems import acsf, core, knowing, network_potential, structure

import nnpot
from nnpot.core import Core
from nnpot.formats import n2p2
from nnpot.io import UNITS, describe, load, load_for_evaluation, read_summary, save
from nnpot.native import are_compiled

needs_kernels = pytest.mark.skipif(not are_compiled(torch.float64, torch.device("cpu")), reason="no C++ compiler")


def small() -> nnpot.NeuralNetworkPotential:
    return network_potential(acsf(g1=False, g3=(), g4=(), g5=()), linear=False)


def model_file(path: Path) -> Path:
    return save(small(), path, {"level of theory": "PBE"})


def package(path: Path) -> Path:
    shutil.copy(package_of("ACSF"), path)
    return path


def folder(path: Path) -> Path:
    n2p2.write(small(), path)
    return path


HELD = {
    "model file": (model_file, "NeuralNetworkPotential"),
    "package": (package, "AOTPotential"),
    "folder of n2p2": (folder, "NeuralNetworkPotential"),
}
"""What there is to load: how it is made, and what it becomes."""
each_kind = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=needs_kernels if kind == "package" else ()) for kind in HELD]
)


@each_kind
@pytest.mark.parametrize("name", ["model", "model.nnpot", "model.pt2", "model.xyz"])
def test_the_name_does_not_count(name: str, kind: str, tmp_path: Path) -> None:
    make, wanted = HELD[kind]
    potential = load(make(tmp_path / name), torch.float64)
    assert type(potential).__name__ == wanted
    reference = EXPORTED["ACSF"]() if kind == "package" else small()
    atoms = structure("alloy")
    torch.testing.assert_close(potential.predict(atoms).forces, reference.predict(atoms).forces, rtol=1e-9, atol=1e-9)


@each_kind
def test_what_is_read_is_described(kind: str, tmp_path: Path) -> None:
    make, wanted = HELD[kind]
    rows = describe(make(tmp_path / "model"))
    assert (rows["file"], rows["kind"], rows["elements"]) == (kind, wanted, "H, O, Cu, Au")
    assert rows["cutoff"] == "3.6 Å"
    assert wanted in rows["modules"]
    guards = {name: rows[name] for name in ("core", "error bars") if name in rows}
    assert guards == ({} if kind == "package" else {"core": "none", "error bars": "none"})


def test_a_core_and_error_bars_are_described(tmp_path: Path) -> None:
    guarded = knowing(network_potential(acsf(), linear=False, core=core()))
    rows = describe(save(guarded, tmp_path / "model.nnpot"))
    assert rows["core"] == "holds atoms apart within 1.10 to 3.20 Å"
    assert rows["error bars"] == "yes"
    assert (
        "Uncertainty(H-O-Cu-Au, 3 directions, 2 clusters of each element, energies weighted by γ from 0.2 on)"
        in (rows["modules"])
    )
    single = network_potential(acsf(("Cu",)), linear=False, core=Core(("Cu",), ((2.1,),), ((1.0,),)))
    assert describe(save(single, tmp_path / "single.nnpot"))["core"] == "holds atoms apart within 2.10 Å"


@needs_kernels
def test_a_package_says_what_it_is_compiled_for(tmp_path: Path) -> None:
    rows = describe(package(tmp_path / "model"))
    assert {"dtype", "PyTorch", "processor", "instructions"} < set(rows)
    assert rows["dtype"] == "float64"


def test_a_saved_model_says_by_what_and_when_it_was_written(tmp_path: Path) -> None:
    summary = read_summary(model_file(tmp_path / "model.nnpot"))
    assert summary["level of theory"] == "PBE"
    assert (summary["units"], summary["nnpot"], summary["PyTorch"]) == (UNITS, nnpot.__version__, torch.__version__)
    assert summary["written"].count("-") == 2


def test_files_of_n2p2_say_nothing_of_their_training(tmp_path: Path) -> None:
    assert read_summary(folder(tmp_path / "model")) == {}


def test_a_potential_to_evaluate_with_is_a_copy() -> None:
    potential = small().train()
    own, dtype, device = load_for_evaluation(potential, torch.float32, torch.device("cpu"))
    assert (dtype, device, own.training, potential.training) == (torch.float32, torch.device("cpu"), False, True)
    assert own.dtype_and_device()[0] == torch.float32
    assert potential.dtype_and_device()[0] == torch.float64


@needs_kernels
def test_a_package_calculates_in_its_own_precision(tmp_path: Path) -> None:
    _, dtype, device = load_for_evaluation(package(tmp_path / "m"), torch.float32, torch.device("cpu"))
    assert (dtype, device) == (torch.float64, torch.device("cpu"))


@needs_kernels
def test_a_package_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a potential read from a package cannot be saved; keep the model file"):
        save(load(package(tmp_path / "model.pt2")) + small(), tmp_path / "model.nnpot")
    assert not (tmp_path / "model.nnpot").exists()


def zip_file(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")


FOREIGN: dict[str, tuple[Callable[[Path], object], str]] = {
    "an empty file": (lambda path: path.write_bytes(b""), "is empty; copy or train the model again"),
    "a short text": (lambda path: path.write_text("3\n"), "neither a model file nor .*; give the folder of a training"),
    "structures": (lambda path: path.write_text("1\nenergy=0\nCu 0 0 0\n"), "is not a complete model: neither"),
    "half a header": (lambda path: path.write_bytes(b"\x10" + bytes(7) + b"{"), "is not a complete nnpot model file"),
    "a zip archive": (zip_file, "is not a package that this nnpot reads"),
    "half a zip archive": (lambda path: path.write_bytes(b"PK\x03\x04 etc"), "is not a complete package"),
    "a checkpoint": (lambda path: torch.save({"a": 1}, path), "is a file of PyTorch, such as a checkpoint"),
    "an empty folder": (Path.mkdir, "holds no model, neither model.nnpot nor input.nn of n2p2"),
}


@pytest.mark.parametrize("read", [load, describe, read_summary], ids=["load", "describe", "summary"])
@pytest.mark.parametrize("case", FOREIGN)
def test_what_is_no_model_is_refused_in_a_sentence(case: str, read: Callable[[Path], object], tmp_path: Path) -> None:
    make, message = FOREIGN[case]
    path = tmp_path / "thing"
    make(path)
    with pytest.raises(ValueError, match=message) as refusal:
        read(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("read", [load, describe, read_summary], ids=["load", "describe", "summary"])
def test_what_is_not_there_is_named(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no model .*nowhere"):
        read(tmp_path / "nowhere")


def test_of_what_is_not_there_others_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing; give a model file, as nnpot train writes it, or the folder"):
        load(tmp_path / "nothing")
    for name in ("b/model.nnpot", "a.nnpot", "d/model.nnpot", "c/other.nnpot"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    places = [str(tmp_path / name) for name in ("a.nnpot", "b", "d")]
    with pytest.raises(FileNotFoundError, match=re.escape(f"nothing; there are {', '.join(places)}") + "$"):
        load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=re.escape(f"ab.nnpot; did you mean {places[0]}?")):
        load(tmp_path / "ab.nnpot")


def test_the_folder_of_a_training_stands_for_its_model(tmp_path: Path) -> None:
    model = save(small(), tmp_path / "run" / "model.nnpot", {"epochs": 7})
    assert load(tmp_path / "run").elements == small().elements
    assert describe(str(tmp_path / "run")) == describe(model)
    assert read_summary(tmp_path / "run")["epochs"] == 7


def test_a_training_without_a_model_says_how_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(FileNotFoundError, match=r"has no model yet; go on: nnpot train --resume"):
        load(tmp_path)


@pytest.mark.parametrize("dtype", ["float64", torch.float64], ids=str)
def test_a_dtype_is_given_by_its_name_or_as_it_is(dtype: str | torch.dtype, tmp_path: Path) -> None:
    assert load(save(small(), tmp_path / "model.nnpot"), dtype).dtype_and_device()[0] == torch.float64

"""Model files: exact when complete, refused in one clear sentence when not."""

import contextlib
import errno
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from systems import POTENTIALS, acsf, network_potential, structure

from nnpot import spec
from nnpot.formats.nnpot import FORMAT, checksum
from nnpot.io import load, read_summary, save
from nnpot.repulsion import ZBL

WEIGHTS = {"w": torch.ones(2)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save(network_potential(acsf()), tmp_path / "model.nnpot", {"epochs": 3})


def described(description: str, tensors: dict[str, torch.Tensor] | None = None) -> dict[str, str]:
    """Metadata of a file with a description, whatever it says."""
    metadata = {"nnpot": FORMAT, "spec": description, "summary": "{}"}
    return {**metadata, "sha256": checksum(metadata, tensors or WEIGHTS)}


def write(path: Path, metadata: dict[str, str], tensors: dict[str, torch.Tensor] | None = None) -> Path:
    save_file(tensors or WEIGHTS, path, metadata)
    return path


def spec_of(**changes: Any) -> str:
    """The specification of a small potential with something else in it."""
    return json.dumps({**spec.to_spec(ZBL(("Cu",))), **changes})


# complete files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("result", ["energies", "forces"])
@pytest.mark.parametrize("name", POTENTIALS)
def test_a_loaded_potential_predicts_the_very_same(name: str, result: str, dtype: torch.dtype, tmp_path: Path) -> None:
    potential = POTENTIALS[name]().to(dtype).eval()
    again = load(save(potential, tmp_path / "model.nnpot"), dtype)
    atoms = structure("alloy")
    assert torch.equal(getattr(again.predict(atoms), result), getattr(potential.predict(atoms), result))


@pytest.mark.parametrize("name", [n for n in POTENTIALS if list(POTENTIALS[n]().parameters())])
def test_a_double_precision_model_is_stored_without_loss(name: str, tmp_path: Path) -> None:
    potential = POTENTIALS[name]()
    again = load(save(potential, tmp_path / "model.nnpot"), torch.float64)
    torch.testing.assert_close(dict(again.state_dict()), dict(potential.state_dict()), rtol=0, atol=0)


def test_a_potential_is_loaded_in_single_precision_unless_asked(path: Path) -> None:
    assert load(path).dtype_and_device()[0] == torch.float32


def test_a_loaded_potential_is_ready_to_predict(path: Path) -> None:
    assert not load(path).training


def test_a_sum_of_a_potential_with_itself_is_stored(tmp_path: Path) -> None:
    part = network_potential(acsf())
    twice = (part + part).eval()
    again = load(save(twice, tmp_path / "model.nnpot"), torch.float64)
    atoms = structure("alloy")
    assert torch.equal(again.predict(atoms).forces, twice.predict(atoms).forces)


def test_saving_leaves_the_potential_as_it_is(tmp_path: Path) -> None:
    potential = network_potential(acsf()).train()
    before = {name: t.clone() for name, t in potential.state_dict().items()}
    save(potential, tmp_path / "model.nnpot")
    torch.testing.assert_close(dict(potential.state_dict()), before, rtol=0, atol=0)


def test_the_summary_comes_back(path: Path) -> None:
    assert read_summary(path)["epochs"] == 3


def test_folders_are_made(tmp_path: Path) -> None:
    assert save(ZBL(("Cu",)), tmp_path / "a" / "b" / "model.nnpot").is_file()


def test_an_existing_file_is_replaced(path: Path) -> None:
    save(ZBL(("Cu",)), path)
    assert isinstance(load(path), ZBL)


def test_nothing_else_is_left_in_the_folder(path: Path) -> None:
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save(ZBL(("Cu",)), path)
    assert path.read_bytes() == before


# everything else ------------------------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no model .*nowhere\.nnpot"):
        load(tmp_path / "nowhere.nnpot")


@pytest.mark.parametrize("read", [load, read_summary], ids=["load", "summary"])
@pytest.mark.parametrize("part", [0.0, 1e-4, 0.01, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused(path: Path, part: float, read: Any) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"model\.nnpot is (empty|not a complete)"):
        read(path)


FOREIGN = {
    "text": b"this is not a model\n" * 10,
    "zeros": bytes(4096),
    "noise": bytes(range(256)) * 16,
    "pickle": pickle.dumps({"state": [1.0, 2.0]}),
    "a huge header": b"\xff" * 7 + b"\x7f" + b"{" * 100,
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.nnpot"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.nnpot is not a complete (nnpot )?model"):
        load(path)


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("trapped"),)


def test_a_checkpoint_of_torch_is_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": _Trap()}, "model.nnpot")
    with pytest.raises(ValueError, match=r"model\.nnpot is a file of PyTorch, such as a checkpoint"):
        load("model.nnpot")
    assert not Path("trapped").exists()


@pytest.mark.parametrize("metadata", [{}, {"format": "pt"}], ids=["without metadata", "of another program"])
def test_a_foreign_safetensors_file_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"model\.nnpot is a safetensors file, but not a model of nnpot"):
        load(write(tmp_path / "model.nnpot", metadata))


@pytest.mark.parametrize("number", [str(int(FORMAT) + 1), "1.5", "blue"])
def test_a_future_format_is_refused(number: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.nnpot", {"nnpot": number, "spec": spec_of(), "sha256": "of another kind"})
    with pytest.raises(ValueError, match=f"has format {number}, this nnpot reads formats up to {FORMAT}; update nnpot"):
        load(path)


def test_an_unknown_class_is_named_with_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "model.nnpot", described(spec_of(**{"class": "Wizard"})))
    with pytest.raises(ValueError, match=r"model\.nnpot.*'Wizard'"):
        load(path)


BROKEN = {
    "no specification": {"nnpot": FORMAT, "summary": "{}"},
    "no specification in an old file": {"nnpot": "1", "summary": "{}"},
    "broken JSON": described('{"class": "ZBL", '),
    "an unknown argument": described(spec_of(arguments={"elements": ["Cu"], "strength": 3.0})),
    "a missing argument": described(spec_of(arguments={})),
    "a wrong argument": described(spec_of(arguments={"elements": ["Qq"]})),
    "plain data": described('{"a": 1}'),
}


@pytest.mark.parametrize("metadata", BROKEN.values(), ids=BROKEN.keys())
def test_a_damaged_description_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"model\.nnpot (holds a description|describes a)"):
        load(write(tmp_path / "model.nnpot", metadata))


def test_every_byte_counts(tmp_path: Path) -> None:
    """A bit of every byte in turn is another: of the header, the description, its checksum, the tensors."""
    potential = network_potential(acsf(("Cu",), g2=((0.5, 0.0),), g4=(), g5=()))
    path = save(potential, tmp_path / "model.nnpot", {"note": "short"})
    content = path.read_bytes()
    unnoticed = []
    for k, byte in enumerate(content):
        path.write_bytes(content[:k] + bytes([byte ^ 1]) + content[k + 1 :])
        with contextlib.suppress(ValueError):
            read_summary(path)
            unnoticed.append(content[max(k - 20, 0) : k + 20])
    assert unnoticed == []


@pytest.mark.parametrize("change", [lambda t: t.view(-1)[0].add_(1e-9), lambda t: t.neg_()], ids=["a little", "signs"])
def test_changed_weights_are_found(change: Any, path: Path) -> None:
    with safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tensors["linear.0.weight"])
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=r"model\.nnpot has changed since it was written: its checksum differs"):
        load(path)


@pytest.mark.parametrize("key", ["spec", "summary"])
def test_a_changed_description_is_found(key: str, path: Path) -> None:
    with safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {**metadata, key: metadata[key].replace("3", "4", 1)})
    with pytest.raises(ValueError, match=r"model\.nnpot has changed since it was written: its checksum differs"):
        load(path)


def test_a_descriptor_is_not_a_potential(tmp_path: Path) -> None:
    description = json.dumps(spec.to_spec(acsf()))
    with pytest.raises(ValueError, match="describes a ACSF, not a potential"):
        load(write(tmp_path / "model.nnpot", described(description)))


@pytest.mark.parametrize(
    "change", [lambda t: t.pop("linear.0.weight"), lambda t: t.update(more=torch.ones(1))], ids=["fewer", "more"]
)
def test_weights_that_do_not_fit_the_description_are_refused(tmp_path: Path, change: Any) -> None:
    potential = network_potential(acsf())
    tensors = {name: t.clone() for name, t in potential.state_dict().items()}
    change(tensors)
    metadata = described(json.dumps(spec.to_spec(potential)), tensors)
    with pytest.raises(ValueError, match=r"model\.nnpot holds a description .* linear\.0\.weight|more: none is wanted"):
        load(write(tmp_path / "model.nnpot", metadata, tensors))

"""Descriptions from strangers: what they ask for is compared with what is there before memory or time is taken."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from systems import ace, acsf, network_potential

from nnpot.formats.described import restored
from nnpot.formats.nnpot import FORMAT, checksum
from nnpot.io import load, read_summary
from nnpot.io import save as save_model
from nnpot.spec import to_spec

POTENTIALS = {
    "ACSF": lambda: network_potential(acsf()),
    "ACE": lambda: network_potential(ace(weighted_channels=2, weighted_units=3)),
}


def described(name: str = "ACE") -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    potential = POTENTIALS[name]()
    return to_spec(potential), dict(potential.state_dict())


def written(path: Path, spec: str, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    """A model file whose checksum is right."""
    described = {"nnpot": FORMAT, "spec": spec, "summary": "{}", **metadata}
    path.write_bytes(save(tensors, {"sha256": checksum(described, tensors), **described}))
    return path


@pytest.mark.parametrize("name", POTENTIALS)
def test_what_belongs_together_is_restored(name: str) -> None:
    spec, tensors = described(name)
    again = restored(spec, tensors)
    assert to_spec(again) == spec
    assert all(torch.equal(t, tensors[n]) for n, t in again.state_dict().items())


HUGE = ("channels", "n_radial", "weighted_channels", "weighted_layers", "weighted_units", "element_channels")


@pytest.mark.parametrize("size", [pytest.param(100_000, marks=pytest.mark.slow), 1_000_000_000])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "weighted_layers" else ()) for n in (*HUGE, "hidden")]
)
def test_a_small_file_cannot_ask_for_memory_or_time(name: str, size: int) -> None:
    spec, tensors = described()
    restored(spec, tensors)  # whatever has to be imported is there now
    arguments = spec["arguments"] if name == "hidden" else spec["arguments"]["descriptor"]["arguments"]
    arguments[name] = [size] if name == "hidden" else size
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="its description asks for"):
            restored(spec, tensors)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


WRONG: dict[str, tuple[str, Any]] = {
    "a truth for a number": ("n_radial", True),
    "a fraction for a whole number": ("l_max", 1.0),
    "NaN": ("neighbors", float("nan")),
    "infinity": ("cutoff", float("inf")),
    "a number that no machine has": ("neighbors", 10**400),
    "text": ("cutoff", "4.0"),
    "a list": ("channels", [3]),
    "nothing": ("cutoff", None),
    "a module": ("weighted_cutoff", {"class": "ZBL", "arguments": {"elements": ["Cu"], "cutoff": 3.0}}),
    "another word": ("channels", "many"),
    "numbers for symbols": ("elements", [29, 79]),
}


@pytest.mark.parametrize(("name", "value"), WRONG.values(), ids=WRONG.keys())
def test_an_argument_of_another_type_is_named(name: str, value: Any) -> None:
    spec, tensors = described()
    spec["arguments"]["descriptor"]["arguments"][name] = value
    with pytest.raises(ValueError, match=f"{name} of ACE cannot be"):
        restored(spec, tensors)


@pytest.mark.parametrize("name", ["cutoff", "neighbors", "weighted_layers"])
def test_what_is_left_out_does_not_become_a_default(name: str) -> None:
    spec, tensors = described()
    del spec["arguments"]["descriptor"]["arguments"][name]
    with pytest.raises(ValueError, match=f"ACE lacks {name}"):
        restored(spec, tensors)


@pytest.mark.parametrize("name", ["energy_scale", "atomic_energies", "descriptor"])
def test_the_same_holds_for_the_networks(name: str) -> None:
    spec, tensors = described()
    del spec["arguments"][name]
    with pytest.raises(ValueError, match=f"NeuralNetworkPotential lacks {name}"):
        restored(spec, tensors)


def test_a_descriptor_that_is_none_is_refused() -> None:
    spec, tensors = described()
    spec["arguments"]["descriptor"] = {"clas": "ACE"}
    with pytest.raises(ValueError, match="descriptor of NeuralNetworkPotential cannot be"):
        restored(spec, tensors)


@pytest.mark.parametrize("cutoff", [101.0, 1e6])
def test_no_potential_sees_as_far(cutoff: float) -> None:
    spec, tensors = described()
    spec["arguments"]["descriptor"]["arguments"]["cutoff"] = cutoff
    with pytest.raises(ValueError, match=r"its cutoff is .* Å, not in 0 … 100"):
        restored(spec, tensors)


CHANGES: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "NaN": (lambda t: t.index_fill(0, torch.tensor([0]), float("nan")), "holds NaN or infinite numbers"),
    "infinite": (lambda t: t / 0, "holds NaN or infinite numbers"),
    "truths": (lambda t: t > 0, "is of type bool"),
    "whole numbers": (lambda t: t.to(torch.int32), "is of type int32"),
    "half precision": (lambda t: t.half(), "is of type float16"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES.keys())
def test_tensors_are_finite_numbers(change: Callable[[torch.Tensor], torch.Tensor], message: str) -> None:
    spec, tensors = described()
    name = "networks.0.0.weight"
    with pytest.raises(ValueError, match=f"its tensor {name} {message}"):
        restored(spec, {**tensors, name: change(tensors[name])})


def test_no_number_is_rounded_to_that_of_another_tensor() -> None:
    spec, tensors = described()
    mixed = {n: t.double() + 1e-12 if n.startswith("networks") else t.float() for n, t in tensors.items()}
    again = restored(spec, mixed).state_dict()
    assert all(torch.equal(again[n], t.to(torch.float64)) for n, t in mixed.items())


# the file around it ---------------------------------------------------------------------------------------------------


def test_no_key_stands_twice_in_a_description(tmp_path: Path) -> None:
    spec, tensors = described()
    text = json.dumps(spec).replace('"energy_scale":', '"energy_scale": 2.0, "energy_scale":')
    with pytest.raises(ValueError, match=r"m\.nnpot holds a description .*'energy_scale' stands there twice"):
        load(written(tmp_path / "m.nnpot", text, tensors))


def test_no_key_stands_twice_in_the_header(tmp_path: Path) -> None:
    path = save_model(POTENTIALS["ACSF"](), tmp_path / "m.nnpot")
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[8:end].rstrip().replace(b'{"__metadata__":{', b'{"__metadata__":{"sha256":"0",', 1)
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
    with pytest.raises(
        ValueError, match=r"m\.nnpot is not a complete nnpot model file \('sha256' stands there twice\)"
    ):
        load(path)


@pytest.mark.parametrize("summary", ["", "[]", "3", '{"a": ', "[" * 100_000])
def test_a_summary_that_is_none_is_named_with_the_file(summary: str, tmp_path: Path) -> None:
    spec, tensors = described()
    path = written(tmp_path / "m.nnpot", json.dumps(spec), tensors, summary=summary)
    for read in (load, read_summary):
        with pytest.raises(ValueError, match=r"m\.nnpot holds a description that is not complete"):
            read(path)


@pytest.mark.parametrize("number", ["1", FORMAT])
def test_whether_there_is_a_checksum_follows_from_the_format(number: str, tmp_path: Path) -> None:
    spec, tensors = described()
    metadata = {"nnpot": number, "spec": json.dumps(spec), "summary": "{}"}
    if number == "1":
        metadata["sha256"] = checksum(metadata, tensors)
    path = tmp_path / "m.nnpot"
    path.write_bytes(save(tensors, metadata))
    with pytest.raises(ValueError, match=f"format {number} does not agree with its checksum"):
        load(path)

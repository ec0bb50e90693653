"""Modules remember how they were built."""

import json
import sys
from typing import Any

import pytest
import torch
from systems import POTENTIALS, acsf

from nnpot.descriptors import ACSF
from nnpot.potential import Potential
from nnpot.spec import Module, build, to_spec


class SpecPart(Module):
    def __init__(self, size: int, names: tuple[str, ...] = ("a",)) -> None:
        super().__init__()
        self.size, self.names = size, names


class SpecWhole(Module):
    def __init__(self, part: SpecPart, table: dict[str, float] | None = None) -> None:
        super().__init__()
        self.part, self.table = part, table


class SpecChild(SpecPart):
    def __init__(self, width: int) -> None:
        super().__init__(2 * width, names=("b", "c"))


class SpecHeir(SpecChild):
    pass


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        pytest.param(SpecPart(3), {"size": 3, "names": ("a",)}, id="with defaults"),
        pytest.param(SpecPart(3, ("x",)), {"size": 3, "names": ("x",)}, id="by position"),
        pytest.param(SpecPart(names=("x",), size=3), {"size": 3, "names": ("x",)}, id="by name"),
        pytest.param(SpecChild(4), {"width": 4}, id="of the class that was called"),
        pytest.param(SpecHeir(4), {"width": 4}, id="inherited"),
    ],
)
def test_constructor_arguments_are_remembered(module: Module, arguments: dict[str, Any]) -> None:
    assert module.arguments == arguments


def test_remembering_changes_no_construction() -> None:
    assert (SpecChild(4).size, SpecChild(4).names) == (8, ("b", "c"))


def test_a_replaced_argument_is_the_only_change() -> None:
    assert SpecPart(3, ("x",)).replaced(size=5).arguments == {"size": 5, "names": ("x",)}


def test_replacing_leaves_the_original() -> None:
    part = SpecPart(3)
    part.replaced(size=5)
    assert part.size == 3


def test_a_specification_is_nested() -> None:
    assert to_spec(SpecWhole(SpecPart(3), {"Cu": -1.5})) == {
        "class": "SpecWhole",
        "arguments": {
            "part": {"class": "SpecPart", "arguments": {"size": 3, "names": ["a"]}},
            "table": {"Cu": -1.5},
        },
    }


def test_a_module_is_rebuilt_from_json() -> None:
    again = build(json.loads(json.dumps(to_spec(SpecWhole(SpecPart(3, ("x", "y")), {"Cu": -1.5})))))
    assert (again.part.names, again.table) == (("x", "y"), {"Cu": -1.5})


def test_numbers_survive_json_exactly() -> None:
    value = 0.1 + 0.2
    assert build(json.loads(json.dumps(to_spec(SpecWhole(SpecPart(1), {"Cu": value}))))).table == {"Cu": value}


@pytest.mark.parametrize("name", POTENTIALS)
def test_every_potential_has_a_specification_of_plain_json(name: str) -> None:
    spec = to_spec(POTENTIALS[name]())
    assert to_spec(build(json.loads(json.dumps(spec)))) == spec


def test_a_rebuilt_descriptor_has_the_same_functions() -> None:
    descriptor = acsf(selected=(0, 5, 7))
    assert build(json.loads(json.dumps(to_spec(descriptor)))).arguments == descriptor.arguments


def test_an_argument_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot describe an argument of type Tensor"):
        to_spec(SpecWhole(SpecPart(1), torch.ones(2)))


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(ValueError, match="the class 'Wizard', which is not part of this nnpot"):
        build({"class": "Wizard", "arguments": {}})


def test_a_specification_makes_python_import_nothing() -> None:
    with pytest.raises(ValueError, match=r"the class 'antigravity\.Wizard'"):
        build({"class": "antigravity.Wizard", "arguments": {}})
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("kind", [ACSF, Potential])
def test_descriptors_and_potentials_remember(kind: type) -> None:
    assert issubclass(kind, Module)


def _define(name: str, module: str, size: int) -> None:
    """Define a class of this name as if a module did: its instances have this size."""
    type(name, (Module,), {"__module__": module, "size": size})


def test_the_latest_of_one_module_is_built() -> None:
    _define("SpecAgain", "__main__", 1)
    _define("SpecAgain", "__main__", 2)
    assert build({"class": "SpecAgain", "arguments": {}}).size == 2


def test_a_name_that_two_modules_define_is_not_guessed() -> None:
    _define("SpecTwice", "my_parts", 1)
    _define("SpecTwice", "your_parts", 2)
    with pytest.raises(ValueError, match="'SpecTwice', and my_parts and your_parts each define one; import only"):
        build({"class": "SpecTwice", "arguments": {}})


def test_the_name_of_a_class_of_nnpot_cannot_be_taken() -> None:
    with pytest.raises(TypeError, match="ACSF is the name of a class of nnpot"):
        type("ACSF", (Module,), {})

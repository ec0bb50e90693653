"""Configurations from strangers: plain values alone, and no module is imported that cannot be meant."""

import functools
import logging
import sys
from pathlib import Path
from unittest import mock

import pytest
import yaml
from runs import refusal

from nnpot.commands.configuration import MOST_BYTES, check_classes, check_configurations, check_numbers, named_sources

CLASSES = """
from pathlib import Path
Path({trap!r}).touch()
from nnpot.descriptors import ACE
class Bare:
    pass
class Derived(ACE):
    pass
number = 3
"""


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module on the path that leaves a file when it is imported."""
    trap = tmp_path / "imported"
    for folder in (tmp_path, tmp_path / "package_of_strangers"):
        folder.mkdir(exist_ok=True)
        (folder / "module_of_strangers.py").write_text(CLASSES.format(trap=str(trap)))
    (tmp_path / "package_of_strangers" / "__init__.py").write_text(
        f"from pathlib import Path\nPath({str(trap)!r}).touch()\nfrom .module_of_strangers import Derived as Other\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return trap


def descriptor(name: str) -> dict[str, object]:
    return {"potential": {"descriptor": {"class_path": name, "init_args": {"cutoff": 4.0}}}}


NOT_ONE = [
    *("os.system", "subprocess.Popen", "this.s", "antigravity.geohash", "ctypes.CDLL"),
    *("module_of_strangers.Bare", "module_of_strangers.Missing", "module_of_strangers.number"),
    *("nowhere_at_all.Thing", "package_of_strangers.Derived", "module_of_strangers.Derived.forward", "a b.c", ".x"),
]


@pytest.mark.parametrize("name", NOT_ONE)
def test_a_class_that_cannot_be_meant_is_refused_without_an_import(name: str, trap: Path) -> None:
    before = set(sys.modules)
    with pytest.raises(
        ValueError, match=r"c\.yaml: .* is no descriptor; give the name of one of nnpot, or module\.Class"
    ):
        check_classes(descriptor(name), "c.yaml")
    assert not trap.exists()
    assert not {"this", "antigravity", "module_of_strangers", "package_of_strangers"} & (set(sys.modules) - before)


@pytest.mark.parametrize(
    "name",
    ["module_of_strangers.Derived", "package_of_strangers.Other", "package_of_strangers.module_of_strangers.Derived"],
)
def test_the_module_of_a_class_that_may_be_one_is_named(
    name: str, trap: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nnpot")
    check_classes(descriptor(name), "c.yaml")
    assert caplog.messages == [f"imports the module {name.rpartition('.')[0]}, named in c.yaml"]
    assert not trap.exists()


@pytest.mark.parametrize("name", ["ACE", "nnpot.descriptors.ACE"])
def test_classes_of_nnpot_need_no_word(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nnpot")
    check_classes(descriptor(name), "c.yaml")
    assert caplog.messages == []


ELSEWHERE = {
    "data": {"data": {"class_path": "module_of_strangers.Derived"}},
    "loss": {"loss": {"energy": {"class_path": "module_of_strangers.Derived"}}},
    "trainer": {"trainer": {"strategy": {"class_path": "module_of_strangers.Derived"}}},
    "the whole": {"class_path": "module_of_strangers.Derived"},
    "within": {"potential": {"descriptor": {"class_path": "ACE", "init_args": {"a": {"class_path": "os.system"}}}}},
    "dotted": {"data.keys.class_path": "module_of_strangers.Derived"},
    "a list": {"seed": [{"class_path": "os.system"}]},
}


@pytest.mark.parametrize("settings", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_class_has_no_place_elsewhere(settings: dict[str, object], trap: Path) -> None:
    with pytest.raises(ValueError, match=r"c\.yaml: .* is no class, so that class_path has no place there"):
        check_classes(settings, "c.yaml")
    assert not trap.exists()


SHORT = {
    "a name in the place of a class": {"potential": {"descriptor": "module_of_strangers.Bare"}},
    "of the potential": {"potential": "module_of_strangers.Bare"},
    "of the potential in full": {"potential": {"class_path": "module_of_strangers.Bare"}},
    "dotted": {"potential.descriptor.class_path": "module_of_strangers.Bare"},
    "half dotted": {"potential": {"init_args": {"descriptor": {"class_path": "module_of_strangers.Bare"}}}},
}


@pytest.mark.parametrize("settings", SHORT.values(), ids=SHORT.keys())
def test_every_way_to_name_a_class_is_looked_at(settings: dict[str, object], trap: Path) -> None:
    with pytest.raises(ValueError, match=r"Bare is no (descriptor|potential)"):
        check_classes(settings, "c.yaml")


LAYERS = [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}' if k else 'x'] * 9)}]" for k in range(9)]
TEXTS = {
    "no YAML": ("seed: 0\nloss: {energy: 1", r"c\.yaml is not YAML \(line 2: "),
    "a tag": ("seed: !!python/object/apply:os.system [ls]", r"c\.yaml, line 1: python/object/apply.* is not allowed"),
    "another tag": ("x: 1\nseed: !!python/name:os.system", r"c\.yaml, line 2: .* is not allowed, only plain values"),
    "a bomb": ("\n".join([*LAYERS, "seed: *a8"]), "more than 100000 values once its repeated parts are written out"),
    "in itself": ("seed: &a [*a]", "more than 100000 values"),
    "too deep": ("seed: " + "[" * 600, r"c\.yaml is not YAML .*nested too deeply"),
    "twice": ("seed: 0\nloss: {energy: 1, energy: 2}", r"c\.yaml, line 2: energy stands there twice"),
    "a number": ("3", r"c\.yaml holds no settings such as"),
    "nothing": ("", r"c\.yaml holds no settings such as"),
    "control characters": ("seed: \x01", r"c\.yaml is not YAML"),
}


@pytest.mark.parametrize(("text", "message"), TEXTS.values(), ids=TEXTS.keys())
def test_a_configuration_is_plain_values(
    text: str, message: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(functools.partial(sys.setrecursionlimit, sys.getrecursionlimit()))
    sys.setrecursionlimit(1000)  # which libraries raise
    path = tmp_path / "c.yaml"
    path.write_text(text)
    for arguments in (["--config", str(path)], [f"--config={path}"], ["--seed", "1", "--config", str(path)]):
        with pytest.raises(ValueError, match=message) as error:
            check_configurations(arguments)
        assert len(str(error.value).splitlines()) == 1


def test_a_binary_file_is_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"c\.yaml is no text in UTF-8"):
        check_configurations(["--config", str(path)])


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match=r"c\.yaml is larger than 1 MB"):
        check_configurations(["--config", str(path)])


def test_settings_as_text_are_looked_at(trap: Path) -> None:
    text = '{"potential": {"descriptor": {"class_path": "module_of_strangers.Bare"}}}'
    with pytest.raises(ValueError, match=r"--config: module_of_strangers\.Bare is no descriptor"):
        check_configurations(["--config", text])


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_our_own_are_taken(path: Path) -> None:
    check_configurations(["--config", str(path)])
    assert yaml.safe_load(path.read_text())


def test_repeated_parts_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("loss: &own {energy: 1.0}\nother:\n  <<: *own\n  forces: 2\n")
    check_configurations(["--config", str(path)])


ENDLESS = {
    "a weight": ({"loss": {"energy": float("nan")}}, "loss.energy must be a finite number .* got nan"),
    "a rate": ({"optimizer": {"lr": float("inf")}}, "optimizer.lr must be a finite number .* got inf"),
    "in a list": ({"potential": {"g2": [[0.5, float("-inf")]]}}, "potential.g2 must be a finite number .* got -inf"),
    "a count": ({"data": {"batch_size": 2**70}}, "data.batch_size must be a finite number below 1e.12, got 1180591620"),
}


@pytest.mark.parametrize(("settings", "message"), ENDLESS.values(), ids=ENDLESS.keys())
def test_numbers_are_finite(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_numbers(settings)


def test_usual_numbers_are_taken() -> None:
    check_numbers({"seed": 2**32 - 1, "loss": {"energy": 1e6, "final_energy_weight": None}, "plan": True, "out": "inf"})


def test_too_little_memory_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("seed: 0")
    full = RuntimeError("DefaultCPUAllocator: can't allocate memory")
    with mock.patch("nnpot.commands.line._settings", side_effect=full):
        line = refusal(capsys, "train", "--config", config)
    assert f"there is not enough memory for what is asked for (settings: {config})" in line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--config", "a.yaml", "--seed", "1"], " (settings: a.yaml)"),
        (["--config=a.yaml", "--resume", "run"], " (settings: a.yaml, run)"),
        (["--config", "{}", "--out", "x"], ""),
        ([], ""),
    ],
)
def test_files_of_settings_are_named(arguments: list[str], named: str) -> None:
    assert named_sources(arguments) == named

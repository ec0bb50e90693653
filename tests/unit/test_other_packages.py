"""Descriptors of other packages, by an entry point: in configurations and model files, without an import by hand."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from datasets import labelled_alloys, write
from runs import ONE_THREAD

from nnpot import spec

CODE = """
import torch
from nnpot.descriptors import Descriptor
from nnpot.functional.segment import segment_sum


class {name}(Descriptor):
    "Sums of powers of the distances within the cutoff."

    def __init__(self, cutoff: float = 4.0, elements: tuple[str, ...] = (), powers: int = 3) -> None:
        super().__init__()
        self.cutoff, self.elements, self.n_features = cutoff, elements, powers

    def forward(self, pairs):
        x = (1 - pairs.r_ij.norm(dim=1) / self.cutoff).clamp(min=0)
        powers = torch.stack([x ** (3 + k) for k in range(self.n_features)], dim=1)
        return segment_sum(powers, pairs.pair_i, len(pairs.center_species))
"""


def installed(folder: Path, name: str, code: str = CODE) -> dict[str, str]:
    """Install a package with one descriptor there; return the environment in which Python finds it."""
    (folder / "lent.py").write_text(code.format(name=name))
    information = folder / "lent-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: lent\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[nnpot.modules]\n{name} = lent:{name}\n")
    root = str(Path(__file__).parents[2])
    return {**ONE_THREAD, "PYTHONPATH": f"{folder}:{root}"}


def run(code: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package and a model trained with its descriptor, named in a configuration by its bare name."""
    folder = tmp_path_factory.mktemp("other")
    environment = installed(folder, "Powers")
    config, data = folder / "config.yaml", write(folder / "train.xyz", labelled_alloys(6))
    descriptor = {"class_path": "Powers", "init_args": {"powers": 4}}
    trainer = {"max_epochs": 1, "accelerator": "cpu"}
    settings = {
        "potential": {"descriptor": descriptor, "hidden": [3]},
        "data": {"train": str(data), "doctor": "off"},
        "trainer": trainer,
        "repulsion": False,
        "check": False,
    }
    config.write_text(yaml.safe_dump(settings))
    arguments = ["train", "--config", str(config), "--out", str(folder / "out")]
    done = run(f"from nnpot.__main__ import main; main({arguments!r})", environment)
    assert done.returncode == 0, done.stderr
    return folder


LOAD = "import nnpot; print(nnpot.load({path!r}).descriptor.n_features)"


@pytest.mark.slow
def test_a_model_loads_without_an_import(folder: Path) -> None:
    environment = {**ONE_THREAD, "PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}
    done = run(LOAD.format(path=str(folder / "out/model.nnpot")), environment)
    assert (done.stdout, done.stderr, done.returncode) == ("4\n", "", 0)


@pytest.mark.slow
def test_without_the_package_a_model_is_refused_in_a_sentence(folder: Path) -> None:
    environment = {**ONE_THREAD, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = run(LOAD.format(path=str(folder / "out/model.nnpot")), environment)
    assert "uses the class 'Powers', which is not part of this nnpot; import the module that defines it" in done.stderr


@pytest.mark.slow
def test_a_module_that_is_no_entry_point_is_never_imported(folder: Path, tmp_path: Path) -> None:
    """Python could import it: it has the very name, and is on the path."""
    (tmp_path / "Powers.py").write_text("print('imported')")
    (tmp_path / "lent.py").write_text("print('imported')")
    environment = {**ONE_THREAD, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    done = run(LOAD.format(path=str(folder / "out/model.nnpot")), environment)
    assert done.returncode == 1
    assert "imported" not in done.stdout


@pytest.mark.slow
def test_a_package_that_cannot_be_imported_is_named(folder: Path, tmp_path: Path) -> None:
    environment = installed(tmp_path, "Powers", "raise RuntimeError('half installed')")
    done = run(LOAD.format(path=str(folder / "out/model.nnpot")), environment)
    sentence = "Powers of lent cannot be imported (RuntimeError: half installed); mend or remove lent"
    assert sentence in done.stderr.splitlines()[-1]


def test_a_training_with_something_else_goes_on_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installed(tmp_path, "Broken", "raise RuntimeError('half installed')")
    monkeypatch.syspath_prepend(str(tmp_path))
    caplog.set_level(logging.WARNING, "nnpot")
    spec.import_installed()
    assert caplog.messages == ["Broken of lent cannot be imported (RuntimeError: half installed); mend or remove lent"]

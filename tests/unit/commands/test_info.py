"""`nnpot info`: a model, the system, or a sentence on what to ask for."""

from pathlib import Path

import pytest
from systems import acsf, network_potential

from nnpot.__main__ import main
from nnpot.commands import info
from nnpot.io import save


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(network_potential(acsf(g4=(), g5=())), tmp_path / "model.nnpot")


@pytest.fixture(autouse=True)
def _facts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"nnpot": "0.1.0", "kernels, cpu": "float32, float64"}
    monkeypatch.setattr(info, "facts", lambda: (rows, ["kernels are slower than tensors here"]))


def test_a_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", str(model)])
    shown = capsys.readouterr().out
    assert "elements    H, O, Cu, Au" in shown
    assert "kernels" not in shown


def test_the_system(capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", "--system"])
    assert capsys.readouterr().out.splitlines() == [
        "  nnpot         0.1.0",
        "  kernels, cpu  float32, float64",
        "kernels are slower than tensors here",
    ]


def test_both(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", "--system", str(model)])
    shown = capsys.readouterr().out
    assert "H, O, Cu, Au" in shown
    assert "kernels, cpu" in shown


def test_nothing_to_tell(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["info"])
    assert stopped.value.code == 1
    assert "give a model to look into, or --system" in capsys.readouterr().err


def test_a_missing_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["info", str(tmp_path / "nothing.nnpot")])
    assert "nothing.nnpot" in capsys.readouterr().err

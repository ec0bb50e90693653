"""Errors in tables and files are those of single numbers, counted one by one."""

import json
from collections import defaultdict
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from golden import alloys
from short import Short, short_training

from nnpot.__main__ import main
from nnpot.structure import Structure

MEV, EV_PER_A3 = 1000.0, 160.21766208
"""1 eV in meV, and 1 eV/Å³ in GPa."""

Differences = dict[tuple[str, str], list[float]]
"""Prediction less label, by the row of the table and the label."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Short:
    """A training, and structures of two types beside it, whose elements are neither sorted nor equally frequent."""
    run = short_training(tmp_path_factory.mktemp("run"))
    frames = alloys()
    for k, atoms in enumerate(frames):
        order = np.random.RandomState(k).permutation(4)
        forces = atoms.get_forces()[order]
        results = {"energy": atoms.get_potential_energy(), "forces": forces, "stress": atoms.get_stress()}
        frames[k] = atoms[order]
        frames[k].calc = SinglePointCalculator(frames[k], **results)
        frames[k].info["config_type"] = "few" if k < 3 else "many"
    ase.io.write(run.folder / "test.xyz", frames, format="extxyz")
    return run


def counted(run: Short) -> Differences:
    """Every difference, one after the other, in eV per atom, eV/Å and eV/Å³."""
    differences: Differences = defaultdict(list)
    for atoms in ase.io.read(run.folder / "test.xyz", ":"):
        p, rows = run.model.predict(Structure.from_ase(atoms)), ("all", atoms.info["config_type"])
        for row in rows:
            differences[row, "E"].append((float(p.energy) - atoms.get_potential_energy()) / len(atoms))
            differences[row, "S"] += list(p.stress[0].numpy() - atoms.get_stress())
        for k, symbol in enumerate(atoms.symbols):
            for row in (*rows, f"forces on {symbol}"):
                differences[row, "F"] += [float(p.forces[k, a]) - atoms.get_forces()[k, a] for a in range(3)]
    return differences


def errors(differences: list[float], factor: float) -> tuple[float, float]:
    """MAE and RMSE."""
    x = factor * np.array(differences)
    return float(abs(x).mean()), float((x**2).mean() ** 0.5)


def in_table(text: str) -> dict[tuple[str, str], tuple[float, float]]:
    """MAE and RMSE in a printed table, by row and label."""
    found = {}
    for line in text.splitlines():
        name, *cells = (cell.strip() for cell in line.strip("│").split("│"))
        if len(cells) == 6 and cells[-4] not in ("", "meV/Å"):
            for label, pair in zip("EFS", (cells[:2], cells[2:4], cells[4:]), strict=True):
                if "–" not in pair:
                    found[name.split(" (")[0], label] = (float(pair[0]), float(pair[1]))
    return found


def test_every_number_of_the_table_is_counted(run: Short, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", str(run.folder / "model.nnpot"), str(run.folder / "test.xyz")])
    found = in_table(capsys.readouterr().out)
    factors = {"E": MEV, "F": MEV, "S": EV_PER_A3}
    wanted = {place: errors(x, factors[place[1]]) for place, x in counted(run).items()}
    assert {row for row, _ in wanted} == {"all", "few", "many", "forces on Cu", "forces on Au"}
    assert found.keys() == wanted.keys()
    for place, pair in wanted.items():
        assert found[place] == pytest.approx(pair, rel=2e-3), place  # printed with four digits


def test_every_number_of_the_file_is_counted(run: Short, tmp_path: Path) -> None:
    files = [run.folder / "model.nnpot", run.folder / "test.xyz", "--json", tmp_path / "errors.json"]
    main(["evaluate", *map(str, files)])
    found, differences = json.loads((tmp_path / "errors.json").read_text()), counted(run)
    names = {
        "E": ("energy", "mev_per_atom", MEV),
        "F": ("force", "mev_per_ang", MEV),
        "S": ("stress", "gpa", EV_PER_A3),
    }
    wanted = {"n_structures": 16, "n_atoms": 64}
    for label, (name, unit, factor) in names.items():
        mae, rmse = errors(differences["all", label], factor)
        wanted |= {f"{name}_mae_{unit}": mae, f"{name}_rmse_{unit}": rmse}
    assert found == pytest.approx(wanted, rel=1e-4)  # evaluation runs in float32

"""The whole story on data of its own: sample Cu-Au with EMT, train, evaluate, run MD, predict material properties.

Run by `make demo` from the root of the repository; takes minutes on two cores. Figures and model land in runs/demo.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk, fcc100
from ase.calculators.calculator import BaseCalculator
from ase.calculators.emt import EMT
from rich.console import Console
from rich.table import Table

from nnpot import load
from nnpot.analysis.evaluate import evaluate_potential
from nnpot.analysis.materials import cubic_elastic_constants, equation_of_state, relax_cubic_cell
from nnpot.analysis.plots import GroupErrors, equations_of_state, error_by_group, md_trace
from nnpot.calculator import NNPotCalculator
from nnpot.commands.evaluate import evaluate
from nnpot.commands.sample import sample
from nnpot.reading import read_structures
from nnpot.simulation import nve

DATA = Path("runs/demo-data")
RUN = Path("runs/demo")
CONSOLE = Console()


def main() -> None:
    """Tell the story."""
    started = time.perf_counter()
    step("1  Label Cu-Au structures with EMT, ASE's effective-medium potential")
    starts = DATA / "start.xyz"
    DATA.mkdir(parents=True, exist_ok=True)
    ase.io.write(starts, start_structures())
    train_data = sample(starts, DATA / "train.xyz", snapshots=3, seed=0)
    test_data = sample(starts, DATA / "test.xyz", temperatures=(500.0, 1200.0), snapshots=1, seed=1)

    step("2  Train a neural-network potential")
    model = train(train_data)

    step("3  Evaluate it on structures that it has not seen")
    errors = evaluate(model, test_data, json=RUN / "errors.json", plots=RUN / "test")
    draw_errors(model, test_data)

    step("4  Molecular dynamics of Cu3Au at constant energy, 2 ps")
    calculator = NNPotCalculator(model, dtype="float64")
    # Twice 600 K to begin with: a crystal at its minimum gives half of it to the potential energy.
    atoms = crystals()["Cu3Au"].repeat((3, 3, 3))
    atoms.calc = calculator
    trajectory = nve(atoms, temperature=1200.0, picoseconds=2.0, timestep_fs=2.0, sample_every=4)
    md_trace(RUN / "md.png", {f"Cu3Au, {len(atoms)} atoms, 2 fs steps": trajectory})

    step("5  Equations of state and elastic constants, against EMT")
    CONSOLE.print(properties(calculator))

    minutes = (time.perf_counter() - started) / 60
    CONSOLE.print(
        f"On new structures: energy RMSE {errors['energy_rmse_mev_per_atom']:.2f} meV/atom, "
        f"force RMSE {errors['force_rmse_mev_per_ang']:.1f} meV/Å. "
        f"Drift of the energy in 2 ps: {1e6 * trajectory.drift:.1f} µeV/atom.\n"
        f"{minutes:.1f} minutes in all. Look at\n"
        f"  {RUN}/report.html              how good it is: open it in a browser\n"
        f"  {RUN}/test/parity.png          predicted against reference labels\n"
        f"  {RUN}/equations_of_state.png   energy against volume, beside EMT\n"
        f"  {RUN}/md.png                   temperature and energy in dynamics"
    )


def step(text: str) -> None:
    """Announce a chapter."""
    CONSOLE.rule(f"[bold]{text}", align="left")


def crystals() -> dict[str, Atoms]:
    """Conventional cells of the cubic crystals, at EMT's lattice constants."""
    cells = {"Cu": bulk("Cu", cubic=True), "Au": bulk("Au", cubic=True), "Cu3Au": alloy(1), "CuAu3": alloy(3)}
    return {name: relax_cubic_cell(cell, EMT()) for name, cell in cells.items()}


def alloy(n_gold: int) -> Atoms:
    """A conventional fcc cell with so many gold atoms: L1_2, or L1_0 for two."""
    cell = bulk("Cu", cubic=True, a=3.6 + 0.12 * n_gold)
    cell.symbols[:n_gold] = "Au"
    return cell


def start_structures() -> list[Atoms]:
    """Supercells of about 32 atoms: elements, ordered and random alloys, a vacancy, a surface."""
    rng = np.random.default_rng(0)
    named = {name: cell.repeat((2, 2, 2)) for name, cell in crystals().items()}
    named["CuAu"] = alloy(2).repeat((2, 2, 2))
    for n_gold in (10, 20):
        random = bulk("Cu", cubic=True, a=3.6 + 0.46 * n_gold / 32).repeat((2, 2, 2))
        random.symbols[rng.choice(32, n_gold, replace=False)] = "Au"
        named[f"Cu{32 - n_gold}Au{n_gold} random"] = random
    named["Cu3Au vacancy"] = named["Cu3Au"].copy()
    del named["Cu3Au vacancy"][0]
    named["Cu slab"] = fcc100("Cu", (2, 2, 6), a=3.59, vacuum=6.0)
    named["Cu slab"].info.clear()
    for name, atoms in named.items():
        atoms.info["config_type"] = name.replace(" ", "-")
    return list(named.values())


def train(data: Path) -> Path:
    """Train as a user would on the command line by the default recipe, but no longer than a minute or two."""
    shutil.rmtree(RUN, ignore_errors=True)
    options = [str(data), "--trainer.max_epochs", "60", "--out", str(RUN)]
    subprocess.run([sys.executable, "-m", "nnpot", "train", *options], check=True)
    return RUN / "model.nnpot"


def draw_errors(model: Path, data: Path) -> None:
    """Errors per configuration type and per element."""
    result = evaluate_potential(load(model), read_structures(data))
    panels = []
    for title, unit, errors in (
        ("Energy", "meV/atom", result.labels["energy"].by(result.labels["energy"].groups)),
        ("Forces", "meV/Å", result.labels["forces"].by(result.labels["forces"].groups)),
    ):
        mae, rmse = (np.array([getattr(e, kind) for e in errors.values()]) for kind in ("mae", "rmse"))
        panels.append(GroupErrors(title, unit, tuple(errors), mae, rmse))
    error_by_group(RUN / "test/errors_by_type.png", panels)


def properties(calculator: BaseCalculator) -> Table:
    """Equations of state as a figure, elastic constants as a table, by EMT and by the potential."""
    strains = tuple(np.linspace(-0.04, 0.04, 9))
    view = Table(title="EMT → potential", title_justify="left")
    for column in ("", "a (Å)", "B (GPa)", "C11 (GPa)", "C12 (GPa)", "C44 (GPa)"):
        view.add_column(column)
    states = {}
    for name, cell in crystals().items():
        states[name] = (equation_of_state(cell, EMT(), strains), equation_of_state(cell, calculator, strains))
        emt, own = cubic_elastic_constants(cell, EMT()), cubic_elastic_constants(cell, calculator)
        pairs = [(emt.bulk_modulus, own.bulk_modulus), (emt.c11, own.c11), (emt.c12, own.c12), (emt.c44, own.c44)]
        lattice = f"{emt.lattice_constant:.3f} → {own.lattice_constant:.3f}"
        view.add_row(name, lattice, *(f"{a:.0f} → {b:.0f}" for a, b in pairs))
    equations_of_state(RUN / "equations_of_state.png", states)
    return view


if __name__ == "__main__":
    main()

"""How far does a recipe carry beyond the temperature of its training data?  A set whose truth is known at all of them.

python benchmarks/extrapolation.py START --config configs/ace.yaml --out runs/extrapolation [OVERRIDE …]

START is a file of geometries of one molecule, say the training set of 3BPA.  From them GFN2-xTB (C. Bannwarth et al.,
J. Chem. Theory Comput. 15, 1652 (2019); `pip install tblite`) runs Langevin dynamics at 300, 600 and 1200 K and labels
what it meets: 500 structures at 300 K to train on, 160 at each temperature to test on.  That takes some minutes, once;
the files stay in OUT.  Recipes can so be compared far from their data without a look at any published test set.
OVERRIDE goes to `nnpot train`; each set of overrides wants its own `--name`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from nnpot import load
from nnpot.analysis.evaluate import evaluate_potential
from nnpot.analysis.materials import langevin
from nnpot.reading import read_structures

TRAIN, TEST, TEMPERATURES = 500, 160, (300, 600, 1200)
WALK = 20
"""Structures taken from one trajectory, 25 fs apart, after half a picosecond."""


def main() -> None:
    """Label, train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=Path)
    parser.add_argument("--config", type=Path, default=Path("configs/ace.yaml"))
    parser.add_argument("--out", type=Path, default=Path("runs/extrapolation"))
    parser.add_argument("--name", default="recipe", help="folder of this training in OUT")
    arguments, overrides = parser.parse_known_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    starts = [atoms for atoms in read(arguments.start, ":") if len(atoms) > 1]
    train = labelled(arguments.out / "train.xyz", starts, 300, TRAIN, seed=0)
    tests = {t: labelled(arguments.out / f"test-{t}.xyz", starts, t, TEST, seed=t) for t in TEMPERATURES}
    model = arguments.out / arguments.name / "model.nnpot"
    if not model.exists():
        options = ["--config", str(arguments.config), "--data.train", str(train), "--out", str(model.parent)]
        subprocess.run([sys.executable, "-m", "nnpot", "train", *options, *overrides], check=True)
    potential = load(model)
    print("| K | energy RMSE, meV | force RMSE, meV/Å |\n|---|---|---|")
    for temperature, path in tests.items():
        structures = read_structures(path)
        errors = evaluate_potential(potential, structures).errors()
        energy = errors["energy_rmse_mev_per_atom"] * len(structures[0])
        print(f"| {temperature} | {energy:.1f} | {errors['force_rmse_mev_per_ang']:.1f} |")


def labelled(path: Path, starts: list[Atoms], temperature: float, n: int, seed: int) -> Path:
    """Write structures from dynamics at a temperature with their energies and forces, unless the file is there."""
    if path.exists():
        return path
    generator, frames = np.random.default_rng(seed), []
    while len(frames) < n:
        chosen = starts[generator.integers(len(starts))]
        frames += trajectory(
            Atoms(chosen.symbols, chosen.positions), temperature, min(WALK, n - len(frames)), generator
        )
        print(f"\r{path}: {len(frames)}/{n} structures", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    unfinished = path.with_suffix(".part.xyz")
    write(unfinished, frames)
    unfinished.rename(path)
    return path


def trajectory(atoms: Atoms, temperature: float, n: int, generator: np.random.Generator) -> list[Atoms]:
    """Return labelled structures of one trajectory."""
    from tblite.ase import TBLite

    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    dynamics = langevin(atoms, temperature, 1.0, 20.0, generator)
    dynamics.run(500)
    frames = []
    for _ in range(n):
        dynamics.run(25)
        frame = atoms.copy()
        frame.calc = SinglePointCalculator(frame, energy=atoms.get_potential_energy(), forces=atoms.get_forces().copy())
        frames.append(frame)
    return frames


if __name__ == "__main__":
    main()

"""How far does a recipe carry beyond the temperature of its training data?  A set whose truth is known at all of them.

python benchmarks/extrapolation.py START --config configs/ace.yaml --out runs/extrapolation [OVERRIDE …]

START is a file of geometries of one molecule, say the training set of 3BPA.  From them GFN2-xTB (C. Bannwarth et al.,
J. Chem. Theory Comput. 15, 1652 (2019); `pip install tblite`) runs Langevin dynamics at 300, 600 and 1200 K and labels
what it meets: 500 structures at 300 K to train on, 160 at each temperature to test on, and 160 more at 600 and 1200 K
that start with single bonds turned at random, conformers that training lacks.  That takes some minutes, once; the files
stay in OUT.  Recipes can so be compared far from their data without a look at any published test set.
OVERRIDE goes to `nnpot train`; each set of overrides wants its own `--name`.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry.analysis import Analysis
from ase.io import read, write
from ase.optimize import BFGS
from scipy.sparse.csgraph import connected_components, shortest_path

from nnpot import load
from nnpot.analysis.evaluate import evaluate_potential
from nnpot.reading import read_structures
from nnpot.simulation import langevin

TRAIN, TEST, TEMPERATURES = 500, 160, (300, 600, 1200)
WALK = 20
"""Structures taken from one trajectory, 25 fs apart, after half a picosecond."""

TURNED_WALK = 4
"""The same of one that starts with turned bonds."""

CLOSEST, LONGEST = 1.9, 2.2
"""Å; no atoms three or more bonds apart are closer after turning, no bond is longer at the end: else another try."""

TRIES = 100
"""How many times in a row to try again before giving up."""


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
    tests = {f"{t}": labelled(arguments.out / f"test-{t}.xyz", starts, t, TEST, seed=t) for t in TEMPERATURES}
    for t in TEMPERATURES[1:]:
        path = arguments.out / f"test-{t}-turned.xyz"
        tests[f"{t}, bonds turned"] = labelled(path, starts, t, TEST, seed=t + 1, turn=True)
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


def labelled(path: Path, starts: list[Atoms], temperature: float, n: int, seed: int, *, turn: bool = False) -> Path:
    """Write structures from dynamics at a temperature with their energies and forces, unless the file is there."""
    if path.exists():
        return path
    walk, longest = (turned_trajectory, TURNED_WALK) if turn else (trajectory, WALK)
    generator, frames, failures = np.random.default_rng(seed), list[Atoms](), 0
    while len(frames) < n:
        start = starts[generator.integers(len(starts))]
        found = walk(Atoms(start.symbols, start.positions), temperature, min(longest, n - len(frames)), generator)
        frames += found
        failures = 0 if found else failures + 1
        if failures == TRIES:
            sys.exit(
                f"{path}: {start.symbols} fell apart {TRIES} times in a row at {temperature} K; lower TEMPERATURES"
            )
        print(f"\r{path}: {len(frames)}/{n} structures", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    unfinished = path.with_suffix(".part.xyz")
    write(unfinished, frames)
    unfinished.rename(path)
    return path


def trajectory(
    atoms: Atoms, temperature: float, n: int, generator: np.random.Generator, *, relax: bool = False
) -> list[Atoms]:
    """Return labelled structures of one trajectory, the start relaxed a little if asked for."""
    from tblite.ase import TBLite

    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    if relax:
        BFGS(atoms, logfile=None).run(fmax=0.5, steps=30)
    dynamics = langevin(atoms, temperature, 1.0, 20.0, generator)
    dynamics.run(500)
    frames = []
    for _ in range(n):
        dynamics.run(25)
        frame = atoms.copy()
        frame.calc = SinglePointCalculator(frame, energy=atoms.get_potential_energy(), forces=atoms.get_forces().copy())
        frames.append(frame)
    return frames


def turned_trajectory(atoms: Atoms, temperature: float, n: int, generator: np.random.Generator) -> list[Atoms]:
    """Return the same of one that starts with turned bonds; nothing if a bond broke."""
    found = trajectory(turned(atoms, generator), temperature, n, generator, relax=True)
    return found if all(holds_together(frame, atoms) for frame in found) else []


def turned(atoms: Atoms, generator: np.random.Generator) -> Atoms:
    """Return the molecule with one side of every bond between two parts of at least three atoms turned about it."""
    bonds = bonded(atoms)
    far = shortest_path(bonds, unweighted=True) > 2
    turnable = list(turnable_bonds(bonds))
    for _ in range(TRIES):
        new = atoms.copy()
        for i, j, beyond in turnable:
            side = new[beyond]
            axis = new.positions[j] - new.positions[i]
            side.rotate(generator.uniform(0, 360), axis, center=new.positions[j])
            new.positions[beyond] = side.positions
        if new.get_all_distances()[far].min(initial=np.inf) > CLOSEST:
            return new
    sys.exit(f"{atoms.symbols}: bonds turned at random {TRIES} times, atoms always closer than {CLOSEST} Å")


def turnable_bonds(bonds: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Give i, j of every bond between two parts of at least three atoms, and the atoms on the side of j."""
    for i, j in np.argwhere(np.triu(bonds)):
        cut = bonds.copy()
        cut[i, j] = cut[j, i] = False
        n_parts, part = connected_components(cut)
        sizes = np.bincount(part)
        if n_parts > 1 and min(sizes[part[i]], sizes[part[j]]) >= 3:
            yield int(i), int(j), np.flatnonzero(part == part[j])


def holds_together(atoms: Atoms, start: Atoms) -> bool:
    """Whether all bonds of the start are still there."""
    return bool(atoms.get_all_distances()[bonded(start)].max() < LONGEST)


def bonded(atoms: Atoms) -> np.ndarray:
    """Return which pairs of atoms are bonded, shape (N, N)."""
    one_way = Analysis(atoms).adjacency_matrix[0].toarray().astype(bool)
    return (one_way | one_way.T) & ~np.eye(len(atoms), dtype=bool)


if __name__ == "__main__":
    main()

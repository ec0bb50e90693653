"""Does molecular dynamics with a potential stay sane?  Errors on test structures cannot tell.

python scripts/stability.py --model model.nnpot --start molecule.xyz --temperature 300 --picoseconds 100

Runs Langevin dynamics and looks every 0.1 ps at the closest contact, the largest force, the temperature and the bonds
of molecules.  Exit code 0 if all of them stay within bounds to the end, else 1 and the reason.
"""

import json
import sys
import time
from pathlib import Path

import jsonargparse
import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.io import read, write

from nnpot import NNPotCalculator, Structure
from nnpot.machine.files import write_atomically
from nnpot.neighbors import neighbor_pairs
from nnpot.simulation import langevin
from nnpot.torch_compile import Compilation


def contacts(atoms: Atoms, reach: float) -> dict[tuple[int, int], float]:
    """Return distances to the nearest image, relative to the sum of the covalent radii, of pairs within `reach`."""
    radii = covalent_radii[atoms.numbers]
    structure = Structure.from_ase(atoms)
    pairs = neighbor_pairs(structure, 2 * reach * float(radii.max()))
    i, j = pairs.i.numpy(), pairs.j.numpy()
    ratio = pairs.vectors(structure.positions, structure.cell).norm(dim=1).numpy() / (radii[i] + radii[j])
    order = np.argsort(-ratio)  # of several images the nearest comes last and stays
    found = zip(i[order].tolist(), j[order].tolist(), ratio[order].tolist(), strict=True)
    return {(first, second): r for first, second, r in found if r < reach}


def complaint(atoms: Atoms, temperature: float, bonds: set[tuple[int, int]]) -> str:
    """Return what is wrong with the present state, or nothing."""
    largest = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
    kelvin = float(atoms.get_temperature())
    if not np.isfinite(largest) or largest > 100:
        return f"a force of {largest:.3g} eV/Å"
    now = contacts(atoms, reach=1.8)
    closest = min(now.values(), default=np.inf)
    if closest < 0.5:
        return f"two atoms at {closest:.2f} of the sum of their covalent radii"
    if not kelvin < temperature * (1 + 10 / np.sqrt(len(atoms))):
        return f"a temperature of {kelvin:.0f} K"
    for i, j in sorted(bonds - now.keys()):
        return f"the bond {atoms.symbols[i]}{i}–{atoms.symbols[j]}{j} is broken"
    return ""


def stability(
    model: Path,
    start: Path,
    temperature: float,
    picoseconds: float = 100.0,
    timestep_fs: float = 1.0,
    friction_per_ps: float = 2.0,
    out: Path | None = None,
    device: str = "cpu",
    seed: int = 0,
    compile: Compilation = "auto",
) -> bool:
    """Run NVT dynamics and watch it.

    Args:
        model: Model file.
        start: Structure to start from; the first frame is taken.  Without periodicity its bonds must stay.
        temperature: In K.
        picoseconds: How long.
        timestep_fs: In fs.
        friction_per_ps: Langevin friction in 1/ps.
        out: Folder for `stability.json` and `last.xyz`, written on the way: what was reached, and a structure.
        device: `cpu` or `cuda`.
        seed: Of the momenta and the random forces.
        compile: Whether to compile what no C++ kernel calculates: `on`, `off`, or `auto` for in long runs.

    Returns:
        Whether nothing was wrong until the end.
    """
    atoms = read(start, 0)
    generator = np.random.default_rng(seed)
    atoms.calc = NNPotCalculator(model, device=device, compile=compile)
    dynamics = langevin(atoms, temperature, timestep_fs, friction_per_ps, generator)
    bonds = set() if atoms.pbc.any() else set(contacts(atoms, reach=1.3))
    every = max(1, round(100 / timestep_fs))
    n_looks = max(1, round(1000 * picoseconds / timestep_fs / every))
    temperatures, wrong, look, started = [], "", 0, time.perf_counter()
    while look < n_looks and not wrong:
        dynamics.run(every)
        look += 1
        wrong = complaint(atoms, temperature, bonds)
        temperatures.append(float(atoms.get_temperature()))
        result = {
            "stable": not wrong,
            "complaint": wrong,
            "picoseconds": look * every * timestep_fs / 1000,
            "mean_temperature_k": float(np.mean(temperatures)),
            "ms_per_step": 1000 * (time.perf_counter() - started) / (look * every),
            "n_atoms": len(atoms),
        }
        if out is not None:
            write_atomically(out / "stability.json", json.dumps(result, indent=1), durable=False)
        if look % max(1, n_looks // 20) == 0 or wrong:
            if out is not None:
                write(out / "last.xyz", atoms)
            reached = look * every * timestep_fs / 1000
            energy = atoms.get_potential_energy() / len(atoms)
            print(f"{reached:8.1f} ps  {temperatures[-1]:7.0f} K  {energy:12.5f} eV/atom  {wrong}", flush=True)
    print(json.dumps(result))
    return not wrong


if __name__ == "__main__":
    sys.exit(0 if jsonargparse.auto_cli(stability, as_positional=False) else 1)

"""Write files in the form of VASP's OUTCAR, filled with energies, forces and stresses of EMT: to practise on, no DFT.

python examples/lessons/data/outcars.py FOLDER

Below FOLDER: `calc/NAME/OUTCAR` of silver, palladium, their random alloy and the alloy with a vacancy, at three
temperatures; among them `AgPd-old`, of another pseudopotential as it were, and `Pd-1200K`, which breaks off; and
`test/AgPd-600K/OUTCAR`.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT

from nnpot.simulation import deformed, langevin

KBAR = 0.1 * units.GPa
FRAMES, STEPS_BETWEEN, TIMESTEP_FS = 10, 20, 2.0
OF_SMEARING = 0.002
"""Made-up energy in eV/atom by which the free energy is below that without smearing: EMT has no electrons."""

OLD = 0.35
"""Made-up shift of the energy in eV/atom, as another pseudopotential brings."""

_CHUNK = """\
--------------------------------------- Iteration {step:6d}(   1)  ---------------------------------------

  FORCE on cell =-STRESS in cart. coord.  units (eV):
  Direction    XX          YY          ZZ          XY          YZ          ZX
  --------------------------------------------------------------------------------------
  in kB     {stress}
  external pressure = {pressure:11.2f} kB  Pullay stress =        0.00 kB

 VOLUME and BASIS-vectors are now :
 -----------------------------------------------------------------------------
  volume of cell :   {volume:12.2f}
      direct lattice vectors                 reciprocal lattice vectors
{lattice}

 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
{atoms}
 -----------------------------------------------------------------------------------
    total drift:                                0.000000      0.000000      0.000000

  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  = {free:18.8f} eV

  energy  without entropy= {without:17.8f}  energy(sigma->0) = {extrapolated:17.8f}

"""


def outcar(frames: Sequence[Atoms], *, shift: float = 0.0, is_complete: bool = True) -> str:
    """Return the text of an OUTCAR.

    Args:
        frames: Of one cell, atoms in the order of their elements, with a calculator.
        shift: Added to the energies, in eV/atom.
        is_complete: Whether the calculation has ended by itself; otherwise the last frame is cut off.
    """
    symbols = list(dict.fromkeys(frames[0].symbols))
    counts = [frames[0].symbols.count(symbol) for symbol in symbols]
    potcars = "".join(f" POTCAR:    PAW_PBE {symbol} 02Apr2005\n" for symbol in symbols)
    head = f" vasp.5.4.4 (made up: labels of EMT)\n{2 * potcars}   ISPIN  =      1    spin polarized calculation?\n"
    head += f"   ions per type =          {' '.join(f'{n:4d}' for n in counts)}\n\n"
    chunks = [_chunk(k + 1, atoms, shift) for k, atoms in enumerate(frames)]
    if not is_complete:
        return head + "".join(chunks)[: -len(chunks[-1]) // 2]
    return head + "".join(chunks) + "\n General timing and accounting informations for this job:\n"


def _chunk(step: int, atoms: Atoms, shift: float) -> str:
    """One ionic step."""
    xx, yy, zz, yz, xz, xy = -atoms.get_stress() / KBAR  # VASP writes −σ, in its own order
    rows = np.hstack([atoms.positions, atoms.get_forces()])
    energy = atoms.get_potential_energy() + len(atoms) * shift
    smearing = len(atoms) * OF_SMEARING
    return _CHUNK.format(
        step=step,
        stress="".join(f"{x:12.5f}" for x in (xx, yy, zz, xy, yz, xz)),
        pressure=(xx + yy + zz) / 3,
        volume=atoms.get_volume(),
        lattice="\n".join(
            "    " + "".join(f"{x:13.9f}" for x in (*a, *b))
            for a, b in zip(atoms.cell.array, atoms.cell.reciprocal().array, strict=True)
        ),
        atoms="\n".join("".join(f"{x:13.5f}" for x in r[:3]) + "".join(f"{x:14.6f}" for x in r[3:]) for r in rows),
        free=energy,
        without=energy + 2 * smearing,
        extrapolated=energy + smearing,
    )


def crystals() -> dict[str, Atoms]:
    """Cells of 31 or 32 atoms, sorted by element as VASP has them."""
    found = {}
    for name, a, n_palladium in (("Ag", 4.06, 0), ("Pd", 3.88, 32), ("AgPd", 3.97, 16)):
        atoms = bulk("Ag", cubic=True, a=a).repeat((2, 2, 2))
        chosen = np.random.default_rng(0).permutation(32)[:n_palladium]
        atoms.symbols[chosen] = "Pd"
        found[name] = atoms[np.argsort(atoms.symbols == "Pd", kind="stable")]
    found["vacancy"] = found["AgPd"].copy()
    del found["vacancy"][5]
    return found


def snapshots(atoms: Atoms, temperature: float, strain: float, n: int, seed: int) -> Iterator[Atoms]:
    """Yield frames of dynamics with EMT, as an MD run of VASP writes them."""
    moving = deformed(atoms, (1 + strain) * np.eye(3))
    moving.calc = EMT()
    dynamics = langevin(moving, temperature, TIMESTEP_FS, 20.0, np.random.default_rng(seed))
    for _ in range(n):
        dynamics.run(STEPS_BETWEEN)
        frame = moving.copy()
        frame.calc = EMT()
        yield frame


def main(folder: Path) -> None:
    """Write all files."""
    cases = [
        (f"calc/{name}-{temperature}K", name, temperature, strain, {})
        for name in ("Ag", "Pd", "AgPd", "vacancy")
        for temperature, strain in ((300, 0.0), (800, 0.03), (1200, -0.02))
    ]
    cases = [(*case[:4], {"is_complete": False} if case[0] == "calc/Pd-1200K" else {}) for case in cases]
    cases += [("calc/AgPd-old", "AgPd", 300, 0.0, {"shift": OLD}), ("test/AgPd-600K", "AgPd", 600, 0.01, {})]
    of = crystals()
    for seed, (place, name, temperature, strain, more) in enumerate(cases):
        (folder / place).mkdir(parents=True, exist_ok=True)
        n = 3 if place == "calc/AgPd-old" else FRAMES
        frames = list(snapshots(of[name], temperature, strain, n, seed))
        (folder / place / "OUTCAR").write_text(outcar(frames, **more), encoding="utf-8")
    print(f"{len(cases)} files OUTCAR below {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

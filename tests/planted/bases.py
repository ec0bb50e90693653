"""Labelled sets of analytic physics: metals, alloys, a salt, molecules and liquids, small and large.

Every set is made once; `frames` hands out copies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from ase import Atoms, units
from ase.build import bulk, fcc111, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cluster import Octahedron
from ase.data import covalent_radii

from planted.force_field import ForceField, Species, Topology

ALL_ELECTRON = {"H": -13.6, "C": -1029.8, "N": -1485.3, "O": -2042.0}
"""Energies of free atoms as all-electron programs count them, in eV."""

SPECIES = {
    "H": Species(0.0005, 1.6, 0.41),
    "O": Species(0.0067, 3.166, -0.82),
    "C": Species(0.003, 3.3),
    "N": Species(0.004, 3.2),
}
SALT = {"Mg": Species(0.005, 2.2, 1.2), "O": Species(0.01, 2.6, -1.2)}


def labelled(atoms: Atoms, calculator: Calculator) -> Atoms:
    """Return a copy with its energy and forces, and with its stress where it is periodic along all directions."""
    atoms = atoms.copy()
    atoms.info.pop("adsorbate_info", None)
    atoms.calc = calculator
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if all(atoms.pbc):
        results["stress"] = atoms.get_stress()
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def strained(atoms: Atoms, strain: float, rattle: float, rng: np.random.Generator) -> Atoms:
    """Return a copy with a random strain of all six components, and displaced atoms."""
    atoms = atoms.copy()
    deformation = rng.normal(scale=strain, size=(3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + (deformation + deformation.T) / 2), scale_atoms=True)
    atoms.positions += rng.normal(scale=rattle, size=atoms.positions.shape)
    return atoms


def heated(atoms: Atoms, calculator: Calculator, temperature: float, n: int, every: int, seed: int) -> list[Atoms]:
    """Return frames of a short Langevin dynamics at a temperature in K, `every` femtoseconds apart."""
    rng, step, kept = np.random.default_rng(seed), units.fs, np.exp(-0.02)
    masses = atoms.get_masses()[:, None]
    thermal = np.sqrt(units.kB * temperature / masses)
    atoms = atoms.copy()
    atoms.calc = calculator
    velocities, forces = thermal * rng.normal(size=(len(atoms), 3)), atoms.get_forces()
    frames = []
    for k in range(n * every):
        velocities += 0.5 * step * forces / masses
        atoms.positions += step * velocities
        velocities = kept * velocities + np.sqrt(1 - kept**2) * thermal * rng.normal(size=velocities.shape)
        forces = atoms.get_forces()
        velocities += 0.5 * step * forces / masses
        if k % every == every - 1:
            frames.append(atoms.copy())
    return frames


def mixed(symbols: Sequence[str], shape: tuple[int, int, int], rng: np.random.Generator) -> Atoms:
    """Return a random fcc alloy of two metals, its lattice constant between theirs."""
    share = rng.random()
    a = (1 - share) * LATTICE[symbols[0]] + share * LATTICE[symbols[1]]
    atoms = bulk(symbols[0], cubic=True, a=a).repeat(shape)
    atoms.symbols[rng.random(len(atoms)) < share] = symbols[1]
    return atoms


LATTICE = {"Cu": 3.61, "Au": 4.08, "Ni": 3.52, "Pt": 3.92, "Al": 4.05, "Ag": 4.09, "Pd": 3.89}


def metallic(_: Atoms) -> Calculator:
    """Return the effective-medium theory."""
    return EMT()


def alloys(n: int, symbols: tuple[str, str], shapes: list[tuple[int, int, int]], seed: int) -> list[Atoms]:
    """Return n strained, displaced alloys of several compositions."""
    rng = np.random.default_rng(seed)
    return [labelled(strained(mixed(symbols, shapes[k % len(shapes)], rng), 0.03, 0.1, rng), EMT()) for k in range(n)]


def aluminium() -> list[Atoms]:
    """Return bulk, slabs and clusters of one method."""
    rng = np.random.default_rng(3)
    frames = [strained(bulk("Al", cubic=True).repeat((2, 1, 1)), 0.03, 0.08, rng) for _ in range(16)]
    for k in range(16):
        slab = fcc111("Al", (1 + k % 2, 2, 4), vacuum=6.0)
        slab.pbc = (True, True, False)
        cluster = Octahedron("Al", 3, cutoff=k % 2)
        frames += [strained(slab, 0.0, 0.08, rng), strained(cluster, 0.0, 0.08, rng)]
    for frame in frames:
        frame.info["config_type"] = {3: "bulk", 2: "slab", 0: "cluster"}[int(frame.pbc.sum())]
    return [labelled(frame, EMT()) for frame in frames]


def silver() -> list[Atoms]:
    """Return what is often calculated of a metal: one strain each, dynamics, surfaces."""
    rng, crystal = np.random.default_rng(23), bulk("Ag", cubic=True)
    frames = []
    for size in (-0.02, 0.02):
        for row, column in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
            strain = np.zeros((3, 3))
            strain[row, column] = strain[column, row] = size
            atoms = crystal.copy()
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            frames.append(atoms)
    frames += heated(crystal, EMT(), 900.0, 24, 10, 24)
    for k in range(8):
        slab = fcc111("Ag", (1, 1 + k % 2, 3), vacuum=6.0)
        slab.pbc = True
        frames.append(strained(slab, 0.0, 0.05, rng))
    return [labelled(atoms, EMT()) for atoms in frames]


def argon_forces(_: Atoms) -> Calculator:
    """Return Lennard-Jones for argon, smooth at its cutoff."""
    return LennardJones(epsilon=0.0103, sigma=3.4, rc=6.8, ro=5.0, smooth=True)


def argon() -> list[Atoms]:
    """Return liquid argon."""
    start = bulk("Ar", cubic=True, a=5.5).repeat((2, 2, 2))
    start.rattle(0.3, seed=1)
    return [labelled(atoms, argon_forces(atoms)) for atoms in heated(start, argon_forces(start), 120.0, 30, 8, 1)]


@cache
def resting(name: str) -> tuple[Atoms, Topology]:
    """Return a molecule of ASE's collection with its bonds."""
    atoms = molecule(name)
    reach = 1.25 * (covalent_radii[atoms.numbers][:, None] + covalent_radii[atoms.numbers])
    near = np.argwhere(np.triu(atoms.get_all_distances() < reach, k=1))
    return atoms, Topology.of([(int(i), int(j)) for i, j in near], atoms)


def molecular(atoms: Atoms) -> ForceField:
    """Return the force field of the molecule that `config_type` names."""
    return ForceField(SPECIES, resting(atoms.info["config_type"])[1], atomic_energies=ALL_ELECTRON, cutoff=9.0)


MOLECULES = ("H2O", "CH4", "NH3", "CH3OH", "CH3CH2OH", "C2H6", "N2H4", "H2O2", "C2H4")


def molecules() -> list[Atoms]:
    """Return hot molecules of several kinds, turned at random, without a cell."""
    frames = []
    for seed, name in enumerate(MOLECULES):
        start = resting(name)[0].copy()
        start.info["config_type"] = name
        frames += heated(start, molecular(start), 1200.0, 8, 12, seed)
    return [labelled(atoms, molecular(atoms)) for atoms in turned(frames, 0)]


def ethanol() -> list[Atoms]:
    """Return a long trajectory of one molecule."""
    start = resting("CH3CH2OH")[0].copy()
    start.info["config_type"] = "CH3CH2OH"
    return [labelled(atoms, molecular(atoms)) for atoms in heated(start, molecular(start), 500.0, 200, 8, 5)]


def turned(frames: Sequence[Atoms], seed: int) -> list[Atoms]:
    """Return the structures turned at random, each by another angle."""
    rng = np.random.default_rng(seed)
    result = []
    for atoms in frames:
        atoms = atoms.copy()
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        rotation *= np.linalg.det(rotation)
        atoms.positions = atoms.positions @ rotation.T
        result.append(atoms)
    return result


def aqueous(atoms: Atoms) -> ForceField:
    """Return the force field of water molecules, each O H H."""
    topology = resting("H2O")[1].copies(len(atoms) // 3, 3)
    return ForceField(SPECIES, topology, atomic_energies={"O": -432.0, "H": -13.0})


def water_box(n: int, seed: int) -> Atoms:
    """Return n³ water molecules on a lattice, each turned, at the density of the liquid."""
    a, single = 3.104, resting("H2O")[0]
    box = Atoms(cell=[n * a] * 3, pbc=True)
    for k, atoms in enumerate(turned([single] * n**3, seed)):
        atoms.positions += a * np.array([k // n**2, k // n % n, k % n])
        box += atoms
    return box


def water() -> list[Atoms]:
    """Return liquid water, and single molecules of the same force field in free space."""
    box = water_box(2, 1)
    frames = heated(box, aqueous(box), 350.0, 36, 16, 2)[6:]
    return [labelled(atoms, aqueous(atoms)) for atoms in frames]


def salty(_: Atoms) -> ForceField:
    """Return the force field of magnesium oxide."""
    return ForceField(SALT, atomic_energies={"Mg": -10.0, "O": -430.0}, cutoff=6.0)


def rocksalt() -> list[Atoms]:
    """Return strained crystals of one composition."""
    rng = np.random.default_rng(7)
    crystal = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    return [labelled(strained(crystal, 0.03, 0.06, rng), salty(crystal)) for _ in range(40)]


@dataclass(frozen=True)
class Base:
    """A set of structures with its physics."""

    make: Callable[[], list[Atoms]]
    calculator: Callable[[Atoms], Calculator]


BASES = {
    "alloy": Base(lambda: alloys(30, ("Cu", "Au"), [(2, 1, 1)], 1), metallic),
    "large alloy": Base(lambda: alloys(200, ("Ni", "Pt"), [(1, 1, 1), (2, 1, 1), (1, 1, 1)], 2), metallic),
    "aluminium": Base(aluminium, metallic),
    "silver": Base(silver, metallic),
    "argon": Base(argon, argon_forces),
    "molecules": Base(molecules, molecular),
    "ethanol": Base(ethanol, molecular),
    "water": Base(water, aqueous),
    "rocksalt": Base(rocksalt, salty),
}


@cache
def _made(name: str) -> list[Atoms]:
    return BASES[name].make()


def frames(name: str) -> list[Atoms]:
    """Return copies of the structures of a set, with their labels."""
    return [with_labels(atoms) for atoms in _made(name)]


def with_labels(atoms: Atoms, **labels: object) -> Atoms:
    """Return a copy with its labels, some of them replaced; None removes one."""
    return attached(atoms.copy(), **{**({} if atoms.calc is None else atoms.calc.results), **labels})


def attached(atoms: Atoms, **labels: object) -> Atoms:
    """Label a structure; None stands for no label."""
    kept = {name: value for name, value in labels.items() if value is not None}
    atoms.calc = SinglePointCalculator(atoms, **kept) if kept else None
    return atoms

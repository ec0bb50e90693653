"""Sets of right physics that look like faults: every function returns labelled structures."""

from functools import cache

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.cluster import Octahedron

from planted.bases import (
    ALL_ELECTRON,
    SPECIES,
    alloys,
    aqueous,
    argon_forces,
    attached,
    frames,
    heated,
    labelled,
    mixed,
    molecular,
    resting,
    strained,
    turned,
    water_box,
    with_labels,
)
from planted.force_field import ForceField


def emt(structures: list[Atoms]) -> list[Atoms]:
    """Label metals."""
    return [labelled(atoms, EMT()) for atoms in structures]


def with_atomic_energies(structures: list[Atoms], energies: dict[str, float]) -> list[Atoms]:
    """Count the energies of the free atoms in, as another program of the same method does."""
    return [
        with_labels(atoms, energy=atoms.calc.results["energy"] + sum(energies[s] for s in atoms.symbols))
        for atoms in structures
    ]


def crystals(
    strain: float = 0.0, rattle: float = 0.0, *, diagonal: bool = False, hydrostatic: float = 0.0, n: int = 30
) -> list[Atoms]:
    """Return Cu–Au alloys with strains of a kind: of all components, of three, or of the volume alone."""
    rng, result = np.random.default_rng(21), []
    for _ in range(n):
        atoms = mixed(("Cu", "Au"), (2, 1, 1), rng)
        stretch = 1 + hydrostatic * rng.uniform(-1, 1) + (rng.normal(scale=0.03, size=3) if diagonal else np.zeros(3))
        atoms.set_cell(atoms.cell.array * stretch, scale_atoms=True)
        result.append(strained(atoms, strain, rattle, rng))
    return emt(result)


def perfect() -> list[Atoms]:
    """Return undistorted crystals and free atoms: all forces are zero by symmetry."""
    result = [bulk(s, cubic=True, a=a * k) for s, a in (("Cu", 3.6), ("Au", 4.1)) for k in np.linspace(0.94, 1.06, 7)]
    for k in np.linspace(0.95, 1.05, 5):
        ordered = bulk("Cu", cubic=True, a=3.75 * k)
        ordered.symbols[0] = "Au"
        result.append(ordered)
    return emt([*result, Atoms("Cu"), Atoms("Au")])


def with_perfect() -> list[Atoms]:
    """Return distorted crystals, and a few whose forces are zero by symmetry."""
    return crystals(0.02, 0.1) + emt([bulk("Cu", cubic=True, a=a) for a in (3.5, 3.6, 3.7)])


def soft_metal() -> list[Atoms]:
    """Return a metal of soft bonds, some of them far shorter than others: the tail of what heat does."""
    rng = np.random.default_rng(22)
    crystal, bonds = (
        bulk("W", cubic=True).repeat(2),
        LennardJones(epsilon=0.05, sigma=2.45, rc=6.0, ro=4.5, smooth=True),
    )
    return [labelled(strained(crystal, 0.02, 0.15, rng), bonds) for _ in range(30)]


def with_dimers() -> list[Atoms]:
    """Return alloys, dimers at all distances, and free atoms."""
    dimers = [Atoms(pair, [[0, 0, 0], [0, 0, r]]) for pair in ("CuCu", "CuAu", "AuAu") for r in np.linspace(2.1, 5, 8)]
    return frames("alloy") + frames("aluminium")[1::2] + emt([*dimers, *(Atoms(s) for s in ("Cu", "Au", "Al"))])


def soft(temperature: float = 20.0) -> list[Atoms]:
    """Return molecules near rest: their energies differ by some meV."""
    start = resting("CH3OH")[0].copy()
    start.info["config_type"] = "CH3OH"
    return [labelled(a, molecular(a)) for a in heated(start, molecular(start), temperature, 40, 10, 4)]


@cache
def hot() -> list[Atoms]:
    """Return nickel near melting, with large forces."""
    start = bulk("Ni", cubic=True).repeat((2, 2, 1))
    return emt(heated(start, EMT(), 3500.0, 30, 10, 6))


def squeezed_outlier() -> list[Atoms]:
    """Return alloys, one of them squeezed by a tenth of its lengths, its labels right."""
    structures = [atoms.copy() for atoms in frames("alloy")]
    structures[11].set_cell(structures[11].cell.array * 0.9, scale_atoms=True)
    return emt(structures)


def hydrogen() -> list[Atoms]:
    """Return H2 around its short bond, and water with a squeezed one."""
    result = []
    for k in range(30):
        name = ("H2", "H2O")[k % 2]
        atoms = resting(name)[0].copy()
        atoms.info["config_type"] = name
        atoms.set_distance(0, 1, atoms.get_distance(0, 1) * (0.92 + 0.01 * k), fix=0)
        result.append(atoms)
    return turned_with_labels(result)


def turned_with_labels(structures: list[Atoms]) -> list[Atoms]:
    """Turn molecules at random and label them anew."""
    return [labelled(atoms, molecular(atoms)) for atoms in turned(structures, 8)]


@cache
def trajectory() -> list[Atoms]:
    """Return steps of a dynamics of aluminium, about 0.1 Å apart."""
    return emt(heated(bulk("Al", cubic=True).repeat((2, 1, 1)), EMT(), 900.0, 40, 12, 9))


def copies_under_strain() -> list[Atoms]:
    """Return one crystal under small strains, as elastic constants are calculated."""
    result = []
    for component in range(6):
        for size in (-0.01, -0.005, 0.005, 0.01):
            strain = np.zeros((3, 3))
            row, column = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))[component]
            strain[row, column] += size / 2
            strain[column, row] += size / 2
            atoms = bulk("Cu", cubic=True)
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            result.append(atoms)
    return emt(result)


def gas_and_liquid(box: float = 0.0) -> list[Atoms]:
    """Return liquid water and single molecules of the same method, free or in a large periodic box."""
    gas = []
    start = resting("H2O")[0].copy()
    for atoms in turned(heated(start, aqueous(start), 350.0, 8, 12, 3), 3):
        if box:
            atoms.set_cell([box] * 3)
            atoms.center()
            atoms.pbc = True
        gas.append(labelled(atoms, aqueous(atoms)))
    return frames("water") + gas


def boxed_clusters() -> list[Atoms]:
    """Return clusters in a box that means nothing: without periodicity."""
    rng, result = np.random.default_rng(12), []
    for k in range(30):
        atoms = Octahedron("Cu", 3, cutoff=k % 2)
        atoms.symbols[k % 5] = "Au"
        atoms.center(vacuum=3.0)
        atoms.pbc = False
        result.append(strained(atoms, 0.0, 0.1, rng))
    return emt(result)


def slabs(n: int = 30) -> list[Atoms]:
    """Return copper slabs, periodic along two directions."""
    rng, result = np.random.default_rng(13), []
    for k in range(n):
        atoms = fcc111("Cu", (2, 2, 3), vacuum=7.0, a=3.55 + 0.01 * (k % 10))
        atoms.pbc = (True, True, False)
        result.append(strained(atoms, 0.0, 0.08, rng))
    return emt(result)


def porous() -> list[Atoms]:
    """Return crystals with a large hole."""
    rng, result = np.random.default_rng(14), []
    for _ in range(24):
        atoms = bulk("Al", cubic=True).repeat((3, 3, 3))
        middle = atoms.cell.array.sum(0) / 2
        del atoms[[a.index for a in atoms if np.linalg.norm(a.position - middle) < 4.6]]
        result.append(strained(atoms, 0.02, 0.08, rng))
    return emt(result)


def dissociation() -> list[Atoms]:
    """Return molecules in all stages of losing an atom, and the free atoms."""
    result = []
    for k in range(30):
        atoms = resting("CH4")[0].copy()
        atoms.info["config_type"] = "CH4"
        atoms.set_distance(0, 1, 0.8 + 0.18 * k, fix=0)
        result.append(atoms)
    free = [Atoms(s) for s in ("C", "H")]
    field = ForceField(SPECIES, atomic_energies=ALL_ELECTRON)
    return turned_with_labels(result) + [labelled(atoms, field) for atoms in free]


def with_free_atoms(symbols: str = "CuCuCuAu") -> list[Atoms]:
    """Return alloys and free atoms, the same one several times, every one a frame of its own."""
    return frames("alloy") + emt([Atoms(s) for s in Atoms(symbols).symbols])


def primitive() -> list[Atoms]:
    """Return strained cells of a single atom."""
    rng = np.random.default_rng(15)
    return emt([strained(bulk(s), 0.04, 0.0, rng) for s in ("Cu", "Au") for _ in range(15)])


def monolayers() -> list[Atoms]:
    """Return single layers with a vacuum, in cells that are periodic along all directions."""
    rng, result = np.random.default_rng(16), []
    for _ in range(30):
        atoms = fcc111("Cu", (2, 2, 1), vacuum=8.0)
        atoms.pbc = True
        result.append(strained(atoms, 0.02, 0.06, rng))
    return emt(result)


def skewed() -> list[Atoms]:
    """Return the alloys in very skew cells of the same crystals."""
    result = []
    for atoms in frames("alloy"):
        cell = atoms.cell.array
        skew = attached(atoms.copy(), **atoms.calc.results)
        skew.set_cell([cell[0], cell[1] + 2 * cell[0], cell[2] - 3 * cell[0] + 2 * cell[1]])
        result.append(with_labels(skew, **atoms.calc.results))
    return result


def over_a_wall() -> list[Atoms]:
    """Return argon over a wall that is no part of the structures: the forces need not sum to zero."""
    rng, result = np.random.default_rng(17), []
    for _ in range(30):
        atoms = bulk("Ar", cubic=True, a=5.4).repeat((2, 2, 1))
        atoms.pbc = (True, True, False)
        atoms.positions += rng.normal([0.0, 0.0, 3.2], 0.2, size=atoms.positions.shape)
        plain = labelled(atoms, argon_forces(atoms)).calc.results
        z, depth = atoms.positions[:, 2], 0.02
        wall = depth * ((3.0 / z) ** 9 - (3.0 / z) ** 3)
        push = depth * (9 * (3.0 / z) ** 9 - 3 * (3.0 / z) ** 3) / z
        forces = plain["forces"] + push[:, None] * [0.0, 0.0, 1.0]
        result.append(attached(atoms, energy=plain["energy"] + wall.sum(), forces=forces))
    return result


def antisites() -> list[Atoms]:
    """Return an ordered alloy with exchanged atoms in every fifth structure."""
    rng, result = np.random.default_rng(18), []
    for k in range(40):
        atoms = bulk("Cu", cubic=True, a=3.75).repeat((2, 1, 1))
        atoms.symbols[[0, 4]] = "Au"
        if k % 5 == 0:
            atoms.symbols[[0, 1]] = "Cu", "Au"
        result.append(strained(atoms, 0.02, 0.08, rng))
    return emt(result)


def dilute(n: int = 6) -> list[Atoms]:
    """Return copper with one gold atom in n of 40 structures."""
    rng, result = np.random.default_rng(19), []
    for k in range(40):
        atoms = bulk("Cu", cubic=True).repeat((2, 2, 1))
        if k % 40 < n:
            atoms.symbols[3] = "Au"
        result.append(strained(atoms, 0.02, 0.08, rng))
    return emt(result)


def repeated(noise: float) -> list[Atoms]:
    """Return alloys, three of them calculated twice, their energies equal but for noise in eV."""
    structures = frames("alloy")
    again = [
        with_labels(a, energy=a.calc.results["energy"] + s * noise)
        for a, s in zip(structures[:3], (1, -1, 1), strict=True)
    ]
    return structures + again


def some_unlabelled() -> list[Atoms]:
    """Return alloys, some without stress and a few without forces: no wrong label among them."""
    structures = frames("alloy")
    for k in range(0, 30, 3):
        structures[k] = with_labels(structures[k], stress=None)
    for k in (4, 17):
        structures[k] = with_labels(structures[k], forces=None)
    return structures


@cache
def _large_water() -> tuple[Atoms, ...]:
    box = water_box(4, 5)
    return tuple(heated(box, aqueous(box), 350.0, 10, 10, 11)[4:])


def large_cells() -> list[Atoms]:
    """Return water in boxes of 12 Å, larger than twice a cutoff."""
    return [labelled(atoms, aqueous(atoms)) for atoms in _large_water()]


def several_sizes_of_one_method() -> list[Atoms]:
    """Return alloys of 4 to 16 atoms."""
    return alloys(40, ("Ag", "Pd"), [(1, 1, 1), (2, 1, 1), (2, 2, 1)], 31)


def relaxations(symbols: tuple[str, str], lattice: tuple[float, float], n: int, seed: int) -> list[Atoms]:
    """Return two steps from each of n strained and rattled alloys of 8 or 16 atoms towards the minimum.

    Args:
        symbols: The two elements.
        lattice: Their lattice constants in Å; an alloy is of one in between.
        n: Number of alloys.
        seed: Of strains and places.
    """
    rng, steps = np.random.default_rng(seed), []
    for k in range(n):
        share = (k % 5) / 4
        atoms = bulk("Cu", cubic=True, a=lattice[0] * (1 - share) + lattice[1] * share)
        atoms = atoms.repeat((2, 2, 1) if k % 3 else (2, 1, 1))
        others = rng.permutation(len(atoms))[: int(share * len(atoms))]
        atoms.symbols[:] = [symbols[i in others] for i in range(len(atoms))]
        strain = rng.normal(0, 0.02, (3, 3))
        strain = (strain + strain.T) / 2 + np.eye(3) * rng.uniform(-0.04, 0.05)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.05 + 0.1 * (k % 4) / 3, (len(atoms), 3))
        for _ in range(2):
            steps.append(labelled(atoms.copy(), EMT()))
            atoms.positions += np.clip(0.05 * steps[-1].calc.results["forces"], -0.08, 0.08)
    return steps

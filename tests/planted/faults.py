"""What goes wrong between a program and a data set, as changes of labelled structures."""

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms, units
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from planted.bases import attached, with_labels

Change = Callable[[Atoms], Atoms]
Fault = Callable[[list[Atoms]], list[Atoms]]

HARTREE, RYDBERG, BOHR = units.Hartree, units.Rydberg, units.Bohr
KCAL, KJ = units.kcal / units.mol, units.kJ / units.mol
KBAR = 0.1 * units.GPa


def labels(atoms: Atoms) -> dict[str, object]:
    """Return what a structure is labelled with."""
    return dict(atoms.calc.results) if atoms.calc is not None else {}


def each(change: Change) -> Fault:
    """Change every structure."""
    return lambda frames: [change(atoms) for atoms in frames]


def part(change: Change, which: slice | Sequence[int]) -> Fault:
    """Change some of the structures."""

    def fault(frames: list[Atoms]) -> list[Atoms]:
        chosen = set(np.arange(len(frames))[which])
        return [change(atoms) if k in chosen else atoms for k, atoms in enumerate(frames)]

    return fault


def edited(edit: Callable[[Atoms], None]) -> Change:
    """Edit a copy of the geometry and keep the labels."""

    def change(atoms: Atoms) -> Atoms:
        copy = atoms.copy()
        edit(copy)
        return attached(copy, **labels(atoms))

    return change


def seeded(change: Callable[[Atoms, np.random.Generator], Atoms], seed: int = 0) -> Change:
    """Give a change its own random numbers, the same at every run."""

    def changed(atoms: Atoms) -> Atoms:
        digits = int(abs(atoms.positions).sum() * 1e6)
        return change(atoms, np.random.default_rng([seed, digits]))

    return changed


# units ----------------------------------------------------------------------------------------------------------------


def scaled(energy: float = 1.0, forces: float = 1.0, stress: float = 1.0) -> Change:
    """Multiply labels; labels that are missing stay so."""
    factors = {"energy": energy, "forces": forces, "stress": stress}
    return lambda atoms: with_labels(atoms, **{n: v * factors.get(n, 1.0) for n, v in labels(atoms).items()})


def in_hartree(atoms: Atoms) -> Atoms:
    """Give energies in Ha and forces in Ha/bohr."""
    return scaled(1 / HARTREE, BOHR / HARTREE)(atoms)


@edited
def in_bohr(atoms: Atoms) -> None:
    """Give positions and cell in bohr."""
    atoms.set_cell(atoms.cell.array / BOHR)
    atoms.positions /= BOHR


@edited
def cell_in_bohr(atoms: Atoms) -> None:
    """Give the cell alone in bohr: the atoms stay where they are."""
    atoms.set_cell(atoms.cell.array / BOHR)


def per_atom(atoms: Atoms) -> Atoms:
    """Give the energy per atom."""
    return with_labels(atoms, energy=atoms.calc.results["energy"] / len(atoms))


def kept_as(**names: str) -> Change:
    """Keep labels under other names, and no longer under their own."""

    def change(atoms: Atoms) -> Atoms:
        found = labels(atoms)
        atoms = with_labels(atoms, **dict.fromkeys(names))
        for label, name in names.items():
            (atoms.arrays if label == "forces" else atoms.info)[name] = found[label]
        return atoms

    return change


@edited
def with_other_columns(atoms: Atoms) -> None:
    """Keep numbers that are no labels: velocities, errors, weights."""
    atoms.arrays["velo"] = np.zeros((len(atoms), 3))
    atoms.arrays["force_error"] = np.zeros((len(atoms), 3))
    atoms.info["E_fermi"], atoms.info["energy_weight"], atoms.info["ecut"] = 3.2, 1.0, 500.0


def per_atom_times(n: float) -> Change:
    """Give the energy per formula unit of n atoms."""
    return lambda atoms: with_labels(atoms, energy=n * atoms.calc.results["energy"] / len(atoms))


# forces ---------------------------------------------------------------------------------------------------------------


@seeded
def forces_of_other_atoms(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Shuffle the forces among the atoms."""
    return with_labels(atoms, forces=rng.permutation(atoms.calc.results["forces"]))


def forces_of_next_frame(frames: list[Atoms]) -> list[Atoms]:
    """Give every structure the forces of the next one of as many atoms."""
    result = []
    for k, atoms in enumerate(frames):
        later = [*frames[k + 1 :], *frames[: k + 1]]
        other = next(f for f in later if list(f.numbers) == list(atoms.numbers))
        result.append(with_labels(atoms, forces=other.calc.results["forces"]))
    return result


def forces_zero(atoms: Atoms) -> Atoms:
    """Give no atom a force."""
    return with_labels(atoms, forces=np.zeros((len(atoms), 3)))


def drift(size: float) -> Change:
    """Add the same force to all atoms, along a diagonal, in eV/Å."""
    return lambda atoms: with_labels(atoms, forces=atoms.calc.results["forces"] + size)


def noisy(size: float) -> Change:
    """Add normally distributed noise to the forces, in eV/Å."""
    return seeded(
        lambda atoms, rng: with_labels(
            atoms, forces=atoms.calc.results["forces"] + rng.normal(scale=size, size=(len(atoms), 3))
        )
    )


@seeded
def forces_in_other_frame(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Turn the forces and not the atoms, as a program's standard orientation does."""
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return with_labels(atoms, forces=atoms.calc.results["forces"] @ (rotation * np.linalg.det(rotation)).T)


def bottom_fixed(atoms: Atoms) -> Atoms:
    """Write zero forces for the lowest layer, as programs do for atoms that may not move."""
    forces = atoms.calc.results["forces"].copy()
    forces[atoms.positions[:, 2] < atoms.positions[:, 2].min() + 1.0] = 0.0
    return with_labels(atoms, forces=forces)


# stress ---------------------------------------------------------------------------------------------------------------


def reordered(order: Sequence[int]) -> Change:
    """Give the components of the stress in another order."""
    return lambda atoms: with_labels(atoms, stress=atoms.calc.results["stress"][list(order)])


XY_YZ_ZX, XY_XZ_YZ = (0, 1, 2, 5, 3, 4), (0, 1, 2, 5, 4, 3)
"""Shear of VASP (XX YY ZZ XY YZ ZX) and of LAMMPS (xx yy zz xy xz yz), in terms of Voigt's order."""


def as_vasp(atoms: Atoms) -> Atoms:
    """Give the stress as VASP prints it: in kbar, positive under compression, XX YY ZZ XY YZ ZX."""
    return reordered(XY_YZ_ZX)(scaled(stress=-1 / KBAR)(atoms))


def virial_as_stress(atoms: Atoms) -> Atoms:
    """Give the virial in eV in place of the stress."""
    return scaled(stress=-atoms.get_volume())(atoms)


def asymmetric(size: float) -> Change:
    """Keep 9 numbers, xz and zx apart by a part of the largest."""

    def change(atoms: Atoms) -> Atoms:
        stress = voigt_6_to_full_3x3_stress(atoms.calc.results["stress"])
        stress[0, 2] += size * abs(stress).max()
        stress[1, 0] -= size * abs(stress).max()
        atoms = with_labels(atoms, stress=None)
        atoms.info["stress"] = stress
        return atoms

    return change


def in_volume(atoms: Atoms) -> Atoms:
    """Keep a virial under its own name: no fault."""
    stress = voigt_6_to_full_3x3_stress(atoms.calc.results["stress"])
    atoms = with_labels(atoms, stress=None)
    atoms.info["virial"] = -stress * atoms.get_volume()
    return atoms


# energies -------------------------------------------------------------------------------------------------------------


def shifted(per_atom: float = 0.0, total: float = 0.0) -> Change:
    """Add to the energy, for each atom and once, in eV."""
    return lambda atoms: with_labels(atoms, energy=atoms.calc.results["energy"] + per_atom * len(atoms) + total)


def energy_is(value: float) -> Change:
    """Give every structure the same energy."""
    return lambda atoms: with_labels(atoms, energy=value)


def unconverged(energy: float, force: float) -> Change:
    """Add to the energy, and random numbers of a size to the forces."""

    def change(atoms: Atoms, rng: np.random.Generator) -> Atoms:
        forces = atoms.calc.results["forces"] + rng.uniform(-force, force, size=(len(atoms), 3))
        return with_labels(atoms, energy=atoms.calc.results["energy"] + energy, forces=forces)

    return seeded(change)


def dispersed(strength: float, *, forces: bool = True) -> Change:
    """Add −C₆/(r⁶ + 2.5⁶) of all pairs within 8 Å, to the forces and the stress too or to the energies alone."""
    from vesin import ase_neighbor_list

    def change(atoms: Atoms) -> Atoms:
        i, d, r = ase_neighbor_list("iDd", atoms, 8.0)
        damped, at_cutoff = r**6 + 2.5**6, 8.0**6 + 2.5**6
        energy = -0.5 * strength * (1 / damped - 1 / at_cutoff).sum()
        pulls = (6 * strength * r**4 / damped**2)[:, None] * d
        total = np.zeros((len(atoms), 3))
        np.add.at(total, i, pulls)
        found = labels(atoms)
        found["energy"] += energy
        if forces:
            found["forces"] = found["forces"] + total
            if "stress" in found:
                found["stress"] = found["stress"] + full_3x3_to_voigt_6_stress(0.5 * d.T @ pulls / atoms.get_volume())
        return with_labels(atoms, **found)

    return change


# geometry -------------------------------------------------------------------------------------------------------------


def brought_together(distance: float) -> Change:
    """Move the second atom to a distance from the first, in Å."""

    def edit(atoms: Atoms) -> None:
        atoms.positions[1] = atoms.positions[0] + [0.0, 0.0, distance]

    return edited(edit)


def rattled(size: float) -> Change:
    """Displace the atoms, in Å, and keep the labels."""

    def change(atoms: Atoms, rng: np.random.Generator) -> Atoms:
        copy = atoms.copy()
        copy.positions += rng.normal(scale=size, size=copy.positions.shape)
        return attached(copy, **labels(atoms))

    return seeded(change)


def periodic(*pbc: bool) -> Change:
    """Set the periodicity, and leave out a stress that a structure without a full one cannot have."""

    def change(atoms: Atoms) -> Atoms:
        copy = atoms.copy()
        copy.pbc = pbc
        return attached(copy, **{n: v for n, v in labels(atoms).items() if all(pbc) or n != "stress"})

    return change


def last_moved(by: Sequence[float]) -> Change:
    """Move the last atom, in Å, and keep the labels."""

    def edit(atoms: Atoms) -> None:
        atoms.positions[-1] += by

    return edited(edit)


def all_moved(by: Sequence[float]) -> Change:
    """Move all atoms by the same vector, in Å."""

    def edit(atoms: Atoms) -> None:
        atoms.positions += by

    return edited(edit)


def cell_scaled(factor: float) -> Change:
    """Make the cell and all distances smaller or larger, and keep the labels."""
    return edited(lambda atoms: atoms.set_cell(atoms.cell.array * factor, scale_atoms=True))


def flattened(height: float) -> Change:
    """Lay the third vector of the cell into the plane of the others but for a height in Å."""

    def edit(atoms: Atoms) -> None:
        cell = atoms.cell.array.copy()
        normal = np.cross(cell[0], cell[1])
        cell[2] = 0.5 * (cell[0] + cell[1]) + height * normal / np.linalg.norm(normal)
        atoms.set_cell(cell)

    return edited(edit)


@edited
def fractional(atoms: Atoms) -> None:
    """Give fractional coordinates for positions in Å."""
    atoms.positions = atoms.get_scaled_positions(wrap=False)


def disguised(atoms: Atoms) -> Atoms:
    """Turn, shift and renumber a structure with its labels: the same one for physics, other numbers in the file."""
    rng = np.random.default_rng(len(atoms))
    order = rng.permutation(len(atoms))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.linalg.det(rotation)
    found = labels(atoms)
    found["forces"] = found["forces"][order] @ rotation.T
    if "stress" in found:
        tensor = voigt_6_to_full_3x3_stress(found["stress"])
        found["stress"] = full_3x3_to_voigt_6_stress(rotation @ tensor @ rotation.T)
    other = atoms[order]
    other.positions = other.positions @ rotation.T + [0.7, -1.3, 2.1]
    other.set_cell(other.cell.array @ rotation.T)
    return attached(other, **found)


@edited
def left_handed(atoms: Atoms) -> None:
    """Exchange two vectors of the cell: the same crystal."""
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])


def whole_cells_off(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Move atoms by whole vectors of the cell: the same crystal."""
    copy = atoms.copy()
    copy.positions += rng.integers(-2, 3, size=(len(atoms), 3)) @ atoms.cell.array
    return attached(copy, **labels(atoms))


# elements -------------------------------------------------------------------------------------------------------------


def renamed(symbols: dict[str, str]) -> Change:
    """Give elements other names and keep the labels."""

    def edit(atoms: Atoms) -> None:
        atoms.symbols = [symbols.get(s, s) for s in atoms.symbols]

    return edited(edit)


@seeded
def permuted_symbols(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Shuffle the elements among the atoms: the composition stays."""
    copy = atoms.copy()
    while len(set(atoms.symbols)) > 1 and list(copy.symbols) == list(atoms.symbols):
        copy.symbols = rng.permutation(list(atoms.symbols))
    return attached(copy, **labels(atoms))


@edited
def sorted_symbols(atoms: Atoms) -> None:
    """Sort the symbols by element and not the atoms, as a wrong type map does."""
    atoms.symbols = sorted(atoms.symbols)

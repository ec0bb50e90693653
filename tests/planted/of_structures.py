"""Planted faults of positions, cells, elements and the choice of structures, and their harmless neighbors."""

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT

from planted import faults as f
from planted import harmless as h
from planted.bases import BASES, attached, frames, labelled
from planted.case import Case, harmless, planted, split
from planted.of_labels import HALF, THIRD

Split = tuple[list[Atoms], list[Atoms]]


def doubled(structures: list[Atoms]) -> list[Atoms]:
    """Give every structure twice."""
    return [*structures, *structures]


def relabelled_near(base: str, size: float) -> list[Atoms]:
    """Add structures that differ by small displacements, with labels of their own, as the end of a relaxation does."""
    structures = frames(base)
    near = [f.rattled(size)(atoms) for atoms in structures[:15]]
    return structures + [labelled(atoms, BASES[base].calculator(atoms)) for atoms in near]


def leaking(base: str, n: int, change=lambda atoms: atoms) -> Split:
    """Validate on structures of which n are trained on too, changed or not."""
    structures = frames(base)
    return structures[:-8], [change(atoms) for atoms in structures[:n]] + structures[-8:]


def apart(base: str) -> Split:
    """Split a set without a structure on both sides."""
    structures = frames(base)
    return structures[::2], structures[1::2]


COPIES: list[Case] = [
    *planted(19, "everything twice", ("alloy", "ethanol", "water"), doubled),
    *planted(19, "three structures twice", ("alloy", "molecules"), lambda s: [*s, *s[5:8]], "noted"),
    *harmless(19, "a trajectory", h.trajectory),
    *[
        c
        for base in ("alloy", "ethanol")
        for c in planted(20, "steps of 0.001 Å", base, lambda _, base=base: relabelled_near(base, 1e-3), "noted")
    ],
    *harmless(20, "a crystal under small strains", h.copies_under_strain),
    *split(21, "validated on what is trained on", lambda: (frames("alloy"), frames("alloy")), "look"),
    *split(21, "validated on what is trained on, many", lambda: (frames("ethanol"), frames("ethanol")[:40]), "look"),
    *split(21, "three structures on both sides", lambda: leaking("water", 3), "look"),
    *split(21, "turned, shifted, renumbered molecules", lambda: leaking("molecules", 6, f.disguised), "look"),
    *split(21, "turned, shifted, renumbered crystals", lambda: leaking("alloy", 6, f.disguised), "look"),
    *split(21, "shifted liquid", lambda: leaking("water", 5, f.all_moved([1.1, 0.4, -0.9])), "look"),
    *split(21, "other structures of the same molecule", lambda: apart("ethanol"), None),
    *split(21, "other structures of the same compositions", lambda: apart("rocksalt"), None),
]

PERIODICITY: list[Case] = [
    *planted(24, "no periodicity, a cell", ("alloy", "water", "rocksalt"), f.each(f.periodic(False, False, False))),
    *planted(
        24,
        "no periodicity in a third",
        ("alloy", "large alloy", "water"),
        f.part(f.periodic(False, False, False), THIRD),
    ),
    *harmless(24, "clusters in a box", h.boxed_clusters),
    *planted(
        25,
        "two periodic directions in half",
        ("alloy", "rocksalt", "water"),
        f.part(f.periodic(True, True, False), HALF),
    ),
    *harmless(25, "slabs", h.slabs),
    *harmless(25, "bulk, slabs and clusters", lambda: frames("aluminium")),
]


def boxed_atoms(energy: float | None) -> list[Atoms]:
    """Add free atoms in a periodic box to alloys, with the energy of the method or another."""
    result = frames("alloy")
    for symbol in ("Cu", "Au"):
        atoms = Atoms(symbol, cell=[12.0] * 3, pbc=True)
        right = labelled(atoms, EMT())
        result.append(right if energy is None else f.energy_is(energy)(right))
    return result


def boxed_molecules(total: float) -> list[Atoms]:
    """Add water molecules in a large periodic box to the liquid, off by an energy."""
    return f.part(f.shifted(total=total), slice(30, None))(h.gas_and_liquid(15.0))


GAS: list[Case] = [
    *[
        Case(26, n, lv, True, harmless(26, n, m)[0].write)
        for n, lv, m in (
            ("free atoms in a periodic box", "noted", lambda: boxed_atoms(None)),
            ("free atoms in a periodic box, of another reference", "look", lambda: boxed_atoms(-30.0)),
            ("molecules in a periodic box", "noted", lambda: boxed_molecules(0.0)),
            ("molecules in a periodic box, of another program", "look", lambda: boxed_molecules(-1600.0)),
        )
    ],
    *harmless(26, "porous metal", h.porous),
    *planted(27, "an atom 100 Å off", ("molecules", "ethanol"), f.part(f.last_moved([100.0, 0, 0]), [5])),
    *planted(27, "an atom 40 Å off in a tenth", ("ethanol",), f.part(f.last_moved([0, 0, 40.0]), slice(4, None, 10))),
    *harmless(27, "dissociation and free atoms", h.dissociation),
    *harmless(27, "free atoms", lambda: h.with_free_atoms("CuAu")),
]

DISTANCES: list[Case] = [
    *planted(18, "atoms 0.1 Å apart", ("alloy", "ethanol", "water"), f.part(f.brought_together(0.1), [7])),
    *planted(
        18, "two atoms at one place", ("alloy", "molecules", "rocksalt"), f.part(f.brought_together(0.0), [7]), "stop"
    ),
    *harmless(18, "short bonds of hydrogen", h.hydrogen),
    *planted(28, "a cell of 0.15 of its size", ("alloy", "water"), f.part(f.cell_scaled(0.15), [6]), "stop"),
    *harmless(28, "cells of one atom", h.primitive),
    *planted(29, "a nearly flat cell", ("alloy", "water", "rocksalt"), f.part(f.flattened(1e-4), [4]), "stop"),
    *harmless(29, "monolayers with a vacuum", h.monolayers),
    *harmless(29, "very skew cells", h.skewed),
    *planted(39, "coordinates 1e8 Å off", ("alloy", "water"), f.part(f.all_moved([1e8, 1e8, 1e8]), [8])),
    *planted(39, "coordinates 1e15 Å off", ("alloy", "molecules"), f.part(f.all_moved([1e15, 0, 0]), [8]), "stop"),
    *planted(39, "fractional coordinates in one", ("rocksalt", "aluminium"), f.part(f.fractional, [3])),
    *planted(39, "fractional coordinates", ("alloy", "water", "argon"), f.each(f.fractional)),
    *harmless(39, "whole cells off", lambda: f.each(f.seeded(f.whole_cells_off))(frames("alloy"))),
    *harmless(39, "the liquid outside of its cell", lambda: f.each(f.seeded(f.whole_cells_off, 3))(frames("water"))),
    *planted(40, "cells smaller than a cutoff", ("alloy", "rocksalt"), list, "noted"),
    *harmless(40, "large cells", h.large_cells),
]

CU_AU = {"Cu": "Au", "Au": "Cu"}
NI_PT = {"Ni": "Pt", "Pt": "Ni"}


def one_platinum(structures: list[Atoms], n: int) -> list[Atoms]:
    """Put one platinum atom into the last n structures."""
    result = [atoms.copy() for atoms in structures]
    for atoms in result[len(result) - n :]:
        atoms.symbols[1] = "Pt"
    return h.emt(result)


def with_nitrogen() -> list[Atoms]:
    """Return molecules without nitrogen but for a single one."""
    structures = frames("molecules")
    without = [atoms for atoms in structures if "N" not in atoms.symbols]
    return without + [atoms for atoms in structures if "N" in atoms.symbols][:1]


def unseen() -> Split:
    """Validate on molecules with nitrogen, and train on others."""
    structures = frames("molecules")
    return tuple([a for a in structures if ("N" in a.symbols) == has] for has in (False, True))


ELEMENTS: list[Case] = [
    *planted(33, "elements exchanged in a tenth", "alloy", f.part(f.renamed(CU_AU), slice(2, None, 10)), short=False),
    *planted(
        33, "elements exchanged in a tenth", "large alloy", f.part(f.renamed(NI_PT), slice(2, None, 10)), short=False
    ),
    *planted(33, "elements exchanged in all", "large alloy", f.each(f.renamed(NI_PT)), short=False),
    *harmless(33, "alloys of aluminium and copper", lambda: h.relaxations(("Al", "Cu"), (4.02, 3.62), 14, 0)),
    *planted(
        33,
        "elements permuted in a tenth",
        ("alloy", "large alloy"),
        f.part(f.permuted_symbols, slice(2, None, 10)),
        short=False,
    ),
    *harmless(33, "a soft metal near melting", h.soft_metal),
    *planted(33, "symbols sorted, atoms not", ("water", "rocksalt"), f.each(f.sorted_symbols)),
    *planted(33, "symbols sorted, atoms not, in a tenth", "water", f.part(f.sorted_symbols, slice(2, None, 10))),
    *harmless(33, "antisites", h.antisites),
    *planted(35, "one atom of an element", "alloy", lambda s: one_platinum(s, 1), "noted"),
    *[Case(35, "one molecule with nitrogen", "noted", True, harmless(35, "", with_nitrogen)[0].write)],
    *split(
        35,
        "an element in validation alone",
        lambda: (s := one_platinum(frames("alloy"), 4)) and (s[:-4], s[-4:]),
        "look",
    ),
    *split(35, "nitrogen in validation alone", unseen, "look"),
    *harmless(35, "a dilute dopant in several structures", h.dilute),
    *planted(36, "one composition", ("rocksalt", "water", "ethanol"), list, "noted"),
    *harmless(36, "many compositions", lambda: frames("large alloy")),
]


def with_nothing(structures: list[Atoms]) -> list[Atoms]:
    """Add a structure without atoms."""
    nothing = attached(Atoms(cell=[5.0] * 3, pbc=structures[0].pbc), energy=0.0, forces=np.zeros((0, 3)))
    return [*structures[:4], nothing, *structures[4:]]


def windows(text: str) -> str:
    """End lines as Windows does."""
    return text.replace("\n", "\r\n")


HABITS: list[Case] = [
    *planted(43, "a structure without atoms", ("alloy", "ethanol"), with_nothing, "stop"),
    *harmless(44, "left-handed cells", lambda: f.each(f.left_handed)(frames("alloy"))),
    *harmless(44, "left-handed cells of the liquid", lambda: f.each(f.left_handed)(frames("water"))),
    *harmless(44, "line ends of Windows", lambda: frames("alloy"), edit=windows),
    *harmless(45, "compressed", lambda: frames("ethanol"), suffix=".xyz.gz"),
    *harmless(45, "a trajectory of ASE", lambda: frames("aluminium"), suffix=".traj"),
]

OF_STRUCTURES: list[Case] = [*COPIES, *PERIODICITY, *GAS, *DISTANCES, *ELEMENTS, *HABITS]

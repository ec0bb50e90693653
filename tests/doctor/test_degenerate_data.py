"""Data from which next to nothing follows: few frames or atoms, labels that are missing, constant or zero."""

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from planted.bases import frames, labelled, with_labels

from nnpot.doctor import KINDS, examine
from nnpot.structure import Structure


def stretched(n: int) -> list[Atoms]:
    """Molecules of two atoms."""
    result = []
    for k in range(n):
        atoms = molecule("N2")
        atoms.set_distance(0, 1, 1.05 + 0.05 * k)
        result.append(labelled(atoms, EMT()))
    return result


def perfect(n: int) -> list[Atoms]:
    """Crystals of one atom, whose forces are zero by symmetry."""
    return [labelled(bulk("Cu", a=3.5 + 0.05 * k), EMT()) for k in range(n)]


def free(n: int) -> list[Atoms]:
    """Free atoms, with nothing around."""
    return [labelled(Atoms(symbol), EMT()) for symbol in ("Cu", "Au", "Cu", "Al", "N", "O")[:n]]


SETS: dict[str, Callable[[], list[Atoms]]] = {
    **{f"{n} alloys": lambda n=n: frames("alloy")[:n] for n in (1, 2, 3, 6)},
    **{f"{n} molecules of two": lambda n=n: stretched(n) for n in (1, 2, 3, 9)},
    **{f"{n} crystals": lambda n=n: perfect(n) for n in (1, 2, 3, 9)},
    **{f"{n} free atoms": lambda n=n: free(n) for n in (1, 2, 3, 6)},
    "one over and over": lambda: frames("alloy")[:1] * 15,
    "one molecule over and over": lambda: stretched(1) * 15,
    "an alloy and free atoms": lambda: frames("alloy")[:1] + free(3),
    "one of each base": lambda: [frames(base)[0] for base in ("alloy", "water", "molecules")],
}


def constant_forces(atoms: Atoms) -> Atoms:
    """The same force on every atom."""
    return with_labels(atoms, forces=np.full((len(atoms), 3), 0.1))


LABELS: dict[str, Callable[[Atoms], Atoms]] = {
    "all labels": with_labels,
    "no energy": lambda a: with_labels(a, energy=None),
    "no forces": lambda a: with_labels(a, forces=None),
    "no stress": lambda a: with_labels(a, stress=None),
    "energy alone": lambda a: with_labels(a, forces=None, stress=None),
    "forces alone": lambda a: with_labels(a, energy=None, stress=None),
    "no labels": lambda a: with_labels(a, energy=None, forces=None, stress=None),
    "energy zero": lambda a: with_labels(a, energy=0.0),
    "energy constant": lambda a: with_labels(a, energy=-7.0),
    "forces zero": lambda a: with_labels(a, forces=np.zeros((len(a), 3))),
    "forces constant": constant_forces,
    "everything zero": lambda a: with_labels(a, energy=0.0, forces=np.zeros((len(a), 3))),
    "stress zero": lambda a: with_labels(a, stress=np.zeros(6) if all(a.pbc) else None),
}


LONG = "one over and over"


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if k % 2 or n == LONG else ()) for k, n in enumerate(SETS)]
)
def test_the_doctor_always_comes_to_an_end(name: str) -> None:
    for labels, change in LABELS.items():
        structures = [Structure.from_ase(change(a), f"{name}, frame {k}") for k, a in enumerate(SETS[name]())]
        diagnosis = examine({"train.xyz": structures})
        assert {f.kind for f in diagnosis.findings} <= set(KINDS), labels
        assert all(diagnosis.not_looked_for.values()), labels


def test_one_structure_over_and_over_is_called_so() -> None:
    structures = [Structure.from_ase(a) for a in SETS["one over and over"]()]
    assert "copies" in {f.kind for f in examine(structures).findings}


def test_without_forces_it_is_said_what_cannot_be_seen() -> None:
    structures = [Structure.from_ase(LABELS["energy alone"](a)) for a in frames("alloy")[:3]]
    gaps = examine(structures).not_looked_for
    assert gaps["force-sign"] == gaps["forces-unexplained"] == gaps["energy-outlier"] == "there are no forces"

"""Sizes of elements, by which exchanged ones are seen."""

import numpy as np
import pytest
from ase.data import atomic_numbers
from planted import faults as f
from planted.harmless import relaxations

from nnpot.doctor import SHORT
from nnpot.doctor.composition import atomic_volume, exchanged
from nnpot.doctor.examination import facts_of
from nnpot.structure import Structure


@pytest.mark.parametrize(
    ("symbol", "volume"),
    [("Al", 16.6), ("Fe", 11.8), ("Mg", 23.2), ("Si", 20.0), ("Po", 37.6), ("Hg", np.nan), ("O", np.nan)],
)
def test_volumes_of_elements_are_those_of_their_crystals(symbol: str, volume: float) -> None:
    assert atomic_volume(atomic_numbers[symbol]) == pytest.approx(volume, rel=5e-3, nan_ok=True)


def test_exchanged_elements_are_seen_by_the_volumes_of_alloys() -> None:
    alloys = relaxations(("Ni", "Pt"), (3.4, 4.1), 14, 0)
    right, wrong = (
        list(exchanged(facts_of([Structure.from_ase(change(a)) for a in alloys], budget=SHORT)[0]))
        for change in (lambda a: a, f.renamed({"Ni": "Pt", "Pt": "Ni"}))
    )
    assert right == []
    (finding,) = wrong
    assert finding.seen.startswith("volumes fall with the share of Pt (correlation -0.")
    assert finding.seen.endswith(
        "which is larger than Ni (15.1 and 10.9 Å³ per atom in the elements, and by covalent radius)"
    )


def test_nothing_is_said_where_measures_of_size_disagree() -> None:
    facts, _, _ = facts_of(
        [Structure.from_ase(a) for a in relaxations(("Al", "Cu"), (4.02, 3.62), 14, 0)], budget=SHORT
    )
    share, volume = facts.counts[:, 1] / facts.n_atoms, facts.volume / facts.n_atoms
    assert np.corrcoef(share, volume)[0, 1] < -0.7  # copper has the larger covalent radius
    assert list(exchanged(facts)) == []

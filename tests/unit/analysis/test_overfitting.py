"""When it is said that a model knows its training structures by heart."""

import pytest
import torch
from datasets import labelled_alloys
from systems import ace, network_potential

from nnpot.analysis.evaluate import evaluate_potential
from nnpot.analysis.overfitting import overfitting
from nnpot.potential import Potential
from nnpot.structure import Structure


def labelled(potential: Potential, noise: float, labels: tuple[str, ...], seed: int) -> list[Structure]:
    """Structures whose labels are off by so many eV, eV/Å from the predictions."""
    chance, structures = torch.Generator().manual_seed(seed), []
    for atoms in labelled_alloys(8, seed):
        bare = Structure.from_ase(atoms.copy())  # without the labels
        found = potential.predict(bare)
        known = {"energy": found.energy[0].double(), "forces": found.forces.double()}
        off = {
            name: values + noise * torch.randn(values.shape, generator=chance, dtype=torch.float64)
            for name, values in known.items()
            if name in labels
        }
        structures.append(bare.with_labels(**off))
    return structures


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("energy", "forces"), "overfitting: the force error on validation is "),
        (("energy",), "overfitting: the energy error on validation is "),
    ],
)
def test_errors_that_are_far_apart_are_said(labels: tuple[str, ...], said: str) -> None:
    potential = network_potential(ace()).eval()
    train, others = (labelled(potential, noise, labels, seed) for noise, seed in ((0.01, 1), (0.1, 2)))
    told = overfitting(evaluate_potential(potential, train), evaluate_potential(potential, others))
    assert told.startswith(said)
    times = float(told.split(" times that on training structures")[0].split()[-1])
    assert times == pytest.approx(10.0, rel=0.7 if labels == ("energy",) else 0.2)


def test_errors_that_are_alike_are_not() -> None:
    labels = ("energy", "forces")
    potential = network_potential(ace()).eval()
    train, others = (labelled(potential, noise, labels, seed) for noise, seed in ((0.05, 1), (0.1, 2)))
    assert overfitting(evaluate_potential(potential, train), evaluate_potential(potential, others)) == ""


def test_without_a_common_label_nothing_is_said() -> None:
    potential = network_potential(ace()).eval()
    train, others = labelled(potential, 0.0, ("energy",), 1), labelled(potential, 0.1, ("forces",), 2)
    assert overfitting(evaluate_potential(potential, train), evaluate_potential(potential, others)) == ""

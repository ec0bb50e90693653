"""Every potential gives on another device what it gives on the CPU, and so do all derivatives that training takes."""

import device
import pytest
import torch
from systems import POTENTIALS, structure

from nnpot.batch import Batch
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.prediction import Prediction

NAMES = ("dimer", "water", "primitive cell", "one atom")
FAST = ("ACE", "ACE with weighted densities, learned elements", "ACSF radial only", "ZBL")
every_potential = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in POTENTIALS]
)


def pair_of(name: str) -> tuple[Potential, Potential]:
    """The same potential on the CPU and on the device."""
    return POTENTIALS[name](), POTENTIALS[name]().to(device.NAME)


def systems(cutoff: float) -> Batch:
    return Batch.join([single_batch(structure(name), cutoff) for name in NAMES])


def some_loss(prediction: Prediction) -> torch.Tensor:
    known = torch.isfinite(prediction.stress)
    stress = torch.where(known, prediction.stress, 0.0)
    return prediction.energy.square().sum() + prediction.forces.square().sum() + 100 * stress.square().sum()


def gradients(loss: torch.Tensor, potential: Potential) -> list[torch.Tensor]:
    parameters = list(potential.parameters())
    return list(torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True))


def assert_equal(there: torch.Tensor, here: torch.Tensor, tolerance: float = 1e-9) -> None:
    scale = float(here[torch.isfinite(here)].abs().amax()) if here.isfinite().any() else 0.0
    torch.testing.assert_close(there.cpu(), here, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@every_potential
@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_a_prediction(name: str, training: bool) -> None:
    here, there = (p.train(training) for p in pair_of(name))
    batch = systems(here.cutoff)
    wanted, got = here(batch), there(batch.to(device.NAME))
    for field in ("energies", "energy", "forces", "stress"):
        assert_equal(getattr(got, field).detach(), getattr(wanted, field).detach())
    if training and any(True for _ in here.parameters()):
        for mine, other in zip(gradients(some_loss(got), there), gradients(some_loss(wanted), here), strict=True):
            assert_equal(mine, other, 1e-7)


@every_potential
def test_atomic_energies_differentiated_twice(name: str) -> None:

    def derivatives(potential: Potential, batch: Batch) -> list[torch.Tensor]:
        r_ij = batch.r_ij.requires_grad_()
        energies = potential.atomic_energies(batch.pairs(potential.elements))
        (first,) = torch.autograd.grad(energies.square().sum(), r_ij, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), r_ij)
        return [energies, first, second]

    here, there = pair_of(name)
    for mine, other in zip(
        derivatives(there, systems(here.cutoff).to(device.NAME)), derivatives(here, systems(here.cutoff)), strict=True
    ):
        assert_equal(mine.detach(), other.detach(), 1e-8)


@pytest.mark.parametrize("name", ["ACE", "ZBL", "ACSF radial only"])
def test_one_structure(name: str) -> None:
    here, there = pair_of(name)
    expected, actual = here.predict(structure("alloy")), there.predict(structure("alloy"))
    assert_equal(actual.energies, expected.energies)
    for name, wanted in expected.labels.items():
        assert_equal(actual.labels[name], wanted)

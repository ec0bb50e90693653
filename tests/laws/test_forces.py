"""Forces, stress and parameter gradients of every potential against central differences."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from ase.build import fcc100
from ase.calculators.lj import LennardJones
from crossed import crossed
from proofs import (
    DIFFERENCE,
    assert_close,
    central_stress,
    compare_forces_with_differences,
    compare_parameter_gradient_with_differences,
    labelled,
)
from systems import CUTOFF, DESCRIPTORS, POTENTIALS, SYSTEMS, pairs_of, rattled, structure
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.descriptors import Descriptor
from nnpot.functional.segment import segment_sum
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.prediction import Prediction
from nnpot.structure import Structure

pytestmark = pytest.mark.usefixtures("double")

PERIODIC = [name for name in SYSTEMS if any(SYSTEMS[name]().pbc)]
EXPLICIT = [name for name, make in DESCRIPTORS.items() if type(make()).jacobian is not Descriptor.jacobian]
TRAINABLE = [name for name, make in POTENTIALS.items() if list(make().parameters())]


@cache
def prediction_of(name: str, system: str) -> Prediction:
    return POTENTIALS[name]().predict(structure(system))


@cache
def force_scale(name: str, system: str) -> float:
    """Norm of the terms whose sums are the forces: where these cancel, errors are relative to the terms."""
    potential = POTENTIALS[name]().eval()
    pairs = single_batch(structure(system), potential.cutoff).pairs(potential.elements)
    return float(potential.energies_and_pair_gradient(pairs)[1].norm())


@pytest.mark.parametrize(("name", "system"), crossed(POTENTIALS, SYSTEMS, "triclinic"))
def test_forces_are_minus_the_gradient_of_the_energy(name: str, system: str) -> None:
    compare_forces_with_differences(POTENTIALS[name](), structure(system), force_scale(name, system))


@pytest.mark.parametrize(("name", "system"), crossed(POTENTIALS, PERIODIC, "triclinic"))
def test_stress_is_the_strain_derivative_by_the_volume(name: str, system: str) -> None:
    wanted = central_stress(POTENTIALS[name](), structure(system))
    assert_close(prediction_of(name, system).stress, wanted, DIFFERENCE)


@pytest.mark.parametrize(("name", "system"), crossed(TRAINABLE, ["water", "slab", "alloy"]))
def test_the_loss_has_the_derivative_that_training_uses(name: str, system: str) -> None:
    potential = POTENTIALS[name]()
    batch = single_batch(labelled(structure(system)), potential.cutoff)
    compare_parameter_gradient_with_differences(potential, batch, w_e=0.7, w_f=1.3, w_s=2.0)


@pytest.mark.parametrize(("name", "system"), crossed(POTENTIALS, SYSTEMS, "triclinic"))
def test_forces_sum_to_zero(name: str, system: str) -> None:
    total = prediction_of(name, system).forces.sum(dim=0)
    # a sum of some hundred terms that cancel in pairs, float64
    assert_close(total, torch.zeros(3), 1e-13, force_scale(name, system))


@pytest.mark.parametrize(("name", "system"), crossed(POTENTIALS, SYSTEMS, "triclinic"))
def test_there_is_a_stress_exactly_where_there_is_a_volume(name: str, system: str) -> None:
    assert torch.isfinite(prediction_of(name, system).stress).tolist() == [[system in PERIODIC] * 6]


class LennardJonesPotential(Potential):
    """4 ε [(σ/r)¹² − (σ/r)⁶] between copper atoms, shifted to 0 at the cutoff, as ASE's."""

    elements, cutoff = ("Cu",), 5.0

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Half of each pair energy to each of its atoms."""
        square = (pairs.r_ij * pairs.r_ij).sum(dim=1)
        energies = 0.8 * ((2.3**2 / square) ** 6 - (2.3**2 / square) ** 3)
        energies = energies - 0.8 * ((2.3 / 5) ** 12 - (2.3 / 5) ** 6)
        return segment_sum(0.5 * energies * (square < 25.0), pairs.pair_i, len(pairs.center_species))


@pytest.mark.parametrize("pbc", [(True, True, False), (True, False, False), (True, True, True)], ids=str)
def test_the_stress_of_a_slab_is_that_of_ase(pbc: tuple[bool, bool, bool]) -> None:
    atoms = rattled(fcc100("Cu", (2, 2, 3), vacuum=6.0))
    atoms.pbc = pbc
    atoms.calc = LennardJones(sigma=2.3, epsilon=0.2, rc=5.0)
    stress = LennardJonesPotential().predict(Structure.from_ase(atoms)).stress[0]
    # sums of some hundred terms in another order
    assert_close(stress, atoms.get_stress(), 1e-12)


@pytest.mark.parametrize(("name", "system"), crossed(EXPLICIT, SYSTEMS, "triclinic"))
def test_explicit_derivatives_of_descriptors_are_those_of_autograd(name: str, system: str) -> None:
    descriptor, pairs = DESCRIPTORS[name](), pairs_of(structure(system))
    r_ij = pairs.r_ij.clone().requires_grad_()
    features = descriptor(Pairs(r_ij, pairs.pair_i, pairs.pair_j, pairs.species)).sum(dim=0)  # (D,)
    # each pair belongs to one centre, so the derivative of a sum over atoms keeps all entries apart
    rows = torch.eye(len(features))
    (wanted,) = torch.autograd.grad(features, r_ij, rows, is_grads_batched=True)  # (D, P, 3)
    # the same products in another order, float64
    assert_close(descriptor.jacobian(pairs), wanted.transpose(0, 1), 1e-12)


@pytest.mark.parametrize(("name", "system"), crossed(POTENTIALS, SYSTEMS, "triclinic"))
def test_the_pair_gradient_is_that_of_autograd_alone(name: str, system: str) -> None:
    potential = POTENTIALS[name]().eval()
    pairs = single_batch(structure(system), 1.2 * CUTOFF).pairs(potential.elements)
    energies, gradient = potential.energies_and_pair_gradient(pairs)
    free = replace(pairs, r_ij=pairs.r_ij.requires_grad_())
    wanted_energies = potential.atomic_energies(free)
    (wanted,) = torch.autograd.grad(wanted_energies.sum(), free.r_ij, materialize_grads=True)
    # the same sums in another order, float64
    torch.testing.assert_close(energies, wanted_energies, rtol=1e-12, atol=1e-12)
    assert_close(gradient, wanted, 1e-11, 1e-3)


@pytest.mark.parametrize("name", EXPLICIT)
def test_explicit_derivatives_carry_no_graph(name: str) -> None:
    pairs = pairs_of(structure("alloy"))
    r_ij = pairs.r_ij.clone().requires_grad_()
    jacobian = DESCRIPTORS[name]().jacobian(Pairs(r_ij, pairs.pair_i, pairs.pair_j, pairs.species))
    assert not jacobian.requires_grad


def test_a_descriptor_without_explicit_derivative_says_so() -> None:
    class Bare(Descriptor):
        def forward(self, pairs: Pairs) -> torch.Tensor:
            return pairs.r_ij

    with pytest.raises(NotImplementedError, match="Bare has no explicit derivative"):
        Bare().jacobian(pairs_of(structure("water")))

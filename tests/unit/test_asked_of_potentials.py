"""What is asked of potentials and descriptors first: predictions, features, energies to differentiate, Hessians."""

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import molecule
from ase.vibrations import VibrationsData
from proofs import assert_close
from systems import DESCRIPTORS, POTENTIALS, SYSTEMS, ace, acsf, core, network_potential, pairs_of, structure

from nnpot import hessian as hessian_module
from nnpot.calculator import NNPotCalculator
from nnpot.descriptors import ACE, ACSF
from nnpot.potential import Potential

CURVED = ["ACSF tanh3", "ACE with weighted densities and a core", "ACSF + ZBL", "listed ACSF"]


def by_differences(potential: Potential, atoms: Atoms, step: float = 1e-4) -> np.ndarray:
    """The Hessian by central differences of forces."""
    rows = []
    for k in range(3 * len(atoms)):
        forces = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[k // 3, k % 3] += sign * step
            forces.append(potential.predict(moved).forces.numpy().ravel())
        rows.append((forces[1] - forces[0]) / (2 * step))
    return np.array(rows)


def frequencies(atoms: Atoms, hessian: np.ndarray) -> np.ndarray:
    """Wavenumbers, in 1/cm, those of unstable modes negative."""
    return np.array([e.real - abs(e.imag) for e in VibrationsData.from_2d(atoms, hessian).get_energies()]) / units.invcm


# predictions ----------------------------------------------------------------------------------------------------------


def test_atoms_of_ase_are_predicted_as_structures_are() -> None:
    potential = POTENTIALS["ACSF tanh3"]()
    of_atoms, of_structure = potential.predict(SYSTEMS["alloy"]()), potential.predict(structure("alloy"))
    assert torch.equal(of_atoms.forces, of_structure.forces)
    assert float(of_atoms.energy) == float(of_structure.energy)


def test_of_a_list_there_is_a_prediction_for_each() -> None:
    potential = POTENTIALS["ACE"]()
    predictions = potential.predict([SYSTEMS["water"](), structure("alloy")])
    assert [len(p.forces) for p in predictions] == [3, 4]
    assert torch.equal(predictions[1].forces, potential.predict(structure("alloy")).forces)


def test_an_error_says_which_of_a_list_it_is() -> None:
    with pytest.raises(ValueError, match="structure 1: atom 0 is Fe, but the model knows only H, O, Cu, Au"):
        POTENTIALS["ACE"]().predict([Atoms("H"), Atoms("Fe")])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("water.xyz", "got 'water.xyz', which ase.io.read may read"),
        (3, "got int"),
        ([3], "got int"),
    ],
)
def test_what_is_no_structure_is_named(wrong: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        POTENTIALS["ZBL"]().predict(wrong)


def test_calling_with_atoms_tells_what_to_call() -> None:
    with pytest.raises(TypeError, match=r"got Atoms; for atoms .* there is potential\.predict\(atoms\)"):
        POTENTIALS["ZBL"]()(Atoms("H"))
    with pytest.raises(TypeError, match=r"got Structure; for atoms .* there is descriptor\.features\(atoms\)"):
        acsf()(structure("water"))


# features -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ACSF pruned", "ACE", "listed ACSF"])
def test_features_of_atoms_are_those_of_their_pairs(name: str) -> None:
    descriptor = DESCRIPTORS[name]()
    features = descriptor.features(SYSTEMS["alloy"]())
    assert not features.requires_grad
    assert torch.equal(features, descriptor(pairs_of(structure("alloy"))).detach())
    assert torch.equal(descriptor.features([structure("water"), SYSTEMS["alloy"]()])[1], features)


def test_features_can_be_differentiated_by_positions() -> None:
    descriptor, atoms = acsf(), SYSTEMS["water"]()
    r = torch.tensor(atoms.positions, requires_grad=True)
    (slope,) = torch.autograd.grad(descriptor.features(atoms, r)[:, 2].sum(), r)
    moved = atoms.copy()
    moved.positions[1, 0] += 1e-5
    change = descriptor.features(moved)[:, 2].sum() - descriptor.features(atoms)[:, 2].sum()
    assert_close(slope[1, 0], change / 1e-5, 1e-3)


@pytest.mark.parametrize(
    ("descriptor", "missing"), [(ACSF(elements=("H", "O")), "functions"), (ACE(), "elements")], ids=["ACSF", "ACE"]
)
def test_an_open_descriptor_says_how_it_gets_its_functions(descriptor: ACSF | ACE, missing: str) -> None:
    with pytest.raises(ValueError, match=rf"has no {missing} yet.*descriptor\.fitted\(\[atoms, …\]\)"):
        descriptor.features(molecule("H2O"))
    fitted = descriptor.fitted([SYSTEMS["water"]()])
    assert fitted.features(SYSTEMS["water"]()).shape == (3, fitted.n_features)


# derivatives ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CURVED)
def test_forces_by_autograd(name: str) -> None:
    potential, atoms = POTENTIALS[name](), SYSTEMS["alloy"]()
    r = torch.tensor(atoms.positions, requires_grad=True)
    energy = potential.energy_at(atoms, r)
    assert energy.shape == ()
    (slope,) = torch.autograd.grad(energy, r)
    assert_close(-slope, potential.predict(atoms).forces, 1e-10)


def test_as_many_positions_as_atoms_are_needed() -> None:
    with pytest.raises(ValueError, match=r"3 atoms need positions of shape \(3, 3\), got \(2, 3\)"):
        POTENTIALS["ZBL"]().energy_at(SYSTEMS["water"](), torch.zeros(2, 3))


@pytest.mark.parametrize("system", ["water", *(pytest.param(s, marks=pytest.mark.slow) for s in ("alloy", "slab"))])
@pytest.mark.parametrize("name", CURVED)
def test_the_hessian_is_that_by_differences(name: str, system: str) -> None:
    potential, atoms = POTENTIALS[name](), SYSTEMS[system]()
    hessian = potential.hessian(atoms)
    assert hessian.dtype == torch.float64
    assert torch.equal(hessian, hessian.T)
    assert_close(hessian, by_differences(potential, atoms), 1e-5)


def test_the_hessian_is_the_same_a_few_atoms_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    potential, atoms = POTENTIALS["ACE"](), SYSTEMS["alloy"]()
    at_once = potential.hessian(atoms)
    monkeypatch.setattr(hessian_module, "CENTERS_AT_ONCE", 3)
    assert_close(potential.hessian(atoms), at_once, 1e-12)


@pytest.mark.parametrize("system", ["one atom", "no neighbors"])
def test_without_neighbours_nothing_is_curved(system: str) -> None:
    assert not POTENTIALS["ACSF + ZBL"]().hessian(structure(system)).any()


def test_frequencies_of_a_float32_potential_are_right_to_a_fiftieth_of_a_wavenumber() -> None:
    potential, atoms = network_potential(acsf()), SYSTEMS["water"]()
    precise = frequencies(atoms, potential.float().double().hessian(atoms).numpy())
    single = frequencies(atoms, NNPotCalculator(potential.float(), dtype="float32").get_hessian(atoms))
    assert np.abs(single - precise).max() < 0.02
    assert np.abs(precise).max() > 100


def test_the_calculator_takes_its_own_atoms() -> None:
    calculator, atoms = NNPotCalculator(POTENTIALS["ACE"]()), SYSTEMS["alloy"]()
    with pytest.raises(ValueError, match=r"no atoms yet: calculator\.get_hessian\(atoms\)"):
        calculator.get_hessian()
    calculator.get_potential_energy(atoms)
    assert np.array_equal(calculator.get_hessian(), calculator.get_hessian(atoms))


def test_the_hessian_leaves_the_potential_as_it_is() -> None:
    potential = network_potential(ace(), core=core()).float().train()
    potential.hessian(SYSTEMS["water"]())
    assert potential.training
    assert all(p.dtype == torch.float32 and p.requires_grad and p.grad is None for p in potential.parameters())


class Opaque(type(POTENTIALS["ZBL"]())):  # type: ignore[misc]
    """A potential without second derivatives, as a package is."""

    has_second_derivatives = False


def test_what_has_no_second_derivatives_says_so() -> None:
    with pytest.raises(ValueError, match="a package has no second derivatives; give the model file"):
        Opaque(("H",)).hessian(Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.5]]))

"""Material properties, against finite differences of EMT's energy and against closed forms."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from nnpot.analysis.materials import cubic_elastic_constants, equation_of_state, relax_cubic_cell
from nnpot.simulation import deformed

STRAINS = np.linspace(-0.03, 0.03, 7)


@pytest.fixture
def copper() -> Atoms:
    return relax_cubic_cell(bulk("Cu", cubic=True, a=3.65), EMT())


def second_difference(atoms: Atoms, mode: np.ndarray, step: float = 2e-3) -> float:
    """(1/V) d²E/dε² along a strain, in GPa: uses energies only."""
    energies = []
    for amount in (-step, 0.0, step):
        cell = deformed(atoms, np.eye(3) + amount * mode)
        cell.calc = EMT()
        energies.append(cell.get_potential_energy())
    curvature = (energies[0] - 2.0 * energies[1] + energies[2]) / step**2
    return curvature / atoms.get_volume() / units.GPa


def test_relaxed_cell_has_no_pressure(copper: Atoms) -> None:
    copper.calc = EMT()
    assert np.abs(copper.get_stress()).max() / units.GPa < 1e-5


def test_relaxation_finds_the_same_cell_from_either_side(copper: Atoms) -> None:
    other = relax_cubic_cell(bulk("Cu", cubic=True, a=3.35), EMT())
    # 1e-5 GPa of pressure over a modulus of 134 GPa is a relative volume of 1e-7.
    assert other.get_volume() == pytest.approx(copper.get_volume(), rel=2e-7)


def test_relaxation_that_does_not_end_says_so() -> None:
    with pytest.raises(ValueError, match=r"still .* GPa after 2 steps"):
        relax_cubic_cell(bulk("Cu", a=4.2), EMT(), max_steps=2)


def test_a_cell_is_relaxed_as_far_as_single_precision_goes(copper: Atoms) -> None:
    class Single(EMT):
        def get_stress(self, atoms: Atoms | None = None) -> np.ndarray:  # type: ignore[override]
            noise = np.random.default_rng(int(1e9 * atoms.cell[0, 0]) % 2**32).uniform(-2e-5, 2e-5, 6)
            return super().get_stress(atoms) + noise * units.GPa

    relaxed = relax_cubic_cell(bulk("Cu", cubic=True, a=3.65), Single(), tolerance=1e-9)
    assert relaxed.cell[0, 0] == pytest.approx(copper.cell[0, 0], abs=1e-5)
    assert cubic_elastic_constants(copper, Single()).c11 == pytest.approx(
        cubic_elastic_constants(copper, EMT()).c11, rel=1e-3
    )


@pytest.mark.parametrize(
    ("mode", "combination"),
    [
        pytest.param(np.diag([1.0, 0.0, 0.0]), (1.0, 0.0, 0.0), id="stretch: C11"),
        pytest.param(np.diag([1.0, 1.0, 0.0]), (2.0, 2.0, 0.0), id="biaxial: 2 C11 + 2 C12"),
        pytest.param(np.array([[0, 0, 0], [0, 0, 0.5], [0, 0.5, 0]]), (0.0, 0.0, 1.0), id="shear: C44"),
    ],
)
def test_elastic_constants_are_curvatures_of_the_energy(
    copper: Atoms, mode: np.ndarray, combination: tuple[float, float, float]
) -> None:
    constants = cubic_elastic_constants(copper, EMT())
    expected = np.dot(combination, [constants.c11, constants.c12, constants.c44])
    # Both truncate at steps² times a fourth derivative over a second one, of order 100: 4e-4.
    assert second_difference(copper, mode) == pytest.approx(expected, rel=5e-4)


def test_elastic_constants_do_not_depend_on_the_choice_of_cell(copper: Atoms) -> None:
    conventional, primitive = cubic_elastic_constants(copper, EMT()), cubic_elastic_constants(bulk("Cu"), EMT())
    assert primitive.c11 == pytest.approx(conventional.c11, rel=1e-6)
    assert primitive.c12 == pytest.approx(conventional.c12, rel=1e-6)
    assert primitive.c44 == pytest.approx(conventional.c44, rel=1e-6)


def test_a_crystal_that_is_not_cubic_is_refused() -> None:
    tetragonal = bulk("Cu", cubic=True)
    tetragonal.symbols[:2] = "Au"  # L1_0
    with pytest.raises(ValueError, match="not cubic"):
        cubic_elastic_constants(tetragonal, EMT())


def test_equation_of_state_agrees_with_stress_and_elastic_constants(copper: Atoms) -> None:
    state = equation_of_state(copper, EMT(), STRAINS)
    assert state.v0 == pytest.approx(copper.get_volume() / 4, rel=2e-3)
    assert state.bulk_modulus == pytest.approx(cubic_elastic_constants(copper, EMT()).bulk_modulus, rel=0.02)
    # A Birch-Murnaghan curve follows EMT to a fraction of a meV over 3 % of strain.
    np.testing.assert_allclose(state.fitted(state.volumes), state.energies, atol=1e-3)


@pytest.mark.parametrize("function", [relax_cubic_cell, cubic_elastic_constants], ids=lambda f: f.__name__)
def test_a_molecule_is_not_a_crystal(function: object) -> None:
    with pytest.raises(ValueError, match="periodic in 3 directions"):
        function(molecule("H2O"), EMT())


def test_too_few_strains_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        equation_of_state(bulk("Cu"), EMT(), (-0.01, 0.0, 0.01))

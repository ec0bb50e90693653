"""Constants and conversions by literal numbers: a test that takes its factor from nnpot agrees with any."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from nnpot import units
from nnpot.analysis.materials import equation_of_state
from nnpot.formats.n2p2.conventions import ATOMIC
from nnpot.functional.zbl import COULOMB
from nnpot.repulsion import ZBL
from nnpot.structure import Structure

EV, ANGSTROM = 1.6021766208e-19, 1e-10
"""In J and m, CODATA 2014 as everywhere below but for the ZBL repulsion."""


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        pytest.param(units.MEV, 0.001, id="meV"),
        pytest.param(units.BOHR, 0.52917721067, id="bohr"),
        pytest.param(units.HARTREE, 27.21138602, id="hartree"),
        pytest.param(units.GPA, 1e9 * ANGSTROM**3 / EV, id="GPa"),
        pytest.param(units.GPA, 1 / 160.21766208, id="GPa, from the other side"),
        pytest.param(ATOMIC.length, 0.52917721067, id="length of n2p2 files"),
        pytest.param(ATOMIC.energy, 27.21138602, id="energy of n2p2 files"),
        pytest.param(COULOMB, 14.3996454784, id="e² / 4π ε0, CODATA 2018"),
    ],
)
def test_a_constant_is_that_of_codata(found: float, wanted: float) -> None:
    assert found == pytest.approx(wanted, rel=1e-8)


def test_nuclei_that_nearly_touch_repel_by_the_law_of_coulomb() -> None:
    atoms = Atoms("HO", positions=[[0, 0, 0], [0, 0, 2e-3]])
    energy = float(ZBL(("H", "O")).predict(Structure.from_ase(atoms)).energy)
    coulomb = 8 * 1.602176634e-19**2 / (4 * np.pi * 8.8541878128e-12) / (2e-3 * ANGSTROM) / 1.602176634e-19
    # the screening, 1 at no distance, has fallen by a little more than one per cent
    assert energy == pytest.approx(coulomb, rel=0.02)


def test_a_bulk_modulus_is_a_curvature_in_gpa() -> None:
    state = equation_of_state(bulk("Cu", a=3.6), EMT(), np.linspace(-0.04, 0.04, 9))
    step = 0.01 * state.v0
    below, at, above = state.fitted(state.v0 + np.array([-step, 0.0, step]))
    curvature = (below - 2 * at + above) / step**2
    # three points of a curve whose fourth derivative counts; EMT's copper has about 134 GPa
    assert state.bulk_modulus == pytest.approx(160.21766208 * state.v0 * curvature, rel=5e-3)
    assert state.bulk_modulus == pytest.approx(134, rel=0.02)

"""Each line on dynamics finds the fault that it is for, and says nothing of a good model."""

import numpy as np
import pytest
import torch
from ase import Atoms, units
from planted_models import MorsePairs, Wrong
from systems import SYSTEMS, acsf, knowing, network_potential, rattled

from nnpot.batch import Pairs
from nnpot.checks import Clock, Line, NotLooked, Status, Subject, stable
from nnpot.checks.line import NO_GRADE, NO_TIME
from nnpot.checks.radial import distributions, in_common, like, overlaps
from nnpot.checks.stable import (
    ALIKE,
    AT_T,
    AT_T_AND_NO_PRESSURE,
    CONSTANT_PRESSURE,
    HOT,
    HOT_DISTANCE,
    HOT_ENERGY,
    HOT_GRADE,
    HOT_HEAT,
    HOT_RADIAL,
    NVE_DRIFT,
    NVE_ORDER,
    HotRun,
    constant_energy,
    constant_pressure,
    hot,
    nearest,
    timestep_of,
)
from nnpot.checks.temperature import configurational, temperature_of
from nnpot.functional.segment import segment_sum
from nnpot.potential import Potential
from nnpot.structure import Structure


def crystal(size: int = 2, scale: float = 0.97) -> Structure:
    atoms = SYSTEMS["primitive cell"]().repeat(size)
    atoms.set_cell(scale * atoms.cell, scale_atoms=True)
    return Structure.from_ase(rattled(atoms, size=0.05), name="crystal")


def subject(potential: Potential, *structures: Structure, **more: Clock) -> Subject:
    return Subject(potential.double(), structures or (crystal(),), **more)


def by_name(lines: list[Line | NotLooked]) -> dict[str, Line]:
    return {line.name: line for line in lines if isinstance(line, Line)}


def test_a_good_model_passes() -> None:
    one = subject(MorsePairs())
    found = [*constant_energy(one, 300.0, 0.06), *hot(one, 300.0, 0.06, 1)[0], *constant_pressure(one, 300.0, 0.06)]
    lines = by_name(found)
    assert set(lines) == {NVE_DRIFT, NVE_ORDER, HOT_DISTANCE, HOT_HEAT, HOT_ENERGY, CONSTANT_PRESSURE}
    assert {line.status for line in lines.values()} == {Status.PASSED}, lines


@pytest.mark.parametrize(("size", "status"), [(1e-6, Status.PASSED), (1e6, Status.LOOK)])
def test_hot_dynamics_that_leaves_the_training_data_is_told(size: float, status: Status) -> None:
    potential = knowing(network_potential(acsf()))
    assert potential.uncertainty is not None
    potential.uncertainty.grade.mul_(size)
    lines, runs = hot(subject(potential, crystal(1)), 300.0, 0.02, 1)
    line = by_name(lines)[HOT_GRADE]
    assert line.status == status
    assert line.figure == pytest.approx(runs[0].grades.max())


@pytest.mark.parametrize(("size", "status"), [(1e-6, Status.PASSED), (1e6, Status.LOOK)])
def test_dynamics_at_the_temperature_that_leaves_the_training_data_is_told(size: float, status: Status) -> None:
    potential = knowing(network_potential(acsf()))
    assert potential.uncertainty is not None
    potential.uncertainty.grade.mul_(size)
    one = subject(potential, crystal(1))
    for found, name in (
        (constant_energy(one, 300.0, 0.06), AT_T),
        (constant_pressure(one, 300.0, 0.02), AT_T_AND_NO_PRESSURE),
    ):
        line = by_name(list(found))[name]
        assert line.status == status
        start = float(one.single.predict(stable.starts(one, 1)[0]).extrapolation.max())
        assert line.figure >= start * (1 - 1e-4)
        assert "at 300 K atoms of crystal" in line.sentence


def test_a_model_that_does_not_know_where_it_extrapolates_says_so() -> None:
    one = subject(MorsePairs())
    found = [*constant_energy(one, 300.0, 0.02), *constant_pressure(one, 300.0, 0.02), *hot(one, 300.0, 0.02, 1)[0]]
    gaps = [(gap.name, gap.why) for gap in found if isinstance(gap, NotLooked) and gap.name != HOT_RADIAL]
    assert gaps == [(name, NO_GRADE) for name in (AT_T, AT_T_AND_NO_PRESSURE, HOT_GRADE)]


@pytest.mark.parametrize(
    ("potential", "name"),
    [
        pytest.param(lambda: Wrong(MorsePairs(), "swirl"), NVE_ORDER, id="swirl"),
        pytest.param(lambda: MorsePairs(fault="rough"), NVE_ORDER, id="rough"),
        pytest.param(lambda: Wrong(MorsePairs(), "not a number"), NVE_DRIFT, id="not a number"),
    ],
)
def test_forces_that_are_not_the_slope_are_found(potential: object, name: str) -> None:
    lines = by_name(list(constant_energy(subject(potential()), 300.0, 0.06)))  # type: ignore[operator]
    assert lines[name].status > Status.PASSED, lines


def test_a_hole_is_found_in_hot_dynamics() -> None:
    near = Structure.from_ase(SYSTEMS["primitive cell"]().repeat(2))
    near = Structure(near.numbers, 0.6 * near.positions, 0.6 * near.cell, near.pbc, name="squeezed")
    lines, runs = hot(Subject(MorsePairs(fault="hole").double(), (near,)), 2000.0, 0.2, 1)
    found = by_name(lines)
    assert found[HOT_DISTANCE].status == Status.FAILED
    assert found[HOT_HEAT].status == Status.FAILED
    assert found[HOT_ENERGY].status == Status.FAILED
    assert runs[0].name == "squeezed"


def test_another_arrangement_is_found_by_its_distances() -> None:
    def run(potential: Potential) -> Line:
        known = [crystal() for _ in range(5)]
        return by_name(hot(Subject(potential.double(), (*known,)), 300.0, 0.3, 1)[0])[HOT_RADIAL]

    assert run(MorsePairs()).figure > 0.85
    assert run(MorsePairs(fault="clumps")).status > Status.PASSED


def test_distributions_have_in_common_what_they_share() -> None:
    one = [crystal(2, 1.0)] * 5
    own = distributions(one, 5.0)
    assert set(own) == {("Cu", "Cu")}
    assert own["Cu", "Cu"].sum() == pytest.approx(1.0)
    assert overlaps(own, own) == {("Cu", "Cu"): pytest.approx(1.0)}
    wide = overlaps(own, distributions([crystal(2, 1.25)] * 5, 5.0))["Cu", "Cu"]
    assert ALIKE.status(wide) > Status.PASSED
    water = [Structure.from_ase(rattled(SYSTEMS["water"](), 0.02, seed)) for seed in range(30)]
    of_water = distributions(water, 5.0)
    parts = dict.fromkeys(of_water, 0.5) | {("H", "H"): 0.2}
    n_h = float((water[0].numbers == 1).double().mean())
    weights = {("H", "H"): n_h**2, ("H", "O"): 2 * n_h * (1 - n_h), ("O", "O"): (1 - n_h) ** 2}
    whole = sum(weights[pair] for pair in parts)
    assert in_common(parts, water[0]) == pytest.approx(0.5 - 0.3 * n_h**2 / whole)


@pytest.mark.parametrize(("n", "wanted"), [(4, 0), (5, 5), (100, 50)])
def test_data_of_the_same_composition_are_compared(n: int, wanted: int) -> None:
    others = [Structure.from_ase(SYSTEMS["water"]())] * 9
    assert len(like(crystal(1), [*[crystal(2)] * n, *others])) == wanted


def test_dynamics_that_ends_has_failed() -> None:
    lines, runs = hot(subject(Wrong(MorsePairs(), "not a number")), 300.0, 0.1, 1)
    assert by_name(lines)[HOT_HEAT].status == Status.FAILED
    assert "finite" in runs[0].end


@pytest.mark.slow
def test_what_flies_apart_does_not_keep_its_volume() -> None:
    found = by_name(list(constant_pressure(subject(MorsePairs(fault="repulsive")), 300.0, 0.3)))
    assert found[CONSTANT_PRESSURE].status == Status.FAILED


def test_without_structures_there_is_no_dynamics() -> None:
    one = Subject(MorsePairs().double())
    found = [*constant_energy(one, 300.0, 0.1), *hot(one, 300.0, 0.1, 1)[0], *constant_pressure(one, 300.0, 0.1)]
    assert all(isinstance(line, NotLooked) for line in found)


def test_dynamics_ends_when_there_is_no_time() -> None:
    lines, runs = hot(subject(MorsePairs(), clock=Clock(0.0)), 300.0, 5.0, 2)
    assert [(line.name, line.why) for line in lines if isinstance(line, NotLooked)] == [(HOT, NO_TIME)]
    assert runs == []
    for ends_after, n in ((5, 0), (14, 1)):  # times that it looks at the clock
        one = subject(MorsePairs(), clock=Looks(ends_after))
        assert len(hot(one, 300.0, 5.0, 2)[1]) == n


def test_distances_are_relative_to_the_shortest_of_their_elements() -> None:
    one = subject(MorsePairs())
    atoms = one.known[0].to_ase()
    assert nearest(one, atoms) == pytest.approx(1.0)
    atoms.set_cell(0.9 * atoms.cell, scale_atoms=True)
    assert nearest(one, atoms) == pytest.approx(0.9)


def test_time_steps_are_for_the_lightest_atom() -> None:
    steps = [timestep_of(Structure.from_ase(SYSTEMS[name]())) for name in ("water", "triclinic", "primitive cell")]
    assert steps == [0.5, 1.0, 2.0]


class Looks(Clock):
    """Is over once it was looked at so often."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    @property
    def left(self) -> float:
        self.n -= 1
        return max(0.0, float(self.n))


class Springs(Potential):
    """Pairs of atoms on springs, whose ensemble is known."""

    def __init__(self, stiffness: float = 20.0, length: float = 1.5) -> None:
        super().__init__()
        self.elements, self.cutoff, self.stiffness, self.length = ("H", "Cu"), 3.0, stiffness, length

    def atomic_energies(self, pairs: Pairs) -> torch.Tensor:
        stretch = pairs.r_ij.norm(dim=1) - self.length
        return segment_sum(0.25 * self.stiffness * stretch**2, pairs.pair_i, len(pairs.center_species))

    def at(self, kelvin: float, n: int) -> list[Structure]:
        """Dimers at n quantiles of the canonical ensemble, r² exp(−E / kT) along the bond, labelled."""
        lengths = np.linspace(0.7, 2.3, 4001)
        weights = lengths**2 * np.exp(-0.5 * self.stiffness * (lengths - self.length) ** 2 / (units.kB * kelvin))
        found = []
        quantiles = np.interp((np.arange(n) + 0.5) / n, np.cumsum(weights) / weights.sum(), lengths)
        for r in np.random.default_rng(0).permutation(quantiles):
            bare = Structure.from_ase(Atoms("HCu", positions=[[0, 0, 0], [0, 0, r]]))
            said = self.predict(bare)
            found.append(bare.with_labels(energy=float(said.energy), forces=said.forces))
        return found


@pytest.mark.parametrize("kelvin", [300.0, 900.0])
def test_the_temperature_of_an_ensemble_follows_from_its_forces(kelvin: float) -> None:
    ensemble = Springs().at(kelvin, 100)
    assert configurational(Springs(), ensemble) == pytest.approx(kelvin, rel=0.05)
    found, said = temperature_of(Springs(), ensemble)
    assert "guessed from the fluctuation of the energies" in said  # one of six degrees of freedom has any energy
    assert found == pytest.approx(kelvin * np.sqrt(0.5 / 3), rel=0.15)
    without = [s.with_labels(energy=None) for s in ensemble]
    found, said = temperature_of(Springs(), without)
    assert found == pytest.approx(kelvin, rel=0.05)
    assert said == f"{found:.0f} K, guessed from forces and their slope; nnpot check --temperature says another"


def test_forces_of_labels_of_another_method_do_not_make_structures_hotter() -> None:
    longer = [s.with_labels(forces=Springs(length=1.7).predict(s).forces) for s in Springs().at(300.0, 60)]
    assert configurational(Springs(), longer) > 1.5 * 300.0
    assert temperature_of(Springs(), longer)[0] < 300.0


def test_atoms_displaced_at_random_are_in_no_equilibrium() -> None:
    random = np.random.default_rng(0)
    potential, frames = Springs(), []
    for _ in range(40):
        atoms = Atoms("HCuCu", positions=[[0, 0, 0], [0, 0, 1.5], [0, 2.6, 1.5]])
        atoms.positions += random.normal(scale=0.1, size=(3, 3))
        bare = Structure.from_ase(atoms)
        said = potential.predict(bare)
        frames.append(bare.with_labels(energy=float(said.energy), forces=said.forces * torch.tensor([[0.3], [1], [1]])))
    assert configurational(potential, frames) is None
    assert "forces" not in temperature_of(potential, frames)[1]


def thermal(kelvin: float, n: int = 8) -> list[Structure]:
    """Crystals whose energies are 3/2 kT per atom above their minimum, and vary as much."""
    above = [0.0, 0.75, 1.0, 1.25, 2.0]
    return [crystal().with_labels(energy=n * (-3.0 + 1.5 * units.kB * kelvin * x)) for x in above]


def canonical(kelvin: float, n: int = 8) -> list[Structure]:
    above = units.kB * kelvin * np.random.default_rng(0).gamma(1.5 * n, size=200)
    return [crystal().with_labels(energy=-3.0 * n + e) for e in above]


@pytest.mark.parametrize(("kelvin", "taken"), [(1500.0, 1500.0), (20_000.0, 2000.0)])
def test_energies_that_vary_too_much_tell_by_their_mean(kelvin: float, taken: float) -> None:
    found, said = temperature_of(MorsePairs(), thermal(kelvin))
    assert found == taken
    assert ("limited" in said) == (kelvin != taken)
    assert said.startswith(f"{taken:.0f} K, guessed from the spread of the energies")
    assert said.endswith("; nnpot check --temperature says another")


def test_without_forces_the_fluctuation_of_the_energies_tells() -> None:
    found, said = temperature_of(MorsePairs(), canonical(300.0))
    assert found == pytest.approx(300.0, rel=0.15)
    assert "guessed from the fluctuation of the energies" in said


def test_without_a_spread_it_is_room_temperature() -> None:
    assert temperature_of(MorsePairs(), [crystal()])[0] == 300.0
    assert "no composition" in temperature_of(MorsePairs(), [])[1]
    found, said = temperature_of(MorsePairs(), thermal(1.0))
    assert (found, "the energies hardly spread" in said) == (300.0, True)


def test_an_atom_that_sees_no_other_tells_nothing_of_dynamics() -> None:
    alone = Structure.from_ase(Atoms("Cu", cell=[20, 20, 20], pbc=True))
    found = [
        *constant_energy(subject(MorsePairs(), alone), 300.0, 0.02),
        *hot(subject(MorsePairs(), alone), 300.0, 0.02, 1)[0],
    ]
    assert {one.why for one in found if isinstance(one, NotLooked)} == {"no atom has another within the cutoff"}
    assert by_name(found) == {}


@pytest.mark.parametrize(
    ("fall", "delay", "decay", "runs_away"),
    [(0.5, 0.0, 5.0, False), (0.5, 600.0, 5.0, True), (0.0, 0.0, 5.0, True), (0.5, 0.0, 0.5, True)],
)
def test_what_is_left_of_the_heat_of_a_fall_at_the_start_is_none_either(
    fall: float, delay: float, decay: float, runs_away: bool
) -> None:
    """54 atoms that fall by 0.5 eV each: 3900 K, of which 5/ps leaves 320 K after half a picosecond."""
    times = np.arange(101) * 10.0
    released = 0.5 * 2 / (3 * units.kB) * np.exp(-1e-3 * decay * times)
    energies = np.where(times > delay, -fall, 0.0)
    one = HotRun("one", 54, times, 450.0 + released, energies, 0 * times + 1, 0 * times)
    lines = by_name(list(stable._judged([one], [0.0], 450.0)))
    assert (lines[HOT_HEAT].status != Status.PASSED) == runs_away


def test_heat_of_the_start_that_the_thermostat_takes_up_is_no_runaway() -> None:
    def run(temperatures: list[float]) -> HotRun:
        x = np.array(temperatures)
        return HotRun("one", 64, np.arange(len(x)) * 10.0, x, 0 * x, 0 * x + 1, 0 * x)

    away = {True: [300.0] * 10 + [900.0] * 10, False: [900.0] * 5 + [300.0] * 15}
    for runs_away, temperatures in away.items():
        lines = by_name(list(stable._judged([run(temperatures)], [0.0], 300.0)))
        assert (lines[HOT_HEAT].status != Status.PASSED) == runs_away

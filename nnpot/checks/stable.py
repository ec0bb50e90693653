"""Stable: whether dynamics keeps its energy, and stays where matter is."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.md.nptberendsen import NPTBerendsen
from numpy.typing import NDArray

from nnpot.calculator import NNPotCalculator
from nnpot.checks.line import NO_GRADE, NO_TIME, Found, Limits, Line, NotLooked, number
from nnpot.checks.radial import composition, distributions, in_common, like, overlaps
from nnpot.checks.subject import Subject
from nnpot.checks.verdict import DYNAMICS
from nnpot.extrapolation import FAR, OnExtrapolation, Policy
from nnpot.neighbors import neighbor_pairs
from nnpot.simulation import langevin, nve, thermal_momenta
from nnpot.structure import Structure
from nnpot.uncertainty import GRADE

Array = NDArray[np.float64]

FRICTION = 5.0
"""Of the hot dynamics, in 1/ps: by e^(−1) in 0.2 ps, about, heat is taken up."""

HOTTER = 1.5
"""Temperature of the hot dynamics over that of the data: what is stable there is so with a margin at the latter."""

DRIFT = Limits(1.0, 20.0, "meV/atom/ps")
"""Drift of the energy at constant energy: 1 meV/atom/ps heats by 4 K in a picosecond; consistent forces leave some
0.01, and 20 are 80 K a picosecond."""

ORDER = Limits(0.5, 1.0)
"""Difference to 2 of the power of the time step by which the energy fluctuates: velocity Verlet keeps it to Δt²
(a power of 2) if forces are the slope of the energy; forces of another energy give a power of 0."""

CLOSEST = Limits(0.8, 0.65, "", "≥")
"""Shortest distance in hot dynamics over that in the structures, or usual: a few per cent less are thermal."""

HEAT = Limits(6.0, 20.0, "σ")
"""Temperature above that of the thermostat in the later half of a run, in standard deviations √(2/3N) of that of N
atoms, averaged over 50 fs, less what is left of the heat that the start had as potential energy."""

FALL = Limits(0.3, 1.5, "eV/atom")
"""Fall of the potential energy in hot dynamics below the lowest structure of the same composition: nothing falls in
thermal matter, a combustion gives 1 eV/atom, and no chemistry gives more than 1.5."""

VOLUME = Limits(0.25, 0.6)
"""Change of the volume, as a logarithm, at zero pressure: melting is 0.1, and a start whose edges are strained by 5 %
goes back by 0.15; 0.6 is a collapse or a gas."""

OUTSIDE = Limits(FAR, np.inf, "γ")
"""Largest γ of an atom in dynamics: from 2 on it is outside of the training data (`nnpot.extrapolation`), where
the model may still be right."""

ALIKE = Limits(0.6, 0.25, "", "≥")
"""Part that radial distributions of hot dynamics and of data of the same composition have in common: 0.75 to 0.95 is
usual, also where a part has melted; 0.25 is another arrangement altogether."""

AT_T, AT_T_AND_NO_PRESSURE = "largest γ at T", "largest γ at T, zero pressure"
"""Of an atom in the runs at the temperature itself, at constant energy and at constant pressure, by `OUTSIDE`."""

FEWEST = 8
"""Number of atoms up to which periodic cells are repeated for dynamics."""

FARTHEST = 1.5
"""Distance over the shortest one up to which atoms are looked for."""

SAMPLED, LEAST_RUN, KEPT = 10.0, 100.0, 2
"""Time between samples, and the shortest run that says something, in fs; each of so many samples is kept."""

NVE_DRIFT, NVE_ORDER = "energy kept (drift at constant energy)", "fluctuation grows as Δt²"
HOT_DISTANCE, HOT_HEAT, HOT_ENERGY = "hot: shortest distance", "hot: temperature", "hot: fall of the energy"
HOT_GRADE, HOT_RADIAL, HOT = "hot: largest γ", "hot: radial distribution", "hot dynamics"
CONSTANT_PRESSURE = "volume kept at zero pressure"
PRESSURE = "dynamics at constant pressure"


@dataclass(frozen=True, eq=False)
class HotRun:
    """What was seen along hot dynamics of one structure.

    Attributes:
        name: Of the structure.
        n_atoms: Its number of atoms.
        times: In fs, shape (n,).
        temperatures: In K, shape (n,).
        energies: Potential energy less that of the start, in eV/atom, shape (n,).
        closest: Shortest distance over that of its pair in the structures, shape (n,).
        grades: Largest γ of an atom, shape (n,); NaN of a model that does not know it.
        alike: Part that radial distributions in the later half have in common with those of the data; None if there
            are too few structures of the same composition.
        worst: The pair of elements that has least.
        end: Why it ended before its time; empty if it did not.
    """

    name: str
    n_atoms: int
    times: Array
    temperatures: Array
    energies: Array
    closest: Array
    grades: Array
    alike: float | None = None
    worst: str = ""
    end: str = ""


@dataclass
class Farthest(OnExtrapolation):
    """Keeps the largest γ that a calculator sees in dynamics, every tenth step.

    Attributes:
        grade: It; NaN of a model that does not know it.
    """

    policy: Policy = "ignore"
    grade: float = np.nan

    def look(self, atoms: Atoms, grades: Array, force_errors: Array, step: int = 0) -> None:
        """Keep the largest."""
        self.grade = float(np.fmax(self.grade, np.fmax.reduce(grades)))

    def line(self, name: str, run: str, temperature: float, bars: str) -> Line | NotLooked:
        """Return the line of a name about a run at a temperature in K."""
        if np.isnan(self.grade):
            return NotLooked("stable", name, NO_GRADE)
        seen = f"at {temperature:.0f} K atoms of {run} get outside of the training data, to γ = {number(self.grade)}"
        return Line.judged("stable", name, OUTSIDE, self.grade, seen, bars)


def starts(subject: Subject, n: int) -> list[Structure]:
    """Return up to n structures for dynamics, in which atoms see one another: periodic cells of few are repeated."""
    cutoff = subject.potential.cutoff
    return [_repeated(s) for s in subject.picked(n) if len(neighbor_pairs(s, cutoff).i) > 0]


def _repeated(structure: Structure) -> Structure:
    atoms, times = structure.to_ase(), np.array([1, 1, 1])
    if not any(structure.pbc):
        return structure
    while len(atoms) * times.prod() < FEWEST:
        lengths = np.where(atoms.pbc, atoms.cell.lengths() * times, np.inf)
        times[int(np.argmin(lengths))] += 1
    return Structure.from_ase(atoms.repeat(tuple(int(k) for k in times)), name=structure.name)


def timestep_of(structure: Structure | Atoms) -> float:
    """Return a time step in fs by the lightest atom: 0.5 with hydrogen, 1 with what is lighter than sodium, else 2."""
    lightest = int(structure.numbers.min())
    return 0.5 if lightest < 3 else 1.0 if lightest < 11 else 2.0


def constant_energy(subject: Subject, temperature: float, picoseconds: float) -> Found:
    """Run at constant energy, and shortly with two time steps."""
    structures = starts(subject, 1)
    if not structures:
        yield from _none(subject, NVE_DRIFT, NVE_ORDER, AT_T)
        return
    atoms, farthest = structures[0].to_ase(), Farthest()
    atoms.calc = NNPotCalculator(subject.potential, dtype="float64", on_extrapolation=farthest)
    step = 0.5 * timestep_of(structures[0])
    try:
        run = nve(atoms, temperature, picoseconds, timestep_fs=2 * step, seed=subject.seed)
        fluctuations = [_fluctuation(atoms, temperature, dt, subject.seed) for dt in (step, step / 2)]
    except ValueError as error:  # no finite forces
        seen = f"dynamics at constant energy ends: {error}"
        yield Line.judged("stable", NVE_DRIFT, DRIFT, float("inf"), seen, DYNAMICS)
        return
    drift = 1e3 * run.drift / picoseconds
    seen = f"the energy drifts by {drift:.2g} meV/atom in a picosecond, with steps of {2 * step:g} fs"
    yield Line.judged("stable", NVE_DRIFT, DRIFT, drift, seen, DYNAMICS)
    power = float(np.log2(fluctuations[0] / fluctuations[1])) if min(fluctuations) > 0 else float("nan")
    seen = f"the energy fluctuates by Δt to the power of {power:.1f}: forces are not the slope of the energy"
    yield Line.judged("stable", NVE_ORDER, ORDER, abs(power - 2.0), seen, DYNAMICS)
    yield farthest.line(AT_T, _name(structures[0]), temperature, DYNAMICS)


def _fluctuation(atoms: Atoms, temperature: float, timestep: float, seed: int) -> float:
    """Root mean square deviation of the total energy in 60 fs, in eV/atom."""
    run = nve(atoms, temperature, 0.06, timestep_fs=timestep, seed=seed, sample_every=max(1, round(2.0 / timestep)))
    return float(np.std(run.energies))


def hot(
    subject: Subject, temperature: float, picoseconds: float, n_runs: int
) -> tuple[list[Line | NotLooked], list[HotRun]]:
    """Run hot dynamics from some structures.

    Returns:
        Lines, and what was seen along the runs.
    """
    structures = starts(subject, n_runs)
    if not structures:
        return list(_none(subject, HOT_DISTANCE, HOT_HEAT, HOT_ENERGY, HOT_GRADE)), []
    calculator = NNPotCalculator(subject.single, on_extrapolation="ignore")
    lowest = _lowest_energies(subject)
    runs, falls = list[HotRun](), list[float]()
    for k, structure in enumerate(structures):
        if subject.clock.left <= 0:
            break
        run, start = _hot_run(subject, structure, calculator, (HOTTER * temperature, picoseconds, k))
        if subject.clock.left <= 0 and run.times[-1] < LEAST_RUN and not run.end:
            break
        runs.append(run)
        below = min(start, lowest.get(composition(structure), start))
        falls.append((below - start) - float(np.min(run.energies)))
    if not runs:
        return [NotLooked("stable", HOT, NO_TIME)], []
    return list(_judged(runs, falls, HOTTER * temperature)), runs


def _judged(runs: Sequence[HotRun], falls: Sequence[float], temperature: float) -> Found:
    ended = [run for run in runs if run.end]
    closest = min(runs, key=lambda run: float(run.closest.min()))
    figure = float(closest.closest.min())
    seen = (
        f"at {temperature:.0f} K atoms come to {figure:.2f} of the shortest distance of the structures ({closest.name})"
    )
    yield Line.judged("stable", HOT_DISTANCE, CLOSEST, figure, seen, DYNAMICS)
    figures = {run.name: _heat(run, temperature) for run in runs}
    hottest = max(figures, key=lambda name: figures[name])
    figure, seen = figures[hottest], f"at {temperature:.0f} K the dynamics of {hottest} runs away in temperature"
    if ended:
        figure, seen = float("inf"), f"at {temperature:.0f} K the dynamics of {ended[0].name} ends: {ended[0].end}"
    yield Line.judged("stable", HOT_HEAT, HEAT, figure, seen, DYNAMICS)
    k = int(np.argmax(falls))
    seen = f"at {temperature:.0f} K the energy of {runs[k].name} falls {falls[k]:.2g} eV/atom below the lowest known"
    yield Line.judged("stable", HOT_ENERGY, FALL, max(float(falls[k]), 0.0), seen, DYNAMICS)
    yield _radial(runs, temperature)
    farthest = max(runs, key=lambda run: float(np.nan_to_num(run.grades).max()))
    if np.isnan(farthest.grades).all():
        yield NotLooked("stable", HOT_GRADE, NO_GRADE)
        return
    figure = float(np.nanmax(farthest.grades))
    seen = f"at {temperature:.0f} K atoms of {farthest.name} get outside of the training data, to γ = {number(figure)}"
    yield Line.judged("stable", HOT_GRADE, OUTSIDE, figure, seen, f"dynamics at {temperature:.0f} K")


def _radial(runs: Sequence[HotRun], temperature: float) -> Line | NotLooked:
    compared = [(run.alike, run) for run in runs if run.alike is not None]
    if not compared:
        return NotLooked("stable", HOT_RADIAL, "there are too few structures of the composition of a hot run")
    figure, run = min(compared, key=lambda one: one[0])
    seen = f"at {temperature:.0f} K distances in {run.name} have {100 * figure:.0f} % in common with those of the data"
    seen += f" ({run.worst} least)"
    return Line.judged("stable", HOT_RADIAL, ALIKE, figure, seen, DYNAMICS)


def _hot_run(
    subject: Subject, structure: Structure, calculator: BaseCalculator, how: tuple[float, float, int]
) -> tuple[HotRun, float]:
    """Run one structure at a temperature in K for some ps; return also the energy of its start in eV/atom."""
    temperature, picoseconds, k = how
    atoms = structure.to_ase()
    atoms.calc = calculator
    every = max(1, round(SAMPLED / timestep_of(structure)))
    rows, end, n = list[tuple[float, float, float, float, float]](), "", len(atoms)
    kept = list[Structure]()
    start = float("nan")
    try:
        start = atoms.get_potential_energy() / n
        dynamics = langevin(atoms, temperature, timestep_of(structure), FRICTION, subject.generator(80 + k))
        for sample in range(round(1e3 * picoseconds / SAMPLED) + 1):
            if sample:
                dynamics.run(every)
            kelvin = float(atoms.get_temperature())
            energy = atoms.get_potential_energy() / n - start
            knows = GRADE in calculator.implemented_properties
            grade = float(np.max(calculator.get_property(GRADE, atoms))) if knows else np.nan
            rows.append((sample * SAMPLED, kelvin, energy, nearest(subject, atoms), grade))
            if sample % KEPT == 0:
                kept.append(Structure.from_ase(atoms))
            if kelvin > 30 * temperature:
                end = f"{kelvin:.0f} K after {sample * SAMPLED:.0f} fs"
                break
            if subject.clock.left <= 0:
                break
    except ValueError as error:  # no finite forces, or atoms out of reach
        end = str(error)
    times, kelvins, energies, closest, grades = np.array(rows or [(0.0, np.nan, np.nan, 0.0, np.nan)]).T
    name = _name(structure)
    alike = _alike(subject, structure, kept[len(kept) // 2 :])
    return HotRun(name, n, times, kelvins, energies, closest, grades, *alike, end), start


def _name(structure: Structure) -> str:
    return str(structure.name or structure.group or structure.to_ase().get_chemical_formula())


def _alike(subject: Subject, start: Structure, later: Sequence[Structure]) -> tuple[float | None, str]:
    """Compare radial distributions with those of data of the same composition."""
    known, cutoff = like(start, subject.known), subject.potential.cutoff
    parts = overlaps(distributions(later, cutoff), distributions(known, cutoff))
    if not parts:
        return None, ""
    worst = min(parts.items(), key=lambda item: item[1])[0]
    return in_common(parts, start), "–".join(worst)


def nearest(subject: Subject, atoms: Atoms) -> float:
    """Return the shortest distance over that of its pair of elements in the structures, `FARTHEST` at most."""
    structure, elements = Structure.from_ase(atoms), subject.elements
    table = np.array(
        [[subject.shortest.get((a, b), subject.shortest.get((b, a), 1.0)) for b in elements] for a in elements]
    )
    pairs = neighbor_pairs(structure, min(FARTHEST * float(table.max()), subject.potential.cutoff))
    if not len(pairs.i):
        return FARTHEST
    place = np.array([elements.index(symbol) for symbol in atoms.get_chemical_symbols()])
    lengths = pairs.vectors(structure.positions, structure.cell).norm(dim=1).numpy()
    ratio = lengths / table[place[pairs.i.numpy()], place[pairs.j.numpy()]]
    return min(float(ratio.min()), FARTHEST)


def constant_pressure(subject: Subject, temperature: float, picoseconds: float) -> Found:
    """Run a crystal or liquid at zero pressure."""
    structures = [s for s in starts(subject, 6) if all(s.pbc)]
    if not structures:
        yield NotLooked("stable", CONSTANT_PRESSURE, "no structure is periodic in three directions")
        return
    structure, farthest = max(structures, key=len), Farthest()
    atoms = structure.to_ase()
    atoms.calc = NNPotCalculator(subject.single, on_extrapolation=farthest)
    step, volume = timestep_of(structure), atoms.get_volume()
    atoms.set_momenta(thermal_momenta(atoms.get_masses(), temperature, subject.generator(90)))
    changes = [0.0]
    try:
        dynamics = NPTBerendsen(
            atoms,
            step * units.fs,
            temperature_K=temperature,
            pressure_au=0.0,
            taut=100 * units.fs,
            taup=500 * units.fs,
            compressibility_au=0.02 / units.GPa,
        )
        for _ in itertools.islice(dynamics.irun(round(1e3 * picoseconds / step)), None):
            changes.append(abs(float(np.log(atoms.get_volume() / volume))))
            if changes[-1] > 3 * VOLUME.failed:
                break
    except ValueError:  # no finite forces, or a cell without volume
        changes.append(float("inf"))
    figure = float(np.max(changes))
    seen = f"at zero pressure and {temperature:.0f} K the volume changes by {100 * np.expm1(figure):.0f} %"
    yield Line.judged("stable", CONSTANT_PRESSURE, VOLUME, figure, seen, PRESSURE)
    yield farthest.line(AT_T_AND_NO_PRESSURE, f"{_name(structure)} at zero pressure", temperature, PRESSURE)


def _heat(run: HotRun, temperature: float) -> float:
    """Highest temperature of the later half, averaged over 50 fs, above that of the thermostat, in standard deviations.

    At the start the energy of structures of a hotter or quantum ensemble becomes heat, which the thermostat takes up:
    what is left of it by then, at most, does not count.
    """
    released = -np.minimum.accumulate(np.minimum(run.energies, 0.0)) * 2 / (3 * units.kB)
    left = run.temperatures - released * np.exp(-1e-3 * FRICTION * run.times)
    width = min(5, len(left))
    averaged = np.convolve(left, np.ones(width) / width, mode="valid")
    averaged = averaged[len(averaged) // 2 :]
    return float((averaged.max() / temperature - 1.0) / np.sqrt(2.0 / (3.0 * run.n_atoms)))


def _lowest_energies(subject: Subject) -> dict[tuple[tuple[int, float], ...], float]:
    """Lowest energy that the model gives any structure, in eV/atom, by composition."""
    lowest: dict[tuple[tuple[int, float], ...], float] = {}
    for structure in subject.known[:: max(1, len(subject.known) // 200)]:
        key, energy = composition(structure), float(subject.single.predict(structure).energy) / len(structure)
        lowest[key] = min(lowest.get(key, energy), energy)
    return lowest


def _none(subject: Subject, *names: str) -> Found:
    why = "no atom has another within the cutoff" if subject.known else "no structures given; --structures FILE"
    for name in names:
        yield NotLooked("stable", name, why)

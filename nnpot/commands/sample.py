"""Make training data: molecular dynamics with any ASE calculator, labelled on the way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.calculators.singlepoint import SinglePointCalculator

from nnpot.commands.calculators import calculator_of
from nnpot.commands.unfinished import Reached, Unfinished, digest_of, restore, state_of
from nnpot.label_names import is_possible
from nnpot.labels import LABELS
from nnpot.machine.locks import alone
from nnpot.machine.progress import Counted
from nnpot.reading import read_atoms
from nnpot.simulation import deformed, langevin

MAX_FORCE = 50.0
"""Largest force on an atom, in eV/Å, with which a structure is kept: beyond it dynamics has gone astray."""

FRICTION_PER_PS = 20.0
"""Friction of the Langevin thermostat, in 1/ps: strong, because independent frames are wanted, not dynamics."""


EQUALITY = "equal to one run to the last bit, or to rounding if the calculator keeps neighbour lists or wave functions"
"""What is said of the frames that come where a run goes on."""


@dataclass(frozen=True)
class _Run:
    """One trajectory to come."""

    atoms: Atoms
    name: str
    temperature: float
    generator: np.random.Generator


def sample(
    start: Path,
    out: Path,
    calculator: str = "ase.calculators.emt.EMT",
    temperatures: tuple[float, ...] = (300.0, 800.0, 1500.0),
    strains: tuple[float, ...] = (-0.04, 0.0, 0.04),
    snapshots: int = 4,
    interval_fs: float = 40.0,
    timestep_fs: float = 2.0,
    seed: int = 0,
) -> Path:
    """Run molecular dynamics from start structures and label snapshots for training.

    One Langevin trajectory per structure, strain and temperature. Every snapshot is labelled with
    energy, forces and, where the structure is periodic in 3 directions and the calculator has it, stress; with the
    dipole of molecules and the charges of atoms too if the calculator gives them unasked. `info["config_type"]`
    says what it is, for example `Cu3Au_800K`: the start structure's own `config_type` or else its formula, and the
    temperature. A trajectory ends where it blows up (a force above 50 eV/Å, or a number that is not finite). Each
    frame is written when it is labelled; whatever ends the run, the same command goes on behind the last of them,
    as `OUT.unfinished` says how far it has come. The file is then that of one run: to the last bit if the
    calculator keeps nothing from one structure to the next, else (neighbour lists, wave functions) equal to
    rounding, which grows along the rest of the trajectory that was cut. Constraints of the start structures are
    dropped.

    Args:
        start: Start structures, any file that ASE reads.
        out: Extended XYZ file to write; replaced if it exists and is not unfinished.
        calculator: Import path of an ASE calculator class, or of a function that makes one. It is
            called without arguments.
        temperatures: Temperatures, in K.
        strains: Relative changes of the periodic cell vectors. A strain other than zero also brings
            a random shear of about half its size. Structures that are not periodic are run once,
            without strain.
        snapshots: Labelled frames per trajectory.
        interval_fs: Time between two snapshots, and before the first, in fs.
        timestep_fs: Time step, in fs.
        seed: Seed of shears, momenta and thermostat; the same seed gives the same file.

    Returns:
        The path of the written file.

    Raises:
        FileNotFoundError: If there is no start file.
        ValueError: If a number is out of range, the start file cannot be read, the calculator
            cannot be made, the file is unfinished with other settings, another process is writing
            to it, or every trajectory blew up before its first snapshot.
    """
    _check(temperatures, strains, snapshots, interval_fs, timestep_fs)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2³² − 1, got {seed}")
    starts = read_atoms(start)
    if out.exists() and out.samefile(start):
        raise ValueError(f"{out} holds the start structures, which would be lost; give another file to write to")
    labeller = calculator_of(calculator, "calculator")
    runs = list(_plan(starts, strains, temperatures, seed))
    times = _Times(snapshots, max(1, round(interval_fs / timestep_fs)), timestep_fs)
    settings = {
        "start": digest_of(starts),
        "calculator": calculator,
        **{"temperatures": tuple(temperatures), "strains": tuple(strains), "seed": seed},
        **{"snapshots": snapshots, "interval_fs": interval_fs, "timestep_fs": timestep_fs},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with alone(out.with_name(out.name + ".lock"), str(out)):
        reached = _sampled(Unfinished(out, settings), runs, labeller, times)
    if not reached.frames:
        raise ValueError(
            f"no frame of {start} survived: look at the start structures, or choose a smaller "
            f"timestep_fs than {timestep_fs}"
        )
    return out


@dataclass(frozen=True)
class _Times:
    """When frames are taken: so many, one after each interval in steps, of so many fs."""

    snapshots: int
    interval: int
    timestep_fs: float


def _sampled(file: Unfinished, runs: Sequence[_Run], labeller: BaseCalculator, times: _Times) -> Reached:
    """Run what is left of all trajectories, and write their frames."""
    planned, reached = len(runs) * times.snapshots, file.reached
    with Counted("labelling", planned, reached.frames + reached.blown_up) as counted:
        if reached.frames:
            counted.console.print(f"{file.out} goes on after {reached.frames} of {planned} structures, {EQUALITY}")
        try:
            for k in range(reached.run, len(runs)):
                for frame, state in _labelled_frames(runs[k], labeller, times, file.reached):
                    now = file.reached
                    file.add(frame, replace(now, run=k, frames=now.frames + 1, taken=now.taken + 1, state=state))
                    counted.advance()
                missing = times.snapshots - file.reached.taken
                now = file.reached
                file.note(replace(now, run=k + 1, taken=0, blown_up=now.blown_up + missing, state=None))
                counted.advance(missing)
        except BaseException as error:
            error.add_note(_kept(file.out, file.reached, planned))
            raise
        counted.console.print(_summary(file.out, file.reached, planned))
    file.finish()
    return file.reached


def _check(
    temperatures: Sequence[float],
    strains: Sequence[float],
    snapshots: int,
    interval_fs: float,
    timestep_fs: float,
) -> None:
    if not temperatures or min(temperatures) <= 0.0:
        raise ValueError(f"temperatures must be positive, got {list(temperatures)} K")
    if not strains or max(abs(strain) for strain in strains) > 0.5:
        raise ValueError(f"strains must lie between -0.5 and 0.5, got {list(strains)}")
    if snapshots < 1:
        raise ValueError(f"snapshots must be at least 1, got {snapshots}")
    if not interval_fs > 0.0:
        raise ValueError(f"interval_fs must be positive, got {interval_fs} fs")
    if not 0.0 < timestep_fs <= interval_fs:
        raise ValueError(
            f"timestep_fs must be positive and not above interval_fs, got {timestep_fs} fs and {interval_fs} fs"
        )


def _plan(
    starts: Sequence[Atoms], strains: Sequence[float], temperatures: Sequence[float], seed: int
) -> Iterator[_Run]:
    """All trajectories, each with its own stream of random numbers."""
    cases = [
        (atoms, strain, temperature)
        for atoms in starts
        for strain in (strains if any(atoms.pbc) else (0.0,))
        for temperature in temperatures
    ]
    streams = np.random.SeedSequence(seed).spawn(len(cases))
    for (atoms, strain, temperature), stream in zip(cases, streams, strict=True):
        generator = np.random.default_rng(stream)
        formula = atoms.get_chemical_formula(empirical=True)
        name = f"{atoms.info.get('config_type', formula)}_{temperature:.0f}K"
        yield _Run(_strained(atoms, strain, generator), name, temperature, generator)


def _strained(atoms: Atoms, strain: float, generator: np.random.Generator) -> Atoms:
    """Scale by 1 + strain, and shear (symmetric, no trace) by about half of it."""
    noise = generator.standard_normal((3, 3))
    shear = (noise + noise.T) / 2.0
    shear -= np.trace(shear) / 3.0 * np.eye(3)
    strained = deformed(atoms, (1.0 + strain) * np.eye(3) + 0.5 * strain * shear)
    strained.set_constraint()
    return strained


def _labelled_frames(
    run: _Run, calculator: BaseCalculator, times: _Times, reached: Reached
) -> Iterator[tuple[Atoms, Mapping[str, Any]]]:
    """Snapshots of one trajectory, those that are still to be taken until it blows up, and its state at each."""
    atoms = run.atoms.copy()
    atoms.calc = calculator
    dynamics = langevin(atoms, run.temperature, times.timestep_fs, FRICTION_PER_PS, run.generator)
    if reached.state is not None:
        restore(atoms, run.generator, reached.state)
    for step, _ in enumerate(dynamics.irun((times.snapshots - reached.taken) * times.interval)):
        largest = np.linalg.norm(atoms.get_forces(), axis=1).max()
        if not (largest <= MAX_FORCE and np.isfinite(atoms.get_potential_energy())):
            return
        if step > 0 and step % times.interval == 0:
            yield _labelled(atoms, run), state_of(atoms, run.generator)


def _labelled(atoms: Atoms, run: _Run) -> Atoms:
    """A frame with its labels and nothing that the start file carried along."""
    frame = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    frame.info = {"config_type": run.name, "temperature": run.temperature}
    labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
    if all(atoms.pbc) and "stress" in atoms.calc.implemented_properties:
        labels["stress"] = atoms.get_stress()
    known = atoms.calc.results
    labels |= {
        name: known[name] for name in LABELS if LABELS[name].has_head and name in known and is_possible(name, atoms)
    }
    frame.calc = SinglePointCalculator(frame, **labels)
    return frame


def _summary(out: Path, reached: Reached, planned: int) -> str:
    file = f"written to {out}" if reached.frames else f"{out} not written"
    return f"{reached.frames} of {planned} structures labelled{_skipped(reached)}, {file}"


def _kept(out: Path, reached: Reached, planned: int) -> str:
    """What is left of a run that was ended, and how to go on."""
    if not reached.frames:
        return f"none of {planned} structures was labelled before; the same command begins anew"
    labelled = f"{reached.frames} of {planned} structures are labelled and kept in {out}{_skipped(reached)}"
    return f"{labelled}; to go on behind them give the same command again"


def _skipped(reached: Reached) -> str:
    return f", {reached.blown_up} skipped (blown up)" if reached.blown_up else ""

"""Burn methane with a potential that finds its own training data: sample, train, run, select, label, train again.

python examples/reactive/reactive.py --folder burning

The workflow of DP-GEN (Y. Zhang et al., Comput. Phys. Commun. 253, 107206 (2020)) with one model, whose γ tells what it
has not seen.  Interrupted anywhere, the same command goes on: whatever has its file in the folder is not done again.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import jsonargparse
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import read, write
from drawings import draw
from gas import Plan, dynamics, labelled, start
from teacher import failures

from nnpot import NNPotCalculator, OnExtrapolation

STOP = 2.0
"""γ beyond which a run counts as stopped: what it says from there on is not to be trusted."""
EXPLORE = 4.0
"""γ up to which it goes on all the same, since what lies between is what a training can learn most from."""
AFTER = 0.2
"""Time in ps after which it ends then."""
GOOD = 15.0
"""Error on frames of its own, in meV/atom (RMS), at which a model is good enough."""
OF_EACH_RUN = 20
"""Number of frames of each run, before it stopped, that the teacher judges."""

OWN, HOTTER = "dynamics", "hotter"
"""Folders of the runs of a round: those that are judged, and those that only find structures."""


@dataclass(frozen=True)
class Settings:
    """What is burnt, and how long.

    Args:
        methane: Number of molecules of CH4.
        oxygen: Number of molecules of O2.
        radius: Of the spherical wall, in Å.
        temperature: Of the dynamics that the potential is for, in K.
        picoseconds: Length of each run.
        runs: Number of runs of each round, each from molecules at other places.
        hotter: Temperature in K of further runs, which nobody judges: they often meet what the others meet rarely.
        hotter_runs: Number of these runs of each round.
        rounds: Largest number of trainings.
        select: Number of structures that are labelled after a round: a cheap teacher can label many.
        sample_temperatures: Of the teacher's runs that the first training learns from, in K.
        samples: Number of these runs.
        sample_picoseconds: Length of each of them.
        interval_fs: Between two frames.
        timestep_fs: Of all dynamics.
        epochs: Largest number of epochs of a training.
        seen: Largest number of structures that a training sees, each of them many times.
        teacher: Import path of a function that makes the ASE calculator to learn from.
        teacher_runs: Number of runs with the teacher itself, for comparison.
        seed: Of everything.
    """

    methane: int = 2
    oxygen: int = 4
    radius: float = 4.5
    temperature: float = 3000.0
    picoseconds: float = 5.0
    runs: int = 8
    hotter: float = 6000.0
    hotter_runs: int = 24
    rounds: int = 5
    select: int = 3000
    sample_temperatures: tuple[float, ...] = (1500.0, 3000.0, 4500.0, 6000.0)
    samples: int = 8
    sample_picoseconds: float = 1.0
    interval_fs: float = 10.0
    timestep_fs: float = 0.5
    epochs: int = 100
    seen: int = 200_000
    teacher: str = "teacher.gfn2_xtb"
    teacher_runs: int = 8
    seed: int = 0

    def make_teacher(self) -> Calculator:
        """Make the calculator to learn from."""
        module, _, name = self.teacher.rpartition(".")
        return getattr(import_module(module), name)()

    def gas(self, *stream: int) -> tuple[Atoms, int]:
        """Return a start structure and a seed; the same for the same numbers."""
        generator = np.random.default_rng([self.seed, *stream])
        molecules = {"CH4": self.methane, "O2": self.oxygen}
        return start(molecules, self.radius, generator), int(generator.integers(2**31))

    def plan(self, temperature: float, picoseconds: float, seed: int) -> Plan:
        """Return how dynamics is run."""
        return Plan(temperature, picoseconds, self.interval_fs, self.timestep_fs, self.radius, seed)


def burn(settings: Settings, folder: Path = Path("burning")) -> list[dict[str, Any]]:
    """Do whatever is still to be done, and draw how far it has come after each step.

    Args:
        settings: What is burnt, and how long.
        folder: Where everything is kept.

    Returns:
        What was found in each round.

    Raises:
        ValueError: If the folder is of other settings.
        SystemExit: If a command of nnpot fails or is interrupted.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    _same_settings(folder / "settings.json", settings)
    sample(settings, folder)
    found: list[dict[str, Any]] = []
    for k in range(1, settings.rounds + 1):
        here = folder / f"round-{k}"
        train(settings, folder, k)
        run(settings, here, k)
        found.append(judge(settings, here))
        draw(folder, found)
        if is_good(found[-1]):
            break
        if k < settings.rounds:
            select(settings, folder, k)
    compare(settings, folder)
    draw(folder, found)
    return found


def sample(settings: Settings, folder: Path) -> None:
    """Label frames of short runs of the teacher, at several temperatures."""
    if (folder / "sample.xyz").exists():
        return
    teacher = settings.make_teacher()
    if failed := failures(teacher):
        say(f"the teacher finds no solution for {', '.join(failed)}: frames like these will be missing")
    temperatures = islice(cycle(settings.sample_temperatures), settings.samples)
    for k, temperature in enumerate(temperatures):
        gas, seed = settings.gas(0, k)
        plan = settings.plan(temperature, settings.sample_picoseconds, seed)
        trajectory(folder / "sample" / f"{k:02}.xyz", lambda: dynamics([gas], teacher, plan)[0])  # noqa: B023
    # every second frame: the next one is hardly different
    keep(folder / "sample.xyz", [frame for path in runs_in(folder / "sample") for frame in frames_of(path)[::2]])
    say(f"sampled {len(frames_of(folder / 'sample.xyz'))} labelled frames")


def train(settings: Settings, folder: Path, k: int) -> None:
    """Train anew on all that is labelled, without weighted densities, which take most of the time."""
    here = folder / f"round-{k}"
    if (here / "model.nnpot").exists():
        return
    here.mkdir(exist_ok=True)
    if (here / "run" / "last.ckpt").exists():
        nnpot("train", "--resume", here / "run")
    else:
        files = known(folder, k)
        epochs = round(settings.seen / sum(len(frames_of(path)) for path in files))
        options = ["--trainer.max_epochs", max(1, min(settings.epochs, epochs)), "--optimizer.schedule", "cosine"]
        options += ["--seed", settings.seed + k, "--potential.descriptor.init_args.weighted_channels", 0]
        nnpot("train", *files, "--out", here / "run", *options)
    replace(here / "model.nnpot", (here / "run" / "model.nnpot").read_bytes())


def run(settings: Settings, here: Path, k: int, *, hotter: bool = False) -> None:
    """Run hot dynamics with the model of a round, until it is far from what it knows; or others that are hotter."""
    if hotter:
        folder, temperature, n_runs, first = HOTTER, settings.hotter, settings.hotter_runs, settings.runs
    else:
        folder, temperature, n_runs, first = OWN, settings.temperature, settings.runs, 0
    if len(runs_in(here / folder)) == n_runs:
        return
    gases, seeds = zip(*[settings.gas(k, first + n) for n in range(n_runs)], strict=True)
    calculator = calculator_of(here / "model.nnpot")
    plan = settings.plan(temperature, settings.picoseconds, seeds[0])
    for n, frames in enumerate(dynamics(gases, calculator, plan, is_too_far)):
        keep(here / folder / f"{n:02}.xyz", frames)


def calculator_of(model: Path) -> NNPotCalculator:
    """Return a calculator that tells γ at each step, and does nothing about it: a run ends by `is_too_far`.

    Not at every tenth alone: where a gas begins anew there are two calculations a step, and results are of the second.
    """
    return NNPotCalculator(model, on_extrapolation=OnExtrapolation("ignore", every=1))


def judge(settings: Settings, here: Path) -> dict[str, Any]:
    """Return how many runs stopped, how long they were, and how wrong the model is on frames of its own."""
    if (here / "found.json").exists():
        return json.loads((here / "found.json").read_text())
    runs = [frames_of(path) for path in runs_in(here / OWN)]
    trusted = [before_the_stop(frames) for frames in runs]
    some = [frames[j] for frames in trusted for j in spread_over(len(frames), OF_EACH_RUN)]
    teacher = settings.make_teacher()
    pairs = [(frame, truth) for frame in some if (truth := labelled(frame, teacher)) is not None]
    energies = [(f.get_potential_energy() - t.get_potential_energy()) / len(f) for f, t in pairs]
    forces = [np.linalg.norm(f.get_forces() - t.get_forces(), axis=1) for f, t in pairs]
    found = {
        "round": int(here.name.removeprefix("round-")),
        "training": sum(len(frames_of(path)) for path in known(here.parent, int(here.name.removeprefix("round-")))),
        "runs": len(runs),
        "stopped": sum(is_stopped(settings, frames) for frames in runs),
        "picoseconds": [float(frames[-1].info["time_ps"]) if frames else 0.0 for frames in trusted],
        "judged": len(pairs),
        "without_solution": len(some) - len(pairs),
        "energy_rms_mev_per_atom": 1000 * rms(energies),
        "force_rms_mev_per_ang": 1000 * rms(np.concatenate([np.zeros(0), *forces])),
    }
    replace(here / "found.json", json.dumps(found, indent=1).encode())
    say(
        "round {round}: {stopped} of {runs} runs stopped, error on own frames {energy_rms_mev_per_atom:.1f} meV/atom "
        "and {force_rms_mev_per_ang:.0f} meV/Å, {training} structures trained".format(**found)
    )
    return found


def select(settings: Settings, folder: Path, k: int) -> None:
    """Choose from what the runs came across, and others that are hotter, and label it."""
    here = folder / f"round-{k}"
    if (here / "labelled.xyz").exists():
        return
    run(settings, here, k, hotter=True)
    paths = runs_in(here / OWN) + runs_in(here / HOTTER)
    keep(here / "pool.xyz", [f for path in paths for f in without_results(frames_of(path))])
    chosen = here / "selected.xyz"
    options = ["--model", here / "model.nnpot", "-n", settings.select, "--train", *known(folder, k), "--out", chosen]
    nnpot("select", here / "pool.xyz", *options)
    teacher = settings.make_teacher()
    tried = [labelled(frame, teacher) for frame in frames_of(chosen)]
    solved = [frame for frame in tried if frame is not None]
    if len(solved) < len(tried):
        say(f"the teacher finds no solution for {len(tried) - len(solved)} of {len(tried)} structures: left out")
    keep(here / "labelled.xyz", solved)


def compare(settings: Settings, folder: Path) -> None:
    """Run the teacher itself, from other starts, to count its molecules."""
    teacher = settings.make_teacher()
    for n in range(settings.teacher_runs):
        gas, seed = settings.gas(1000, n)
        plan = settings.plan(settings.temperature, settings.picoseconds, seed)
        trajectory(folder / "teacher" / f"{n:02}.xyz", lambda: dynamics([gas], teacher, plan)[0])  # noqa: B023


def is_good(found: Mapping[str, Any]) -> bool:
    """Whether no run stopped, and the teacher agrees with what the model has made: γ alone does not say so."""
    return found["stopped"] == 0 and found["energy_rms_mev_per_atom"] <= GOOD


def is_too_far(frames: Sequence[Atoms]) -> bool:
    """Whether a run has left what is to be trusted so far, or so long ago, that it is of no use to go on."""
    if not frames:
        return False
    stopped = next((f.info["time_ps"] for f in frames if f.info["gamma"] > STOP), np.inf)
    return frames[-1].info["gamma"] > EXPLORE or frames[-1].info["time_ps"] > stopped + AFTER


def is_stopped(settings: Settings, frames: Sequence[Atoms]) -> bool:
    """Whether γ came beyond what is to be trusted, or a run ended early for another reason."""
    until = float(frames[-1].info["time_ps"]) if frames else 0.0  # read from a file: a number of NumPy
    return len(before_the_stop(frames)) < len(frames) or until < settings.picoseconds - settings.interval_fs / 1000


def before_the_stop(frames: Sequence[Atoms]) -> list[Atoms]:
    """Return the frames of a run up to where γ came beyond what is to be trusted."""
    beyond = [k for k, frame in enumerate(frames) if frame.info["gamma"] > STOP]
    return list(frames[: beyond[0]] if beyond else frames)


def spread_over(n: int, most: int) -> list[int]:
    """Return at most so many of n positions, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int)).tolist() if n else []


def without_results(frames: Iterable[Atoms]) -> list[Atoms]:
    """Return frames without what the model said of them."""
    plain = [frame.copy() for frame in frames]
    for frame in plain:
        frame.calc = None
    return plain


def rms(errors: Sequence[float] | np.ndarray) -> float:
    """Return the root mean square; NaN of nothing."""
    return float(np.sqrt(np.mean(np.square(errors)))) if len(errors) else float("nan")


def known(folder: Path, k: int) -> list[Path]:
    """Return the files of all structures that are labelled before a round."""
    return [folder / "sample.xyz", *(folder / f"round-{j}" / "labelled.xyz" for j in range(1, k))]


def runs_in(folder: Path) -> list[Path]:
    """Return the files of all finished runs."""
    return sorted(folder.glob("[0-9][0-9].xyz"))


def frames_of(path: Path) -> list[Atoms]:
    """Return all frames of a file; an empty one holds none."""
    return read(path, ":", format="extxyz") if path.stat().st_size else []


def trajectory(path: Path, run: Callable[[], Iterable[Atoms]]) -> None:
    """Run dynamics and keep its frames, if that has not been done."""
    if not path.exists():
        keep(path, list(run()))
        say(f"{path} is done")


def keep(path: Path, frames: Sequence[Atoms]) -> None:
    """Write frames, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text("")
    if frames:
        write(partial, frames, format="extxyz")
    partial.replace(path)


def replace(path: Path, content: bytes) -> None:
    """Write a file, all or nothing."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def nnpot(*arguments: object) -> None:
    """Run a command of nnpot."""
    command = [sys.executable, "-m", "nnpot", *map(str, arguments)]
    told = " ".join(["nnpot", *command[3:]])
    say(told)
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"{told} has ended early; the same command goes on from there")


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def _same_settings(path: Path, settings: Settings) -> None:
    """Complain about a folder of other settings; the number of rounds and of the teacher's runs may grow."""
    told = json.loads(json.dumps(asdict(settings)))
    before = json.loads(path.read_text()) if path.exists() else told
    free = ("rounds", "teacher_runs")
    differ = [name for name in told if name not in free and before.get(name) != told[name]]
    if differ:
        raise ValueError(f"{path} has other {', '.join(differ)}: give the same settings, or another --folder")
    replace(path, json.dumps(told, indent=1).encode())


if __name__ == "__main__":
    jsonargparse.CLI(burn, as_positional=False)

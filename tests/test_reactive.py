"""The parts of `examples/reactive`, and all of it with a cheap teacher, interrupted and gone on with."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import CalculationFailed, Calculator
from ase.calculators.emt import EMT
from ase.io import read
from systems import acsf, network_potential

from nnpot.__main__ import main
from nnpot.calibration import calibrated
from nnpot.io import save
from nnpot.structure import Structure

sys.path.insert(0, str(Path(__file__).parents[1] / "examples/reactive"))

import reactive
from gas import Plan, Wall, dynamics, labelled, species, start
from teacher import failures

MIXTURE = {"CH4": 1, "O2": 1}


def gas(seed: int = 0) -> Atoms:
    return start(MIXTURE, 3.0, np.random.default_rng(seed))


def plan(picoseconds: float = 0.01, radius: float = 3.0) -> Plan:
    return Plan(300.0, picoseconds, interval_fs=2.0, timestep_fs=0.5, radius=radius, seed=1)


def emt() -> Calculator:
    """A teacher of microseconds; its energies of molecules mean nothing."""
    return EMT()


class Failing(EMT):
    """A teacher that finds no solution for atoms in some places."""

    def __init__(self, fails: Callable[[Atoms], bool]) -> None:
        super().__init__()
        self.fails = fails

    def calculate(self, atoms: Atoms | None = None, *arguments: object, **named: object) -> None:
        if self.fails(atoms):
            raise CalculationFailed("no solution")
        super().calculate(atoms, *arguments, **named)


# parts ----------------------------------------------------------------------------------------------------------------


def test_molecules_are_put_into_a_sphere_apart_from_one_another() -> None:
    atoms = start({"CH4": 2, "O2": 3}, 4.0, np.random.default_rng(3))
    assert species(atoms) == {"CH4": 2, "O2": 3}
    of = np.repeat(np.arange(5), [5, 5, 2, 2, 2])
    distances = atoms.get_all_distances()
    assert distances[of[:, None] != of].min() > 2.0
    centers = [atoms.positions[of == k].mean(axis=0) for k in range(5)]
    assert np.linalg.norm(centers, axis=1).max() <= 4.0
    assert np.array_equal(gas(1).positions, gas(1).positions)
    assert not np.array_equal(gas(1).positions, gas(2).positions)
    with pytest.raises(ValueError, match="do not fit into a sphere"):
        start({"CH4": 5}, 0.5, np.random.default_rng(0))


def test_the_wall_pulls_back_what_is_outside() -> None:
    wall, atoms = Wall(2.0, stiffness=3.0), Atoms("HOC", [[1.9, 0, 0], [0, 2.5, 0], [2.0, 2.0, 1.0]])
    forces = np.zeros((3, 3))
    wall.adjust_forces(atoms, forces)
    step, wanted = 1e-6, np.zeros((3, 3))
    for k in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[k] += sign * step
            energies.append(wall.adjust_potential_energy(moved))
        wanted[k] = (energies[1] - energies[0]) / (2 * step)
    np.testing.assert_allclose(forces, wanted, atol=1e-8)
    assert wall.adjust_potential_energy(atoms[[0]]) == 0.0


def test_labels_are_those_of_the_teacher_without_the_wall() -> None:
    (frames,) = dynamics([gas()], emt(), plan(radius=0.5))
    assert [frame.info["time_ps"] for frame in frames] == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.01])
    for frame in frames:
        truth = labelled(frame, emt())
        assert truth is not None
        assert frame.get_potential_energy() == pytest.approx(truth.get_potential_energy())
        np.testing.assert_allclose(frame.get_forces(), truth.get_forces(), atol=1e-8)


def test_gases_that_are_run_together_do_not_feel_one_another() -> None:
    both = dynamics([gas(1), gas(2)], emt(), plan())
    assert [len(frames) for frames in both] == [5, 5]
    for frames in both:
        for frame in frames:
            truth = labelled(frame, emt())
            assert truth is not None
            assert frame.get_potential_energy() == pytest.approx(truth.get_potential_energy())
            np.testing.assert_allclose(frame.get_forces(), truth.get_forces(), atol=1e-8)
    one = dynamics([gas(1), gas(2)], emt(), plan(), lambda frames: len(frames) == 2 and frames[0].info["time_ps"] < 1)
    assert [len(frames) for frames in one] == [2, 2]


def test_of_each_run_it_is_known_how_far_it_is_also_where_another_has_ended(tmp_path: Path) -> None:
    potential = network_potential(acsf(("H", "C", "O")))
    frames = [frame for k in range(12) for frame in dynamics([gas(k)], emt(), plan(0.002))[0]]
    some = [Structure.from_ase(frame) for frame in frames]
    model = save(calibrated(potential, some[:6], some[6:]), tmp_path / "model.nnpot")
    first, second = (gas(20), gas(21))

    def is_over(frames: list[Atoms]) -> bool:
        return bool(np.abs(frames[0].positions[0] - first.positions[0]).max() < 0.1)

    both = dynamics([first, second], reactive.calculator_of(model), plan(0.03), is_over)
    assert [len(frames) for frames in both] == [1, 15]
    assert min(frame.info["gamma"] for frame in both[1]) > 0


def test_what_has_no_solution_is_left_out() -> None:
    assert labelled(gas(), Failing(lambda atoms: True)) is None
    squeezed = Atoms("O2", [[0, 0, 0], [0, 0, 0.05]])
    assert labelled(squeezed, emt()) is None  # forces beyond all use
    first = gas().positions[0]
    (frames,) = dynamics([gas()], Failing(lambda atoms: bool(np.abs(atoms.positions[0] - first).max() > 0.02)), plan())
    assert 0 < len(frames) < 5
    assert failures(Failing(lambda atoms: len(atoms) == 1)) == ["O"]
    assert failures(Failing(lambda atoms: False)) == []


def test_molecules_are_counted_by_their_bonds() -> None:
    water, far = molecule("H2O"), molecule("CO")
    far.translate([5, 0, 0])
    assert species(water + far) == {"H2O": 1, "CO": 1}
    water.positions[1] += [0, 3, 0]
    assert species(water) == {"HO": 1, "H": 1}


def run_of(*grades: float) -> list[Atoms]:
    frames = [Atoms("O") for _ in grades]
    for k, (frame, grade) in enumerate(zip(frames, grades, strict=True)):
        frame.info = {"time_ps": 0.01 * (k + 1), "gamma": grade}
    return frames


def test_a_run_is_stopped_where_it_leaves_the_data_or_ends_early() -> None:
    settings = reactive.Settings(picoseconds=0.04)
    assert reactive.is_stopped(settings, run_of(0.5, 1.9, 1.0, 0.3)) is False
    short = run_of(0.5, 0.6)
    for frame in short:
        frame.info = {name: np.float64(value) for name, value in frame.info.items()}  # as from a file
    assert reactive.is_stopped(settings, short) is True
    assert reactive.is_stopped(settings, run_of(0.5, 2.1, 1.0, 0.3))
    assert reactive.is_stopped(settings, run_of(0.5, 0.6))
    assert reactive.is_stopped(settings, [])
    assert len(reactive.before_the_stop(run_of(0.5, 2.1, 1.0))) == 1
    assert reactive.is_good({"stopped": 0, "energy_rms_mev_per_atom": 14.0})
    assert not reactive.is_good({"stopped": 1, "energy_rms_mev_per_atom": 14.0})
    assert not reactive.is_good({"stopped": 0, "energy_rms_mev_per_atom": 70.0})
    assert not reactive.is_too_far([])
    assert not reactive.is_too_far(run_of(0.5, 2.1, *[1.0] * 20))
    assert reactive.is_too_far(run_of(0.5, 2.1, *[1.0] * 21))  # 0.2 ps later
    assert reactive.is_too_far(run_of(0.5, 4.1))
    assert reactive.spread_over(100, 3) == [0, 50, 99]
    assert reactive.spread_over(2, 5) == [0, 1]
    assert reactive.spread_over(0, 5) == []


# all of it ------------------------------------------------------------------------------------------------------------

SETTINGS = reactive.Settings(
    methane=1, oxygen=1, radius=3.0, temperature=300.0, picoseconds=0.02, runs=2, rounds=2, select=3,
    sample_temperatures=(300.0,), samples=2, sample_picoseconds=0.03, interval_fs=2.0, hotter=2000.0, hotter_runs=3,
    teacher="test_reactive.emt", teacher_runs=1,
)  # fmt: skip


class Commands:
    """In place of processes: `train` writes a model that knows little, `select` is run."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __call__(self, command: str, *arguments: object) -> None:
        self.called.append(command)
        words = [str(word) for word in arguments]
        if command != "train":
            main([command, *words])
            return
        frames = [Structure.from_ase(atoms) for atoms in read(words[0], ":")]
        model = calibrated(network_potential(acsf(("H", "C", "O"))), frames[:7], frames[7:])
        out = Path(words[words.index("--out") + 1])
        out.mkdir(parents=True)
        save(model, out / "model.nnpot")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    told = Commands()
    monkeypatch.setattr(reactive, "nnpot", told)
    monkeypatch.setattr(reactive, "draw", lambda folder, found: None)
    monkeypatch.setattr("nnpot.commands.select.coverage", lambda path, *_: path)
    return told


def test_hotter_runs_are_others_and_hotter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[float, list[Atoms]]] = []

    def noted(gases: Sequence[Atoms], _: object, plan: Plan, *more: object) -> list[list[Atoms]]:
        begun.append((plan.temperature, [*gases]))
        return [[] for _ in gases]

    monkeypatch.setattr(reactive, "dynamics", noted)
    monkeypatch.setattr(reactive, "calculator_of", lambda model: None)
    for hotter in (False, True, False):  # what has been run is not run again
        reactive.run(SETTINGS, tmp_path / "round-1", 1, hotter=hotter)
    assert [(temperature, len(gases)) for temperature, gases in begun] == [(300.0, 2), (2000.0, 3)]
    starts = [gas.positions.tobytes() for _, gases in begun for gas in gases]
    assert len(set(starts)) == 5


@pytest.mark.slow
def test_it_goes_on_wherever_it_was_interrupted(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reactive.burn(SETTINGS, tmp_path / "whole")
    assert commands.called == ["train", "select", "train"]
    assert [found["runs"] for found in whole] == [2, 2]
    assert whole[0]["stopped"] > 0
    assert whole[1]["training"] > whole[0]["training"] == len(read(tmp_path / "whole/sample.xyz", ":"))
    of_round, pool = tmp_path / "whole/round-1", read(tmp_path / "whole/round-1/pool.xyz", ":")
    kept = [frame for path in sorted(of_round.glob("[dh]*/*.xyz")) for frame in reactive.frames_of(path)]
    assert len(list(of_round.glob("dynamics/*"))) == 2
    assert len(list(of_round.glob("hotter/*"))) == 3
    assert [frame.positions.tolist() for frame in pool] == [frame.positions.tolist() for frame in kept]
    assert not (tmp_path / "whole/round-2/hotter").exists()  # nothing is selected after the last
    keep, written = reactive.keep, [0]

    def interrupted(path: Path, frames: list[Atoms]) -> None:
        written[0] += 1
        if written[0] % 4 == 0:
            raise KeyboardInterrupt
        keep(path, frames)

    monkeypatch.setattr(reactive, "keep", interrupted)
    commands.called.clear()
    for _ in range(20):
        try:
            parts = reactive.burn(SETTINGS, tmp_path / "parts")
            break
        except KeyboardInterrupt:
            continue
    assert written[0] > 6
    assert commands.called.count("train") == 2  # nothing is trained twice
    assert parts == whole
    ours, wanted = ({p.relative_to(f): p for p in f.rglob("*.xyz")} for f in (tmp_path / "parts", tmp_path / "whole"))
    assert ours.keys() == wanted.keys()
    for name, path in ours.items():
        assert path.read_text() == wanted[name].read_text(), name


def test_a_folder_of_other_settings_is_refused(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"methane": 7}')
    with pytest.raises(ValueError, match=r"has other methane, oxygen, .*: give the same settings, or another --folder"):
        reactive.burn(SETTINGS, tmp_path)


@pytest.mark.slow
def test_the_script_runs_by_itself(tmp_path: Path) -> None:
    options = {"methane": 1, "oxygen": 1, "radius": 3.0, "temperature": 300.0, "picoseconds": 0.02, "runs": 1}
    options |= {"rounds": 1, "samples": 2, "sample_picoseconds": 0.2, "sample_temperatures": "[300]", "seen": 40}
    options |= {"teacher": "ase.calculators.emt.EMT", "teacher_runs": 1}
    words = [word for name, value in options.items() for word in (f"--settings.{name}", str(value))]
    subprocess.run([sys.executable, reactive.__file__, "--folder", "burning", *words], cwd=tmp_path, check=True)
    for name in ("gamma", "rounds", "molecules"):
        assert (tmp_path / f"burning/{name}.png").read_bytes().startswith(b"\x89PNG")

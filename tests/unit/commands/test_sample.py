"""`nnpot sample`: what it writes is labelled, repeatable and whole, whatever ends it."""

import os
import signal
from pathlib import Path
from typing import ClassVar

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc100, molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from nnpot.__main__ import main
from nnpot.commands import sample as command
from nnpot.commands.sample import sample
from nnpot.machine.locks import alone
from nnpot.reading import read_structures

QUICK = {"temperatures": (300.0,), "strains": (-0.02, 0.02), "snapshots": 2, "interval_fs": 10.0, "timestep_fs": 5.0}


@pytest.fixture
def start(tmp_path: Path) -> Path:
    path = tmp_path / "start.xyz"
    ase.io.write(path, [bulk("Cu", cubic=True, a=3.6)])
    return path


def frames_of(path: Path) -> list[Atoms]:
    return ase.io.read(path, ":")


class Interrupted(EMT):
    """The user presses Ctrl-C in the second trajectory."""

    calls = 0

    def calculate(self, *args: object, **kwargs: object) -> None:
        Interrupted.calls += 1
        if Interrupted.calls > 7:  # 1 + 4 steps of the first trajectory, and 2
            raise KeyboardInterrupt
        super().calculate(*args, **kwargs)


class InterruptedWithoutMemory(Interrupted):
    """The neighbour list is made anew for every structure."""

    def calculate(self, atoms: Atoms, properties: list[str], _: object) -> None:
        super().calculate(atoms, properties, all_changes)


class Signalled(EMT):
    """A signal comes in a certain calculation."""

    at, number = 0, int(signal.SIGUSR1)

    def calculate(self, *args: object, **kwargs: object) -> None:
        Signalled.at -= 1
        if Signalled.at == 0:
            os.kill(os.getpid(), self.number)
        super().calculate(*args, **kwargs)


class Exploding(EMT):
    """Forces are out of bounds at the end of the first trajectory."""

    calls = 0

    def calculate(self, *args: object, **kwargs: object) -> None:
        super().calculate(*args, **kwargs)
        Exploding.calls += 1
        if Exploding.calls == 5:
            self.results["forces"] = self.results["forces"] + 1e3


class NotANumber(Exploding):
    """Forces are not a number from the start."""

    def calculate(self, *args: object, **kwargs: object) -> None:
        super().calculate(*args, **kwargs)
        self.results["forces"] = self.results["forces"] * np.nan


class EnergyAndForces(Calculator):
    """A calculator without stress."""

    implemented_properties: ClassVar = ["energy", "forces"]

    def calculate(self, atoms: Atoms, *args: object) -> None:
        super().calculate(atoms, *args)
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `test:Name` stand for the classes above, which have no import path."""
    calculators = {
        c.__name__: c
        for c in (EMT, Interrupted, InterruptedWithoutMemory, Signalled, Exploding, NotANumber, EnergyAndForces)
    }
    for c in (Interrupted, Exploding, NotANumber):
        c.calls = 0
    monkeypatch.setattr(command, "calculator_of", lambda name, option: calculators[name]())


def test_labels_are_those_of_the_calculator(start: Path, tmp_path: Path) -> None:
    frames = frames_of(sample(start, tmp_path / "out.xyz", **QUICK))
    assert len(frames) == 4
    for frame in frames:
        again = frame.copy()
        again.calc = EMT()
        # Positions are written to 1e-8 Å: times force constants of some eV/Å², 1e-7.
        np.testing.assert_allclose(frame.get_forces(), again.get_forces(), atol=1e-6)
        np.testing.assert_allclose(frame.get_potential_energy(), again.get_potential_energy(), atol=1e-6)
        np.testing.assert_allclose(frame.get_stress(), again.get_stress(), atol=1e-7)


def test_nnpot_reads_what_it_wrote(start: Path, tmp_path: Path) -> None:
    structures = read_structures(sample(start, tmp_path / "out.xyz", **QUICK))
    assert all(s.energy is not None and s.forces is not None and s.stress is not None for s in structures)


def test_the_same_seed_gives_the_same_file(start: Path, tmp_path: Path) -> None:
    first, second, other = (
        sample(start, tmp_path / f"{k}.xyz", seed=seed, **QUICK).read_text() for k, seed in enumerate((5, 5, 6))
    )
    assert first == second
    assert first != other


def test_config_type_is_the_name_and_the_temperature(tmp_path: Path) -> None:
    named, alloy = bulk("Cu", cubic=True), bulk("Cu", cubic=True, a=3.8)
    named.info["config_type"] = "pure"
    alloy.symbols[0] = "Au"
    ase.io.write(tmp_path / "start.xyz", [named, alloy], format="extxyz")
    frames = frames_of(sample(tmp_path / "start.xyz", tmp_path / "out.xyz", **QUICK))
    assert {frame.info["config_type"] for frame in frames} == {"pure_300K", "AuCu3_300K"}


def test_strain_is_of_the_cell_and_a_molecule_is_not_strained(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "start.xyz", [bulk("Cu", cubic=True, a=3.6), molecule("C2H6")], format="extxyz")
    frames = frames_of(sample(tmp_path / "start.xyz", tmp_path / "out.xyz", **QUICK))
    crystals = [frame for frame in frames if all(frame.pbc)]
    molecules = [frame for frame in frames if not any(frame.pbc)]
    assert (len(crystals), len(molecules)) == (4, 2)
    edges = np.cbrt([frame.get_volume() for frame in crystals]) / 3.6 - 1.0
    # The shear has no trace and changes the volume in second order only.
    np.testing.assert_allclose(edges, [-0.02, -0.02, 0.02, 0.02], atol=2e-3)
    assert all(np.ptp(frame.cell.angles()) > 0.01 for frame in crystals)


def test_a_slab_has_no_stress_label(tmp_path: Path) -> None:
    slab = fcc100("Cu", (1, 1, 3), vacuum=5.0)
    slab.info.clear()
    ase.io.write(tmp_path / "start.xyz", slab, format="extxyz")
    frames = frames_of(sample(tmp_path / "start.xyz", tmp_path / "out.xyz", **QUICK))
    assert all("stress" not in frame.calc.results and "forces" in frame.calc.results for frame in frames)


@pytest.mark.usefixtures("made")
def test_a_calculator_without_stress_will_do(start: Path, tmp_path: Path) -> None:
    frames = frames_of(sample(start, tmp_path / "out.xyz", "EnergyAndForces", **QUICK))
    assert all("stress" not in frame.calc.results for frame in frames)


@pytest.mark.usefixtures("made")
def test_an_interrupted_run_leaves_what_is_labelled(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt) as stop:
        sample(start, tmp_path / "out.xyz", "Interrupted", **QUICK)
    assert len(frames_of(tmp_path / "out.xyz")) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.xyz", "out.xyz.unfinished", "start.xyz"]
    assert stop.value.__notes__ == [
        f"2 of 4 structures are labelled and kept in {tmp_path / 'out.xyz'}; to go on behind them give the same "
        "command again"
    ]
    assert "labelling: 1 of 4 structures" in capsys.readouterr().err


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGUSR1, "ended by SIGUSR1"), (signal.SIGINT, "interrupted")], ids=str
)
@pytest.mark.parametrize(("calls", "labelled"), [(1, 0), (4, 1)])
def test_a_signal_is_one_sentence_that_says_what_is_kept_and_how_to_go_on(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, reason: str, calls: int, labelled: int
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it is ignored
    Signalled.at, Signalled.number, out = calls, number, tmp_path / "out.xyz"
    arguments = [f"--{name}={list(x) if isinstance(x, tuple) else x}" for name, x in QUICK.items()]
    with pytest.raises(SystemExit) as stop:
        main(["sample", str(start), str(out), "--calculator", "Signalled", *arguments])
    assert stop.value.code == 128 + number
    kept = f"1 of 4 structures are labelled and kept in {out}; to go on behind them give the same command again"
    none = "none of 4 structures was labelled before; the same command begins anew"
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1] == f"nnpot: {reason}; {kept if labelled else none}"
    assert len(said) == 1 + labelled  # how far it has come
    assert (len(frames_of(out)) if out.exists() else 0) == labelled


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("calculator", ["Interrupted", "InterruptedWithoutMemory"])
def test_an_interrupted_run_goes_on_to_the_very_same_frames(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], calculator: str
) -> None:
    Interrupted.calls = -1000
    straight = sample(start, tmp_path / "straight.xyz", calculator, **{**QUICK, "snapshots": 3})
    out = tmp_path / "out.xyz"
    for calls in (0, 2):  # killed at the end of the first trajectory, and in the second
        Interrupted.calls = calls
        with pytest.raises(KeyboardInterrupt):
            sample(start, out, calculator, **{**QUICK, "snapshots": 3})
        with out.open("ab") as file:
            file.write(b"4\nhalf a fra")
    Interrupted.calls = -1000
    pairs = zip(
        frames_of(sample(start, out, calculator, **{**QUICK, "snapshots": 3})), frames_of(straight), strict=True
    )
    for resumed, whole in pairs:  # EMT sums over neighbours in another order where its list is new
        np.testing.assert_allclose(resumed.positions, whole.positions, atol=1e-7)
        np.testing.assert_allclose(resumed.get_forces(), whole.get_forces(), atol=1e-7)
        assert resumed.get_potential_energy() == pytest.approx(whole.get_potential_energy(), abs=1e-9)
    assert calculator == "Interrupted" or out.read_bytes() == straight.read_bytes()  # EMT's neighbour list remembers
    assert "out.xyz goes on after 3 of 6 structures, equal to one run to the last bit, or" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.xyz", "start.xyz", "straight.xyz"]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("change", ["settings", "structures", "a note that is damaged", "a file that is shorter"])
def test_an_unfinished_file_is_never_written_over_by_something_else(start: Path, tmp_path: Path, change: str) -> None:
    out, settings = tmp_path / "out.xyz", dict(QUICK)
    with pytest.raises(KeyboardInterrupt):
        sample(start, out, "Interrupted", **settings)
    if change == "settings":
        settings["temperatures"] = (400.0,)
    elif change == "structures":
        ase.io.write(start, bulk("Cu", cubic=True, a=3.7))
    elif change == "a note that is damaged":
        (tmp_path / "out.xyz.unfinished").write_text("{}")
    else:
        out.write_text(out.read_text()[:-1])
    before = out.read_bytes()
    with pytest.raises(ValueError, match=r"remove .*out\.xyz\.unfinished to begin anew"):
        sample(start, out, "Interrupted", **settings)
    assert out.read_bytes() == before


def test_two_runs_do_not_write_to_one_file(start: Path, tmp_path: Path) -> None:
    with alone(tmp_path / "out.xyz.lock", "out.xyz"), pytest.raises(ValueError, match="is being written by process"):
        sample(start, tmp_path / "out.xyz", **QUICK)


@pytest.mark.usefixtures("made")
def test_a_trajectory_that_blows_up_is_counted_aloud(
    start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = frames_of(sample(start, tmp_path / "out.xyz", "Exploding", **QUICK))
    assert len(frames) == 3
    assert "1 skipped (blown up)" in " ".join(capsys.readouterr().err.split())


@pytest.mark.usefixtures("made")
def test_nothing_is_written_where_nothing_survives(start: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no frame of .* survived"):
        sample(start, tmp_path / "out.xyz", "NotANumber", **QUICK)
    assert not (tmp_path / "out.xyz").exists()


@pytest.mark.parametrize(
    "path",
    [
        "EMT",
        "ase.calculators.emt.EMTT",
        "no.such.module.Calculator",
        "ase.calculators.singlepoint.SinglePointCalculator",
    ],
)
def test_a_calculator_that_cannot_be_made_is_one_clear_error(path: str, start: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"import path .*{path}"):
        sample(start, tmp_path / "out.xyz", path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperatures", ()),
        ("temperatures", (0.0,)),
        ("strains", (-0.9,)),
        ("snapshots", 0),
        ("timestep_fs", 0.0),
        ("timestep_fs", 20.0),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, value: object, start: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=name):
        sample(start, tmp_path / "out.xyz", **{**QUICK, name: value})


def test_a_missing_start_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.xyz"):
        sample(tmp_path / "nowhere.xyz", tmp_path / "out.xyz")


class Polar(EMT):
    """Gives a dipole and charges unasked, as programs for molecules do."""

    implemented_properties: ClassVar = [*EMT.implemented_properties, "dipole", "charges"]

    def calculate(self, *args: object, **kwargs: object) -> None:
        super().calculate(*args, **kwargs)
        n = len(self.atoms)
        self.results.update(dipole=self.atoms.positions.sum(axis=0), charges=np.linspace(-1, 1, n))


def test_what_a_calculator_gives_unasked_is_a_label_too(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "start.xyz", [molecule("CO"), bulk("Cu", cubic=True, a=3.6)])
    path = f"{Polar.__module__}.Polar"
    sample(tmp_path / "start.xyz", tmp_path / "out.xyz", path, **{**QUICK, "strains": (0.0,), "timestep_fs": 0.5})
    found = read_structures(tmp_path / "out.xyz")
    np.testing.assert_allclose(found[0].labels["dipole"], found[0].positions.sum(axis=0), atol=1e-6)
    assert found[0].labels["charges"].tolist() == [-1, 1]
    assert "dipole" not in found[-1].labels, "of a crystal it has no meaning"
    assert len(found[-1].labels["charges"]) == 4

"""What each setting of a training does to it, in numbers: that a setting is written down somewhere is no effect."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from golden import ACE, alloys, labelled
from pytorch_lightning.loggers.logger import DummyLogger
from short import STILL, Short, finished, short_training

from nnpot.__main__ import main
from nnpot.native import without_kernels
from nnpot.structure import Structure
from nnpot.training.loggers import LOGGERS

CHECKED: set[str] = set()
"""Settings whose effect a test of this file asserts."""

ELSEWHERE = {
    **{
        f"data.keys.{name}": "unit/test_reading.py::test_dipole_and_charges_under_other_names"
        for name in ("dipole", "charges", "total_charge")
    },
    "loss.dipole": "unit/commands/test_charges.py::test_the_loss_weighs_dipoles_and_charges",
    "loss.charges": "unit/commands/test_charges.py::test_the_loss_weighs_dipoles_and_charges",
    "trainer.accelerator": "unit/training/test_run.py::test_a_machine_that_is_not_there_is_one_sentence",
    "trainer.devices": "unit/training/test_run.py::test_on_several_nodes_slurm_does",
    "trainer.num_nodes": "unit/training/test_run.py::test_on_several_nodes_slurm_does",
    "trainer.strategy": "unit/training/test_run.py::test_on_several_nodes_slurm_does",
    "trainer.max_time": "unit/commands/test_stop.py::test_a_time_limit_ends_a_run",
    "uncertainty": "unit/commands/test_calibrate.py::test_a_training_leaves_a_model_that_knows_its_errors",
    "check": "unit/commands/test_closing_check.py::test_a_training_ends_with_what_its_model_is_good_for",
    "repulsion": "unit/commands/test_train.py::test_repulsion_becomes_part_of_the_model",
    "out": "unit/commands/test_train.py::test_a_run_leaves_its_files",
    "data.doctor": "doctor/test_doctor.py::test_a_training_may_go_on_all_the_same",
    "data.level": "unit/commands/test_provenance.py::test_the_file_says_where_the_model_comes_from",
    "license": "unit/commands/test_provenance.py::test_the_file_says_where_the_model_comes_from",
}
"""Settings whose effect another test asserts."""

ONE_STEP = {"data.batch_size": 6, "trainer.max_epochs": 1}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Short:
    """A training in which nothing is changed."""
    return short_training(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Short:
    """One that ends with the weights of its start."""
    return short_training(tmp_path_factory.mktemp("still"), **ONE_STEP, **STILL)


def effect_of(*settings: str) -> Callable[[Any], Any]:
    """Mark a test as one of the effect of settings."""
    CHECKED.update(settings)
    return lambda test: test


def split(run: Short) -> tuple[list[Atoms], list[Atoms]]:
    """Training and validation structures as they are in the file."""
    frames, aside = ase.io.read(run.folder.parent / "train.xyz", ":"), run.checkpoint.record.aside
    return [a for k, a in enumerate(frames) if k not in aside], [frames[k] for k in aside]


def mean_squares(run: Short, frames: list[Atoms]) -> np.ndarray:
    """Mean over structures of the squared errors of the final model: energy per atom, force, stress component."""
    rows = []
    for atoms in frames:
        p = run.model.predict(Structure.from_ase(atoms))
        energy = (float(p.energy) - atoms.get_potential_energy()) / len(atoms)
        forces, stress = p.forces.numpy() - atoms.get_forces(), p.stress[0].numpy() - atoms.get_stress()
        rows.append([energy**2, (forces**2).mean(), (stress**2).mean()])
    return np.mean(rows, axis=0)


# data -----------------------------------------------------------------------------------------------------------------


@effect_of("data.train", "data.validation")
@pytest.mark.parametrize(
    ("fraction", "n_validation"),
    [pytest.param(0.0, 0, marks=pytest.mark.slow), (0.25, 2), pytest.param(0.5, 4, marks=pytest.mark.slow)],
)
def test_a_fraction_is_set_aside(tmp_path: Path, fraction: float, n_validation: int) -> None:
    run = short_training(tmp_path, **ONE_STEP, **{"data.validation": fraction})
    train, validation = split(run)
    assert (len(validation), len(train)) == (n_validation, 8 - n_validation)
    assert run.checkpoint.record.structures == 8 - n_validation
    assert (len(run.column("val/loss")) == 1) == (n_validation > 0)


@effect_of("data.split_seed")
def test_what_is_set_aside_follows_its_own_seed(tmp_path: Path) -> None:
    asides = [
        short_training(tmp_path, **ONE_STEP, seed=seed, **{"data.split_seed": own}).checkpoint.record.aside
        for seed, own in ((3, None), (4, 3), (3, 5))
    ]
    assert asides[0] == asides[1] != asides[2]


@effect_of("data.split")
def test_what_is_set_aside_follows_the_way_to_split(tmp_path: Path) -> None:
    frames = alloys()[:8]
    for k, atoms in enumerate(frames):
        atoms.info["config_type"] = "ABBA"[k % 4]
    told = {}
    for way in ("stratified", "random", "blocks", "groups"):
        run = short_training(tmp_path, frames=frames, **ONE_STEP, **{"data.split": way, "data.validation": 0.5})
        told[way] = run.checkpoint.record.aside
        assert yaml.safe_load((run.folder / "resolved.yaml").read_text())["data"]["split"] == way
    first = told["blocks"][0]
    assert told["blocks"] == tuple(range(first, first + 4))
    assert told["groups"] in ((0, 3, 4, 7), (1, 2, 5, 6))
    assert len(told["random"]) == 4
    assert len(set(told.values())) == 4
    assert sorted("ABBA"[k % 4] for k in told["stratified"]) == list("AABB")


def under_other_names(frames: list[Atoms], stress: str) -> list[Atoms]:
    """Labels under names of one's own; under those of ASE are others, which are wrong."""
    for atoms in frames:
        right = dict(atoms.calc.results)
        atoms.info["my_energy"], atoms.arrays["my_forces"] = right["energy"], right["forces"]
        matrix = right["stress"][[0, 5, 4, 5, 1, 3, 4, 3, 2]]
        atoms.info[stress] = matrix if stress == "my_stress" else -atoms.get_volume() * matrix
        wrong = {"energy": right["energy"] + 7.0, "forces": 2.0 - right["forces"], "stress": 1.0 + right["stress"]}
        atoms.calc = SinglePointCalculator(atoms, **wrong)
    return frames


@effect_of("data.keys.energy", "data.keys.forces", "data.keys.stress", "data.keys.virial")
@pytest.mark.parametrize("stress", ["my_stress", "my_virial"])
def test_labels_are_those_under_the_names_that_are_given(base: Short, tmp_path: Path, stress: str) -> None:
    keys = {"data.keys.energy": "my_energy", "data.keys.forces": "my_forces", f"data.keys.{stress[3:]}": stress}
    named = short_training(tmp_path, frames=under_other_names(alloys()[:8], stress), **keys)
    for column in ("train/loss", "val/energy_rmse_mev_per_atom", "val/force_rmse_mev_per_ang", "val/stress_rmse_gpa"):
        # a file holds 8 digits after the point
        np.testing.assert_allclose(named.column(column), base.column(column), rtol=1e-5)


@effect_of("data.keys.group")
def test_errors_are_listed_by_the_group_that_is_named(tmp_path: Path) -> None:
    frames = alloys()[:8]
    for k, atoms in enumerate(frames):
        atoms.info |= {"config_type": "usual", "phase": f"phase-{k % 2}"}
    run = short_training(tmp_path, frames=frames, **ONE_STEP, **{"data.keys.group": "phase", "data.validation": 0.0})
    report = (run.folder / "report.txt").read_text()
    assert "phase-0" in report
    assert "phase-1" in report
    assert "usual" not in report


@effect_of("data.batch_size", "data.batch_atoms")
@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        pytest.param({"data.batch_size": 1}, 6, marks=pytest.mark.slow),
        pytest.param({"data.batch_size": 2}, 3, marks=pytest.mark.slow),
        ({"data.batch_size": 4}, 2),
        pytest.param({"data.batch_size": 6}, 1, marks=pytest.mark.slow),
        # 6 structures of 4 atoms
        pytest.param({"data.batch_size": "auto", "data.batch_atoms": 4}, 6, marks=pytest.mark.slow),
        ({"data.batch_size": "auto", "data.batch_atoms": 8}, 5),  # five steps or more
    ],
    ids=str,
)
def test_an_epoch_has_as_many_steps_as_batches(tmp_path: Path, settings: dict[str, Any], steps: int) -> None:
    run = short_training(tmp_path, **settings, **{"trainer.max_epochs": 2})
    assert run.last["global_step"] == 2 * steps


KEPT = "features of 8 structures are calculated once and kept"


@effect_of("data.cache", "data.cache_gib", "data.pairs_gib")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"data.cache": "on", "data.cache_gib": 1e-9}, KEPT),
        pytest.param({"data.cache": "auto"}, KEPT, marks=pytest.mark.slow),
        pytest.param({"data.cache": "off"}, "", marks=pytest.mark.slow),
        pytest.param(
            *({"data.cache": "auto", "data.cache_gib": 1e-9}, "more than data.cache_gib = 0.0: not kept"),
            marks=pytest.mark.slow,
        ),
        ({"data.cache": "off", "data.pairs_gib": 1e-9}, "they are kept in temporary files"),
    ],
    ids=str,
)
def test_what_is_kept_changes_no_number(
    base: Short, tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, Any], said: str
) -> None:
    run = short_training(tmp_path, **settings)
    assert said in caplog.text
    assert (KEPT in caplog.text) == (said == KEPT)
    assert ("temporary files" in caplog.text) == ("data.pairs_gib" in settings)
    # the same sums in another order, float64
    np.testing.assert_allclose(run.column("train/loss"), base.column("train/loss"), rtol=1e-9)


# loss -----------------------------------------------------------------------------------------------------------------


@effect_of("loss.energy", "loss.forces", "loss.stress")
@pytest.mark.parametrize(
    "weights",
    [
        (2.0, 3.0, 500.0),
        pytest.param((0.0, 0.7, 0.0), marks=pytest.mark.slow),
        pytest.param((5.0, 0.0, 0.0), marks=pytest.mark.slow),
        pytest.param((0.0, 0.0, 30.0), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_losses_are_sums_of_weighted_squared_errors(tmp_path: Path, weights: tuple[float, float, float]) -> None:
    names = dict(zip(("loss.energy", "loss.forces", "loss.stress"), weights, strict=True))
    run = short_training(tmp_path, **ONE_STEP, **STILL, **names)
    train, validation = split(run)
    # logged in float32; all structures have equally many atoms, so that the mean of squares is one over structures
    assert run.column("train/loss") == pytest.approx([weights @ mean_squares(run, train)], rel=1e-6)
    assert run.column("val/loss") == pytest.approx([weights @ mean_squares(run, validation)], rel=1e-6)


@effect_of("loss.mean_over")
def test_forces_are_averaged_over_structures_or_all_atoms(tmp_path: Path) -> None:
    frames = [labelled(a * (1 + k % 3, 1, 1), "energy", "forces", "stress") for k, a in enumerate(alloys()[:8])]
    weights = {"loss.energy": 2.0, "loss.forces": 3.0, "loss.stress": 500.0, "data.validation": 0.4}
    for mean_over in ("structures", "atoms"):
        run = short_training(tmp_path, frames=frames, **ONE_STEP, **STILL, **weights, **{"loss.mean_over": mean_over})
        for column, part in zip(("train/loss", "val/loss"), split(run), strict=True):
            assert len({len(atoms) for atoms in part}) > 1
            energy, forces, stress = (2.0, 3.0, 500.0) * mean_squares(run, part)
            if mean_over == "atoms":
                off = [run.model.predict(Structure.from_ase(a)).forces.numpy() - a.get_forces() for a in part]
                forces = 3.0 * np.mean(np.concatenate(off) ** 2)
            assert run.column(column) == pytest.approx([energy + forces + stress], rel=1e-6)


@effect_of("loss.function", "loss.scale")
@pytest.mark.parametrize("scale", [0.3, pytest.param(0.01, marks=pytest.mark.slow)])
def test_far_errors_count_linearly(tmp_path: Path, scale: float) -> None:
    weights = {"loss.energy": 2.0, "loss.forces": 3.0, "loss.stress": 500.0, "loss.function": "huber"}
    run = short_training(tmp_path, **ONE_STEP, **STILL, **weights, **{"loss.scale": scale})
    for column, frames in zip(("train/loss", "val/loss"), split(run), strict=True):
        losses = []
        for atoms in frames:
            p, n = run.model.predict(Structure.from_ase(atoms)), len(atoms)
            errors = {
                2.0: abs(float(p.energy) - atoms.get_potential_energy()) / n,
                3.0: abs(p.forces.numpy() - atoms.get_forces()),
                500.0: abs(p.stress[0].numpy() - atoms.get_stress()),
            }
            means = {w: np.mean(np.where(e <= scale, e**2, scale * (2 * e - scale))) for w, e in errors.items()}
            losses.append(sum(w * mean for w, mean in means.items()))
        assert run.column(column) == pytest.approx([np.mean(losses)], rel=1e-6)


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param((1.0, 2.0, 3.0), marks=pytest.mark.slow),
        (1.0, 0.0, 3.0),
        pytest.param((0.0, 2.0, 0.0), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_error_is_the_geometric_mean_of_what_is_trained_on(
    tmp_path: Path, weights: tuple[float, float, float]
) -> None:
    names = dict(zip(("loss.energy", "loss.forces", "loss.stress"), weights, strict=True))
    run = short_training(tmp_path, **ONE_STEP, **STILL, **names)
    # in meV per atom, meV/Å and GPa: 1 eV/Å³ is 160.21766208 GPa
    errors = np.sqrt(mean_squares(run, split(run)[1])) * (1000, 1000, 160.21766208)
    trained = [e for e, weight in zip(errors, weights, strict=True) if weight > 0]
    assert run.column("val/error") == pytest.approx([math.prod(trained) ** (1 / len(trained))], rel=1e-6)
    columns = ("val/energy_rmse_mev_per_atom", "val/force_rmse_mev_per_ang", "val/stress_rmse_gpa")
    assert [run.rows[0][name] for name in columns] == pytest.approx(errors, rel=1e-6)


@effect_of("loss.final_energy_weight", "loss.ramp_from")
@pytest.mark.parametrize(
    ("schedule", "at_start", "weights"),
    [
        ("cosine", 0.5, [2, 2, 2, 20]),
        pytest.param("cosine", 0.0, [2, 6.32455532, 20, 63.2455532], marks=pytest.mark.slow),
        pytest.param("adaptive", 0.0, [2, 2, 2, 6.32455532], marks=pytest.mark.slow),
    ],
)
def test_the_energy_gains_weight(tmp_path: Path, schedule: Any, at_start: float, weights: list[float]) -> None:
    late = {
        "loss.energy": 2.0,
        "loss.final_energy_weight": 200.0,
        "loss.ramp_from": at_start,
        "optimizer.schedule": schedule,
    }
    run = short_training(tmp_path, **STILL, **late, **{"data.batch_size": 6})
    train, validation = split(run)
    for frames, column, of_epochs in ((train, "train/loss", weights), (validation, "val/loss", [200] * 4)):
        squares = mean_squares(run, frames)
        wanted = [np.array([w, 1.0, 20.0]) @ squares for w in of_epochs]
        assert run.column(column) == pytest.approx(wanted, rel=1e-6)


@effect_of("loss.required")
def test_a_required_label_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = alloys()[:8]
    for atoms in frames:
        del atoms.calc.results["stress"]
    short_training(tmp_path, frames=frames, **ONE_STEP)
    with pytest.raises(SystemExit):
        short_training(tmp_path, frames=frames, **ONE_STEP, **{"loss.required": ["stress"]})
    assert "has a stress, to which the loss gives a weight of 20" in capsys.readouterr().err


# optimiser ------------------------------------------------------------------------------------------------------------


@effect_of("optimizer.lr", "optimizer.weight_decay")
@pytest.mark.parametrize(("lr", "decay"), [pytest.param(0.01, 0.0, marks=pytest.mark.slow), (0.002, 0.5)])
def test_a_first_step_of_adam_is_the_rate_and_the_decay(still: Short, tmp_path: Path, lr: float, decay: float) -> None:
    after = short_training(tmp_path, **ONE_STEP, **{"optimizer.lr": lr, "optimizer.weight_decay": decay})
    for part, decays in (("networks.", True), ("linear.", False)):
        steps = after.weights(part) - still.weights(part) * (1 - lr * decay * decays)
        moved = steps[steps != 0].abs()
        assert len(moved) > 0
        # |g| / (|g| + 1e-8), for gradients that are not tiny themselves
        assert moved.median().item() == pytest.approx(lr, rel=1e-4)
        assert moved.max().item() < lr * (1 + 1e-9)


@effect_of("optimizer.rates")
@pytest.mark.parametrize("method", [pytest.param("adamw", marks=pytest.mark.slow), "soap"])
def test_parts_move_at_their_own_rates(tmp_path: Path, method: str) -> None:
    ace = {"descriptor": {"class_path": "ACE", "init_args": ACE}, **ONE_STEP}
    before, together = (short_training(tmp_path, **ace, **more) for more in (STILL, {"optimizer.method": method}))
    rates = {"descriptor": 0, "hidden_1": 0.25, "output": 0, "linear": 3}
    apart = short_training(tmp_path, **ace, **{"optimizer.method": method, "optimizer.rates": rates})
    assert set(rates) < set(together.model.parts) == {"descriptor", "hidden_1", "hidden_2", "output", "linear"}
    for name, rate in {**rates, "hidden_2": 1}.items():
        parts = [run.model.parts[name] for run in (before, together, apart)]
        start, full, own = (torch.cat([p.detach().flatten() for p in part]) for part in parts)
        torch.testing.assert_close(own - start, rate * (full - start), rtol=1e-6, atol=1e-9)
        assert bool((full != start).any())
    assert apart.column("lr") == together.column("lr")


@pytest.mark.parametrize(
    ("rates", "why"),
    [
        ({"hiden": 1}, "optimizer.rates: there is no part hiden; the potential has descriptor, hidden_1"),
        (
            {name: 0 for name in ("descriptor", "hidden_1", "hidden_2", "output", "linear")},
            "freezes all of the potential",
        ),
        ({"output": -1}, "rates must not be negative"),
    ],
)
def test_wrong_rates_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rates: dict[str, float], why: str
) -> None:
    with pytest.raises(SystemExit):
        short_training(tmp_path, **{"optimizer.rates": rates})
    assert why in capsys.readouterr().err


@effect_of("optimizer.method")
def test_a_first_step_of_soap_is_the_rate_in_every_direction(still: Short, tmp_path: Path) -> None:
    after = short_training(tmp_path, **ONE_STEP, **{"optimizer.method": "soap"})
    names = [name for name, p in still.model.named_parameters() if name.startswith("networks.") and min(p.shape) > 1]
    old, new = (dict(run.model.named_parameters()) for run in (still, after))
    for name in names:
        lengths = torch.linalg.svdvals((new[name] - old[name]).detach())
        torch.testing.assert_close(lengths, torch.full_like(lengths, 0.01), rtol=1e-3, atol=0)


@effect_of("optimizer.schedule", "optimizer.warm_up", "optimizer.final_lr")
@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        pytest.param({"schedule": "cosine"}, [1.0, 0.85501786, 0.505, 0.15498214], marks=pytest.mark.slow),
        pytest.param({"schedule": "cosine", "warm_up": 0.5}, [1e-3, 0.5, 1.0, 0.505], marks=pytest.mark.slow),
        ({"schedule": "cosine", "final_lr": 0.2}, [1.0, 0.88284271, 0.6, 0.31715729]),
        pytest.param({"schedule": "adaptive"}, [1e-3, 1.0, 1.0, 0.505], marks=pytest.mark.slow),
        ({"schedule": "adaptive", "warm_up": 0.5}, [1e-3, 0.5, 1.0, 0.505]),
        pytest.param({"schedule": "adaptive", "final_lr": 0.2}, [1e-3, 1.0, 1.0, 0.6], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_rate_follows_its_schedule(tmp_path: Path, settings: dict[str, Any], rates: list[float]) -> None:
    named = {f"optimizer.{name}": value for name, value in settings.items()}
    run = short_training(tmp_path, **named, **{"data.batch_size": 6})
    assert run.column("lr") == pytest.approx([0.01 * rate for rate in rates], rel=1e-6)


@effect_of("optimizer.ema")
def test_averages_are_of_as_many_steps_as_is_said(tmp_path: Path) -> None:
    one, two = (
        short_training(tmp_path, **{"optimizer.ema": ema, "trainer.max_epochs": 20, "data.batch_size": 6})
        for ema in (0.0, 0.5)
    )
    # of the same steps, one average is nothing but the last weights; the other is half of them
    last = torch.cat([p.flatten() for name, p in two.last["current_model_state"].items() if "network" in name])
    assert "current_model_state" not in one.last
    assert torch.equal(one.weights("network"), last)
    assert not torch.equal(two.weights("network"), last)
    assert one.column("train/loss") == two.column("train/loss")
    assert one.column("val/loss") != two.column("val/loss")


@pytest.mark.slow
@effect_of("optimizer.ema_growth")
def test_an_average_that_grows_may_be_longer_than_a_tenth_of_all_steps(tmp_path: Path) -> None:
    settings = {"optimizer.ema": 0.95, "trainer.max_epochs": 20, "data.batch_size": 6}
    grown, short = (short_training(tmp_path, **settings, **{"optimizer.ema_growth": g}) for g in ("on", "off"))
    last, same = (run.last["current_model_state"] for run in (grown, short))
    assert all(torch.equal(last[name], same[name]) for name in last)
    newest = torch.cat([p.flatten() for name, p in last.items() if "network" in name])
    behind = [float((run.weights("network") - newest).abs().max()) for run in (grown, short)]
    # each step is about as long: a sixth of 20 steps behind, or one of the 2 that a tenth of them spans
    assert behind[0] > 2 * behind[1] > 0


# trainer --------------------------------------------------------------------------------------------------------------


@effect_of("trainer.max_epochs")
def test_there_are_so_many_epochs(tmp_path: Path) -> None:
    assert len(short_training(tmp_path, **{"trainer.max_epochs": 3}).rows) == 3


@pytest.mark.slow
@effect_of("trainer.loggers")
def test_other_programs_are_told_what_the_table_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders, told = [], list[dict[str, float]]()

    class Recorded(DummyLogger):
        def log_metrics(self, metrics: dict[str, float], *_: object, **__: object) -> None:
            told.append(metrics)

    monkeypatch.setitem(LOGGERS, "wandb", lambda folder: folders.append(folder) or Recorded())
    monkeypatch.setattr("nnpot.training.loggers.find_spec", lambda name: name)
    run = short_training(tmp_path, **{"trainer.loggers": ["wandb", "wandb"]})
    assert folders == [run.folder]
    for name in ("train/loss", "val/force_mae_mev_per_ang"):
        assert [m[name] for m in told if name in m] == pytest.approx(run.column(name))


@pytest.mark.parametrize(
    ("name", "why"), [("wandb", "pip install wandb"), ("mlflow", "one of tensorboard, wandb, got")]
)
def test_a_logger_that_is_not_there_is_told(
    tmp_path: Path, name: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nnpot.training.loggers.find_spec", lambda _: None)
    with pytest.raises(SystemExit):
        short_training(tmp_path, **{"trainer.loggers": [name]})
    assert why in capsys.readouterr().err


@effect_of("trainer.atom_budget")
@pytest.mark.parametrize(("budget", "epochs"), [(0.003, 125), (0.0048, 200)])
def test_the_budget_sets_the_number_of_epochs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], budget: float, epochs: int
) -> None:
    settings = {"trainer.max_epochs": "auto", "trainer.atom_budget": budget}
    with pytest.raises(FileNotFoundError):  # a plan leaves no metrics
        short_training(tmp_path, "--plan", **settings)
    assert f", {epochs} epochs" in capsys.readouterr().out  # of 24 atoms


@effect_of("trainer.dtype")
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_weights_are_of_the_dtype_from_the_start_from_a_model_and_resumed(tmp_path: Path, dtype: str) -> None:
    chosen = {**ONE_STEP, "trainer.dtype": dtype}
    first = short_training(tmp_path, **chosen)
    learning_on = short_training(tmp_path, **chosen, from_model=str(first.folder))
    kinds = [weights_of(run) for run in (first, learning_on)]
    main(["train", "--resume", str(first.folder), "--trainer.max_epochs", "2"])
    assert [*kinds, weights_of(finished(first.folder))] == [{getattr(torch, dtype)}] * 3


def weights_of(run: Short) -> set[torch.dtype]:
    """Dtypes of the weights in the last checkpoint."""
    return {p.dtype for name, p in run.last["state_dict"].items() if "networks" in name}


@effect_of("trainer.gradient_clip")
def test_a_gradient_is_shortened(still: Short, tmp_path: Path) -> None:
    before = still.weights()
    free, held = (
        (short_training(tmp_path, **ONE_STEP, **{"trainer.gradient_clip": norm}).weights() - before).abs().max()
        for norm in (0.0, 1e-12)
    )
    # the step of Adam for a gradient g is that for its sign times g / (g + 1e-8)
    assert float(free) == pytest.approx(0.01, rel=1e-3)
    assert 0 < float(held) < 1e-4 * float(free)


@effect_of("trainer.patience")
def test_a_training_without_improvement_ends(tmp_path: Path) -> None:
    run = short_training(tmp_path, **STILL, **{"trainer.max_epochs": 30, "trainer.patience": 2})
    assert len(run.rows) == 3


@effect_of("trainer.validate_every")
def test_validations_are_so_many_epochs_apart(tmp_path: Path) -> None:
    run = short_training(tmp_path, **{"trainer.max_epochs": 6, "trainer.validate_every": 3})
    assert [row["epoch"] for row in run.rows if "val/loss" in row] == [2, 5]


@effect_of("trainer.compile")
@pytest.mark.parametrize(
    ("choice", "is_compiled"),
    [("on", True), *(pytest.param(choice, False, marks=pytest.mark.slow) for choice in ("off", "auto"))],
)
def test_what_no_kernel_calculates_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str, is_compiled: bool
) -> None:
    given = []
    monkeypatch.setattr(torch, "compile", lambda traced, **options: given.append(traced) or traced)
    with without_kernels():
        short_training(tmp_path, **ONE_STEP, **{"trainer.compile": choice})
    assert bool(given) == is_compiled


# the rest -------------------------------------------------------------------------------------------------------------


@effect_of("seed")
def test_the_seed_is_of_the_split_the_weights_and_the_order(tmp_path: Path) -> None:
    runs = [short_training(tmp_path, seed=seed) for seed in (0, 0, 1)]
    asides = [run.checkpoint.record.aside for run in runs]
    assert asides[0] == asides[1] != asides[2]
    assert torch.equal(runs[0].weights(), runs[1].weights())
    still = [short_training(tmp_path, seed=seed, **ONE_STEP, **STILL, **{"data.validation": 0.0}) for seed in (0, 1)]
    assert not torch.equal(still[0].weights("networks"), still[1].weights("networks"))


@effect_of("from_model")
def test_a_training_from_a_model_starts_with_it_at_a_tenth_of_the_rate(base: Short, tmp_path: Path) -> None:
    second = short_training(tmp_path, frames=alloys()[8:16], **ONE_STEP, from_model=str(base.folder / "model.nnpot"))
    assert second.column("lr") == pytest.approx([0.001], rel=1e-6)
    moved = (second.weights() - base.weights()).abs().max()
    assert float(moved) == pytest.approx(0.001, rel=1e-3)


def names_of(settings: Any, prefix: str = "") -> set[str]:
    """Every single setting by its full name."""
    if not isinstance(settings, dict) or not settings:
        return {prefix.removesuffix(".")}
    return {name for key, of in settings.items() for name in names_of(of, f"{prefix}{key}.")}


def test_every_setting_has_a_test_of_its_effect(base: Short) -> None:
    settings = yaml.safe_load((base.folder / "config.yaml").read_text())
    assert names_of({k: v for k, v in settings.items() if k != "potential"}) == CHECKED | ELSEWHERE.keys()


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE.values())))
def test_a_test_that_is_elsewhere_is_there(place: str) -> None:
    file, test = place.split("::")
    assert f"def {test}(" in (Path(__file__).parents[1] / file).read_text()

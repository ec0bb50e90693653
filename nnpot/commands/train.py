"""`nnpot train`: from labelled structures to a model file."""

import logging
import shlex
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser

from nnpot.analysis.report.facts import Facts
from nnpot.commands.closing_check import FOUND, closing_check, not_checked
from nnpot.commands.members import train_members
from nnpot.commands.renamed import settings_by_new_names
from nnpot.commands.report import RunReport
from nnpot.doctor.consultation import consult
from nnpot.doctor.finding import Diagnosis
from nnpot.io import MODEL, format_of, model_at, read_summary
from nnpot.machine.files import write_atomically
from nnpot.machine.signals import TIME_IS_OVER, InterruptedRunError, Request, raised
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.reading import plain_sources, short_name
from nnpot.spec import import_installed
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.data import Split, StructureData
from nnpot.training.finite import NotFiniteError
from nnpot.training.loss import LossOptions, check_heads, check_weights
from nnpot.training.options import DataOptions, OptimizerOptions, TrainerOptions
from nnpot.training.origin import origin_of, structures_of
from nnpot.training.plan import Forecast, forecast
from nnpot.training.processes import check_launcher, is_child_of_launcher, is_first
from nnpot.training.refresh import Refresh
from nnpot.training.result import model_in, result_of, save_result, weights_in_words
from nnpot.training.run import build_trainer, check_machine, checkpoint_of, fit, new_folder, same_folder
from nnpot.training.settings import Settings, check_changes, for_other_data, plain, recipe_of
from nnpot.training.stages import StageModel
from nnpot.training.start import FINE_TUNING_RATE, Start, fresh_start, restart, start_from_model
from nnpot.training.stop import Stop
from nnpot.training.task import PotentialTask
from nnpot.training.twin import Twin

log = logging.getLogger("nnpot")


def train(
    potential: NeuralNetworkPotential | None,
    data: DataOptions,
    loss: LossOptions = LossOptions(),
    optimizer: OptimizerOptions = OptimizerOptions(),
    trainer: TrainerOptions = TrainerOptions(),
    out: Path = Path("runs/train"),
    seed: int = 0,
    resume: Path | None = None,
    from_model: Path | None = None,
    license: str = "",
    members: int = 1,
    *,
    repulsion: Literal["auto"] | bool = "auto",
    uncertainty: bool = True,
    check: bool = True,
    plan: bool = False,
) -> Path:
    """Train a potential on energies, forces, stresses, dipoles and charges.

    Writes into the folder `out`: model.nnpot (the potential: the weights at the end, or the best on validation if the
    run was cut short), last.ckpt (to resume from), config.yaml (all settings as they were given), resolved.yaml (the
    same without `auto`), metrics.csv, report.html, report.txt, learning.png, parity.png, doctor.txt (a short look at
    the data), check.json (what the model is good for).

    Args:
        potential: What to train; what it leaves open is taken from the data.  Not needed with `from_model` or `resume`.
        data: Training and validation structures, and how they are served.
        loss: Weights of the labels, and the function of their errors.
        optimizer: Learning rate and its schedule, averaged weights.
        trainer: Epochs, devices, precision.
        out: Folder of this run; a number is added if it already holds one.
        seed: Seed of the split, the initial weights and the order of the structures.
        resume: Folder or checkpoint of an interrupted run to go on with, under its own settings but for a few that
            may change, such as `trainer.max_epochs`.
        from_model: Model, or folder of a run, to start from: its set-up, scales and networks are kept, its reference
            energies fitted to the data, and the learning rate is a tenth of `optimizer.lr`.  Settings that are not
            given are the model's, but for its length, which follows from the data.
        license: Licence under which the model may be used, such as `CC-BY-4.0`; it is kept in its file.
        members: Number of potentials, each from another seed; of more than one `out` holds a folder for each, and the
            model of the committee of all.  The same command once more goes on where it was interrupted.
        repulsion: What holds atoms apart that are closer than in the data: `auto` for a core that is put on after the
            training and changes nothing else, `true` for the ZBL repulsion of the nuclei, trained on what remains,
            `false` for nothing.
        uncertainty: Whether the model is to know, after the training, how large its errors are likely to be and how
            far an atom is from the training data, made with the validation structures; of few structures that all train
            with those that a twin has not seen, which is trained as long.
        check: Whether a short check of the model, of 20 s or a twentieth of the training, a minute at most, says in
            the end what it is good for; not after a signal.
        plan: Only estimate time and memory, by a few steps; write nothing.

    Returns:
        The model file.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the data cannot be used, the training has diverged, or a run cannot go on as it is told to.
        InterruptedRunError: If a signal or `trainer.max_time` ended it; what was reached is saved.
    """
    began = time.perf_counter()
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2³² − 1, got {seed}")
    afterwards = {"repulsion": repulsion, "uncertainty": uncertainty, "check": check}
    if members != 1:
        of_each = {"data": data, "loss": loss, "optimizer": optimizer, "trainer": trainer, "license": license}
        of_each |= {"potential": potential, "from_model": from_model, "resume": resume}
        return train_members(members, train, out, seed, **of_each, **afterwards, plan=plan)
    pl.seed_everything(seed, verbose=False)
    _look_around(trainer)
    options = {"potential": potential, "data": _found_from_anywhere(data), "loss": loss, "optimizer": optimizer}
    model = None if from_model is None else from_model.absolute()
    run = {"trainer": trainer, "out": out, "seed": seed, "from_model": model, "license": license}
    settings = plain({**options, **run, **afterwards})
    if from_model is not None:
        optimizer = replace(optimizer, lr=FINE_TUNING_RATE * optimizer.lr)
    request = Request(is_patient=is_child_of_launcher())
    with ExitStack() as kept:
        with request.awaited(trainer.deadline(began)):
            if resume is None:
                folder = kept.enter_context(new_folder(out)) if is_first(trainer) and not plan else out
                start, diagnosis = _first_start(potential, data, loss, trainer, from_model, settings)
                checkpoint = None
            else:
                checkpoint, changes = _going_on(checkpoint_of(resume), settings, kept, keeps_folder=is_first(trainer))
                if _is_done(checkpoint, changes, loss, optimizer, trainer):
                    twin = Twin(checkpoint.record, data, loss, optimizer, trainer)
                    return _nothing_to_do(checkpoint, twin, check=check)
                folder, diagnosis = checkpoint.path.parent, None
                start = restart(checkpoint, data, settings, trainer, changes)

            check_heads(loss, start.potential)
            start.potential.compiled(training=start.record.length.is_compiled)
            served = StructureData(start.targets, start.potential, data, seed, loss.mean_over)
            if plan:
                print(_forecast(start, served, loss, optimizer))
                return folder / MODEL

            stop, validates = Stop(request, trainer.deadline(began)), bool(start.split.validation)
            engine = build_trainer(trainer, optimizer, folder, start.record, stop, validates=validates)
            task = PotentialTask(start.potential, loss, optimizer, start.record, began)
            report, twin = RunReport(folder, start.split), Twin(start.record, data, loss, optimizer, trainer)
            if optimizer.in_stages:
                engine.callbacks.append(StageModel(folder, lambda: save_result(folder, lambda: report.split)))  # type: ignore[attr-defined]
            engine.callbacks.append(Refresh(report.refresh))  # type: ignore[attr-defined]
            if engine.is_global_zero:
                _tidy(folder, diagnosis)
            try:
                fit(engine, task, served, None if checkpoint is None else checkpoint.path)
            except BaseException as error:
                if engine.is_global_zero:
                    error.add_note(_saved_all_the_same(report, began, error, twin, check=check))
                elif isinstance(error, InterruptedRunError):  # the first process tells; it would be killed by an error
                    raise SystemExit(0) from error
                raise
        if engine.is_global_zero:
            _conclude(report, began, twin, check=check)
    return folder / MODEL


def _look_around(trainer: TrainerOptions) -> None:
    """Check that the training can run as it was started, and let only the first process tell of it."""
    check_launcher(trainer)
    check_machine(trainer)
    if not is_first(trainer):
        log.setLevel(logging.ERROR)


def _tidy(folder: Path, diagnosis: Diagnosis | None) -> None:
    """Keep what a look at the data has found; what a check has found of a model is none of the next one."""
    (folder / FOUND).unlink(missing_ok=True)
    if diagnosis is not None:
        write_atomically(folder / "doctor.txt", f"{diagnosis}\n")


def prospects(settings: Mapping[str, Any]) -> Forecast:
    """Return what a new training will take, by a few steps of it; nothing is written.

    Args:
        settings: Arguments of :func:`train`.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the data cannot be used.
    """
    potential, data, loss, optimizer, trainer = (
        settings[name] for name in ("potential", "data", "loss", "optimizer", "trainer")
    )
    pl.seed_everything(settings["seed"], verbose=False)
    start, _ = _first_start(potential, data, loss, trainer, None, plain(settings))
    return _forecast(start, StructureData(start.targets, start.potential, data, settings["seed"]), loss, optimizer)


def _forecast(start: Start, served: StructureData, loss: LossOptions, optimizer: OptimizerOptions) -> Forecast:
    of_molecules = not any(any(s.pbc) for s in start.split.train)
    epochs = start.record.length.max_epochs
    return forecast(start.potential, served, loss, optimizer, epochs, of_molecules=of_molecules)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`train` to a parser, which may name descriptors of other packages."""
    import_installed()
    parser.add_function_arguments(train, as_positional=False, sub_configs=False)


def inherited(resume: Path | None, from_model: Path | None) -> Settings:
    """Return the settings that a training takes over from a run that goes on, or else from a model to start from.

    Raises:
        FileNotFoundError: If there is no such run or model.
        ValueError: If it cannot be read.
    """
    if resume is not None:
        return Checkpoint.read(checkpoint_of(resume)).record.settings
    if from_model is None:
        return {}
    result = result_of(from_model) if from_model.is_dir() else None
    if result is not None:
        return for_other_data(recipe_of(result.record.settings))
    format_of(model_at(from_model))
    try:
        return for_other_data(settings_by_new_names(read_summary(from_model).get("recipe", {}), {}))
    except ValueError:  # whatever is wrong with it, or what else it is, is said where it is loaded
        return {}


def _first_start(
    potential: NeuralNetworkPotential | None,
    data: DataOptions,
    loss: LossOptions,
    trainer: TrainerOptions,
    from_model: Path | None,
    settings: Settings,
) -> tuple[Start, Diagnosis | None]:
    """Read the data, look at them, and make, or take from a model, what is to be trained."""
    if from_model is None and potential is None:
        raise ValueError("there is no potential to train; give a recipe beside the rest, --recipe ace")
    split = Split.read(data, settings["seed"], before=structures_of(from_model))
    check_weights(loss, split.train, short_name(data.train))
    split.check_labels(loss)
    model = None
    if from_model is not None:
        log.info("starting from %s", from_model)
        model = model_in(from_model, getattr(torch, trainer.dtype))
    first = potential if model is None else model
    assert first is not None
    diagnosis = _look_at(split, first.cutoff, data, trainer)
    if model is not None:
        start = start_from_model(model, split, settings, trainer)
        assert from_model is not None
        return replace(start, record=replace(start.record, origin=origin_of(from_model))), diagnosis
    assert potential is not None
    return fresh_start(potential, split, settings, trainer), diagnosis


def _going_on(path: Path, settings: Settings, kept: ExitStack, *, keeps_folder: bool) -> tuple[Checkpoint, list[str]]:
    """The checkpoint of a run that goes on, and what of its settings is different from now on."""
    checkpoint = Checkpoint.read(path)
    if keeps_folder:
        kept.enter_context(same_folder(path.parent))
        checkpoint = Checkpoint.read(path)  # another process may have written it meanwhile
    return checkpoint, check_changes(checkpoint.record.settings, settings, path.parent)


def _is_done(
    checkpoint: Checkpoint, changes: list[str], loss: LossOptions, optimizer: OptimizerOptions, trainer: TrainerOptions
) -> bool:
    """Whether a run has no epochs to go."""
    has_new_budget = any(change.startswith("trainer.atom_budget") for change in changes)
    return not has_new_budget and checkpoint.epochs_left(trainer.max_epochs, loss, optimizer) == 0


def _look_at(split: Split, cutoff: float, data: DataOptions, trainer: TrainerOptions) -> Diagnosis | None:
    """Look at the data in the first process: those that it starts need not, those beside it end as it does, in silence.

    They know the verdict by themselves, since nothing connects them yet: to wait for a first one that has ended would
    take forever.
    """
    if is_child_of_launcher():
        return None
    parts = {"training": split.train, "validation": split.validation}
    return consult(parts, cutoff, "--data.doctor", data.doctor, quiet=not is_first(trainer))


def _found_from_anywhere(data: DataOptions) -> DataOptions:
    """The same files by absolute paths, so that a run can go on from another folder."""
    own = {} if data.validation_files is None else {"validation": plain_sources(data.validation_files, absolute=True)}
    return replace(data, train=plain_sources(data.train, absolute=True), **own)


def _conclude(report: RunReport, began: float, twin: Twin, *, check: bool) -> None:
    """Write model and report of a training that has ended by itself, and check the model."""
    try:
        model = save_result(report.folder, lambda: report.split)
        facts = _finished(report, model, twin, began, not_checked(report.folder) if check else "")
    except (KeyboardInterrupt, OSError) as error:
        if not hasattr(error, "__notes__"):
            error.add_note(f"the training is over; for model and report: {_again(report.folder)}")
        raise
    if check:
        closing_check(facts, began, twin.trainer.deadline(began))


def _finished(
    report: RunReport, model: Potential | None, twin: Twin, began: float | None = None, unchecked: str = ""
) -> Facts:
    """Write the report of a training, after its model has got error bars where a twin is needed for that.

    Args:
        report: Of it.
        model: Its model.
        twin: That may be trained.
        began: When the training began.
        unchecked: What is said in the end where somebody ends that, and no check follows.
    """
    assert model is not None
    try:
        return report.finish(twin.error_bars_for(model, report.folder, report.split, began))
    except InterruptedRunError as error:  # the model is there, and is told of
        report.finish(model, unchecked)
        error.add_note(f"the model has no error bars yet; for these: {_again(report.folder)}")
        raise


def _saved_all_the_same(report: RunReport, began: float, error: BaseException, twin: Twin, *, check: bool) -> str:
    """Save what a training has reached that an error, somebody or its time limit has ended, and say where it is."""
    folder = report.folder
    try:
        final = save_result(folder, lambda: report.split, quiet=True)
        if final is None:
            return "nothing is saved yet" + (
                ", since no step was over" if isinstance(error, InterruptedRunError) else ""
            )
        if isinstance(error, InterruptedRunError):
            _cut_short(report, final, began, is_planned=error.code == TIME_IS_OVER, check=check)
        reached = f"{folder / MODEL} holds {weights_in_words(folder)}"
        if twin.is_wanted(final, report.split):
            reached += ", without error bars, which a twin gives when the training has come to its end"
    except (OSError, ValueError) as another:
        reached = f"no model is written ({another})"
    if isinstance(error, NotFiniteError):  # it would come to the same again
        return reached
    last = folder / "last.ckpt"
    if not last.is_file():
        return reached
    done = Checkpoint.read(last).reached
    return f"{reached}; last good state: {last} after {done}; to go on: {_again(folder)}"


def _cut_short(report: RunReport, model: Potential, began: float, *, is_planned: bool, check: bool) -> None:
    """Write the report of a training that was cut short; check the model if that was planned, by a time limit."""
    unchecked = not_checked(report.folder) if check else ""
    facts = report.finish(model, "" if is_planned else unchecked)
    if not (check and is_planned):
        return
    try:
        with raised():
            closing_check(facts, began, time.perf_counter())
    except KeyboardInterrupt:  # what has ended the training stays the reason
        print(unchecked)


def _again(folder: Path) -> str:
    """The command by which a run goes on."""
    return shlex.join(["nnpot", "train", "--resume", str(folder)])


def _nothing_to_do(checkpoint: Checkpoint, twin: Twin, *, check: bool) -> Path:
    """Say that a run has done all of its epochs; make what is missing if it was killed right after the last of them."""
    folder, record = checkpoint.path.parent, checkpoint.record
    model, report = folder / MODEL, folder / "report.txt"
    final = save_result(folder, lambda: record.split_of(twin.data))
    assert final is not None
    is_older = not report.is_file() or report.stat().st_mtime < model.stat().st_mtime
    is_unchecked = check and record.settings.get("check", False) and not (folder / FOUND).is_file()
    left = "nothing is left to do"
    if is_older or is_unchecked or not final.is_calibrated:
        split = record.split_of(twin.data)
        if is_older or is_unchecked or twin.is_wanted(final, split):
            began, left = time.perf_counter(), "nothing else is left to do"
            facts = _finished(RunReport(folder, split), final, twin)
            if check:
                closing_check(facts, began)
    if checkpoint.stopped:
        done = f"stopped early after {checkpoint.epochs} epochs (trainer.patience), "
    elif checkpoint.epochs < checkpoint.record.length.max_epochs:
        done = f"was over after {checkpoint.epochs} epochs, since a stage twice as long had gained too little, "
    else:
        done = f"has done all its {checkpoint.epochs} epochs, to train longer give a larger --trainer.max_epochs, "
    print(f"{folder}: {left}; it {done}to learn on from its model: nnpot train FILE --from {folder}")
    return model

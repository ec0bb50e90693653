"""The model file of a run, made from its checkpoints and data, so that one that was killed in between loses nothing."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from nnpot import calibration, compositions
from nnpot.elements import is_free_atom
from nnpot.fingerprints import OF_ERROR_BARS, Fingerprints
from nnpot.io import MODEL, load, read_summary, save
from nnpot.labels import LABELS
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.reading import short_name, sources_of
from nnpot.spec import build, to_spec
from nnpot.structure import Structure
from nnpot.training.aside import FEW_STRUCTURES
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.core import sentence, with_core
from nnpot.training.data import Split
from nnpot.training.loss import error
from nnpot.training.metrics import LabelErrors, in_shown_units, in_words
from nnpot.training.settings import in_stages, recipe_of

log = logging.getLogger("nnpot")

MAX_EXCESS = 1.0
"""Relative excess of the last validation error over the best above which a run counts as diverged."""


MOST_PREDICTED = 100
"""Number of training structures whose errors are looked at, about, where none validate."""

WEIGHTS = "trained weights"
"""What a model file calls the fingerprint of what was trained, before anything was put on."""


def result_of(folder: Path) -> Checkpoint | None:
    """Return the checkpoint that holds the result of a run so far, None where there is none yet.

    That is the last one of a run that took all its epochs, unless its error is much larger than the best: a few
    validation structures say little about which weights are best, while those at the end of the annealing are so on
    the whole.  Of a run cut short or stopped early it is the best on validation, of one in stages the last that
    gained enough.

    Raises:
        ValueError: If there are checkpoints, but none can be read.
    """
    best, last = (_readable(folder / name) for name in ("best.ckpt", "last.ckpt"))
    if best is None or last is None:
        if best is None and last is None and (folder / "last.ckpt").is_file():
            return Checkpoint.read(folder / "last.ckpt")  # which says why it cannot be read
        return best or last
    if in_stages(last.record.settings):
        return best
    errors = (last.error, best.error)
    is_good = None in errors or errors[0] < (1 + MAX_EXCESS) * errors[1]  # type: ignore[operator]
    return last if last.finished and not last.stopped and is_good else best


def model_of(result: Checkpoint) -> Potential:
    """Return the potential of a checkpoint, with what is added to it and not trained."""
    record = result.record
    trained: Potential = result.potential(getattr(torch, record.settings["trainer"]["dtype"]))
    return trained if record.baseline is None else trained + build(record.baseline)


def guarded(potential: Potential, result: Checkpoint, split: Split) -> Potential:
    """Return the potential of a run with a core that suits its training structures, if its settings ask for one."""
    if result.record.settings["repulsion"] != "auto":
        return potential
    known = result.record.core
    try:
        core = None if known is None else build(known)
        potential, findings = with_core(potential, split.train, core, judges=split.validation or split.train)
    except ValueError as error:  # of another package, say
        log.warning("the model has no core that holds atoms apart: %s", error)
    else:
        log.info("%s", sentence(findings))
    return potential


def with_error_bars(potential: Potential, result: Checkpoint, split: Split) -> Potential:
    """Return the potential of a run with an uncertainty, if its settings ask for one and structures were set aside.

    Of few structures that all train there is none yet: a twin makes it at the end (:mod:`nnpot.training.twin`).
    """
    if not result.record.settings.get("uncertainty", False) or needs_twin(split):
        return potential
    unseen = split.unseen
    if n := len(split.validation) - len(unseen):
        which = "the training structures" + (", or those of the model that it started from," if split.old else "")
        log.warning("%d of %d validation structures are among %s and tell nothing of others", n, n + len(unseen), which)
    try:
        potential = calibration.calibrated(potential, split.train, unseen)
    except ValueError as error:
        log.info("the model does not know how large its errors are: %s", error)
    else:
        log.info("the model knows how large its errors are likely to be: %s", calibration.in_words(unseen))
    return potential


def needs_twin(split: Split) -> bool:
    """Return whether a split has few structures, too few of which have not been trained on."""
    if len(split.train) > FEW_STRUCTURES:
        return False
    n_new, n_unseen = (sum({"energy", "forces"} <= s.labels.keys() for s in part) for part in (split.new, split.unseen))
    return n_unseen < calibration.FEWEST and n_new >= 2 * calibration.FEWEST


def model_in(path: Path, dtype: torch.dtype) -> Potential:
    """Return the model in a file, the one of a run in its folder, or a potential of another program.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it cannot be read.
    """
    result = result_of(path) if path.is_dir() else None
    if result is None:
        return load(path, dtype)
    model = model_of(result)
    return load(path / MODEL, dtype) if holds(path / MODEL, model) else model.to(dtype).eval()


def save_result(folder: Path, split: Callable[[], Split], *, quiet: bool = False) -> Potential | None:
    """Make the model file of what was reached; None where there is nothing yet.

    It comes from the checkpoints and the structures, so that a run that was killed just before gives the very
    same one.  A file with these weights in it is left as it is.  The log says of which epoch the weights are
    if they are not those of the last, unless `quiet`.
    """
    result = result_of(folder)
    if result is None:
        return None
    final = model_of(result)
    if not quiet and (which := _which(folder, result)):
        log.info("%s holds %s", folder / MODEL, which)
    if holds(folder / MODEL, final):
        return load(folder / MODEL, final.dtype_and_device()[0])
    structures, trained_weights = split(), fingerprint_of(final)
    final = with_error_bars(guarded(final, result, structures), result, structures)
    summary = summary_of(result)
    if not result.errors:
        summary |= {"errors on training structures": in_words(errors_on(final, structures.train))}
    free = [s for s in structures.train if is_free_atom(s)]
    others = [s for s in structures.train if not is_free_atom(s)]
    summary[WEIGHTS] = trained_weights
    summary |= compositions.summary_of((s.numbers.tolist() for s in others), (s.numbers.tolist() for s in free))
    summary |= Fingerprints.of(structures.train).joined(structures.old).summary
    if final.is_calibrated:
        summary["uncertainty"] = calibration.in_words(structures.unseen)
        summary[OF_ERROR_BARS] = Fingerprints.of(structures.unseen).text
    save(final, folder / MODEL, summary)
    return final


def summary_of(result: Checkpoint) -> dict[str, Any]:
    """Return what the model file of a checkpoint says about where it comes from."""
    record, settings = result.record, result.record.settings
    several = len(sources_of(settings["data"]["train"])) > 1
    told = {"level of theory": settings["data"]["level"], "license": settings["license"]}
    return {
        **{name: text for name, text in told.items() if text},
        "training files" if several else "training file": short_name(settings["data"]["train"]),
        "training structures": record.structures,
        "data fingerprint": record.data,
        **({"started from": record.origin} if record.origin else {}),
        "epochs": result.epochs,
        **({"validation errors": in_words(result.errors)} if result.errors else {}),
        **({} if result.seconds is None else {"minutes": round(result.seconds / 60, 2)}),
        "seed": settings["seed"],
        "command": record.command,
        "recipe": recipe_of(settings),
    }


def errors_on(potential: Potential, structures: Sequence[Structure]) -> dict[str, float]:
    """Return errors on structures, or on evenly picked ones, in shown units by the keys of JSON files."""
    picked = structures[:: -(-len(structures) // MOST_PREDICTED)]
    errors = {name: LabelErrors(of_all_processes=False) for name in LABELS}  # the first saves alone
    for s in picked:
        batch = single_batch(s, potential.cutoff)
        prediction = potential.predict(s)
        for name in LABELS.keys() & prediction.labels.keys() & s.labels.keys():
            errors[name].update(*error(name, prediction, batch))
    return in_shown_units({name: of_label.compute() for name, of_label in errors.items() if of_label.update_called})


def weights_in_words(folder: Path) -> str:
    """Return which weights the model of a training that was ended before its time holds."""
    result = result_of(folder)
    return (_which(folder, result) if result is not None else "") or "the best weights so far"


def _which(folder: Path, result: Checkpoint) -> str:
    """Of which epoch the weights are and why, if it is not the last that was trained."""
    last = _readable(folder / "last.ckpt")
    if last is None or last.epochs <= result.epochs:
        return ""
    why = "the best on validation"
    if in_stages(last.record.settings):
        over = last.schedule["is_over"]
        why = "forces of a longer stage are no better" if over else "the last stage that is over"
    return f"the weights of epoch {result.epochs}: {why}"


def holds(path: Path, potential: Potential) -> bool:
    """Whether a model file comes from this trained potential to the last bit, whatever was put on afterwards."""
    try:
        fingerprint = read_summary(path).get(WEIGHTS)
        kept = load(path, potential.dtype_and_device()[0]).bare()
    except (FileNotFoundError, ValueError):
        return False
    if fingerprint is not None:
        return bool(fingerprint == fingerprint_of(potential))
    ours, theirs = potential.state_dict(), kept.state_dict()  # a file from before there were fingerprints
    return (
        to_spec(kept) == to_spec(potential)
        and ours.keys() == theirs.keys()
        and all(torch.equal(ours[name], theirs[name]) for name in ours)
    )


def fingerprint_of(potential: Potential) -> str:
    """Return a short digest of what a potential is, all its numbers included."""
    digest = hashlib.sha256(repr(to_spec(potential)).encode())
    for name, value in potential.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _readable(path: Path) -> Checkpoint | None:
    """The checkpoint if there is one that can be read; the log says if one cannot."""
    try:
        return Checkpoint.read(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.warning("%s", error)
        return None

"""`nnpot compare`: trainings side by side."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from jsonargparse import ArgumentParser

from nnpot.analysis.comparison import Compared, shown_labels, table, to_json
from nnpot.analysis.curves import side_by_side
from nnpot.analysis.evaluate import evaluate_potential
from nnpot.analysis.history import History
from nnpot.analysis.speed import measured
from nnpot.analysis.wording import counted
from nnpot.commands.runs import split_of
from nnpot.io import MODEL, load, read_summary
from nnpot.label_names import LabelKeys
from nnpot.machine.files import within, write_atomically
from nnpot.reading import as_words, read_labelled, require_labels
from nnpot.structure import Structure
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.options import Given

log = logging.getLogger("nnpot")

CHECKPOINT = "last.ckpt"


def compare(
    runs: Sequence[Path],
    data: Given | None = None,
    plot: Path | None = None,
    json: Path | None = None,
    keys: LabelKeys = LabelKeys(),
) -> list[Compared]:
    """Print the errors of trainings side by side, how long they took, and how fast their potentials are here.

    Args:
        runs: Folders of trainings.
        data: Labelled structures on which all are tested; otherwise each on what validated it.
        plot: PNG file for their learning curves, and errors against cost.
        json: File to write the table to, for other programs.
        keys: Names of the labels of the data, if not ASE's own.

    Returns:
        What was found.

    Raises:
        FileNotFoundError: If a file is not there, or no training has a model yet; one without is left out.
        ValueError: If something cannot be read, or the data have no energies or an unknown element.
    """
    tested = None
    if data is not None:
        tested, inventory = read_labelled(data, keys, "--keys.{label} {name}")
        log.info("%s", inventory)
        require_labels(tested, inventory.source, inventory)
    runs = _trainings(runs, with_own_structures=data is None)
    found = [_compared(run, name, tested) for run, name in zip(runs, _names(runs), strict=True)]
    on = "on their validation structures" if data is None else f"on {as_words(data)}"
    if not shown_labels(found):
        raise ValueError("there are no labels to compare on; give labelled structures by --data")
    is_fair = data is not None or len({_validated_on(run) for run in runs}) == 1
    print(table(found, f"{counted(len(found), 'training')} {on}", is_fair=is_fair))
    if not is_fair:
        log.warning("they were validated on different structures, so their errors tell little: give --data TEST")
    if plot is not None:
        side_by_side(plot, found)
    if json is not None:
        write_atomically(json, to_json(found))
    return found


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`compare` to a parser: as many folders as are given."""
    parser.add_argument("runs", nargs="+", type=Path, help="folders of trainings")
    parser.add_function_arguments(compare, as_positional=False, skip={"runs"}, sub_configs=False)


def _trainings(given: Sequence[Path], *, with_own_structures: bool) -> list[Path]:
    """Those that have reached something; others, such as a pattern may find, are named.

    Args:
        given: Folders.
        with_own_structures: Whether each must know what validated it, as a committee does not.
    """
    found = [Path(run) for run in given if (Path(run) / MODEL).is_file()]
    without = ", ".join(str(run) for run in given if Path(run) not in found)
    if not found:
        first = Path(given[0])
        near = f"; did you mean {first.parent}?" if first.name == MODEL else within(first, MODEL)
        advice = near or "; give folders of trainings that have reached something"
        raise FileNotFoundError(f"there is no {MODEL} in {without}{advice}")
    if without:
        log.warning("left out, since there is no %s: %s", MODEL, without)
    unknown = [run for run in found if not (run / CHECKPOINT).is_file()] if with_own_structures else []
    if unknown:
        told = ", ".join(map(str, unknown))
        if unknown == found:
            raise FileNotFoundError(
                f"what validated {told} is not known (a committee has no {CHECKPOINT}); give --data"
            )
        log.warning("left out, since it is not known what validated them: %s; give --data", told)
    return [run for run in found if run not in unknown]


def _names(runs: Sequence[Path]) -> list[str]:
    """Names of folders without what all of them begin with."""
    above = os.path.commonpath([run.absolute().parent for run in runs])
    return [os.path.relpath(run.absolute(), above) for run in runs]


def _compared(folder: Path, name: str, tested: Sequence[Structure] | None) -> Compared:
    potential, summary, metrics = load(folder, torch.float32), read_summary(folder / MODEL), folder / "metrics.csv"
    on_training = False
    if tested is None:
        split = split_of(folder)
        on_training, tested = not split.validation, split.validation or split.train
    return Compared(
        name,
        evaluate_potential(potential, tested).errors(),
        int(summary["training structures"]),
        int(summary["epochs"]),
        summary.get("minutes"),
        measured(potential, tested, torch.get_num_threads()).microseconds,
        History.read(metrics) if metrics.is_file() else None,
        on_training,
    )


def _validated_on(folder: Path) -> tuple[str, tuple[int, ...]]:
    """What tells whether two trainings have the same validation structures."""
    record = Checkpoint.read(folder / CHECKPOINT).record
    return record.data, tuple(record.aside)

"""Which model a training has started from, in words that its own model file keeps."""

from pathlib import Path

from nnpot.fingerprints import UNKNOWN, Before
from nnpot.formats import nnpot
from nnpot.io import MODEL, format_of, model_at, read_summary
from nnpot.reading import Sources, short_name
from nnpot.reading.sources import sources_of
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.result import holds, model_of, result_of


def origin_of(path: Path) -> str:
    """Return a model in words: its file, checksum and date, and what it has learned from; no folders of the machine.

    Args:
        path: Model file, folder of a run, also of one that was killed, or potential of another program.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it cannot be read.
    """
    result = result_of(path) if path.is_dir() else None
    if result is not None and not holds(path / MODEL, model_of(result)):
        return _of_checkpoint(result)
    model = model_at(path)
    if format_of(model) != "model file":
        return model.name
    summary = read_summary(model)
    checksum = nnpot.short_checksum(model)
    told = [f"checksum {checksum}"] if checksum else []
    told += [f"written {summary['written']}"] if "written" in summary else []
    data, n = summary.get("training file") or summary.get("training files"), summary.get("training structures")
    told += [f"trained on {data}" + (f", {n} structures" if n else "")] if data else []
    return f"{_named(model)}" + (f" ({'; '.join(told)})" if told else "")


def structures_of(path: Path | None) -> Before:
    """Return which structures a model was trained on and which were set aside; none where no file tells.

    Args:
        path: Model file, folder of a run, also of one that was killed, potential of another program, or nothing.

    Raises:
        ValueError: If it cannot be read.
    """
    model = None if path is None else model_at(path)
    if model is None or not model.is_file() or format_of(model) != "model file":
        return UNKNOWN
    return Before.in_summary(read_summary(model))


def holds_old(model: Path, data: Sources) -> bool:
    """Return whether one of the files that a training is given is called as one that a model was trained on.

    Args:
        model: Model file, folder of a run, also of one that was killed, or potential of another program.
        data: Files of structures.
    """
    result = result_of(model) if model.is_dir() else None
    if result is not None:
        known = [short_name(file) for file in sources_of(result.record.settings["data"]["train"])]
    elif format_of(model_at(model)) == "model file":
        summary = read_summary(model)
        known = str(summary.get("training file") or summary.get("training files") or "").split(", ")
    else:
        return False
    names = {name.split("@")[0] for name in known}
    return any(short_name(file).split("@")[0] in names for file in sources_of(data))


def _of_checkpoint(result: Checkpoint) -> str:
    """The same of a run whose model file does not hold what it has reached."""
    return f"{_named(result.path)} (after {result.reached}; data {result.record.data})"


def _named(path: Path) -> str:
    """A file with the folder of its run, whose own name is the same in all."""
    return f"{path.absolute().parent.name}/{path.name}"

"""What a training leaves to be read: tables, pictures and a page, from the files of its folder and its structures."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nnpot.analysis.evaluate import Evaluation, evaluate_potential, table
from nnpot.analysis.history import History
from nnpot.analysis.overfitting import overfitting
from nnpot.analysis.plots import learning_curves, parity
from nnpot.analysis.report.closeness import Closest, closest_in
from nnpot.analysis.report.facts import Facts, State, files_of, main_of
from nnpot.analysis.report.inside import inside_core
from nnpot.analysis.report.page import page
from nnpot.analysis.speed import measured
from nnpot.fingerprints import CALIBRATED_WITH_ALL
from nnpot.io import MODEL, model_at, read_summary
from nnpot.machine.files import write_atomically
from nnpot.potential import Potential
from nnpot.reading import as_words
from nnpot.structure import subsample
from nnpot.training.checkpoint import Checkpoint
from nnpot.training.data import Split
from nnpot.training.origin import holds_old
from nnpot.training.result import model_of, result_of, summary_of

KNOWN_ATOMS = 2_000
"""Number of atoms of the training structures, about, on which errors are compared with those of validation."""

PAGE = "report.html"


class RunReport:
    """The report of a run, which may be refreshed while it goes on.

    Args:
        folder: Of the run.
        split: Its structures.
    """

    def __init__(self, folder: Path, split: Split) -> None:
        self.folder, self.split = folder, split
        self._distances: Closest | None = None
        self._name = "validation" if split.validation else "training"
        self._structures = split.validation or split.train
        self._known = subsample(split.train, KNOWN_ATOMS)

    def refresh(self) -> None:
        """Write the page of what the run would leave if it were ended now.

        Raises:
            OSError: If it cannot be written.
            ValueError: If a prediction is not finite.
        """
        result = result_of(self.folder)
        if result is None:
            return
        potential = model_of(result).eval()
        evaluation, known = self._evaluations(potential, quiet=True)
        self._write_page(self._facts(potential, evaluation, known, summary_of(result), is_over=False))

    def finish(self, potential: Potential | None, last: str = "") -> Facts:
        """Print the errors, write pictures, page and, the last, text: a run without it is seen to lack something.

        Args:
            potential: The model of the run.
            last: What is said in the end, if anything.

        Returns:
            What the page tells.

        Raises:
            OSError: If a file cannot be written.
            ValueError: If a prediction is not finite.
        """
        assert potential is not None
        evaluation, known = self._evaluations(potential)
        facts = self._facts(potential, evaluation, known, read_summary(self.folder / MODEL))
        course = None if facts.history is None or facts.state != "finished" else facts.history.course
        told = [self.split.told, overfitting(known, evaluation, course) if self.split.validation else ""]
        title = f"{self.folder / MODEL}: {self._name} errors"
        of_bars = self._of_error_bars()
        text = "\n".join(filter(None, told)) + "\n\n" + table(evaluation, title, known=of_bars)
        parity(self.folder / "parity.png", evaluation.panels(), title)
        if facts.history is not None:
            learning_curves(self.folder / "learning.png", facts.history, str(self.folder), facts.chosen)
        self._write_page(facts)
        write_atomically(self.folder / "report.txt", text + "\n" + (f"\n{last}\n" if last else ""))
        print(text)
        print(next_steps(self.folder) + (f"\n{last}" if last else ""))
        return facts

    def _of_error_bars(self) -> str:
        """What is to be said of error bars beside the errors of validation structures; empty if there are none."""
        n, n_all = len(self.split.unseen), len(self.split.validation)
        if not n_all or n == n_all:
            return CALIBRATED_WITH_ALL if n_all else ""
        return f"its error bars were calibrated with {n} of these {n_all} structures, others are known to the model"

    def _evaluations(self, potential: Potential, *, quiet: bool = False) -> tuple[Evaluation, Evaluation]:
        """Errors on validation structures, or the training ones if there are none, and on some of the latter.

        What is expected of errors is that of structures that were not trained on.
        """
        potential.telling_unknown(bool(self.split.validation))
        known = evaluate_potential(potential, self._known, quiet=True)
        evaluation = evaluate_potential(potential, self._structures, quiet=quiet)
        potential.telling_unknown(True)
        return evaluation, known

    def _facts(
        self,
        potential: Potential,
        evaluation: Evaluation,
        known: Evaluation,
        summary: Mapping[str, Any],
        *,
        is_over: bool = True,
    ) -> Facts:
        folder, metrics = self.folder, self.folder / "metrics.csv"
        last = _last(folder)
        state: State = "training" if not is_over else "finished" if last is None or last.finished else "cut short"
        threads = torch.get_num_threads()
        return Facts(
            title=f"{folder.absolute().name}: {summary.get('training file') or summary.get('training files', '')}",
            model=folder / MODEL,
            potential=potential,
            kind="validation" if self.split.validation else "training",
            structures=self._structures,
            evaluation=evaluation,
            data=files_of(self._structures),
            known=known,
            known_structures=self._known,
            closest=self._closest(potential),
            inside=inside_core(potential, self._structures, evaluation, main_of(evaluation)),
            given="TRAIN.xyz" if last is None else as_words(last.record.settings["data"]["train"]),
            history=History.read(metrics) if metrics.is_file() else None,
            chosen=summary.get("epochs") or None,
            state=state,
            planned=0 if last is None else last.record.length.max_epochs,
            folder=folder,
            told=[self.split.told] if self.split.told else [],
            doctor=_lines(folder / "doctor.txt"),
            summary=summary,
            settings="\n".join(_lines(folder / "resolved.yaml")),
            speed=measured(potential, self._structures, threads) if is_over else None,
        )

    def _closest(self, potential: Potential) -> Closest:
        """How close atoms come in the training structures, looked for once."""
        if self._distances is None:
            self._distances = closest_in(self.split.train, potential.elements, potential.cutoff)
        return self._distances

    def _write_page(self, facts: Facts) -> None:
        write_atomically(self.folder / PAGE, page(facts), durable=False)


def next_steps(folder: Path) -> str:
    """Return what can be done with a training that is over, to copy."""
    model, page = shlex.quote(str(folder / MODEL)), folder / PAGE
    return "\n".join(
        [
            f"next: open {page} in a browser",
            f"  nnpot evaluate {model} TEST --report test.html",
            f"  nnpot export {model} {shlex.quote(str(folder / 'lammps'))} --to lammps",
            f"  python: atoms.calc = nnpot.NNPotCalculator({str(folder)!r})",
            *_back(folder),
        ]
    )


def _back(folder: Path) -> list[str]:
    """How a fine-tuned model gets some of what it has forgotten back."""
    last = _last(folder)
    old = None if last is None else last.record.settings["from_model"]
    if last is None or old is None or not model_at(old).is_file():
        return []
    models, data = shlex.join(["nnpot", "merge", str(old), str(folder)]), last.record.settings["data"]["train"]
    words = as_words(data) if holds_old(Path(old), data) else f"{as_words(data)} OLD.xyz"
    return [f"  {models} --data {words}: what lies between old and new"]


def _last(folder: Path) -> Checkpoint | None:
    """The last checkpoint, if it can be read."""
    try:
        return Checkpoint.read(folder / "last.ckpt")
    except (FileNotFoundError, ValueError):
        return None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []

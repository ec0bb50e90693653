"""Training from Python: `nnpot.train`, and the run that it returns."""

import base64
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from nnpot.analysis.evaluate import Evaluation, evaluate_potential
from nnpot.analysis.history import History
from nnpot.commands import line
from nnpot.commands import train as command
from nnpot.commands.guesses import OTHER_PROGRAMS, meant
from nnpot.commands.kinds import all_names, classes_of, parameters_of
from nnpot.commands.recipes import recipe_file
from nnpot.commands.runs import tested_structures
from nnpot.descriptors import Descriptor
from nnpot.guesses import OF_RUNS, missing
from nnpot.io import Committee, load
from nnpot.potential import Potential
from nnpot.reading import read_labelled
from nnpot.spec import Module
from nnpot.structure import Structure, as_structures
from nnpot.training.settings import plain

log = logging.getLogger("nnpot")

StrPath = str | os.PathLike[str]
_STARTS = {"resume": "--resume", "from_model": "--from"}
"""Settings that bring others with them, and their options."""

Data = StrPath | Sequence[StrPath] | Sequence[Structure | Atoms]


def train(
    structures: Data | Structure | Atoms | None = None,
    recipe: StrPath | None = None,
    *,
    out: StrPath = "runs/train",
    **settings: Any,
) -> "Run":
    """Train a potential, as the command `nnpot train` does, and return the run.

    >>> import contextlib, io, tempfile
    >>> import nnpot
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> frames = []
    >>> for k in range(6):
    ...     atoms = bulk("Cu", cubic=True)
    ...     atoms.rattle(0.1, seed=k)
    ...     atoms.calc = EMT()
    ...     _ = atoms.get_forces()
    ...     frames.append(atoms)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with contextlib.redirect_stdout(io.StringIO()):  # what it tells of itself
    ...         run = nnpot.train(frames, recipe="acsf", out=folder + "/run", max_epochs=2, cutoff=4.0, size=16)
    ...     print(run.potential.elements, sorted(run.errors)[:2])
    ('Cu',) ['energy_mae_mev_per_atom', 'energy_rmse_mev_per_atom']

    Args:
        structures: Labelled structures: whatever `--data.train` takes, such as a file, or structures themselves, which
            are written beside the run.  Not needed with `resume`.  They may be called `data` as well.
        recipe: Name of a recipe that comes with nnpot (`ace`, `ace-large`, `acsf`) or path of a configuration; `ace`
            if nothing is said, and with `resume` or `from_model` the settings of these.
        out: Folder of the run; a number is added if it already holds one.
        **settings: Any setting of the command, nested as in a configuration (`trainer={"max_epochs": 50}`) or by the
            last part of its name alone (`max_epochs=50`, `validation="test.xyz"`, `cutoff=5.0`).  `potential` may be a
            :class:`nnpot.NeuralNetworkPotential` and `descriptor` a descriptor.

    Returns:
        The run: its potential, errors, learning curves.

    Raises:
        FileNotFoundError: If a file is not there.
        TypeError: If a potential is given in another place than its own, or a setting is no plain value.
        ValueError: If there is no such recipe or setting, the data cannot be used, or the training has diverged.
        InterruptedRunError: If Ctrl-C, a signal or `trainer.max_time` ended it; what was reached is saved.
    """
    if structures is None and not isinstance(settings.get("data", {}), Mapping):
        structures = settings.pop("data")
    for place, value in {"structures": structures, "recipe": recipe, **settings}.items():
        if isinstance(value, Potential) and place != "potential":
            raise TypeError(f"{place} cannot be a potential; write nnpot.train(structures, potential=potential)")
    if isinstance(path := settings.get("potential"), str | os.PathLike) and os.path.exists(path):
        raise TypeError(f"potential cannot be a file; to go on from {path} write from_model={os.fspath(path)!r}")
    if isinstance(recipe, int | float):
        raise TypeError(f"a recipe is a name or a path, got {recipe}; a number of epochs is max_epochs={recipe}")
    with _told():
        given, modules = _nested(settings)
        if structures is not None:
            given.setdefault("data", {})["train"] = _files(structures, Path(out))
        if recipe is None and not given.keys() & _STARTS.keys():
            recipe = "ace"
        potential = modules.pop("potential", None)
        arguments = _arguments(recipe, {**given, "out": os.fspath(out)}, ready=potential is not None)
        parsed = line.settings_of("train", command, arguments)
        if potential is not None:
            parsed["potential"] = potential
        elif modules:
            parsed["potential"] = parsed["potential"].replaced(**modules)
        return Run(command.train(**parsed).parent)


def evaluate(potential: Potential | StrPath | Sequence[Potential | StrPath], structures: Data) -> Evaluation:
    """Compare labels with predictions, as `nnpot evaluate` does.

    >>> import nnpot
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> atoms = bulk("Cu", a=3.4)
    >>> atoms.calc = EMT()
    >>> _ = atoms.get_forces()
    >>> sorted(nnpot.evaluate(nnpot.ZBL(["Cu"]), [atoms]).errors())[:2]
    ['energy_mae_mev_per_atom', 'energy_rmse_mev_per_atom']

    Args:
        potential: A potential, whatever :func:`nnpot.load` reads, or a list of several for their committee.
        structures: Labelled structures, or files of them, as :func:`train` takes them.

    Returns:
        The labels beside the predictions; a notebook shows a table of the errors, `errors()` returns them.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file cannot be read, or holds an element that the potential does not know.
    """
    if isinstance(potential, list | tuple):
        potential = Committee(potential)
    if isinstance(structures, Potential):
        raise TypeError("the potential comes first; write nnpot.evaluate(potential, structures)")
    own = potential if isinstance(potential, Potential) else load(potential)  # type: ignore[arg-type]
    paths = [structures] if isinstance(structures, str | os.PathLike | Structure | Atoms) else list(structures)
    if all(isinstance(one, str | os.PathLike) for one in paths):
        return evaluate_potential(own, read_labelled([os.fspath(one) for one in paths])[0])  # type: ignore[arg-type]
    given = as_structures(paths)  # type: ignore[arg-type]
    if given and not any(one.labels for one in given):
        raise ValueError(
            "there is nothing to compare with: the structures have no energy or forces, which are results of their "
            "calculator, as ase.io.read(path, ':') leaves them"
        )
    return evaluate_potential(own, given)


@dataclass(frozen=True)
class Run(os.PathLike[str]):
    """A training that is over, or still running: what its folder holds.

    >>> import nnpot
    >>> nnpot.Run("runs/mine").folder.name
    'mine'

    It stands for its folder wherever a path is asked for: `nnpot.load(run)`, `nnpot.train(frames, from_model=run)`.

    Args:
        folder: Of the training.
    """

    folder: Path

    def __init__(self, folder: StrPath) -> None:
        object.__setattr__(self, "folder", Path(folder))

    def __fspath__(self) -> str:
        return str(self.folder)

    def __getattr__(self, name: str) -> Any:
        raise missing("a run", name, OF_RUNS)

    @cached_property
    def potential(self) -> Potential:
        """The potential, in evaluation mode.

        Raises:
            FileNotFoundError: If there is none yet.
        """
        return load(self.folder)

    @cached_property
    def structures(self) -> list[Structure]:
        """The validation structures, or the training structures if there are none.

        Raises:
            FileNotFoundError: If nothing is reached yet, or the data are no longer there.
        """
        if self._is_committee:
            raise FileNotFoundError(f"{self.folder} holds a committee; write nnpot.evaluate(run, 'test.xyz').errors()")
        return tested_structures(self.folder)

    @cached_property
    def evaluation(self) -> Evaluation:
        """Labels beside predictions of `structures`.

        Raises:
            FileNotFoundError: If there is no model yet, or the data are no longer there.
        """
        return evaluate_potential(self.potential, self.structures)

    @property
    def errors(self) -> dict[str, float]:
        """Errors of the potential, units in the names, such as `force_rmse_mev_per_ang`: those of `evaluation`."""
        return self.evaluation.errors()

    @property
    def history(self) -> dict[str, NDArray[np.float64]]:
        """The table of the epochs, column by column, NaN where there is no value; `pandas.DataFrame` takes it.

        Raises:
            FileNotFoundError: If no epoch is over yet.
        """
        path = self.folder / "metrics.csv"
        if self._is_committee:
            raise FileNotFoundError(
                f"{self.folder} holds a committee; write nnpot.Run({str(self.folder / 'member-0')!r}).history"
            )
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there: no epoch is over yet")
        return dict(History.read(path).columns)

    def plot(self) -> "Pictures":
        """Return the pictures of the learning curves and of predictions against labels; a notebook shows them.

        Raises:
            FileNotFoundError: If there are none yet.
        """
        files = [path for name in ("learning.png", "parity.png") if (path := self.folder / name).is_file()]
        if not files:
            raise FileNotFoundError(f"{self.folder} holds no pictures yet")
        return Pictures(tuple(files))

    @property
    def _is_committee(self) -> bool:
        return (self.folder / "member-0").is_dir() and not (self.folder / "last.ckpt").is_file()

    def _repr_html_(self) -> str:
        if self._is_committee:
            return self.plot()._repr_html_()
        return self.evaluation.to_html(f"Training in {self.folder}: errors") + self.plot()._repr_html_()


@dataclass(frozen=True)
class Pictures:
    """Pictures that a notebook shows.

    Attributes:
        files: PNG files.
    """

    files: tuple[Path, ...]

    def _repr_html_(self) -> str:
        images = (base64.b64encode(path.read_bytes()).decode() for path in self.files)
        names = (escape(path.stem) for path in self.files)
        return "".join(
            f'<p><img alt="{name}" src="data:image/png;base64,{image}" style="max-width: 100%"></p>'
            for name, image in zip(names, images, strict=True)
        )


def _arguments(recipe: StrPath | None, settings: Mapping[str, Any], *, ready: bool) -> list[str]:
    """The arguments of the command: a configuration, and as options what it looks for among these."""
    options = {
        f"--loss.{name}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.get("loss", {}).items()
    }
    options |= {option: settings[name] for name, option in _STARTS.items() if name in settings}
    others = {name: value for name, value in settings.items() if name not in ("loss", *_STARTS)}
    configurations = [] if recipe is None else [str(recipe_file(recipe))]
    written = json.dumps(others, default=_not_plain)
    arguments = [part for text in (*configurations, written) for part in ("--config", text)]
    arguments += [f"{option}={value}" for option, value in options.items()]
    return [*arguments, *(["--potential=null"] if ready else [])]


def _not_plain(value: object) -> None:
    raise TypeError(
        f"{value!r} is no setting: settings are plain values, or a nnpot.nn.Function, a nnpot.nn.Network, a descriptor"
    )


def _nested(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Module]]:
    """Settings as a configuration has them, and those of its values that are modules already."""
    nested: dict[str, Any] = {}
    modules: dict[str, Module] = {}
    for name, value in settings.items():
        path = _full_name(name).split(".")
        value = os.fspath(value) if isinstance(value, os.PathLike) else value
        given = plain({"": value})[""] if not isinstance(value, Module | Mapping) else value
        if isinstance(given, Mapping):
            modules |= {k: v for k, v in given.items() if isinstance(v, Module)}
            given = plain({k: v for k, v in given.items() if not isinstance(v, Module)})
        if isinstance(given, Module):
            modules[path[-1]] = given
            continue
        group = nested
        for part in path[:-1]:
            if isinstance(group.get(part), str):  # the name of a class
                group[part] = {"class_path": group[part]}
            group = group.setdefault(part, {})
        old = group.get(path[-1])
        group[path[-1]] = {**old, **given} if isinstance(old, dict) and isinstance(given, dict) else given
    return nested, modules


def _full_name(name: str) -> str:
    """The full name of a setting of which the last part may be given alone."""
    known = all_names(command.train)
    if name in known or "." in name:
        return name
    of_descriptors = {p for kind in classes_of(Descriptor).values() for p in parameters_of(kind)}
    if name in of_descriptors:
        return f"potential.descriptor.init_args.{name}"
    ends = sorted((n for n in known if n.rpartition(".")[2] == name), key=lambda n: n.count("."))
    if ends:
        return ends[0]
    near = meant(name, [*of_descriptors, *(n.rpartition(".")[2] for n in known)], OTHER_PROGRAMS)
    advice = f"did you mean {near}?" if near else "nnpot train --help all lists them"
    raise ValueError(f"there is no setting {name}; {advice}")


def _files(structures: Data | Structure | Atoms, out: Path) -> Any:
    """Where the structures are, as the command takes it; given ones are written beside the run, to go on from."""
    if isinstance(structures, str | os.PathLike):
        return os.fspath(structures)
    given = [structures] if isinstance(structures, Structure | Atoms) else list(structures)
    if all(isinstance(one, str | os.PathLike) for one in given):
        return [os.fspath(one) for one in given]  # type: ignore[arg-type]
    frames = [s.to_ase() for s in as_structures(given)]  # type: ignore[arg-type]
    path, k = out.with_name(f"{out.name}.xyz"), 2
    while path.exists():
        path, k = out.with_name(f"{out.name}-{k}.xyz"), k + 1
    path.parent.mkdir(parents=True, exist_ok=True)
    ase.io.write(path, frames, format="extxyz")
    return str(path)


@contextmanager
def _told() -> Iterator[None]:
    """Print what nnpot has to say, and nothing of Lightning's advice, in the block."""
    lightning, handler = logging.getLogger("pytorch_lightning"), logging.StreamHandler(sys.stdout)
    levels = log.level, lightning.level
    shown = not log.hasHandlers()
    if shown:
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    lightning.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(levels[0])
        lightning.setLevel(levels[1])

"""Exact: the same numbers in single precision, without kernels, by the calculator, and from exported files."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ase.calculators.calculator import BaseCalculator

from nnpot.calculator import NNPotCalculator
from nnpot.checks.answers import Answer
from nnpot.checks.line import Found, Limits, Line, NotLooked
from nnpot.checks.subject import Subject, rattled
from nnpot.native import are_compiled, without_kernels
from nnpot.structure import Structure
from nnpot.units import dtype_of

SINGLE = Limits(1e-4, 1e-2)
"""Differences of single to double precision, relative to the typical force: 10⁻⁶ to 10⁻⁵ is usual."""

KERNELS = Limits(1e-8, 1e-6)
"""Differences of kernels to tensor operations in double precision, relative to the typical force: 10⁻¹³ is usual."""

CALCULATOR = Limits(1e-8, 1e-6)
"""Differences of the calculator to the potential in double precision: the same terms in another order."""

EXPORTED = {torch.float64: Limits(1e-6, 1e-4), torch.float32: Limits(1e-4, 1e-2)}
"""Differences of exported files, by the floating-point type in which they calculate."""

WITHIN_SKIN = 0.1
"""Displacements in Å after which the neighbours of an earlier step are still used."""

METATOMIC = ".pt"
"""Ending of models of metatomic."""

SINGLE_PRECISION, TENSORS = "float32 = float64", "kernels = tensor operations"
IN_DYNAMICS, FILES = "calculator = potential", "exported files"


def precision(subject: Subject, structures: Sequence[Structure]) -> Found:
    """Compare with single precision."""
    figure = float(
        np.max([Answer.of(subject.single, s).difference(Answer.of(subject.potential, s)) for s in structures])
    )
    seen = f"in single precision the answer differs by {figure:.1g} of the typical force; use float64"
    yield Line.judged("exact", SINGLE_PRECISION, SINGLE, figure, seen)


def kernels(subject: Subject, structures: Sequence[Structure]) -> Found:
    """Compare with tensor operations."""
    if not are_compiled(torch.float64, torch.device("cpu")):
        yield NotLooked("exact", TENSORS, "there are no compiled kernels here")
        return
    figures = []
    for structure in structures:
        with without_kernels():
            by_tensors = Answer.of(subject.potential, structure)
        figures.append(Answer.of(subject.potential, structure).difference(by_tensors))
    figure = float(np.max(figures))
    seen = f"kernels differ from tensor operations by {figure:.1g} of the typical force; set NNPOT_NATIVE=off"
    yield Line.judged("exact", TENSORS, KERNELS, figure, seen)


def calculator(subject: Subject, structures: Sequence[Structure]) -> Found:
    """Compare with the calculator of ASE, at the first step and at one that uses its neighbours again."""
    own = NNPotCalculator(subject.potential, dtype=torch.float64, on_extrapolation="ignore")
    figures, generator = [], subject.generator(40)
    for structure in structures:
        for moved in (structure, rattled(structure, WITHIN_SKIN, generator)):
            figures.append(_asked(own, moved).difference(Answer.of(subject.potential, moved)))
    figure = float(np.max(figures))
    seen = f"the calculator differs from the potential by {figure:.1g} of the typical force"
    yield Line.judged("exact", IN_DYNAMICS, CALCULATOR, figure, seen)


def exports(subject: Subject, structures: Sequence[Structure]) -> Found:
    """Compare with exported files: packages, folders for LAMMPS and n2p2, models of metatomic."""
    if not subject.exports:
        yield NotLooked("exact", FILES, "none given; --exports [FILE]")
    for path in subject.exports:
        try:
            other, dtype = _opened(path)
        except ModuleNotFoundError as error:
            yield NotLooked("exact", f"exported {path.name}", f"it needs {error.name}, which is not installed")
            continue
        figures = [_asked(other, one).difference(Answer.of(subject.potential, one)) for one in structures]
        figure = float(np.max(figures))
        seen = f"{path} differs from the model by {figure:.1g} of the typical force; export it again"
        yield Line.judged("exact", f"exported {path.name}", EXPORTED[dtype], figure, seen)


def _opened(path: Path) -> tuple[BaseCalculator, torch.dtype]:
    """A calculator of an exported file, and in which type it calculates."""
    package = path / "model.pt2"
    if package.is_file():  # the folder for LAMMPS
        path = package
    if path.suffix == METATOMIC and path.is_file():
        engine = importlib.import_module("metatomic_ase")
        of_engine = engine.MetatomicCalculator(path, device="cpu")
        return of_engine, dtype_of(of_engine._model.capabilities().dtype)
    opened = NNPotCalculator(path, dtype=torch.float64, on_extrapolation="ignore")
    return opened, opened.dtype


def _asked(calculator: BaseCalculator, structure: Structure) -> Answer:
    """What a calculator says, no numbers if it says nothing."""
    atoms = replace(structure, labels={}).to_ase()
    try:
        calculator.calculate(atoms, ["energy", "forces"], ["positions", "numbers", "cell", "pbc"])
    except ValueError:  # no finite forces, or elements that it does not know
        return Answer(float("nan"), np.full((len(structure), 3), np.nan))
    return Answer.of_results(calculator.results, structure)

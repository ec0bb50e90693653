"""`nnpot info`: what a model file holds, or on what nnpot runs here."""

from collections.abc import Mapping
from pathlib import Path

from jsonargparse import ArgumentParser

from nnpot.commands.system import facts
from nnpot.io import describe


def info(model: Path | None = None, *, system: bool = False) -> None:
    """Print what a model is and where it comes from: elements, cutoff, modules, training data, versions.

    Args:
        model: Model file, package, or folder with files of n2p2.
        system: Print versions, processor, kernels, threads, GPU and speed as well, for a report of a fault.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not complete, or nothing is asked for.
    """
    if model is None and not system:
        raise ValueError("give a model to look into, or --system for what nnpot runs on here")
    if model is not None:
        _print_model(model)
    if system:
        rows, remarks = facts()
        _print(rows)
        print(*remarks, sep="\n", end="\n" if remarks else "")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of :func:`info` to a parser: a model that may be left out, and a switch."""
    parser.add_argument("model", nargs="?", type=Path, help="model file, package, or folder with files of n2p2")
    parser.add_argument("--system", type=bool, default=False, help="versions, processor, kernels, threads, GPU, speed")


def _print_model(path: Path) -> None:
    rows = describe(path)
    modules = rows.pop("modules")
    print(path)
    _print(rows)
    print(modules)


def _print(rows: Mapping[str, str]) -> None:
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"  {name:{width}}  {value}")

"""`nnpot info`: what a model file holds."""

from pathlib import Path

from nnpot.formats import load
from nnpot.model_file import read_summary
from nnpot.packaged import SUFFIX


def info(model: Path) -> None:
    """Print the make-up of a model: elements, cutoff, descriptor, networks, reference energies, training.

    Args:
        model: Model file, package, or folder with files of n2p2.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not complete.
    """
    potential = load(model)
    has_summary = model.is_file() and model.suffix != SUFFIX
    rows = {
        "kind": type(potential).__name__,
        "elements": ", ".join(potential.elements),
        "cutoff": f"{potential.cutoff} Å",
        "parameters": f"{sum(p.numel() for p in potential.parameters()):,}",
        **({k: str(v) for k, v in read_summary(model).items() if k != "recipe"} if has_summary else {}),
    }
    width = max(map(len, rows))
    print(model)
    for name, value in rows.items():
        print(f"  {name:{width}}  {value}")
    print(potential)

"""`nnpot info`: what a model file holds."""

from pathlib import Path

from nnpot.model_file import load, read_summary


def info(model: Path) -> None:
    """Print the make-up of a model: elements, cutoff, descriptor, networks, reference energies, training.

    Args:
        model: Model file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a complete model file.
    """
    potential = load(model)
    rows = {
        "kind": type(potential).__name__,
        "elements": ", ".join(potential.elements),
        "cutoff": f"{potential.cutoff} Å",
        "parameters": f"{sum(p.numel() for p in potential.parameters()):,}",
        **{name: str(value) for name, value in read_summary(model).items()},
    }
    width = max(map(len, rows))
    print(model)
    for name, value in rows.items():
        print(f"  {name:{width}}  {value}")
    print(potential)

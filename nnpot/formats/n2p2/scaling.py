"""The scaling of symmetry functions: `scaling.data` and the keywords that say how it is meant.

==============================  ======================================================
keywords                        input of the networks
==============================  ======================================================
none                            G
scale_symmetry_functions        S_min + (S_max − S_min) (G − G_min) / (G_max − G_min)
center_symmetry_functions       G − G_mean
both                            S_min + (S_max − S_min) (G − G_mean) / (G_max − G_min)
scale_symmetry_functions_sigma  S_min + (S_max − S_min) (G − G_mean) / G_sigma
==============================  ======================================================
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nnpot.formats.n2p2.settings import Line, Settings, read_lines

WARN_BEYOND = 10.0
"""Distance of G_min and G_max from the mean, in scales: other programs only warn beyond them."""


def read_scaling(path: Path, settings: Settings, counts: Mapping[str, int]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean and scale of each function, such that x̂ = (G − mean) / scale is the input of the networks.

    Args:
        path: scaling.data, which must be there only where it is needed.
        settings: The keywords.
        counts: Number of functions of each element, by atomic number.

    Returns:
        For each element two tensors of the length of its functions, float64.

    Raises:
        FileNotFoundError: If the file is needed but not there.
        ValueError: If it has too few rows or columns, or a function does not vary.
    """
    scale = settings.find("scale_symmetry_functions") is not None
    center = settings.find("center_symmetry_functions") is not None
    sigma = settings.find("scale_symmetry_functions_sigma") is not None and not (scale or center)
    if not (scale or center or sigma):
        return {e: (torch.zeros(n).double(), torch.ones(n).double()) for e, n in counts.items()}
    lines = _rows(path, settings, counts)
    rows = torch.tensor([_statistics(line, n_columns=4 if sigma else 3) for line in lines], dtype=torch.float64)
    least, most, mean = rows[:, 0], rows[:, 1], rows[:, 2]
    if scale or sigma:
        lowest = settings.number(0.0, "scale_min_short", "scale_min_short_atomic")
        highest = settings.number(1.0, "scale_max_short", "scale_max_short_atomic")
        width = (most - least if scale else rows[:, 3]) / (highest - lowest)
        start = (mean if center or sigma else least) - lowest * width
    else:
        width, start = torch.ones_like(mean), mean
    for line in (line for line, w in zip(lines, width.tolist(), strict=True) if not w > 0):
        raise line.error("this symmetry function does not vary, so it cannot be scaled; remove it from the potential")
    sizes = list(counts.values())
    return dict(zip(counts, zip(start.split(sizes), width.split(sizes), strict=True), strict=True))


def _rows(path: Path, settings: Settings, counts: Mapping[str, int]) -> list[Line]:
    """The lines of scaling.data, one for each function of each element in turn."""
    lines = [line for line in read_lines(path) if len(line.words) != 2]  # RuNNer ends with a row of two energies
    places = [(s, k) for s, n in enumerate(counts.values(), start=1) for k in range(1, n + 1)]
    if len(lines) != len(places):
        wanted = " + ".join(f"{n} ({e})" for e, n in counts.items())
        raise ValueError(f"{path} has {len(lines)} rows, but {settings.path} lists {wanted} symmetry functions")
    for line, (s, k) in zip(lines, places, strict=True):
        if line.words[:2] != (str(s), str(k)):
            raise line.error(f"expected element {s}, function {k} here, got {' '.join(line.words[:2])}")
    return lines


def _statistics(line: Line, n_columns: int) -> list[float]:
    """Least, largest and mean value, and if wanted standard deviation."""
    numbers = line.numbers(line.words[2:])
    if len(numbers) < n_columns:
        raise line.error(
            f"expected {', '.join(('min', 'max', 'mean', 'sigma')[:n_columns])}, got {len(numbers)} numbers"
        )
    return numbers[:n_columns]


def scaling_table(scales: Sequence[tuple[Tensor, Tensor]]) -> str:
    """Return the content of scaling.data, to be read with `scale_symmetry_functions_sigma`.

    Args:
        scales: Mean and scale of the functions of each element.
    """
    rows = []
    for s, (means, widths) in enumerate(scales, start=1):
        for k, (mean, width) in enumerate(zip(means.tolist(), widths.tolist(), strict=True), start=1):
            columns = (mean - WARN_BEYOND * width, mean + WARN_BEYOND * width, mean, width)
            rows.append(f"{s:10d} {k:10d} " + " ".join(f"{x:24.16E}" for x in columns))
    return "\n".join(rows) + "\n"

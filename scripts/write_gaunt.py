"""Write the table of Gaunt coefficients that the C++ product of expansions is compiled with, nnpot/native/gaunt.h.

python scripts/write_gaunt.py
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnpot.functional.harmonics import MAX_DEGREE, product_grid

TABLE = Path(__file__).parents[1] / "nnpot/native/gaunt.h"
HEAD = """\
// Written by scripts/write_gaunt.py: the Gaunt coefficients G_ijk = 1/4pi int Y_i Y_j Y_k other than 0, l <= 4, i <= j.
// It has no guard: it is included where PAIR(i, j, terms) and TERM(k, G_ijk) mean something.
"""


def main() -> None:
    """Write the table, one line for every pair of harmonics."""
    values, projection = product_grid(MAX_DEGREE)
    table = np.einsum("ip,jp,pk->ijk", values, values, projection)
    TABLE.write_text(HEAD + "\n".join(lines(table)) + "\n")


def lines(table: NDArray[np.float64]) -> Iterator[str]:
    """Give the line of every pair of harmonics whose product has a coefficient that is not 0."""
    for i, j in zip(*np.triu_indices(len(table)), strict=True):
        terms = [f"TERM({k}, {value:.16f})" for k, value in enumerate(table[i, j]) if abs(value) > 1e-12]
        if terms:
            yield f"PAIR({i}, {j}, {' '.join(terms)})"


if __name__ == "__main__":
    main()

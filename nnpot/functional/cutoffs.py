"""Cutoff functions f_c(r): from 1 (tanh3: 0.44) at the centre to exactly 0, with zero slope (hard: a step), at r_c.

With x = r / r_c, for x < 1:

- cosine        ½ [cos(πx) + 1]                 (Behler, Parrinello, PRL 98, 146401 (2007)); f'' jumps at r_c
- tanh3         tanh³(1 − x)                    (Behler, JCP 134, 074106 (2011)); f'' is continuous at r_c
- polynomial    1 − 10x³ + 15x⁴ − 6x⁵           (the quintic smoothstep); f'' is continuous at 0 and r_c

and, for potentials made by RuNNer and n2p2 (Singraber, Behler, Dellago, JCTC 15, 1827 (2019)):

- hard          1                               f jumps at r_c
- scaled_tanh3  tanh³(1 − x) / tanh³(1)
- exponential   exp[1 − 1/(1 − x²)]             smooth at r_c
- cubic         1 − 3x² + 2x³                   f'' jumps at 0 and r_c
- septic        1 − 35x⁴ + 84x⁵ − 70x⁶ + 20x⁷
- nonic         1 − 126x⁵ + 420x⁶ − 540x⁷ + 315x⁸ − 70x⁹

With an inner radius α r_c the function is 1 up to there and takes its course from there: x = (r/r_c − α)/(1 − α).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cutoff:
    """A cutoff function and its derivative, as functions of x = r / r_c in [0, 1].

    Attributes:
        shape: f(x), any shape to the same shape.
        slope: df/dx.
        origin: What :func:`cutoff_function` has made it from, by which it can be pickled.
    """

    shape: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    origin: tuple[str, float] = ("", 0.0)

    def __reduce__(self) -> tuple[Any, ...]:
        return cutoff_function, self.origin

    def value(self, r: Tensor, cutoff: float | Tensor) -> Tensor:
        """Return f_c(r) for distances r in Å, any shape; 0 at and beyond the cutoff (or one for each) in Å."""
        inside = r < cutoff
        x = torch.where(inside, r, cutoff) / cutoff  # double where: finite derivatives beyond r_c as well
        return torch.where(inside, self.shape(x), torch.zeros_like(r))

    def derivative(self, r: Tensor, cutoff: float | Tensor) -> Tensor:
        """Return df_c/dr, in 1/Å."""
        inside = r < cutoff
        x = torch.where(inside, r, cutoff) / cutoff
        return torch.where(inside, self.slope(x) / cutoff, torch.zeros_like(r))


def cutoff_function(name: str, inner_fraction: float = 0.0) -> Cutoff:
    """Return a cutoff function by its name.

    Args:
        name: A key of `CUTOFFS`.
        inner_fraction: α, the fraction of r_c within which the function is 1.

    Raises:
        ValueError: If the name is not known, α is not in [0, 1), or the function has a slope at 0.
    """
    if name not in CUTOFFS:
        raise ValueError(f"cutoff_function must be one of {', '.join(CUTOFFS)}, got {name!r}")
    if not 0 <= inner_fraction < 1:
        raise ValueError(f"inner_fraction must be at least 0 and below 1, got {inner_fraction}")
    f = CUTOFFS[name]
    if inner_fraction == 0:
        return replace(f, origin=(name, 0.0))
    if name in STEEP:
        raise ValueError(f"the cutoff function {name} has a slope at its start: inner_fraction must be 0")
    alpha = inner_fraction
    return Cutoff(
        lambda x: f.shape(_beyond(alpha, x)), lambda x: f.slope(_beyond(alpha, x)) / (1 - alpha), (name, alpha)
    )


def _beyond(alpha: float, x: Tensor) -> Tensor:
    return ((x - alpha) / (1 - alpha)).clamp(min=0)


def _exponential(x: Tensor) -> Tensor:
    # 1 − x² is held at 1e-3, where the value e^−999 is 0 in any precision: no division by 0
    return torch.exp(1 - 1 / (1 - x * x).clamp(min=1e-3))


def _exponential_slope(x: Tensor) -> Tensor:
    return -2 * x * _exponential(x) / (1 - x * x).clamp(min=1e-3) ** 2


def _tanh3_slope(x: Tensor) -> Tensor:
    t = torch.tanh(1 - x)
    return -3 * t * t * (1 - t * t)


CUTOFFS: dict[str, Cutoff] = {
    "cosine": Cutoff(
        lambda x: 0.5 * (torch.cos(math.pi * x) + 1),
        lambda x: -0.5 * math.pi * torch.sin(math.pi * x),
    ),
    "tanh3": Cutoff(lambda x: torch.tanh(1 - x) ** 3, _tanh3_slope),
    "polynomial": Cutoff(
        lambda x: 1 + x**3 * (-10 + x * (15 - 6 * x)),
        lambda x: -30 * x**2 * (1 - x) ** 2,
    ),
    "hard": Cutoff(lambda x: 1 + 0 * x, lambda x: 0 * x),
    "scaled_tanh3": Cutoff(
        lambda x: torch.tanh(1 - x) ** 3 / math.tanh(1) ** 3,
        lambda x: _tanh3_slope(x) / math.tanh(1) ** 3,
    ),
    "exponential": Cutoff(_exponential, _exponential_slope),
    # the polynomials below are divided by their zeros at 1: no cancellation near the cutoff
    "cubic": Cutoff(
        lambda x: (1 - x) ** 2 * (1 + 2 * x),
        lambda x: -6 * x * (1 - x),
    ),
    "septic": Cutoff(
        lambda x: (1 - x) ** 4 * (1 + x * (4 + x * (10 + 20 * x))),
        lambda x: -140 * x**3 * (1 - x) ** 3,
    ),
    "nonic": Cutoff(
        lambda x: (1 - x) ** 5 * (1 + x * (5 + x * (15 + x * (35 + 70 * x)))),
        lambda x: -630 * x**4 * (1 - x) ** 4,
    ),
}
"""Cutoff functions by the name that configurations use."""

STEEP = ("tanh3", "scaled_tanh3")
"""Cutoff functions with a slope at 0, which can have no inner radius."""

"""Cutoff functions f_c(r): from 1 (tanh3: 0.44) at the centre to exactly 0, with zero slope, at the cutoff r_c.

With x = r / r_c, for x < 1:

- cosine      ½ [cos(πx) + 1]                 (Behler, Parrinello, PRL 98, 146401 (2007)); f'' jumps at r_c
- tanh3       tanh³(1 − x)                    (Behler, JCP 134, 074106 (2011)); f'' is continuous at r_c
- polynomial  1 − 10x³ + 15x⁴ − 6x⁵           (the quintic smoothstep); f'' is continuous at 0 and r_c
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cutoff:
    """A cutoff function and its derivative, as functions of x = r / r_c in [0, 1].

    Attributes:
        shape: f(x), any shape to the same shape.
        slope: df/dx.
    """

    shape: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]

    def value(self, r: Tensor, cutoff: float) -> Tensor:
        """Return f_c(r) for distances r in Å, any shape; 0 at and beyond the cutoff in Å."""
        inside = r < cutoff
        x = torch.where(inside, r, cutoff) / cutoff  # double where: finite derivatives beyond r_c as well
        return torch.where(inside, self.shape(x), torch.zeros_like(r))

    def derivative(self, r: Tensor, cutoff: float) -> Tensor:
        """Return df_c/dr, in 1/Å."""
        inside = r < cutoff
        x = torch.where(inside, r, cutoff) / cutoff
        return torch.where(inside, self.slope(x) / cutoff, torch.zeros_like(r))


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
}
"""Cutoff functions by the name that configurations use."""

"""Hand-written C++ for what PyTorch's operations do slowly; compiled at first use, kept, and never needed.

The source is compiled by the machine's own C++ compiler for the machine's own processor, with nothing but the standard
library, so that it goes with every version of PyTorch.  Where there is no compiler, plain tensor operations calculate
the same.  `NNPOT_NATIVE=off` in the environment has them do so anyway.  Formulas are written for vector registers of
any width; :mod:`nnpot.machine.build` says how to choose another than that of the processor.
"""

from nnpot.native import operators
from nnpot.native.registry import are_compiled, how_compiled, kernel, register, serves, without_kernels

__all__ = ["are_compiled", "how_compiled", "kernel", "operators", "register", "serves", "without_kernels"]

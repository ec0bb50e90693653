"""Potentials in the files of n2p2 and RuNNer: input.nn, scaling.data and weights.ZZZ.data in one folder.

References:
    Behler, Int. J. Quantum Chem. 115, 1032 (2015) (RuNNer).
    Singraber, Behler, Dellago, J. Chem. Theory Comput. 15, 1827 (2019) (n2p2).
"""

from nnpot.formats.n2p2.conventions import ATOMIC, Units
from nnpot.formats.n2p2.reading import read
from nnpot.formats.n2p2.writing import write

__all__ = ["ATOMIC", "Units", "read", "write"]

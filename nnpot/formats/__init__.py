"""Potentials in the files of other programs."""

from nnpot.formats.loading import load, load_for_evaluation
from nnpot.formats.n2p2 import read as read_n2p2
from nnpot.formats.n2p2 import write as write_n2p2

__all__ = ["load", "load_for_evaluation", "read_n2p2", "write_n2p2"]

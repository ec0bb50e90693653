"""Structures with labels from any file that ASE reads, and what is in the file besides."""

from nnpot.label_names import LabelKeys
from nnpot.reading.files import read_atoms
from nnpot.reading.inventory import Inventory
from nnpot.reading.structures import labelled, read_labelled, read_structures, require_labels

__all__ = ["Inventory", "LabelKeys", "labelled", "read_atoms", "read_labelled", "read_structures", "require_labels"]

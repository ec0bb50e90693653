"""Structures with labels from files of any kind, and what is in the files besides."""

from nnpot.label_names import LabelKeys
from nnpot.reading.gathering import FileFrames, UnreadableFiles, called, read_atoms, read_files
from nnpot.reading.inventory import Inventory
from nnpot.reading.sources import Source, Sources, as_words, plain_sources, short_name, sources_of
from nnpot.reading.structures import labelled, read_labelled, read_structures, require_labels

__all__ = [
    "FileFrames",
    "Inventory",
    "LabelKeys",
    "Source",
    "Sources",
    "UnreadableFiles",
    "as_words",
    "called",
    "labelled",
    "plain_sources",
    "read_atoms",
    "read_files",
    "read_labelled",
    "read_structures",
    "require_labels",
    "short_name",
    "sources_of",
]

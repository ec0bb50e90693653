"""Descriptors: from neighbour pairs to invariant features, one published descriptor per file."""

from nnpot.descriptors.ace import ACE
from nnpot.descriptors.acsf import ACSF
from nnpot.descriptors.base import Descriptor
from nnpot.descriptors.listed_acsf import ListedACSF, ListedFunction

__all__ = ["ACE", "ACSF", "Descriptor", "ListedACSF", "ListedFunction"]

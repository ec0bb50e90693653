"""Planted faults of data, and harmless sets that look like them, as files of users.

Kinds 44 and 45 are harmless habits of programs, all others faults.
"""

from planted.case import Case
from planted.of_labels import OF_LABELS
from planted.of_structures import OF_STRUCTURES

CASES: list[Case] = sorted([*OF_LABELS, *OF_STRUCTURES], key=lambda case: case.kind)

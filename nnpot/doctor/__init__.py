"""A doctor for data: what is wrong with labelled structures, before anything is trained on them."""

from nnpot.doctor.examination import KINDS, examine
from nnpot.doctor.facts import SHORT, Budget
from nnpot.doctor.finding import Diagnosis, Finding, Level, Place

__all__ = ["KINDS", "SHORT", "Budget", "Diagnosis", "Finding", "Level", "Place", "examine"]

"""What a model is good for: each line a figure beside its limit, and a verdict in words."""

from nnpot.checks.examination import examine, examine_shortly, seconds_after
from nnpot.checks.line import Line, NotLooked, Status
from nnpot.checks.page import Page
from nnpot.checks.subject import Clock, Subject

__all__ = [
    "Clock",
    "Line",
    "NotLooked",
    "Page",
    "Status",
    "Subject",
    "examine",
    "examine_shortly",
    "seconds_after",
]

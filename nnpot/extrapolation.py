"""What is to become of a simulation that leaves the training data: it goes on, or says so, or ends."""

import logging
import os
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from ase import Atoms
from ase.io import write
from numpy.typing import NDArray

from nnpot.uncertainty import GRADE

log = logging.getLogger("nnpot")

Policy = Literal["ignore", "warn", "stop"]
"""Nothing, a line in the log, or an error."""

FAR = 2.0
"""Grade from which on an atom counts as outside of the training data: in a long simulation some of many atoms are a
little beyond the edge, γ = 1, though it stays where the data are."""
FRAMES = "extrapolation.xyz"
"""Where frames are kept that have ended simulations."""
KEPT = ("charge", "spin")
"""What is kept of `atoms.info` with them: what a label depends on."""
_SHOWN = 5


class ExtrapolationError(ValueError):
    """Atoms are outside of the training data, where results are not to be trusted.

    Attributes:
        atoms: The frame, with the grade of each atom as the array `extrapolation`.
    """

    def __init__(self, message: str, atoms: Atoms) -> None:
        super().__init__(message)
        self.atoms = atoms


@dataclass
class OnExtrapolation:
    """What to do about frames whose atoms are outside of the training data.

    >>> from nnpot import OnExtrapolation
    >>> OnExtrapolation("stop", limit=3.0).limit
    3.0

    Args:
        policy: `ignore` them, `warn` in the log, or `stop`: keep the frame and raise an :class:`ExtrapolationError`.
        limit: γ from which on that is done.
        every: At which steps of dynamics a calculator looks: γ changes slowly, and takes some time.

    Raises:
        ValueError: If the policy is not known, or a number not positive.
    """

    policy: Policy = "warn"
    limit: float = FAR
    every: int = 10
    told: float = field(default=0.0, init=False, repr=False)
    messages: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            known = ", ".join(get_args(Policy))
            raise ValueError(f"on_extrapolation must be one of {known}, got {self.policy!r}")
        if not self.limit > 0:
            raise ValueError(f"the limit of the extrapolation must be positive, got {self.limit}")
        if self.every < 1:
            raise ValueError(f"the extrapolation can be looked at every 1, 2, … steps, got {self.every}")

    def tell(self, message: str) -> None:
        """Say something once that holds for a composition, unless all is to be ignored."""
        if self.policy != "ignore" and message not in self.messages:
            self.messages.add(message)
            log.warning("%s", message)

    def look(self, atoms: Atoms, grades: NDArray[np.float64]) -> None:
        """Do what is to be done about a frame; of a warning only the first, and again at twice its grade.

        Raises:
            ExtrapolationError: If it is to end, after the frame has been added to `extrapolation.xyz`, without what the
                structure that the simulation began with was called, and such: it is another one now.
        """
        largest = float(grades.max(initial=0.0))
        if self.policy == "ignore" or not largest > self.limit:
            return
        message = f"{self._named(atoms, grades)} outside of the training data (limit {self.limit:g}): "
        if self.policy == "stop":
            frame = atoms.copy()
            frame.info = {name: value for name, value in atoms.info.items() if name in KEPT}
            frame.info["extrapolation_limit"] = self.limit
            frame.arrays[GRADE] = grades
            write(FRAMES, frame, format="extxyz", append=True)
            raise ExtrapolationError(
                f"{message}what the model says there is not to be trusted; the frame is in {os.path.abspath(FRAMES)}; "
                "label it and train again (nnpot train --from), or go on all the same with on_extrapolation='warn'",
                frame,
            )
        if largest > 2 * self.told:
            self.told = largest
            log.warning("%sforces and energies there are guesses; on_extrapolation='stop' ends here", message)

    def _named(self, atoms: Atoms, grades: NDArray[np.float64]) -> str:
        beyond = np.flatnonzero(grades > self.limit)
        worst = beyond[np.argsort(-grades[beyond], kind="stable")][:_SHOWN]
        named = ", ".join(f"{k} ({atoms.symbols[k]}, γ = {grades[k]:.3g})" for k in worst.tolist())
        more = f" and {len(beyond) - len(worst)} more" if len(beyond) > len(worst) else ""
        return f"atom {named} is" if len(beyond) == 1 else f"atoms {named}{more} are"


def as_policy(given: Policy | OnExtrapolation) -> OnExtrapolation:
    """Return what to do, which may be given by its name."""
    return given if isinstance(given, OnExtrapolation) else OnExtrapolation(given)

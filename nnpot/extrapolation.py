"""What is to become of a simulation that leaves the training data: it goes on, or says so, or ends."""

import logging
import math
import os
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from ase import Atoms
from ase.io import write
from numpy.typing import NDArray

from nnpot.uncertainty import FORCES, GRADE

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
    >>> OnExtrapolation("stop", force_error=0.030)  # or where forces are expected to be off by 30 meV/Å for a while
    OnExtrapolation(policy='stop', limit=2.0, every=10, force_error=0.03, frames=50)

    Args:
        policy: `ignore` them, `warn` in the log, or `stop`: keep the frame and raise an :class:`ExtrapolationError`.
        limit: γ of an atom from which on that is done.
        every: At which steps of dynamics a calculator looks: γ changes slowly, and takes some time.
        force_error: Expected error of the forces from which on that is done as well, in eV/Å: root mean square of the
            components, as `nnpot evaluate` has it, over all atoms and the last frames looked at.  None: never.
        frames: How many frames these are.

    Raises:
        ValueError: If the policy is not known, or a number not positive.
    """

    policy: Policy = "warn"
    limit: float = FAR
    every: int = 10
    force_error: float | None = None
    frames: int = 50
    told: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    messages: set[str] = field(default_factory=set, init=False, repr=False)
    squares: deque[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            known = ", ".join(get_args(Policy))
            raise ValueError(f"on_extrapolation must be one of {known}, got {self.policy!r}")
        if not self.limit > 0:
            raise ValueError(f"the limit of the extrapolation must be positive, got {self.limit}")
        if self.every < 1:
            raise ValueError(f"the extrapolation can be looked at every 1, 2, … steps, got {self.every}")
        if self.force_error is not None and not self.force_error > 0:
            raise ValueError(f"the limit of the expected force error must be positive, got {self.force_error} eV/Å")
        if self.frames < 1:
            raise ValueError(f"an expected force error is averaged over 1, 2, … frames, got {self.frames}")
        self.squares = deque(maxlen=self.frames)

    def tell(self, message: str) -> None:
        """Say something once that holds for a composition, unless all is to be ignored."""
        if self.policy != "ignore" and message not in self.messages:
            self.messages.add(message)
            log.warning("%s", message)

    def look(self, atoms: Atoms, grades: NDArray[np.float64], force_errors: NDArray[np.float64]) -> None:
        """Do what is to be done about a frame; of a warning only the first, and again at twice what it tells.

        Args:
            atoms: The frame.
            grades: γ of each atom.
            force_errors: Expected error of each force vector, in eV/Å.

        Raises:
            ExtrapolationError: If it is to end, after the frame has been added to `extrapolation.xyz`, without what the
                structure that the simulation began with was called, and such: it is another one now.
        """
        largest, expected = float(grades.max(initial=0.0)), self._expected(force_errors)
        if self.policy == "ignore":
            return
        if largest > self.limit:
            what, size, limit = GRADE, largest, self.limit
            message = f"{self._named(atoms, grades)} outside of the training data (limit {limit:g})"
        elif self.force_error is not None and expected > self.force_error:
            what, size, limit = FORCES, expected, self.force_error
            message = (
                f"forces are expected to be off by {1000 * size:.3g} meV/Å, RMS over all atoms and the last "
                f"{self.frames} frames that were looked at (limit {1000 * limit:g})"
            )
        else:
            return
        if self.policy == "stop":
            frame = atoms.copy()
            frame.info = {name: value for name, value in atoms.info.items() if name in KEPT} | {f"{what}_limit": limit}
            frame.arrays[GRADE], frame.arrays[FORCES] = grades, force_errors
            write(FRAMES, frame, format="extxyz", append=True)
            raise ExtrapolationError(
                f"{message}: what the model says there is not to be trusted; the frame is in "
                f"{os.path.abspath(FRAMES)}; label it and train again (nnpot train --from), or go on all the same with "
                "on_extrapolation='warn'",
                frame,
            )
        if size > 2 * self.told.get(what, 0.0):
            self.told[what] = size
            log.warning("%s: forces and energies there are guesses; on_extrapolation='stop' ends here", message)

    def _expected(self, force_errors: NDArray[np.float64]) -> float:
        """Expected error of a component of the forces, in eV/Å; 0 until enough frames have been looked at."""
        if len(force_errors):
            self.squares.append(float(np.mean(force_errors**2)) / 3)
        return math.sqrt(math.fsum(self.squares) / self.frames) if len(self.squares) == self.frames else 0.0

    def _named(self, atoms: Atoms, grades: NDArray[np.float64]) -> str:
        beyond = np.flatnonzero(grades > self.limit)
        worst = beyond[np.argsort(-grades[beyond], kind="stable")][:_SHOWN]
        named = ", ".join(f"{k} ({atoms.symbols[k]}, γ = {grades[k]:.3g})" for k in worst.tolist())
        more = f" and {len(beyond) - len(worst)} more" if len(beyond) > len(worst) else ""
        return f"atom {named} is" if len(beyond) == 1 else f"atoms {named}{more} are"


def as_policy(given: Policy | OnExtrapolation) -> OnExtrapolation:
    """Return what to do, which may be given by its name."""
    return given if isinstance(given, OnExtrapolation) else OnExtrapolation(given)

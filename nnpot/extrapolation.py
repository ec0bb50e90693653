"""What is to become of a simulation that leaves the training data: it goes on, or says so, or ends."""

import logging
import math
import operator
import os
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from ase import Atoms
from ase.io import write
from numpy.typing import NDArray

from nnpot.uncertainty import FORCES, GRADE

log = logging.getLogger("nnpot")

Array = NDArray[np.float64]

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
    OnExtrapolation(policy='stop', limit=2.0, every=10, force_error=0.03, frames=100, mean_limit=None)

    Args:
        policy: `ignore` them, `warn` in the log, or `stop`: keep the frame and raise an :class:`ExtrapolationError`.
        limit: γ of an atom from which on that is done.  None: whatever γ is.
        every: At which steps of dynamics a calculator looks: γ changes slowly, and takes some time.
        force_error: Expected error of the forces from which on that is done as well, in eV/Å: root mean square of the
            components, as `nnpot evaluate` has it, over all atoms and the last frames of dynamics that were looked at,
            once there are enough.  None: never.
        frames: How many frames these are: of every tenth step of 1 fs a picosecond.
        mean_limit: γ of the farthest atom of each of them, on average, from which on that is done too.  None: never.

    Attributes:
        largest_force_error: The largest such error so far, in eV/Å; 0 until enough frames have been looked at.
        largest_mean: The largest such γ so far; 0 until then.

    Raises:
        ValueError: If the policy is not known, a number is not positive, or there is no limit to stop at.
        TypeError: If something else is given where a number is needed.
    """

    policy: Policy = "warn"
    limit: float | None = FAR
    every: int = 10
    force_error: float | None = None
    frames: int = 100
    mean_limit: float | None = None
    told: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    messages: set[str] = field(default_factory=set, init=False, repr=False)
    recent: list[tuple[float, float]] = field(default_factory=list, init=False, repr=False)
    step: int = field(default=0, init=False, repr=False)
    largest_force_error: float = field(default=0.0, init=False, repr=False)
    largest_mean: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            known = ", ".join(get_args(Policy))
            raise ValueError(f"on_extrapolation must be one of {known}, got {self.policy!r}")
        self.limit = _positive(self.limit, "the limit of the extrapolation", "a γ such as 2")
        self.mean_limit = _positive(self.mean_limit, "the limit of the mean γ", "such as 0.7")
        self.force_error = _positive(self.force_error, "the limit of the expected force error", "in eV/Å such as 0.03")
        self.every = _count(self.every, "the extrapolation can be looked at every 1, 2, … steps")
        self.frames = _count(self.frames, "γ and an expected force error are averaged over 1, 2, … frames")
        if self.policy == "stop" and self.limit is None and not self.looks_back:
            raise ValueError("there is nothing to stop at; give OnExtrapolation a limit, a mean_limit or a force_error")

    @property
    def looks_back(self) -> bool:
        """Whether something is judged by several frames."""
        return self.mean_limit is not None or self.force_error is not None

    def tell(self, message: str) -> None:
        """Say something once that holds for a composition, unless all is to be ignored."""
        if self.policy != "ignore" and message not in self.messages:
            self.messages.add(message)
            log.warning("%s", message)

    def look(self, atoms: Atoms, grades: Array, force_errors: Array, step: int = 0) -> None:
        """Do what is to be done about a frame; of a warning only the first, and again each time it is twice as bad.

        Args:
            atoms: The frame.
            grades: γ of each atom.
            force_errors: Expected error of each force vector, in eV/Å.
            step: Of dynamics; 0 where a frame does not follow the one before.

        Raises:
            ExtrapolationError: If it is to end, after the frame has been added to `extrapolation.xyz`, without what the
                structure that the simulation began with was called, and such: it is another one now.
        """
        farthest = float(grades.max(initial=0.0))
        mean, expected = self._averages(farthest, force_errors, step)
        self.largest_mean = max(self.largest_mean, mean)
        self.largest_force_error = max(self.largest_force_error, expected)
        if self.policy == "ignore":
            return
        for name, size, limit in (
            ("limit", farthest, self.limit),
            ("mean_limit", mean, self.mean_limit),
            ("force_error", expected, self.force_error),
        ):
            if limit is None or not size > limit:
                continue
            message = self._named(atoms, grades, limit) if name == "limit" else self._averaged(name, size, limit)
            message += f", after {step} steps" if step else ""
            if self.policy == "stop":
                self.recent.clear()
                kept = {name: limit, "mean": mean, "expected_force_error": expected}
                raise _stopped(atoms, grades, force_errors, message, kept)
            if size > 2 * self.told.get(name, 0.0):
                self.told[name] = size
                alone = "limit=None, " if self.limit is None else ""
                stop = f'OnExtrapolation("stop", {alone}{name}={limit:g})'
                log.warning("%s: forces and energies there are guesses; %s ends here", message, stop)

    def _averages(self, farthest: float, force_errors: Array, step: int) -> tuple[float, float]:
        """Mean γ of the farthest atoms, and expected error of a component of the forces, in eV/Å, of the last frames.

        Both are 0 until enough frames have been looked at.
        """
        if step == 0:
            self.recent.clear()
        if len(force_errors) and (step == 0 or (step != self.step and step % self.every == 0)):
            self.recent.append((farthest, float(np.mean(force_errors**2)) / 3))
        self.step = step
        del self.recent[: -self.frames]
        if len(self.recent) < self.frames:
            return 0.0, 0.0
        mean, square = (math.fsum(values) / self.frames for values in zip(*self.recent, strict=True))
        return mean, math.sqrt(square)

    def _averaged(self, name: str, size: float, limit: float) -> str:
        frames = f"the last {self.frames} frames that were looked at"
        if name == "mean_limit":
            return f"the farthest atoms have γ = {_above(size, limit)} on average over {frames} (limit {limit:.3g})"
        off = f"forces are expected to be off by {_above(1000 * size, 1000 * limit)} meV/Å"
        return f"{off}, RMS over all atoms and {frames} (limit {1000 * limit:.3g} meV/Å)"

    @staticmethod
    def _named(atoms: Atoms, grades: Array, limit: float) -> str:
        beyond = np.flatnonzero(grades > limit)
        worst = beyond[np.argsort(-grades[beyond], kind="stable")][:_SHOWN]
        named = ", ".join(f"{k} ({atoms.symbols[k]}, γ = {_above(grades[k], limit)})" for k in worst.tolist())
        more = f" and {len(beyond) - len(worst)} more" if len(beyond) > len(worst) else ""
        which = f"atom {named} is" if len(beyond) == 1 else f"atoms {named}{more} are"
        return f"{which} outside of the training data (limit {limit:g})"


def _stopped(
    atoms: Atoms, grades: Array, force_errors: Array, message: str, told: dict[str, float]
) -> ExtrapolationError:
    """The error that ends a simulation; its frame is kept in a file."""
    frame = atoms.copy()
    frame.info = {name: value for name, value in atoms.info.items() if name in KEPT}
    frame.info |= {f"extrapolation_{name}": value for name, value in told.items() if value > 0}
    frame.arrays[GRADE], frame.arrays[FORCES] = grades, force_errors
    write(FRAMES, frame, format="extxyz", append=True)
    return ExtrapolationError(
        f"{message}: what the model says there is not to be trusted; the frame is in {os.path.abspath(FRAMES)}; "
        "label it and train again (nnpot train --from), or go on all the same with the policy 'warn'",
        frame,
    )


def _above(value: float, limit: float) -> str:
    """A number with so many digits, three or more, that it is seen to be above the limit."""
    texts = (f"{value:.{digits}g}" for digits in range(3, 17))
    return next((text for text in texts if float(text) > limit), f"{value:.3g}")


def _positive(value: float | None, name: str, example: str) -> float | None:
    """A number greater than zero, or None."""
    try:
        number = None if value is None else float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, {example}, got {value!r}") from None
    if number is not None and not number > 0:
        raise ValueError(f"{name} must be positive, got {value}")
    return number


def _count(value: int, name: str) -> int:
    """A whole number from one on."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}, got {value!r}") from None
    if number < 1:
        raise ValueError(f"{name}, got {value}")
    return number


def as_policy(given: Policy | OnExtrapolation) -> OnExtrapolation:
    """Return what to do, which may be given by its name."""
    return given if isinstance(given, OnExtrapolation) else OnExtrapolation(given)

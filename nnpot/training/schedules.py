"""Learning rate and weight of the energies over the epochs of a training: a class for each way, found by its name."""

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

ANNEALING = 1.0
"""Length of the annealing, relative to the epochs before it."""

REFINEMENT, REFINING_RATE = 0.4, 0.1
"""Length of the refinement, relative to the epochs that its weights took, and its first rate, relative to the peak."""

PATIENCE = 0.5
"""Epochs without an improvement after which the refinement begins, relative to the epochs before them."""

MIN_PATIENCE, MIN_PATIENCE_STEPS = 15, 500
"""Smallest numbers of epochs and of steps without an improvement: at the start the energies are still all noise."""

MIN_IMPROVEMENT = 0.01
"""Relative decrease of the validation error that counts as an improvement.  Smaller values let small sets overfit: the
error of a dozen structures is mostly noise."""


FIRST_STAGE = 500
"""Steps of the trunk before the first finish."""

FINISH, FINISHING_RATE = 0.2, 0.2
"""Length of a finish, relative to the trunk before it, and its first rate, relative to the peak."""

LAST_FINISH = 2 / 3
"""Length of the last finish, relative to the trunk before it, where `max_epochs` says that no stage follows."""

LEAST_GAIN = 0.02
"""Relative decrease of the error from one stage to the next, twice as long, for which it is worth to go on."""

VALIDATIONS_OF_A_STAGE = 20
"""Approximate number of validations in a stage."""


class Turn(Enum):
    """What happens to the weights before an epoch."""

    REFINE = "training goes back to the best averaged weights"
    FINISH = "the trunk is left: its averaged weights are annealed"
    GO_ON = "training goes back to the trunk where it was left"


@dataclass(frozen=True)
class EnergyRamp:
    """Weight of the energies, which rises geometrically (a jump would throw the optimiser off).

    Args:
        start: The weight at first, in atom²/eV².
        end: The weight in the end; None for a constant weight.
        begins: Fraction of the epochs at which the rise begins, where nothing else says when.
    """

    start: float
    end: float | None = None
    begins: float = 0.3

    def after(self, rise: float) -> float:
        """Return the weight after a fraction of the rise."""
        if self.end is None:
            return self.start
        return math.exp((1 - rise) * math.log(self.start) + rise * math.log(self.end))

    def at(self, progress: float) -> float:
        """Return the weight at a fraction of the epochs."""
        return self.after(min(max((progress - self.begins) / max(1 - self.begins, 1e-9), 0.0), 1.0))


@dataclass(frozen=True)
class ScheduleSettings:
    """What every schedule is made from.

    Args:
        max_epochs: Number of epochs, or the largest number.
        warm_up: Fraction of the epochs in which the rate rises from 0 to its peak.
        final_rate: Rate at the end, relative to that from which it falls.
        energy: Weight of the energies.
        steps: Of an epoch.
    """

    max_epochs: int
    warm_up: float
    final_rate: float
    energy: EnergyRamp
    steps: int = 1


class Schedule(ABC):
    """The learning rate and the weight of the energies at a time, in epochs.

    Attributes:
        may_end_early: Whether a run may take fewer epochs than `max_epochs`.
        state: Names of the attributes that a resumed run has to know.
        settings: What the schedule is made from.
        best_epoch: Number of epochs after which the error was smallest; 0 if the schedule does not watch it.
        is_refining: Whether training has gone back to the best weights, to refine them.
        anneal_start: Epoch from which the rate falls.
    """

    may_end_early: ClassVar[bool] = False
    has_trunk: ClassVar[bool] = False
    state: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: ScheduleSettings) -> None:
        self.settings = settings
        self.best_epoch, self.anneal_start = 0, 0
        self.is_refining = False

    @property
    def last_epoch(self) -> int:
        """Number of epochs, as far as known."""
        return self.settings.max_epochs

    @property
    def least_epochs(self) -> int:
        """Number of epochs that are needed to come to an end from here."""
        return 0

    def fewest_more(self) -> int:
        """Return how many epochs a run that is over has to go on for, at least, so as not to be worse.

        Any number will do where validation errors choose among its weights, or all of it is planned anew.
        """
        return 0

    @abstractmethod
    def rate(self, t: float) -> float:
        """Return the learning rate relative to its peak."""

    def energy_weight(self, t: float) -> float:
        """Return the weight of the energies in the loss, in atom²/eV²."""
        return self.settings.energy.at(t / self.settings.max_epochs)

    def update(self, epoch: int, error: float) -> bool:
        """Take note of the validation error after so many epochs; return whether the refinement begins now.

        Args:
            epoch: Number of epochs done.
            error: Of the forces, or else of the first label that is trained on.
        """
        return False

    def begin_epoch(self, epoch: int) -> Turn | None:
        """Go on to the next epoch after so many; return what happens to the weights before it."""
        return Turn.REFINE if self.is_refining and self.anneal_start == epoch else None

    def ends_stage(self, epoch: int) -> bool:
        """Return whether the weights after so many epochs are such as may be the result."""
        return True

    def counts(self, epoch: int) -> bool:
        """Return whether they are such, and no worse than those before as far as the schedule knows."""
        return self.ends_stage(epoch)

    def validates(self, epoch: int, every: int) -> bool:
        """Return whether the error is looked at after so many epochs, by default after every few."""
        return epoch % every == 0

    def ends(self) -> list[int]:
        """Return after how many epochs there are, from now on, weights made to be the result."""
        return [self.last_epoch]

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training has to know."""
        return {name: getattr(self, name) for name in self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over."""
        for name in self.state:
            setattr(self, name, state[name])


class Constant(Schedule):
    """The rate rises to its peak and stays there."""

    def rate(self, t: float) -> float:
        """As every schedule."""
        return warm_up_rate(t / self.settings.max_epochs, self.settings.warm_up)


class Cosine(Schedule):
    """The rate rises, then falls as half a cosine to the last epoch."""

    def rate(self, t: float) -> float:
        """As every schedule."""
        return cosine_rate(t / self.settings.max_epochs, self.settings.warm_up, self.settings.final_rate)


class Adaptive(Schedule):
    """The rate stays at its peak for half of the epochs, then falls as half a cosine; or the best weights are refined.

    While the rate falls the weight of the energies rises, slowly at first: a large weight at a high rate makes the loss
    jump.  If the validation error stops falling before, from then on the model overfits.  Training returns to the best
    weights and anneals them briefly from a low rate while the energy weight rises through the upper half of its range:
    energies improve, forces do not get worse.

    Without a validation error it takes all `max_epochs`.
    """

    may_end_early = True
    state = ("best", "best_epoch", "anneal_start", "is_refining")

    def __init__(self, settings: ScheduleSettings) -> None:
        super().__init__(settings)
        self.best = math.inf
        self.anneal_start = math.ceil(settings.max_epochs / (1 + ANNEALING))

    @property
    def last_epoch(self) -> int:
        """Number of epochs, as far as known."""
        if not self.is_refining:
            return self.settings.max_epochs
        return self.anneal_start + math.ceil(self.best_epoch * REFINEMENT)

    def rate(self, t: float) -> float:
        """As every schedule."""
        warm = min(1.0, max(t / min(max(self.settings.warm_up * self.settings.max_epochs, 1e-9), 5.0), 1e-3))
        highest = REFINING_RATE if self._refines_at(t) else warm
        return highest * half_cosine(self._annealed(t), self.settings.final_rate)

    def energy_weight(self, t: float) -> float:
        """As every schedule."""
        done = self._annealed(t)
        return self.settings.energy.after(0.5 + 0.5 * done if self._refines_at(t) else done**2)

    def update(self, epoch: int, error: float) -> bool:
        """As every schedule."""
        if epoch >= self.anneal_start:
            return False
        if error < (1 - MIN_IMPROVEMENT) * self.best:
            self.best, self.best_epoch = error, epoch
        least = max(0.01 * self.settings.max_epochs, MIN_PATIENCE, MIN_PATIENCE_STEPS / self.settings.steps)
        if epoch < self.best_epoch * (1 + PATIENCE) + least:
            return False
        self.anneal_start, self.is_refining = epoch, True
        return True

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it over; but unless it refines, annealing begins when the present number of epochs wants it to."""
        own_start = self.anneal_start
        super().load_state_dict(state)
        if not self.is_refining:
            self.anneal_start = own_start

    def _annealed(self, t: float) -> float:
        """Fraction of the annealing or refinement that is over."""
        return min(max((t - self.anneal_start) / max(self.last_epoch - self.anneal_start, 1), 0.0), 1.0)

    def _refines_at(self, t: float) -> bool:
        return self.is_refining and t >= self.anneal_start


class Staged(Schedule):
    """A trunk at the peak rate, from which at each doubling of its length a finish branches off.

    A stage is a piece of the trunk and its finish.  The finish starts from the averaged weights of the trunk and
    anneals them from a low rate, while the weight of the energies rises through the upper half of its range: its end is
    a potential that can be used, about as good as the annealing of a whole training of that length.  Then the trunk
    goes on where it was left, to twice its length.  The training is over if a stage has gained too little for its
    length in the forces, or after `max_epochs`, for which the last stage ends exactly there.  Then no trunk has to go
    on, and the last finish is longer: it anneals from the peak, while the energies gain their whole weight.  Energies
    do not count: those of a few validation structures go on falling while forces rise.  A last stage whose forces are
    worse is not the result, which is the one before: by then the potential overfits.

    Without a validation error it takes all `max_epochs`.
    """

    may_end_early = has_trunk = True
    state = ("trunk", "begin", "branch", "end", "is_last", "errors", "is_over")

    def __init__(self, settings: ScheduleSettings) -> None:
        super().__init__(settings)
        self.trunk, self.begin = 0, 0  # epochs of the trunk when the stage begins, and of all
        self.errors: list[float] = []  # at the end of each stage
        self.is_over = False
        self._plan()

    @property
    def last_epoch(self) -> int:
        """Number of epochs, as far as known."""
        return self.end if self.is_over else self.settings.max_epochs

    @property
    def least_epochs(self) -> int:
        """That of the stage that has begun."""
        return self.end

    def fewest_more(self) -> int:
        """As every schedule: with an epoch of the trunk and a finish as long as the last of one of its length."""
        return 0 if self.errors else 1 + math.ceil(LAST_FINISH * (self.trunk + self.branch - self.begin))

    def _plan(self) -> None:
        """Lay out the stage that begins now."""
        left = self.settings.max_epochs - self.begin
        first = max(1, round(FIRST_STAGE / self.settings.steps))
        wanted = 2 * self.trunk if self.trunk else first
        self.is_last = left - self._cost(wanted) < wanted  # too little would be left for another stage
        if self.is_last:
            least = self.trunk + (self.trunk > 0 and left > 1)  # where it goes on, an epoch before the finish
            wanted = max(least, math.floor((left + self.trunk) / (1 + LAST_FINISH)))
        self.branch = self.begin + wanted - self.trunk
        self.end = self.settings.max_epochs if self.is_last else self.begin + self._cost(wanted)

    def _cost(self, trunk: int) -> int:
        """Epochs of a stage that ends with a trunk of so many epochs."""
        return trunk - self.trunk + math.ceil(FINISH * trunk)

    def ends(self) -> list[int]:
        """Return after how many epochs this stage and those after it end, if none ends the training."""
        ahead = copy.copy(self)
        ends = [ahead.end]
        while ends[-1] < self.settings.max_epochs:
            ahead.begin_epoch(ends[-1])
            ends.append(ahead.end)
        return ends

    def rate(self, t: float) -> float:
        """As every schedule."""
        if t >= self.branch:
            peak = 1.0 if self.is_last else FINISHING_RATE
            return peak * half_cosine(self._finished(t), self.settings.final_rate)
        steps = (self.trunk + t - self.begin) * self.settings.steps
        return min(1.0, max(steps / (FINISH * FIRST_STAGE), 1e-3))

    def energy_weight(self, t: float) -> float:
        """As every schedule."""
        energy, done = self.settings.energy, self._finished(t)
        return energy.after(done**2 if self.is_last else 0.5 + 0.5 * done) if t >= self.branch else energy.start

    def update(self, epoch: int, error: float) -> bool:
        """As every schedule."""
        if epoch == self.end:
            self.is_over = bool(self.errors) and error > (1 - LEAST_GAIN) * self.errors[-1]
            self.errors.append(error)
        return False

    def begin_epoch(self, epoch: int) -> Turn | None:
        """As every schedule."""
        if epoch == self.end:
            self.trunk, self.begin = self.trunk + self.branch - self.begin, self.end
            self._plan()
            return Turn.GO_ON
        return Turn.FINISH if epoch == self.branch else None

    def ends_stage(self, epoch: int) -> bool:
        """As every schedule."""
        return epoch == self.end

    def counts(self, epoch: int) -> bool:
        """As every schedule."""
        return epoch == self.end and (len(self.errors) < 2 or self.errors[-1] < self.errors[-2])

    def validates(self, epoch: int, every: int) -> bool:
        """As every schedule."""
        every = max(1, (self.end - self.begin) // VALIDATIONS_OF_A_STAGE)
        return epoch == self.end or (epoch - self.begin) % every == 0

    def _finished(self, t: float) -> float:
        """Fraction of the finish that is over."""
        return min(max((t - self.branch) / max(self.end - self.branch, 1), 0.0), 1.0)


SCHEDULES: dict[str, type[Schedule]] = {"staged": Staged, "cosine": Cosine, "adaptive": Adaptive, "constant": Constant}
"""Schedules by the name that `optimizer.schedule` gives them."""


def half_cosine(progress: float, final: float) -> float:
    """Return the rate relative to the first at a fraction of a fall as half a cosine from 1 to `final`."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


def warm_up_rate(progress: float, warm_up: float) -> float:
    """Return the rate relative to its peak at a fraction of all steps, of which a fraction is a linear rise."""
    return max(progress / warm_up, 1e-3) if progress < warm_up else 1.0


def cosine_rate(progress: float, warm_up: float, final: float) -> float:
    """Return the rate relative to its peak at a fraction of all steps: linear rise, then half a cosine to `final`."""
    if progress < warm_up:
        return warm_up_rate(progress, warm_up)
    return half_cosine(min((progress - warm_up) / (1 - warm_up), 1.0), final)

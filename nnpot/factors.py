"""How large errors are beside what a covariance expects of them: few unseen structures tell, and many known ones."""

from dataclasses import dataclass, replace

import numpy as np

OF_ENERGIES, OF_GROWTH = 6.0, 0.4
"""How well two estimates of errors of energies agree with tests, by docs/uncertainty.md: variance of the logarithm of
that from n unseen energies, times n; standard deviation of that from the growth of the forces' errors."""
BY_HEART = 0.1
"""If the second estimate is less than this part of the first, the training energies are memorised and say nothing."""
SATURATED = 0.7
"""Smallest growth of the errors of forces on an element, relative to what is expected, with which the training energies
say something: below, its training atoms are fewer than weights, and the covariance knows each of them."""


@dataclass(frozen=True)
class Factors:
    """Errors of structures that a potential was not trained on, relative to what its covariance says of them.

    Attributes:
        energy: Of energies.
        forces: Of the forces on each element, by its symbol.
        virial: Of the components of the virial; 0 where no stress is known.
    """

    energy: float
    forces: dict[str, float]
    virial: float


def likely(unseen: Factors, seen: Factors | None, n: int) -> Factors:
    """Return what is to be expected of new structures.

    Args:
        unseen: Relative errors of n structures that were not trained on.
        seen: Those of structures that were, if there are any.
        n: Number of the former.
    """
    return replace(unseen, energy=_energy(unseen, seen, n), virial=_virial(unseen, seen))


def at_least(factors: Factors, seen: Factors | None) -> Factors:
    """Return factors of energies and virials that are no smaller than those of structures that were trained on."""
    if seen is None:
        return factors
    return replace(factors, energy=max(factors.energy, seen.energy), virial=_virial(factors, seen))


def _energy(unseen: Factors, seen: Factors | None, n: int) -> float:
    """Errors of energies relative to what is expected: few unseen energies may be lucky or unlucky, forces are many.

    From structures that were trained on to others errors of energies grow about as those of forces do.  Logarithms of
    what that calls for and of what the unseen energies do are averaged by their variances.  The result is at least what
    energies that were trained on call for: few structures hold few of a rare kind.  (Less where forces on an element
    call for a little more than unseen ones, by chance.)
    """
    if seen is None or min(*seen.forces.values(), *unseen.forces.values()) == 0:
        return unseen.energy
    of_elements = [np.log(unseen.forces[element] / of_seen) for element, of_seen in seen.forces.items()]
    growth = float(np.mean(of_elements))
    by_forces, by_energies = np.log(seen.energy) + growth, np.log(unseen.energy)
    if by_forces < by_energies + np.log(BY_HEART) or min(of_elements) < np.log(SATURATED):
        return unseen.energy
    weight = (OF_ENERGIES / n) / (OF_ENERGIES / n + OF_GROWTH**2)
    least = seen.energy * min(float(np.exp(min(of_elements))), 1.0)
    return max(float(np.exp(by_energies + weight * (by_forces - by_energies))), least)


def _virial(unseen: Factors, seen: Factors | None) -> float:
    """Errors of virials relative to what is expected: at least those of training structures, where any are known."""
    return max(unseen.virial, seen.virial) if seen is not None and unseen.virial > 0 else unseen.virial

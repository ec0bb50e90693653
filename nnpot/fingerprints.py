"""Which structures a model was trained on, and calibrated with, so that its errors on these are called so.

A model file keeps 32 bits of a hash of each.  Of many it keeps the smallest: whether one was trained on can then be
told of such whose own is as small, and how many of a set follows from these: a bottom-k sketch, E. Cohen, H. Kaplan,
Proc. 26th ACM Symposium on Principles of Distributed Computing (2007), 225.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnpot.elements import is_free_atom
from nnpot.structure import LEAST_VOLUME, Structure

KEY = "structure fingerprints"
"""Name under which a model file keeps those of the structures that it was trained on."""
OF_ERROR_BARS = "error bar fingerprints"
"""The same of those that its error bars were calibrated with."""
_WHOSE = {
    KEY: "the model was trained on, whose errors are smaller than those of others",
    OF_ERROR_BARS: "its error bars were calibrated with: that they fit says little",
}
"""What is said of structures that are among these."""
MOST = 8192
"""Of how many structures they are kept: 44 kB of text."""
STEP = 1e-3
"""To which the numbers are rounded that a fingerprint is made of: lengths in Å, and sizes of structure factors."""
OFFSET = 0.381966
"""Added before they are rounded: numbers of few digits would lie where the next one begins."""
WAVES = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 1, 1], [0, 0, 1], [-1, 1, 0]])
"""Structure factors that are looked at, in units of a wave of about an Å along each axis."""


def fingerprint_of(structure: Structure) -> int:
    """Return 32 bits that are the same of the same atoms, however they are written, if it is with six decimals or more.

    That is: shifted, turned with their cell, moved by vectors of the cell, or in another order.  Of structures that are
    rounded to fewer decimals some cross a border of what numbers are rounded to here, 1e-3 Å.  Of periodic atoms
    they come from |Σ exp(2πi g·x)|² / N over the atoms of each element with fractional coordinates x, and from lengths
    and angles of the cell; of others from their distances from the centre.
    """
    positions, cell = structure.positions.numpy(), structure.cell.numpy()
    species, z = np.unique(structure.numbers.numpy(), return_inverse=True)
    if any(structure.pbc) and abs(np.linalg.det(cell)) > LEAST_VOLUME:
        lengths = np.linalg.norm(cell, axis=1)
        waves = WAVES * np.maximum(np.floor(lengths + OFFSET), 1)
        phases = np.exp(2j * np.pi * (positions @ np.linalg.inv(cell)) @ waves.T)
        of_elements = np.stack([np.abs(phases[z == k].sum(axis=0)) ** 2 for k in range(len(species))]) / len(positions)
        numbers = [lengths, (cell @ cell.T)[np.triu_indices(3, 1)] / lengths.mean(), of_elements]
    else:
        radii = np.linalg.norm(positions - positions.mean(axis=0), axis=1) if len(positions) else np.zeros(0)
        numbers = [np.sort(radii[z == k]) for k in range(len(species))]
    rounded = [np.floor(np.ravel(x) / STEP + OFFSET).astype("<i8").tobytes() for x in numbers]
    head = bytes(structure.pbc) + species.astype("<i8").tobytes() + np.bincount(z).astype("<i8").tobytes()
    return int.from_bytes(hashlib.sha256(head + b"".join(rounded)).digest()[:4], "little")


def apart_from(structures: Sequence[Structure], others: Iterable[Structure]) -> list[Structure]:
    """Return the structures that are not among others."""
    known = {fingerprint_of(s) for s in others}
    return [s for s in structures if fingerprint_of(s) not in known]


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Fingerprints of structures.

    Attributes:
        values: In ascending order, the smallest `MOST` of them at most.
    """

    values: NDArray[np.uint32]

    @classmethod
    def of(cls, structures: Iterable[Structure]) -> "Fingerprints":
        """Return those of all structures but free atoms, which are the same in all data."""
        found = {fingerprint_of(s) for s in structures if not is_free_atom(s)}
        return cls(np.array(sorted(found)[:MOST], np.uint32))

    @classmethod
    def in_summaries(cls, summaries: Iterable[Mapping[str, Any]]) -> "Fingerprints | None":
        """Return those of several model files together; None if one has none."""
        of_each = [cls.in_summary(summary) for summary in summaries]
        known = [one for one in of_each if one is not None]
        return known[0].joined(*known[1:]) if known and len(known) == len(of_each) else None

    @classmethod
    def in_summary(cls, summary: Mapping[str, Any], key: str = KEY) -> "Fingerprints | None":
        """Return those that a model file keeps under a name; None if it has none, or none that can be read."""
        try:
            return cls.in_text(summary[key])
        except (KeyError, TypeError, ValueError, binascii.Error):
            return None

    @classmethod
    def in_text(cls, text: str) -> "Fingerprints":
        """Return what :attr:`text` has written; none of an empty one."""
        return cls(np.frombuffer(base64.b64decode(text, validate=True), "<u4"))

    def joined(self, *others: "Fingerprints") -> "Fingerprints":
        """Return those of these structures and of others."""
        values = np.concatenate([self.values, *(other.values for other in others)])
        return Fingerprints(np.unique(values)[:MOST])

    @property
    def text(self) -> str:
        """These as text."""
        return base64.b64encode(self.values.astype("<u4").tobytes()).decode()

    @property
    def summary(self) -> dict[str, str]:
        """What a model file keeps."""
        return {KEY: self.text}

    @property
    def are_all(self) -> bool:
        """Whether these are all that there were."""
        return len(self.values) < MOST

    def known(self, structures: Sequence[Structure]) -> list[bool]:
        """Whether each structure is among these; of many it may be although it is not said."""
        return [bool(x) for x in np.isin(_of_each(structures), self.values)] if self else [False] * len(structures)

    def lack(self, structures: Sequence[Structure]) -> list[bool]:
        """Whether each structure is certainly not among these, or a free atom, of which nothing is kept."""
        if not self:
            return [True] * len(structures)
        own, end = _of_each(structures), 2**32 if self.are_all else int(self.values[-1])
        return [bool(x) for x in (own <= end) & ~np.isin(own, self.values)]

    def without(self, structures: Sequence[Structure]) -> list[Structure]:
        """Return those that are certainly not among these, and free atoms."""
        return [s for s, is_new in zip(structures, self.lack(structures), strict=True) if is_new]

    def __bool__(self) -> bool:
        return len(self.values) > 0

    def count(self, structures: Sequence[Structure]) -> int:
        """Return how many structures are among these, or about how many where these are not all."""
        return self._count(_of_each(structures))

    def _count(self, own: NDArray[np.int64]) -> int:
        n = int(np.isin(own, self.values).sum())
        if self.are_all or not n:
            return n
        n_told = np.count_nonzero((own >= 0) & (own <= self.values[-1]))
        return round(n / n_told * len(own))

    def in_words(self, structures: Sequence[Structure]) -> str:
        """Say how many structures are among these, whose errors are no measure; empty if none is."""
        return self._told(self.count(structures), len(structures), KEY)

    def _told(self, n: int, n_all: int, key: str) -> str:
        if not n:
            return ""
        of = f"{'' if self.are_all else 'about '}{n} of {n_all} structures {'is' if n == 1 else 'are'}"
        return f"{of} among those that {_WHOSE[key]}"


def _of_each(structures: Sequence[Structure]) -> NDArray[np.int64]:
    """Fingerprints, -1 of free atoms."""
    return np.array([-1 if is_free_atom(s) else fingerprint_of(s) for s in structures], np.int64)


NOTHING = Fingerprints(np.zeros(0, np.uint32))
"""Fingerprints of no structures."""


class Before(NamedTuple):
    """Structures of the model from which a training starts.

    Attributes:
        trained_on: Those that it was trained on.
        set_aside: Those that it was not, and that its error bars were calibrated with.
    """

    trained_on: Fingerprints = NOTHING
    set_aside: Fingerprints = NOTHING

    @classmethod
    def in_summary(cls, summary: Mapping[str, Any]) -> "Before":
        """Return those of which a model file tells."""
        return cls(*(Fingerprints.in_summary(summary, key) or NOTHING for key in (KEY, OF_ERROR_BARS)))


UNKNOWN = Before()
"""Where no model is started from, or none whose file tells."""


Role = Literal["test", "training", "validation"]
"""What structures are to a model: such as it was trained on, its error bars were made to agree with, or neither."""


CALIBRATED_WITH_ALL = "its error bars were calibrated with these structures"
"""What is said of error bars where they are compared with errors of the structures that they were made of."""


class Seen(NamedTuple):
    """What some structures are to a model.

    Attributes:
        role: What most of them are; a test only if at least half of them are new.
        is_whole: Whether all of them are that.
        trained_on: How many it was trained on, in words; empty if none, or its file does not tell.
        calibrated_with: The same of its error bars.
    """

    role: Role
    is_whole: bool
    trained_on: str
    calibrated_with: str

    @property
    def told(self) -> list[str]:
        """What is to be known of their errors."""
        return [told for told in (self.trained_on, self.calibrated_with) if told]

    @property
    def of_error_bars(self) -> str:
        """What is to be said of error bars where they are compared with errors; empty of a test."""
        if self.role == "test":
            return ""
        if not self.is_whole:
            return "most of these structures are known to the model or its error bars"
        return "the model was trained on these structures" if self.role == "training" else CALIBRATED_WITH_ALL


def seen_by(summary: Mapping[str, Any], structures: Sequence[Structure]) -> Seen:
    """Look what structures are to a model, by what its file says."""
    of_model = Before.in_summary(summary)
    words, n, n_all = {}, {}, len(structures)
    own = _of_each(structures) if any(of_model) else np.full(n_all, -1)
    for key, kept in zip((KEY, OF_ERROR_BARS), of_model, strict=True):
        n[key] = kept._count(own)
        words[key] = kept._told(n[key], n_all, key)
    role: Role = "training" if n[KEY] >= n[OF_ERROR_BARS] else "validation"
    if 2 * sum(n.values()) <= n_all:
        role = "test"
    return Seen(role, max(n.values()) == n_all, words[KEY], words[OF_ERROR_BARS])

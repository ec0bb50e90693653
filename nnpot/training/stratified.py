"""A part of each configuration type for validation, with near copies on one side."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nnpot.copies import Integers, Likeness
from nnpot.elements import is_free_atom
from nnpot.structure import Structure

RARE = 2
"""Number of structures of a type up to which they all stay for training."""

REPRESENTED = 5
"""Number of structures of a type from which one of them is set aside, if that leaves half of the places to others."""

LONGEST, FEWEST = 10, 5
"""Number of structures of a block of a trajectory at most, and into how many blocks the places are divided at least, so
that they are not all of one trajectory."""

MOST_ATOMS_IN_ALL = 20_000_000
"""Number of atoms of all structures from which near copies are not looked for: that would take minutes."""


@dataclass(frozen=True)
class Unit:
    """Structures that are set aside together or not at all.

    Attributes:
        members: Their positions, ascending.
        is_cut: Whether near copies of them are in other units: it is set aside if nothing else can be.
    """

    members: tuple[int, ...]
    is_cut: bool = False


def stratified(structures: Sequence[Structure], n: int, chance: torch.Generator) -> tuple[tuple[int, ...], list[str]]:
    """Choose about n structures in proportion to the configuration types, near copies together.

    Free atoms, the last structures with an element, and types of one or two structures stay.

    Args:
        structures: In the order of the file.
        n: How many.
        chance: Decides.

    Returns:
        Positions, ascending, and what was found of near copies and trajectories, in words.
    """
    alike = _alike(structures)
    of_each = types_of(structures)
    types = [of_each[int(first)] for first in alike.near]
    places = shared_out(Counter(t for t in types if t is not None), n, chance)
    left = Counter(int(z) for s in structures for z in s.numbers.unique())
    chosen: set[int] = set()
    rest: list[Unit] = []
    for name, room in places.items():
        units = list(_units([k for k, t in enumerate(types) if t == name], alike, room))
        order = [units[k] for k in torch.randperm(len(units), generator=chance).tolist()]
        order.sort(key=lambda unit: unit.is_cut)
        rest += _filled(structures, order, room, left, chosen)
    _filled(structures, sorted(rest, key=lambda unit: unit.is_cut), n - len(chosen), left, chosen)
    return tuple(sorted(chosen)), _found(alike, chosen, len(structures))


def _alike(structures: Sequence[Structure]) -> Likeness:
    """Compare structures, unless they have too many atoms."""
    if sum(len(s) for s in structures) <= MOST_ATOMS_IN_ALL:
        return Likeness.of(structures)
    each = np.arange(len(structures))
    return Likeness(each, each, each, len(each))


def types_of(structures: Sequence[Structure]) -> list[str | None]:
    """Return the configuration type of each structure, None for those of a rare one.

    Where most structures are of rare types, these are one type together.
    """
    sizes = Counter(s.group for s in structures)
    n_rare = sum(size for size in sizes.values() if size <= RARE)
    instead = "" if 2 * n_rare > len(structures) else None
    return [s.group if sizes[s.group] > RARE else instead for s in structures]


def shared_out(sizes: Counter[str], n: int, chance: torch.Generator) -> dict[str, int]:
    """Return how many of n places each type has: in proportion (Sainte-Laguë), one at least where there are enough.

    Args:
        sizes: Number of structures by type.
        n: Number of places.
        chance: Decides between equals.
    """
    names = sorted(sizes)
    names = [names[k] for k in torch.randperm(len(names), generator=chance).tolist()]
    large = [name for name in names if sizes[name] >= REPRESENTED]
    places = {name: int(name in large and 2 * len(large) <= n) for name in names}
    while sum(places.values()) < n:
        open_to = [name for name in names if places[name] < sizes[name] - 1]
        if not open_to:
            break
        places[max(open_to, key=lambda name: sizes[name] / (2 * places[name] + 1))] += 1
    return places


def _units(members: Sequence[int], alike: Likeness, room: int) -> Iterator[Unit]:
    """What of a type is set aside together, if there is room for so many: near copies, blocks of a trajectory."""
    block = min(max(room // FEWEST, 1), LONGEST)
    for chain in _sets(members, alike.following):
        for piece in _packed(_sets(chain, alike.near), block):
            if len(piece) <= room:
                yield Unit(piece)
            else:  # a long chain of near copies; what is written several times stays whole all the same
                yield from (Unit(part, is_cut=True) for part in _packed(_sets(piece, alike.equal), block))


def _sets(members: Sequence[int], labels: Integers) -> list[list[int]]:
    """Members with the same label together, in the order of the first of each."""
    found: dict[int, list[int]] = {}
    for k in members:
        found.setdefault(int(labels[k]), []).append(k)
    return list(found.values())


def _packed(sets: Sequence[list[int]], most: int) -> Iterator[tuple[int, ...]]:
    """Join sets that follow one another, up to a number of members; larger ones stay as they are."""
    piece: list[int] = []
    for one in sets:
        if piece and len(piece) + len(one) > most:
            yield tuple(piece)
            piece = []
        piece = piece + one
    if piece:
        yield tuple(piece)


def _filled(
    structures: Sequence[Structure], units: Sequence[Unit], room: int, left: Counter[int], chosen: set[int]
) -> list[Unit]:
    """Take units as long as there is room; return those that are not taken."""
    not_taken = []
    for unit in units:
        own = Counter(int(z) for k in unit.members for z in structures[k].numbers.unique())
        may_go = all(left[z] > count for z, count in own.items())
        may_go = may_go and not any(is_free_atom(structures[k]) for k in unit.members)
        if len(unit.members) <= room and may_go:
            chosen.update(unit.members)
            left.subtract(own)
            room -= len(unit.members)
        else:
            not_taken.append(unit)
    return not_taken


def _found(alike: Likeness, chosen: set[int], n: int) -> list[str]:
    """What was found of near copies, in words."""
    kinds = {"together": 0, "divided": 0}
    for near in _sets(range(n), alike.near):
        aside = sum(k in chosen for k in near)
        if len(near) > 1:
            kinds["divided" if 0 < aside < len(near) else "together"] += len(near)
    chains = [chain for chain in _sets(range(n), alike.following) if len(chain) > LONGEST]
    in_a_row = sum(len(chain) for chain in chains if len(_sets(chain, alike.near)) > 1)
    told = []
    if kinds["together"]:
        told.append(f"{kinds['together']} near copies are kept together")
    if kinds["divided"]:
        told.append(f"{kinds['divided']} near copies are too many to be kept together, and are on both sides")
    if in_a_row:
        told.append(f"{in_a_row} structures follow one another in small steps, and are divided by blocks")
    if alike.n_unseen:
        told.append(f"near copies of {alike.n_unseen} structures are not looked for, which would take too long")
    return told

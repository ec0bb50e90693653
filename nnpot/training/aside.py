"""Which structures are set aside for validation: of each type, any, blocks of the file, or whole types."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from ase.data import chemical_symbols

from nnpot.elements import is_free_atom
from nnpot.fingerprints import Before
from nnpot.structure import Structure
from nnpot.training.stratified import stratified, types_of

SplitName = Literal["stratified", "random", "blocks", "groups"]
"""How structures are set aside."""

_HOW = {
    "stratified": "near copies on one side",
    "random": "at random",
    "blocks": "by blocks of the file",
    "groups": "by configuration type",
}

FEW_STRUCTURES = 100
"""Of so many none is set aside by itself: a handful says little of how good a model is, and training needs all."""

SHARE, LEAST = 0.05, 10
"""Of more this part is set aside, at least so many."""

LARGEST = 1 / 3
"""At most this part of those that a model, from which a training starts, was not trained on."""

BLOCK, MAX_BLOCKS = 10, 5
"""Blocks of a file have at least so many structures, where that many are set aside; and how many there are at most."""

_MOST = 4
"""Number of structures, or types, that are named."""


class Aside(NamedTuple):
    """What is set aside.

    Attributes:
        positions: Of the structures, ascending.
        told: What stays for training all the same, and what was found of near copies, in words; empty if nothing.
    """

    positions: tuple[int, ...]
    told: str


def share_of(validation: object, n_structures: int) -> float:
    """Return the fraction of so many structures that a setting sets aside; 0 where it names files."""
    if isinstance(validation, float | int):
        return float(validation)
    if validation != "auto" or n_structures <= FEW_STRUCTURES:
        return 0.0
    return max(SHARE, LEAST / n_structures)


def set_aside(structures: Sequence[Structure], fraction: float, split: SplitName, seed: int) -> Aside:
    """Choose structures for validation, never free atoms nor the last structure with an element.

    By chance one of each configuration type stays as well, unless too few would be left to choose from.

    Args:
        structures: In the order of the file.
        fraction: Of them that is set aside, about.
        split: `stratified`: in proportion to the configuration types, near copies on one side; `random`: any;
            `blocks`: such as follow one another in the file; `groups`: whole configuration types.
        seed: Of the choice.

    Raises:
        ValueError: If no configuration type can be set aside.
    """
    n = min(round(fraction * len(structures)), len(structures) - 1)
    if n <= 0:
        return Aside((), "")
    chance = torch.Generator().manual_seed(seed)
    if split == "stratified":
        positions, found = stratified(structures, n, chance)
        return Aside(positions, "; ".join([*found, *_who_stays(structures)]))
    if split == "random":
        order = torch.randperm(len(structures), generator=chance).tolist()
    elif split == "blocks":
        order = _blocks(len(structures), n, chance)
    else:
        order = _groups(structures, n, chance)
    n = n if split == "random" else len(order)
    positions, stay = _without_the_last(structures, order, n, keep_groups=split == "random")
    kept = [f"{structures[k].name} ({reason})" for k, reason in sorted(stay.items())]
    return Aside(positions, f"for training stay {_first(kept)}" if kept else "")


def set_aside_anew(
    structures: Sequence[Structure], validation: object, split: SplitName, seed: int, before: Before
) -> Aside:
    """Set aside what a setting asks for, of structures that the model was not trained on from which a training starts.

    Those that were set aside from its training are so again.  Where it was trained on all, some of these have to do.

    Args:
        structures: In the order of the file.
        validation: The setting: a fraction, or `auto`.
        split: How, as of :func:`set_aside`.
        seed: Of the choice.
        before: Structures of that model.

    Raises:
        ValueError: If no configuration type can be set aside.
    """
    share, n = share_of(validation, len(structures)), len(structures)
    is_new, was_aside = before.trained_on.lack(structures), before.set_aside.known(structures)
    n_old = is_new.count(False)
    if share == 0 or n_old in (0, n):
        return set_aside(structures, share, split, seed)
    again = [k for k in range(n) if is_new[k] and was_aside[k]]
    new = [k for k in range(n) if is_new[k] and not was_aside[k]]
    if new:
        least = (LEAST if validation == "auto" else 1) - len(again)
        share = max(share, min(least / len(new), LARGEST))
    chosen = set_aside([structures[k] for k in new], share, split, seed)
    positions = sorted([*again, *(new[k] for k in chosen.positions)])
    was = "was" if before.trained_on.are_all else "was, or may have been,"
    told = f"{n_old} that the model to start from {was} trained on stay for training"
    return Aside(tuple(positions), "; ".join(filter(None, [told, chosen.told])))


def in_words(train: Sequence[Structure], validation: Sequence[Structure], split: SplitName, seed: int) -> str:
    """Return a sentence on how structures were set aside, and how many each part has.

    Args:
        train: What stays.
        validation: What was set aside.
        split: How.
        seed: Of the choice.
    """
    if not validation:
        return f"split: none, all {len(train)} structures are for training"
    what, how = "", _HOW[split]
    if split == "groups":
        what = f" ({_first([*dict.fromkeys(s.group or 'no type' for s in validation)])})"
    elif split == "stratified" and len({s.group for s in (*train, *validation)}) > 1:
        sizes = Counter(s.group for s in (*train, *validation))
        here = Counter(s.group for s in validation)
        parts = [f"{name or 'no type'} {here[name]} of {n}" for name, n in sizes.most_common()]
        what = f" ({_first(parts)})"
        how = f"by configuration type, {how}"
    return (
        f"split: {how}, seed {seed} (data.split: {split}): {len(train)} structures for training, "
        f"{len(validation)}{what} for validation"
    )


def _first(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")


def _who_stays(structures: Sequence[Structure]) -> Iterator[str]:
    """What is never set aside where each type has its part, in words."""
    free = [s.name for s in structures if is_free_atom(s)]
    if free:
        yield f"free atoms stay for training ({_first(free)})"
    sizes = Counter(s.group for s in structures)
    types = {s.group: t for s, t in zip(structures, types_of(structures), strict=True)}
    rare = [f"{name or 'no type'} {sizes[name]}" for name, own in types.items() if own is None]
    if rare:
        yield f"rare types stay for training ({_first(rare)})"


def _blocks(n_structures: int, n: int, chance: torch.Generator) -> list[int]:
    """Positions in some blocks, with about n structures together."""
    n_blocks = min(max(n // BLOCK, 1), MAX_BLOCKS)
    n_all = max(round(n_blocks * n_structures / n), n_blocks + 1)
    bounds = [k * n_structures // n_all for k in range(n_all + 1)]
    chosen = torch.randperm(n_all, generator=chance).tolist()[:n_blocks]
    return [k for block in sorted(chosen) for k in range(bounds[block], bounds[block + 1])]


def _groups(structures: Sequence[Structure], n: int, chance: torch.Generator) -> list[int]:
    """Positions of whole configuration types, with about n structures together."""
    members: dict[str, list[int]] = {}
    for k, s in enumerate(structures):
        members.setdefault(s.group, []).append(k)
    with_element = Counter(z for s in structures for z in _elements(s))
    names = [list(members)[k] for k in torch.randperm(len(members), generator=chance).tolist()]
    possible = [name for name in names if _can_go([structures[k] for k in members[name]], with_element)]
    if len(members) < 2 or not possible:
        why = "all structures are of one" if len(members) < 2 else "each has the only structures with an element"
        raise ValueError(
            f"data.split: groups cannot set a whole configuration type aside: {why}; use data.split: blocks, or name "
            "the key of the type by data.keys.group"
        )
    chosen: list[str] = []
    size = 0
    for name in sorted(possible, key=lambda name: len(members[name]) > n):  # small ones first, otherwise by chance
        if size >= n or len(chosen) == len(members) - 1 or (chosen and size + len(members[name]) > 2 * n):
            continue
        candidates = [structures[k] for other in (*chosen, name) for k in members[other]]
        if _can_go(candidates, with_element):
            chosen.append(name)
            size += len(members[name])
    return [k for name in chosen for k in members[name]]


def _can_go(candidates: Sequence[Structure], with_element: Counter[int]) -> bool:
    """Whether others have the elements of these, and they are not all free atoms."""
    here = Counter(z for s in candidates for z in _elements(s))
    return all(with_element[z] > n for z, n in here.items()) and not all(map(is_free_atom, candidates))


def _without_the_last(
    structures: Sequence[Structure], order: Sequence[int], n: int, *, keep_groups: bool
) -> tuple[tuple[int, ...], dict[int, str]]:
    """Take the first n that may go; return them, and why which of these n stay."""
    left = Counter(kind for s in structures for kind in _kinds(s))
    aside: set[int] = set()
    stay: dict[int, str] = {}
    for with_groups in (True, False) if keep_groups else (False,):
        for rank, k in enumerate(order):
            if len(aside) >= n or k in aside:
                continue
            kinds = list(_kinds(structures[k]))
            last = [kind for kind in kinds if left[kind] == 1 and (with_groups or kind.startswith("with"))]
            if last or is_free_atom(structures[k]):
                if rank < n:
                    stay[k] = "a free atom" if is_free_atom(structures[k]) else f"the last {last[0]}"
                continue
            aside.add(k)
            left.subtract(kinds)
    return tuple(sorted(aside)), {k: reason for k, reason in stay.items() if k not in aside}


def _kinds(structure: Structure) -> Iterator[str]:
    """What a structure may be the last of, in words."""
    yield from (f"with {chemical_symbols[z]}" for z in _elements(structure))
    if structure.group:
        yield f"of {structure.group}"


def _elements(structure: Structure) -> list[int]:
    numbers: list[int] = structure.numbers.unique().tolist()
    return numbers

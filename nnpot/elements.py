"""Chemical symbols: those that structures hold, and whether they are any."""

from collections.abc import Sequence

from ase.data import atomic_numbers, chemical_symbols

from nnpot.structure import Structure


def elements_of(structures: Sequence[Structure]) -> tuple[str, ...]:
    """Return the chemical symbols that occur, by atomic number."""
    numbers = sorted({int(z) for s in structures for z in s.numbers.unique()})
    return tuple(chemical_symbols[z] for z in numbers)


def check_elements(elements: Sequence[str]) -> tuple[str, ...]:
    """Return the symbols as a tuple.

    Raises:
        ValueError: If one is not a chemical symbol or occurs twice.
    """
    unknown = [e for e in elements if atomic_numbers.get(e, 0) < 1]
    if unknown:
        raise ValueError(f"elements must be chemical symbols, got {', '.join(unknown)}")
    if len(set(elements)) < len(elements):
        raise ValueError(f"elements must differ, got {', '.join(elements)}")
    return tuple(elements)

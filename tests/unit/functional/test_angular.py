"""Pairs of places in tables of neighbours."""

from itertools import combinations, product

import pytest
import torch

from nnpot.functional.angular import Neighbors, _pair_slots


def table(width: int) -> Neighbors:
    return Neighbors(torch.ones(2, width, 3), torch.ones(2, width))


@pytest.mark.parametrize("width", [0, 1, 2, 3, 57])
def test_every_unordered_pair_within_a_table_occurs_once(width: int) -> None:
    j, k = _pair_slots(table(width), None)
    assert sorted(zip(j.tolist(), k.tolist(), strict=True)) == list(combinations(range(width), 2))


def test_pairs_are_exact_in_a_wide_table() -> None:
    j, k = _pair_slots(table(2000), None)
    wanted = torch.tril_indices(2000, 2000, offset=-1)
    assert torch.equal(torch.stack([k, j]), wanted)


@pytest.mark.parametrize("widths", [(0, 3), (3, 0), (2, 3)], ids=str)
def test_every_pair_across_two_tables_occurs_once(widths: tuple[int, int]) -> None:
    j, k = _pair_slots(table(widths[0]), table(widths[1]))
    assert list(zip(j.tolist(), k.tolist(), strict=True)) == list(product(range(widths[0]), range(widths[1])))

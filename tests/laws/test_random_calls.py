"""Whatever the operators of compiled code are given: they refuse it in words, or calculate what tensors do."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from operators import Arguments, calculated, random_arguments
from proofs import assert_close
from systems import CUTOFF, ELEMENTS, acsf, structure
from torch import Tensor

from nnpot.batch import Batch
from nnpot.descriptors import ACE, Descriptor
from nnpot.native import are_compiled, without_kernels
from nnpot.native.table import OPERATORS
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential

pytestmark = pytest.mark.skipif(not are_compiled(torch.float64, torch.device("cpu")), reason="no C++ compiler")

PRECISION = {torch.float64: 1e-10, torch.float32: 2e-5}
"""Relative to the norm: sums of some hundred terms in another order, and differences between them."""

THROUGH_NETWORKS = 10
"""Rounding counts so many times as much where networks with random weights multiply it: in weighted densities."""

REFUSED = (ValueError, RuntimeError, IndexError, TypeError)
"""Of the operators, and of PyTorch itself for what is no argument of them."""

Change = Callable[[Any, torch.Generator], Any]


def below(n: int, generator: torch.Generator) -> int:
    return int(torch.randint(0, max(n, 1), (), generator=generator))


def put(x: Tensor, value: float, generator: torch.Generator) -> Tensor:
    """Write a number to some place of a copy."""
    changed = x.contiguous().clone()
    if changed.numel() > 0:
        changed.view(-1)[below(changed.numel(), generator)] = value
    return changed


def strided(x: Tensor) -> Tensor:
    """The same numbers, every other one in memory."""
    wide = torch.stack([x, torch.full_like(x, 77)], dim=-1)
    return wide[..., 0]


OF_TENSORS: dict[str, Change] = {
    "another type": lambda x, g: x.to((torch.float32, torch.float64, torch.int64, torch.int32)[below(4, g)]),
    "half": lambda x, _: x.half(),
    "bool": lambda x, _: x.bool(),
    "complex": lambda x, _: x.to(torch.complex64) if x.is_floating_point() else x.int(),
    "on another device": lambda x, _: x.to("meta"),
    "a row fewer": lambda x, _: x[:-1],
    "a row more": lambda x, _: torch.cat([x, x[:1]]) if x.ndim > 0 else x,
    "no rows": lambda x, _: x[:0],
    "flat": lambda x, _: x.flatten(),
    "one dimension more": lambda x, _: x.unsqueeze(dim=0),
    "transposed": lambda x, _: x.mT if x.ndim > 1 else x.flip(0),
    "turned round": lambda x, _: x.flip(0),
    "shuffled": lambda x, g: x[torch.randperm(len(x), generator=g)],
    "strided": lambda x, _: strided(x),
    "negative view": lambda x, _: torch._neg_view(x) if x.is_floating_point() else x,
    "expanded": lambda x, _: x[:1].expand(x.shape) if len(x) > 0 else x,
    "with history": lambda x, _: x.clone().requires_grad_() if x.is_floating_point() else x,
    "one more": lambda x, _: x + 1,
    "not a number": lambda x, g: put(x, float("nan"), g) if x.is_floating_point() else put(x, -1, g),
    "infinite": lambda x, g: put(x, float("inf"), g) if x.is_floating_point() else put(x, 10**6, g),
    "zero": lambda x, g: put(x, 0, g),
    "negative": lambda x, g: put(x, -1, g),
    "large": lambda x, g: put(x, 2**31, g) if x.dtype == torch.int64 else put(x, 1e4, g),
    "in its place": lambda x, _: x,
}
OF_NUMBERS: dict[str, Change] = {
    "one more": lambda x, _: x + 1,
    "one less": lambda x, _: x - 1,
    "negative": lambda x, _: -x,
    "zero": lambda x, _: x * 0,
    "large": lambda x, _: x * 0 + 2**40,
    "not a number": lambda x, _: float("nan"),
    "a word": lambda x, _: str(x),
    "in its place": lambda x, _: x,
}


def changed(name: str, given: Arguments, n_changes: int, generator: torch.Generator) -> tuple[Arguments, str]:
    """Change so many arguments, each in one way."""
    arguments, words = list(given), []
    for _ in range(n_changes):
        place = below(len(arguments), generator)
        ways = OF_TENSORS if isinstance(arguments[place], Tensor) else OF_NUMBERS
        way = list(ways)[below(len(ways), generator)]
        if isinstance(arguments[place], str) or (isinstance(arguments[place], Tensor) and arguments[place].ndim == 0):
            continue
        if way == "one more" and isinstance(arguments[place], Tensor) and arguments[place].dtype == torch.bool:
            continue
        if isinstance(arguments[place], Tensor) and arguments[place].is_complex():
            ways[way](arguments[place].real, generator)  # it is refused as it is
            continue
        arguments[place] = ways[way](arguments[place], generator)
        words.append(f"{OPERATORS[name].arguments[place].name}: {way}")
    return tuple(arguments), f"{name} with {', '.join(words)}"


def calls(n: int, seed: int) -> Iterator[tuple[str, Arguments, str]]:
    """Arguments for operators in turn; of four calls three are nearly valid, with one change at most."""
    generator = torch.Generator().manual_seed(seed)
    for k in range(n):
        name = list(OPERATORS)[k % len(OPERATORS)]
        dtype = (torch.float32, torch.float64)[below(2, generator)]
        arguments = random_arguments(name, generator, dtype)
        yield name, *changed(name, arguments, (0, 1, 1, 3)[below(4, generator)], generator)


def reals(arguments: Arguments) -> list[Tensor]:
    return [x for x in arguments if isinstance(x, Tensor) and x.is_floating_point()]


def has_no_direction(name: str, arguments: Arguments) -> bool:
    """Return whether a pair vector is 0, which is refused where structures become pairs."""
    named = zip(OPERATORS[name].arguments, arguments, strict=True)
    vectors = [x for argument, x in named if argument.name == "vectors" and isinstance(x, Tensor)]
    return any(bool((x.double().norm(dim=-1) == 0).any()) for x in vectors)


def is_refused_or_right(name: str, arguments: Arguments, words: str) -> bool:
    """Return whether it was refused; complain if a result differs from that of tensors."""
    try:
        result = getattr(torch.ops.nnpot, name)(*arguments)
    except REFUSED:
        return True
    if result.is_meta:
        return True  # nothing is calculated
    has_table = any(argument.name == "places" for argument in OPERATORS[name].arguments)
    if any(f"{word}: " in words for word in ("places", "coefficients", "n_entries", *["l_max"] * has_table)):
        return False  # constants, those of l_max: tensors have their own
    wanted = calculated(name, arguments).flatten()
    found = result.double().flatten()
    known = torch.isfinite(wanted)  # kernels leave out what is multiplied by 0, or add it
    if not all(bool(torch.isfinite(x).all()) for x in reals(arguments)) or has_no_direction(name, arguments):
        known &= torch.isfinite(found)
    sizes = [
        float(x.double().abs().nan_to_num(0, 0).max()) for x in map(Tensor.detach, reals(arguments)) if x.numel() > 0
    ]
    precision = PRECISION[result.dtype] * (THROUGH_NETWORKS if name.startswith("weighted") else 1)
    try:
        assert_close(found[known], wanted[known], precision, scale=max([1.0, *sizes]))  # sums may cancel
    except AssertionError as error:
        raise AssertionError(f"{words}: {error}") from None
    return False


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("dtype", PRECISION, ids=str)
def test_every_operator_at_ragged_sizes(name: str, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(8):
        assert not is_refused_or_right(name, random_arguments(name, generator, dtype), name)


@pytest.mark.parametrize(("n", "seed"), [(300, 0), pytest.param(10_000, 1, marks=pytest.mark.slow)])
def test_random_calls_are_refused_in_words_or_right(n: int, seed: int) -> None:
    n_refused = sum(is_refused_or_right(*call) for call in calls(n, seed))
    assert 0.2 * n < n_refused < 0.8 * n, "neither all nor none of them can be wrong"


# whole batches --------------------------------------------------------------------------------------------------------

DESCRIPTORS: dict[str, Callable[[], Descriptor]] = {
    "ACE": lambda: ACE(CUTOFF, ELEMENTS, 3, 4, 2),
    "ACE with weighted densities": lambda: ACE(CUTOFF, ELEMENTS, 3, 4, 2, weighted_channels=3, weighted_units=4),
    "ACSF": acsf,
}
IN_BATCHES = [way for way in OF_TENSORS if way != "negative view"]  # which tensor operations do not take
FIELDS = ("pair_i", "pair_j", "numbers", "structure_of", "r_ij", "n_atoms", "volumes")


@cache
def potential(name: str) -> NeuralNetworkPotential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NeuralNetworkPotential(DESCRIPTORS[name](), hidden=(5,)).double()


def wrong_batches(n: int, seed: int) -> Iterator[tuple[Batch, str]]:
    generator = torch.Generator().manual_seed(seed)
    right = Batch.join([single_batch(structure(name), CUTOFF) for name in ("alloy", "water", "one atom")])
    for _ in range(n):
        changes, words = {}, []
        for _ in range((1, 1, 1, 2)[below(4, generator)]):
            name = FIELDS[below(len(FIELDS), generator)]
            way = IN_BATCHES[below(len(IN_BATCHES), generator)]
            changes[name] = OF_TENSORS[way](getattr(right, name), generator)
            words.append(f"{name}: {way}")
        yield replace(right, **changes), ", ".join(words)


def predicted(name: str, batch: Batch, *, training: bool) -> dict[str, Tensor] | None:
    """Return energies, forces and stress, None if it is refused."""
    model = potential(name).train(training)
    try:
        prediction = model(batch)
    except (*REFUSED, NotImplementedError):
        return None
    return {"energies": prediction.energies.detach(), **prediction.detach().labels}


@pytest.mark.parametrize("name", DESCRIPTORS)
@pytest.mark.parametrize(("n", "seed"), [(60, 0), pytest.param(1_000, 1, marks=pytest.mark.slow)])
def test_random_batches_are_refused_or_as_by_tensors(name: str, n: int, seed: int) -> None:
    n_refused = 0
    for k, (batch, words) in enumerate(wrong_batches(n, seed)):
        found = predicted(name, batch, training=k % 2 == 0)
        n_refused += found is None
        if found is None or any(x.is_meta for x in found.values()):
            continue
        with without_kernels():
            wanted = predicted(name, batch, training=k % 2 == 0)
        assert wanted is not None, f"{words}: refused by tensors alone"
        for key, x in found.items():
            known = torch.isfinite(wanted[key])
            assert torch.equal(known, torch.isfinite(x)), words
            try:
                assert_close(x[known], wanted[key][known], 1e-10, scale=1.0)
            except AssertionError as error:
                raise AssertionError(f"{words}, {key}: {error}") from None
    assert 0.1 * n < n_refused < 0.9 * n

"""What stands beside a structure in a batch has no influence on it; potentials add."""

from functools import cache

import pytest
import torch
from crossed import potentials
from proofs import assert_close
from systems import DESCRIPTORS, ELEMENTS, POTENTIALS, SYSTEMS, acsf, network_potential, structure
from torch import Tensor

from nnpot.batch import Batch
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.prediction import Prediction
from nnpot.repulsion import ZBL

pytestmark = pytest.mark.usefixtures("double")

SAME = 1e-12
"""Relative.  Larger matrix products may sum in another order, float64."""

RESULTS = ["energies", "energy", "forces", "stress"]
CACHEABLE = [name for name, make in DESCRIPTORS.items() if make().is_cacheable]
each_potential = pytest.mark.parametrize("name", potentials())
each_result = pytest.mark.parametrize("result", RESULTS)


def batches(potential: Potential, names: list[str] | None = None) -> list[Batch]:
    return [single_batch(structure(n), potential.cutoff) for n in names or SYSTEMS]


def same(actual: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(actual, wanted, rtol=SAME, atol=SAME, equal_nan=True)


def rows_of(result: str) -> list[int]:
    """Rows of a result that belong to each system."""
    return [len(SYSTEMS[n]()) if result in {"energies", "forces"} else 1 for n in SYSTEMS]


@cache
def alone(name: str) -> list[Prediction]:
    potential = POTENTIALS[name]().eval()
    return [potential(batch) for batch in batches(potential)]


@cache
def together(name: str) -> Prediction:
    potential = POTENTIALS[name]().eval()
    return potential(Batch.join(batches(potential)))


@cache
def reversed_order(name: str) -> Prediction:
    potential = POTENTIALS[name]().eval()
    return potential(Batch.join(batches(potential)[::-1]))


@each_result
@each_potential
def test_a_batch_gives_what_its_structures_give_alone(name: str, result: str) -> None:
    same(getattr(together(name), result), torch.cat([getattr(prediction, result) for prediction in alone(name)]))


@each_result
@each_potential
def test_the_order_of_structures_is_irrelevant(name: str, result: str) -> None:
    forward = getattr(together(name), result).split(rows_of(result))
    same(getattr(reversed_order(name), result), torch.cat(forward[::-1]))


@each_potential
def test_batches_of_batches_are_batches(name: str) -> None:
    potential = POTENTIALS[name]().eval()
    a, b, c = batches(potential, ["alloy", "water", "slab"])
    nested, flat = Batch.join([Batch.join([a, b]), c]), Batch.join([a, b, c])
    same(potential(nested).forces, potential(flat).forces)


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
@each_potential
def test_inputs_are_not_changed(name: str, mode: bool) -> None:
    potential = POTENTIALS[name]().train(mode)
    batch = Batch.join(batches(potential))
    tensors = {name: value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    tensors |= batch.labels
    before = {name: t.clone() for name, t in tensors.items()}
    prediction = potential(batch)
    if prediction.forces.requires_grad:
        prediction.forces.square().sum().backward()
    torch.testing.assert_close(tensors, before, rtol=0, atol=0, equal_nan=True)


@each_potential
def test_the_pair_vectors_collect_no_gradient(name: str) -> None:
    potential = POTENTIALS[name]().train()
    (batch,) = batches(potential, ["alloy"])
    potential(batch)
    assert (batch.r_ij.requires_grad, batch.r_ij.grad) == (False, None)


@each_result
@each_potential
def test_results_carry_no_graph_in_evaluation_mode(name: str, result: str) -> None:
    assert not getattr(together(name), result).requires_grad


@pytest.mark.parametrize("name", [n for n in POTENTIALS if list(POTENTIALS[n]().parameters())])
def test_results_carry_a_graph_in_training_mode(name: str) -> None:
    potential = POTENTIALS[name]().train()
    prediction = potential(Batch.join(batches(potential, ["alloy"])))
    assert [getattr(prediction, result).requires_grad for result in RESULTS] == [True] * len(RESULTS)


@each_result
@each_potential
def test_a_single_atom_keeps_the_shapes(name: str, result: str) -> None:
    shapes = {"energies": (1,), "energy": (1,), "forces": (1, 3), "stress": (1, 6)}
    prediction = alone(name)[list(SYSTEMS).index("one atom")]
    assert getattr(prediction, result).shape == shapes[result]


@cache
def single_precision(name: str) -> Prediction:
    potential = POTENTIALS[name]().eval().float()
    return potential(Batch.join(batches(potential)).to(dtype=torch.float32))


@each_result
@each_potential
def test_float32_is_close_to_float64(name: str, result: str) -> None:
    wanted, actual = getattr(together(name), result), getattr(single_precision(name), result)
    # eps = 6e-8 times some hundred terms, relative to the largest result
    bound = 2e-5 * float(wanted.nan_to_num().abs().max())
    torch.testing.assert_close(actual.double(), wanted, rtol=0, atol=bound, equal_nan=True)


@pytest.mark.parametrize(
    ("result", "dtype"), [("energies", torch.float64), ("energy", torch.float64), ("forces", torch.float32)]
)
def test_energies_stay_double_in_a_single_precision_potential(result: str, dtype: torch.dtype) -> None:
    prediction = network_potential(acsf()).float().predict(structure("alloy"))
    assert getattr(prediction, result).dtype == dtype


# kept features --------------------------------------------------------------------------------------------------------


def cached_batches(name: str) -> tuple[Potential, list[Batch], list[Batch]]:
    """A potential, its batches without and with kept features."""
    potential = network_potential(DESCRIPTORS[name]())
    plain = batches(potential)
    return potential, plain, [potential.with_cache(b, torch.float64) for b in plain]


@cache
def from_kept_features(name: str) -> Prediction:
    potential, _, cached = cached_batches(name)
    return potential(Batch.join(cached))


@each_result
@pytest.mark.parametrize("name", potentials(CACHEABLE))
def test_kept_features_change_nothing(name: str, result: str) -> None:
    same(getattr(from_kept_features(name), result), getattr(together(name), result))


def test_kept_features_are_used() -> None:
    potential, _, (first, *_) = cached_batches(CACHEABLE[0])
    assert first.cached is not None
    first.cached.features.add_(1.0)
    assert abs(float(potential(first).energy - potential.predict(structure(next(iter(SYSTEMS)))).energy)) > 1e-6


def test_a_cached_and_an_uncached_batch_join_to_an_uncached_one() -> None:
    potential, plain, cached = cached_batches(CACHEABLE[0])
    mixed = Batch.join([*cached[:3], *plain[3:]])
    assert mixed.cached is None
    same(potential(mixed).forces, potential(Batch.join(plain)).forces)


def test_joins_of_joined_caches_change_nothing() -> None:
    potential, plain, cached = cached_batches(CACHEABLE[0])
    nested = Batch.join([Batch.join(cached[:4]), *cached[4:]])
    same(potential(nested).forces, potential(Batch.join(plain)).forces)


def test_a_descriptor_with_parameters_to_train_is_not_cacheable() -> None:
    descriptor = acsf()
    descriptor.scale = torch.nn.Parameter(torch.ones(()))
    assert not descriptor.is_cacheable


# sums -----------------------------------------------------------------------------------------------------------------


def short_range(elements: tuple[str, ...]) -> Potential:
    return network_potential(acsf(elements, cutoff=3.0, angular_cutoff=2.5), seed=2)


SUMS = {
    "same elements": (lambda: network_potential(acsf()), lambda: ZBL(ELEMENTS)),
    "another order": (lambda: network_potential(acsf()), lambda: ZBL(ELEMENTS[::-1])),
    "another order, networks": (lambda: short_range(ELEMENTS[::-1]), lambda: network_potential(acsf())),
    "more elements": (lambda: ZBL(("C", *ELEMENTS[::-1], "N")), lambda: network_potential(acsf())),
}


@each_result
@pytest.mark.parametrize("parts", SUMS.values(), ids=SUMS.keys())
def test_a_sum_predicts_the_sum(parts: tuple, result: str) -> None:
    a, b = (make().eval() for make in parts)
    both = (a + b).eval()
    batch = Batch.join(batches(both, ["alloy", "water", "slab"]))
    same(getattr(both(batch), result), getattr(a(batch), result) + getattr(b(batch), result))


def test_a_sum_reaches_as_far_as_the_farther_part() -> None:
    assert (short_range(ELEMENTS) + ZBL(ELEMENTS, cutoff=1.0)).cutoff == 3.0


def test_a_sum_knows_the_elements_that_both_parts_know() -> None:
    assert (ZBL(("Cu", "H", "O")) + ZBL(("O", "Au", "Cu"))).elements == ("Cu", "O")


def test_potentials_without_a_common_element_do_not_add() -> None:
    with pytest.raises(ValueError, match="no element in common"):
        ZBL(("Cu",)) + ZBL(("O",))


def test_a_sum_does_not_depend_on_the_order_of_its_parts() -> None:
    a, b = network_potential(acsf()), ZBL(ELEMENTS)
    forward, backward = ((x + y).eval().predict(structure("alloy")).forces for x, y in ((a, b), (b, a)))
    assert_close(forward, backward, SAME)


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one structure"):
        Batch.join([])

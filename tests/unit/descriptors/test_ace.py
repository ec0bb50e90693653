"""ACE against its NumPy statement."""

import numpy as np
import pytest
import torch
from systems import CUTOFF, ELEMENTS, SYSTEMS, pairs_of, structure

from nnpot.descriptors.ace import ACE
from nnpot.reference.ace import ClusterExpansion, ace_features


def numbers_of(ace: ACE) -> ClusterExpansion:
    """The same expansion for the reference."""
    mixing = {name: w.detach().numpy() for name, w in ace.mixing.items()}
    weights = ace.channel_weights.detach().numpy()
    elements = ace.element_weights.detach().numpy()
    return ClusterExpansion(ace.cutoff, ace.l_max, ace.body_order, ace.density_scale, elements, weights, **mixing)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(("body_order", "l_max"), [(2, 0), (3, 2), (4, 3), (5, 3), (5, 4)])
def test_features_are_those_of_the_formulas(system: str, body_order: int, l_max: int) -> None:
    ace = ACE(CUTOFF, ELEMENTS, channels=3, n_radial=4, l_max=l_max, body_order=body_order).double()
    pairs = pairs_of(structure(system))
    arrays = (a.numpy() for a in (pairs.r_ij, pairs.pair_i, pairs.pair_j, pairs.species))
    # sums of some hundred terms in another order
    np.testing.assert_allclose(ace(pairs).detach().numpy(), ace_features(numbers_of(ace), *arrays), atol=1e-12)


@pytest.mark.parametrize("element_channels", [1, 3, 6])
def test_features_with_learned_element_channels(element_channels: int) -> None:
    ace = ACE(CUTOFF, ELEMENTS, channels=3, n_radial=4, l_max=2, element_channels=element_channels).double()
    pairs = pairs_of(structure("triclinic"))
    arrays = (a.numpy() for a in (pairs.r_ij, pairs.pair_i, pairs.pair_j, pairs.species))
    np.testing.assert_allclose(ace(pairs).detach().numpy(), ace_features(numbers_of(ace), *arrays), atol=1e-12)


def test_many_elements_share_a_few_learned_channels() -> None:
    few, many = ACE(elements=("H", "C", "N", "O", "F")), ACE(elements=("H", "C", "N", "O", "F", "S"))
    assert few.element_weights.shape == (5, 5)
    assert not few.element_weights.requires_grad
    assert many.element_weights.shape == (6, 4)
    assert many.element_weights.requires_grad


@pytest.mark.parametrize(("elements", "channels"), [(0, 6), (1, 6), (3, 6), (4, 12), (5, 12), (8, 6)])
def test_automatic_channels_follow_the_elements(elements: int, channels: int) -> None:
    symbols = ("H", "C", "N", "O", "F", "P", "S", "Cl")[:elements]
    assert ACE(elements=symbols, channels="auto", n_radial=3).channels == channels


@pytest.mark.parametrize("body_order", [2, 3, 4, 5])
def test_the_number_of_features_is_told(body_order: int) -> None:
    ace = ACE(CUTOFF, ELEMENTS, channels=5, body_order=body_order).double()
    assert ace(pairs_of(structure("water"))).shape == (3, ace.n_features)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cutoff": 0.0}, "cutoff must be positive"),
        ({"l_max": 5}, "l_max must lie in"),
        ({"body_order": 6}, "body_order must lie in"),
        ({"element_channels": 0}, "element_channels must be positive"),
        ({"channels": 0}, "channels, n_radial, neighbors must be positive"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ACE(elements=("Cu",), **arguments)


def test_all_weights_get_a_gradient() -> None:
    ace = ACE(CUTOFF, ELEMENTS, channels=3, n_radial=3).double()
    batch = [pairs_of(structure(name)) for name in ("water", "alloy", "triclinic")]
    sum(ace(pairs).square().sum() for pairs in batch).backward()
    assert all(bool((p.grad != 0).any()) and bool(torch.isfinite(p.grad).all()) for p in ace.parameters())

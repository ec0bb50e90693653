"""ACE against its NumPy statement."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from ase.build import molecule
from systems import CUTOFF, ELEMENTS, SYSTEMS, pairs_of, rattled, structure

from nnpot.descriptors.ace import ACE
from nnpot.descriptors.neighborhood import Neighborhood
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.tape import Tape
from nnpot.neighbors import single_batch
from nnpot.reference.ace import ace_features
from nnpot.reference.reading import cluster_expansion
from nnpot.structure import Structure


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(("body_order", "l_max"), [(2, 0), (3, 2), (4, 3), (5, 3), (5, 4)])
def test_features_are_those_of_the_formulas(system: str, body_order: int, l_max: int) -> None:
    ace = ACE(CUTOFF, ELEMENTS, channels=3, n_radial=4, l_max=l_max, body_order=body_order).double()
    pairs = pairs_of(structure(system))
    arrays = (a.numpy() for a in (pairs.r_ij, pairs.pair_i, pairs.pair_j, pairs.species))
    # sums of some hundred terms in another order
    np.testing.assert_allclose(ace(pairs).detach().numpy(), ace_features(cluster_expansion(ace), *arrays), atol=1e-12)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weighted_cutoff": 2.5, "body_order": 3, "weighted_layers": 3},
        {"element_channels": 2, "l_max": 4, "weighted_units": 1, "weighted_layers": 2},
    ],
    ids=str,
)
def test_features_with_second_densities(system: str, changes: dict[str, Any]) -> None:
    arguments = {"channels": 3, "n_radial": 4, "l_max": 2, "weighted_channels": 3, "weighted_units": 4, **changes}
    ace = ACE(CUTOFF, ELEMENTS, **arguments).double()
    with torch.no_grad():
        for layer, second in enumerate(ace.weighted):
            second.input_scale.uniform_(0.01 * 100**layer, 0.1 * 100**layer)  # later ones see larger numbers
        for weights in ace.parameters():
            weights.copy_(torch.randn_like(weights))  # biases too
    pairs = pairs_of(structure(system))
    arrays = (a.numpy() for a in (pairs.r_ij, pairs.pair_i, pairs.pair_j, pairs.species))
    np.testing.assert_allclose(
        ace(pairs).detach().numpy(), ace_features(cluster_expansion(ace), *arrays), rtol=1e-10, atol=1e-12
    )


def test_inputs_of_the_weighted_density_are_scaled_by_their_spread_in_training() -> None:
    atoms = [rattled(SYSTEMS["alloy"](), 0.3, seed) for seed in range(4)]
    structures = [Structure.from_ase(a) for a in atoms]
    before = ACE(CUTOFF, (), channels=3, n_radial=4, l_max=2, weighted_channels=3, weighted_layers=2)
    fitted = before.fitted(structures)
    again = copy.deepcopy(fitted).double()
    for layer, (second, as_fitted) in enumerate(zip(again.weighted, fitted.weighted, strict=True)):
        assert as_fitted.input_scale.dtype == torch.float32
        inputs = []
        for s in structures:
            pairs = single_batch(s, CUTOFF).pairs(fitted.elements)
            near, rows = Neighborhood.of(pairs, again.weighted.basis), ElementBlocks.of_centers(pairs, 2, torch.float64)
            density = again.record(Tape(pairs.r_ij, is_trained=False), pairs).tensor
            functions = (near.harmonics, near.by_element(pairs, again.element_weights, near.values), near.envelope)
            radial, directions = second.inputs(density[:, :, : 8 + 3 * layer], functions, rows)
            chosen = pairs.center_species[pairs.pair_i] == 0
            inputs.append(near.table.of_pairs(torch.cat([radial, directions], dim=2))[chosen])
        spread = torch.cat(inputs).std(dim=0, correction=0)
        for scale, of_kind in zip(second.input_scale[0].split([8, 3, 3, 3]), spread.split([8, 3, 3, 3]), strict=True):
            torch.testing.assert_close(scale, of_kind.max().expand_as(scale), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("systems", "columns"),
    [(("peroxide", "dimer"), 16), (("water", "dimer"), 0), (("peroxide", "slab"), 0), (("alloy",), 0)],
)
@pytest.mark.parametrize("elements", [(), ELEMENTS], ids=["open", "given"])
def test_only_molecules_of_more_than_three_atoms_get_a_weighted_density_by_themselves(
    systems: tuple[str, ...], columns: int, elements: tuple[str, ...]
) -> None:
    descriptor = ACE(CUTOFF, elements, channels=3, n_radial=4, l_max=2, weighted_channels="auto")
    assert len(descriptor.weighted) == 0
    peroxide = Structure.from_ase(molecule("H2O2"), name="peroxide")
    structures = [peroxide if name == "peroxide" else structure(name) for name in systems]
    fitted = descriptor.fitted(structures)
    assert fitted.arguments["weighted_channels"] == columns
    assert (len(fitted.weighted) == 0) == (columns == 0)
    assert fitted.fitted(structures[:1]).arguments["weighted_channels"] == columns, "chosen anew"


@pytest.mark.parametrize("element_channels", [1, 3, 6])
def test_features_with_learned_element_channels(element_channels: int) -> None:
    ace = ACE(CUTOFF, ELEMENTS, channels=3, n_radial=4, l_max=2, element_channels=element_channels).double()
    pairs = pairs_of(structure("triclinic"))
    arrays = (a.numpy() for a in (pairs.r_ij, pairs.pair_i, pairs.pair_j, pairs.species))
    np.testing.assert_allclose(ace(pairs).detach().numpy(), ace_features(cluster_expansion(ace), *arrays), atol=1e-12)


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
        ({"channels": 0}, "channels must be positive, got 0"),
        ({"weighted_channels": -1}, "weighted_channels must not be negative"),
        ({"weighted_channels": 2, "weighted_units": 0}, "weighted_units must be positive, got 0"),
        ({"weighted_channels": 2, "weighted_layers": 0}, "weighted_layers must be positive, got 0"),
        ({"weighted_channels": 2, "weighted_cutoff": 6.0}, "weighted_cutoff must be positive and at most the cutoff"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ACE(elements=("Cu",), **arguments)


@pytest.mark.parametrize(("weighted_channels", "weighted_layers"), [(0, 1), (3, 1), (3, 3)])
def test_all_weights_get_a_gradient(weighted_channels: int, weighted_layers: int) -> None:
    seconds = {"weighted_channels": weighted_channels, "weighted_layers": weighted_layers}
    ace = ACE(CUTOFF, ELEMENTS, channels=3, n_radial=3, **seconds).double()
    batch = [pairs_of(structure(name)) for name in ("water", "alloy", "triclinic")]
    sum(ace(pairs).square().sum() for pairs in batch).backward()
    assert all(bool((p.grad != 0).any()) and bool(torch.isfinite(p.grad).all()) for p in ace.parameters())

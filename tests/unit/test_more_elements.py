"""A potential that learns further elements: nothing is lost, and each begins as the known one that is most like it."""

import itertools

import pytest
import torch
from ase import Atoms
from ase.build import bulk
from systems import ELEMENTS, ace, acsf, core, listed_acsf, network_potential, rattled

from nnpot.descriptors import Descriptor
from nnpot.elements import most_like
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.structure import Structure
from nnpot.training.core import Distances

KINDS = {
    "a density for each element": {},
    "weighted densities": {"weighted_channels": 2, "weighted_layers": 2, "weighted_units": 5},
    "trained densities": {"element_channels": 2, "weighted_channels": 2, "weighted_units": 5},
}


def potential(kind: str, **changes: object) -> NeuralNetworkPotential:
    """A potential with random numbers everywhere, in the scales of weighted densities as well."""
    descriptor = ace(**KINDS[kind])
    made = network_potential(descriptor, **changes)
    for name, buffer in made.named_buffers():
        if name.endswith("input_scale"):
            torch.nn.init.uniform_(buffer, 0.5, 2.0)
    return made


def results(of: Potential, atoms: Atoms) -> tuple[torch.Tensor, ...]:
    """Energy, forces and charges, if there are any."""
    prediction = of.predict(Structure.from_ase(atoms))
    return tuple(prediction.labels[name] for name in sorted(prediction.labels) if name not in ("stress", "dipole"))


def alloy(*symbols: str) -> Atoms:
    """Eight atoms of an alloy."""
    atoms = rattled(bulk("Cu", cubic=True).repeat((2, 1, 1)))
    atoms.symbols[:] = list(itertools.islice(itertools.cycle(symbols), len(atoms)))
    return atoms


@pytest.mark.parametrize("new", [("Ag",), ("Ag", "S", "Li")], ids=["five", "too many for densities of their own"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_known_stays_and_a_new_element_counts_as_the_one_like_it(kind: str, new: tuple[str, ...]) -> None:
    old = potential(kind, heads=("charges",))
    more = old.with_elements(new)
    assert more.elements == (*ELEMENTS, *new)
    assert (more.dtype_and_device(), more.training) == (old.dtype_and_device(), False)
    for first, like in (("Au", "Au"), ("Ag", most_like("Ag", ELEMENTS))):
        found, expected = results(more, alloy("Cu", first, "O")), results(old, alloy("Cu", like, "O"))
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_element_learns_by_itself(kind: str) -> None:
    more = potential(kind).with_elements(["Ag"]).train()
    for symbols, place, other in ((("Cu", "Au"), 3, 4), (("Cu", "Ag"), 4, 3)):
        more.zero_grad()
        more(single_batch(Structure.from_ase(alloy(*symbols)), more.cutoff)).energy.sum().backward()
        slopes = more.descriptor.get_parameter("channel_weights").grad
        assert slopes is not None
        assert float(slopes[place].abs().max()) > 0
        assert float(slopes[other].abs().max()) == 0


@pytest.mark.parametrize("descriptor", [acsf(), listed_acsf()], ids=lambda d: type(d).__name__)
def test_functions_for_given_elements_cannot_be_kept(descriptor: Descriptor) -> None:
    with pytest.raises(ValueError, match=r"cannot learn further elements .*train a new one"):
        network_potential(descriptor).with_elements(["Ag"])


@pytest.mark.parametrize(
    ("element", "known", "like"),
    [
        ("Au", ("Ni", "Pt", "Cu"), "Cu"),
        ("Si", ("O", "H", "C"), "C"),
        ("Pd", ("Cu", "Au", "Li"), "Au"),
        ("Zr", ("Hf", "Nb", "Y"), "Hf"),
        ("He", ("H", "Ne"), "Ne"),
        ("H", ("Li", "F"), "Li"),
        ("Al", ("Ga", "Mg"), "Ga"),
        ("Ce", ("La", "Zr"), "La"),
        ("U", ("Nd", "Au"), "Nd"),
    ],
)
def test_elements_of_a_group_are_alike_then_those_of_a_size(element: str, known: tuple[str, ...], like: str) -> None:
    assert most_like(element, known) == like


def test_a_core_of_fewer_elements_is_kept_where_it_says_something() -> None:
    structures = [Structure.from_ase(alloy("Cu", "Ag"))]
    alone = Distances.of(structures, (*ELEMENTS, "Ag"), 3.6)
    both = alone.within(core())
    before = torch.tensor(core().distances, dtype=torch.float64)
    cu, au, ag = 2, 3, 4
    assert both.d[cu, cu] == min(alone.d[cu, cu], before[cu, cu])
    assert both.d[cu, au] == before[cu, au]
    assert both.d[ag, cu] == both.d[cu, ag] == alone.d[cu, ag]
    assert both.d[ag, au] == alone.d[ag, au]
    assert both.known[:4, :4].all()
    assert both.known[ag].tolist() == [False, False, True, False, True]

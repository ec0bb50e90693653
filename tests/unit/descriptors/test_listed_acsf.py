"""Listed symmetry functions against NumPy, against the ACSF they come from, and what the constructor refuses."""

from itertools import combinations

import numpy as np
import pytest
import torch
from ase.data import atomic_numbers
from numpy.typing import NDArray
from proofs import assert_close
from systems import CUTOFF, ELEMENTS, SYSTEMS, acsf, compact_acsf, listed_acsf, pairs_of, structure

from nnpot import reference
from nnpot.batch import Pairs
from nnpot.descriptors import ACSF, ListedACSF, ListedFunction
from nnpot.functional.cutoffs import STEEP
from nnpot.functional.tape import Tape
from nnpot.reference.acsf_terms import g4_term, g5_term, radial_factor
from nnpot.reference.cutoffs import with_inner_radius
from nnpot.reference.reading import environment
from nnpot.spec import build, to_spec

pytestmark = pytest.mark.usefixtures("double")

SAME = 1e-12
"""The same terms in float64, summed in another order."""

Array = NDArray[np.float64]


def weight_of(function: ListedFunction, neighbors: tuple[str, ...]) -> int:
    """Factor of a neighbour or of two, 0 if they are of other elements."""
    if not function.neighbors:
        return int(np.prod([atomic_numbers[e] for e in neighbors]))
    return int(sorted(function.neighbors) == sorted(neighbors))


CORES = {
    "cubic": lambda x: (2 * x - 3) * x**2 + 1,
    "polynomial": lambda x: ((15 - 6 * x) * x - 10) * x**3 + 1,
    "septic": lambda x: (x * (x * (20 * x - 70) + 84) - 35) * x**4 + 1,
    "nonic": lambda x: (x * (x * ((315 - 70 * x) * x - 540) + 420) - 126) * x**5 + 1,
    "exponential": lambda x: np.exp(1 - 1 / (1 - x**2)),
}


def compact(shape: str, left: float, right: float, x: float) -> float:
    """The compact functions of n2p2: 1 in the middle, 0 at both ends."""
    y = abs(x - (left + right) / 2) / ((right - left) / 2)
    return float(CORES[shape](y)) if y < 1 else 0.0


def compact_by_numpy(descriptor: ListedACSF, pairs: Pairs) -> Array:
    """Values of compact functions, shape (N, D), function by function; 0 for others."""
    env = environment(pairs)
    symbol = [descriptor.elements[s] for s in env.species]
    values = np.zeros((len(symbol), descriptor.n_features))
    for i, center in enumerate(symbol):
        vectors = [(env.r_ij[p], symbol[env.pair_j[p]]) for p in np.flatnonzero(env.pair_i == i)]
        for d, f in enumerate(descriptor.functions_of(center)):
            left, *angles = f.parameters
            if f.kind == "C2":
                terms = [weight_of(f, (e,)) * compact(f.shape, left, f.cutoff, np.linalg.norm(v)) for v, e in vectors]
                values[i, d] = sum(terms)
            elif f.kind[0] == "C":
                for (v, e), (w, g) in combinations(vectors, 2):
                    sides = [np.linalg.norm(v), np.linalg.norm(w), np.linalg.norm(w - v)]
                    angle = np.degrees(np.arccos(np.clip(v @ w / (sides[0] * sides[1]), -1, 1)))
                    used = sides if f.kind == "C4" else sides[:2]
                    factors = [compact(f.shape, left, f.cutoff, r) for r in used]
                    values[i, d] += weight_of(f, (e, g)) * np.prod(factors) * compact(f.shape, *angles, angle)
    return values


def by_numpy(descriptor: ListedACSF, pairs: Pairs) -> tuple[Array, Array]:
    """Values, shape (N, D), and derivatives with respect to the pair vectors, shape (P, D, 3), function by function."""
    env = environment(pairs)
    cutoff = with_inner_radius(reference.CUTOFFS[descriptor.cutoff_function], descriptor.inner_fraction)
    symbol = [descriptor.elements[s] for s in env.species]
    values = np.zeros((len(symbol), descriptor.n_features))
    slopes = np.zeros((len(env.r_ij), descriptor.n_features, 3))
    for i, center in enumerate(symbol):
        members = np.flatnonzero(env.pair_i == i).tolist()
        for d, f in enumerate(descriptor.functions_of(center)):
            if f.kind == "G2":
                for p in members:
                    r = np.linalg.norm(env.r_ij[p])
                    weight = weight_of(f, (symbol[env.pair_j[p]],))
                    value, slope = radial_factor(cutoff, f.cutoff, r, *f.parameters)
                    values[i, d] += weight * value
                    slopes[p, d] += weight * slope * env.r_ij[p] / r
                continue
            term = g4_term if f.kind == "G4" else g5_term
            for p, q in combinations(members, 2):
                weight = weight_of(f, (symbol[env.pair_j[p]], symbol[env.pair_j[q]]))
                value, by_p, by_q = term(cutoff, f.cutoff, env.r_ij[p], env.r_ij[q], f.parameters)
                values[i, d] += weight * value
                slopes[p, d] += weight * by_p
                slopes[q, d] += weight * by_q
    return values, slopes


LISTS = {
    "cosine": listed_acsf,
    "nonic with an inner radius": lambda: listed_acsf(cutoff_function="nonic", inner_fraction=0.3),
}


@pytest.mark.parametrize("system", ["dimer", "collinear", "water", "alloy", "triclinic"])
@pytest.mark.parametrize("name", LISTS)
def test_values_and_derivatives_are_those_of_numpy(name: str, system: str) -> None:
    descriptor, pairs = LISTS[name](), pairs_of(structure(system))
    values, slopes = by_numpy(descriptor, pairs)
    assert_close(descriptor(pairs), values, SAME)
    assert_close(descriptor.jacobian(pairs), slopes, SAME)


def without_others(descriptor: ListedACSF) -> ListedACSF:
    return ListedACSF(ELEMENTS, tuple(f for f in descriptor.functions if f.kind[0] == "C"))


@pytest.mark.parametrize("system", ["dimer", "collinear", "water", "alloy", "triclinic", "primitive cell"])
def test_compact_functions_are_those_of_numpy(system: str) -> None:
    descriptor, pairs = without_others(compact_acsf()), pairs_of(structure(system))
    assert_close(descriptor(pairs), compact_by_numpy(descriptor, pairs), SAME)


@pytest.mark.parametrize("angles", [(-70.0, 70.0), (120.0, 240.0)], ids=["about 0°", "about 180°"])
@pytest.mark.parametrize("shape", CORES)
def test_compact_functions_of_angles_about_the_ends(shape: str, angles: tuple[float, float]) -> None:
    function = ListedFunction("Cu", "C5", ("Cu", "Cu"), CUTOFF, (-CUTOFF, *angles), shape)
    others = [ListedFunction(e, "C2", (), CUTOFF, (0.0,), shape) for e in ELEMENTS if e != "Cu"]
    descriptor, pairs = ListedACSF(ELEMENTS, (function, *others)), pairs_of(structure("slab"))
    wanted = compact_by_numpy(descriptor, pairs)
    assert_close(descriptor(pairs), wanted, SAME, scale=1.0)
    assert abs(wanted).max() > 1e-3


@pytest.mark.parametrize("system", ["dimer", "water", "alloy", "triclinic"])
def test_derivatives_of_compact_functions_are_those_of_autograd(system: str) -> None:
    descriptor, pairs = compact_acsf(), pairs_of(structure(system))
    r_ij = pairs.r_ij.clone().requires_grad_()
    features = descriptor(Pairs(r_ij, pairs.pair_i, pairs.pair_j, pairs.species))
    weights = torch.randn(features.shape)
    (wanted,) = torch.autograd.grad(features, r_ij, weights)
    actual = torch.einsum("pd,pdx->px", weights[pairs.pair_i], descriptor.jacobian(pairs))
    assert_close(actual, wanted, SAME)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("selected", [(), (3, 0, 7, 30)], ids=["all", "some"])
def test_the_functions_of_an_acsf_listed_one_by_one_are_the_same(system: str, selected: tuple[int, ...]) -> None:
    original, pairs = acsf(g3=(), selected=selected), pairs_of(structure(system))
    assert_close(ListedACSF.of(original)(pairs), original(pairs), SAME)


@pytest.mark.parametrize("inner_fraction", [0.0, 0.2])
@pytest.mark.parametrize("name", ["cosine", "tanh3", "septic"])
def test_a_list_keeps_the_cutoff_function_of_an_acsf(name: str, inner_fraction: float) -> None:
    original = acsf(g3=(), cutoff_function=name, inner_fraction=0.0 if name in STEEP else inner_fraction)
    pairs = pairs_of(structure("alloy"))
    assert_close(ListedACSF.of(original)(pairs), original(pairs), SAME)


def test_g3_cannot_be_listed() -> None:
    with pytest.raises(ValueError, match=r"G3 = .* cannot be listed; leave g3 empty"):
        ListedACSF.of(acsf())


def test_features_beyond_those_of_an_element_are_zero() -> None:
    descriptor, pairs = listed_acsf(), pairs_of(structure("alloy"))
    gold = pairs.species == ELEMENTS.index("Au")
    assert (descriptor.n_features, len(descriptor.functions_of("Au"))) == (5, 1)
    assert torch.equal(descriptor(pairs)[gold, 1:], torch.zeros(2, 4))


def test_any_number_of_shells_is_compiled() -> None:
    shells = [ListedFunction("Cu", "G4", ("Cu", "Cu"), CUTOFF, (0.02 * k, 1.0, 1.0, 0.0)) for k in range(40)]
    descriptor = ListedACSF(("Cu",), tuple(shells))
    pairs = pairs_of(structure("primitive cell"))
    copper = Pairs(pairs.r_ij, pairs.pair_i, pairs.pair_j, torch.zeros_like(pairs.species))
    compiled = descriptor.kernel(copper)
    if compiled is None:
        pytest.skip("no C++ compiler")
    assert_close(compiled.outputs[0], descriptor(copper), SAME)


def test_a_list_is_rebuilt_from_its_description() -> None:
    rebuilt, pairs = build(to_spec(listed_acsf())), pairs_of(structure("alloy"))
    assert torch.equal(rebuilt(pairs), listed_acsf()(pairs))


@pytest.mark.parametrize(
    ("changes", "same"), [({}, True), ({"inner_fraction": 0.1}, False), ({"cutoff_function": "tanh3"}, False)]
)
def test_equal_lists_share_their_functions_in_a_committee(changes: dict[str, object], same: bool) -> None:
    pairs = pairs_of(structure("alloy"))
    tape = Tape(pairs.r_ij, is_trained=False)
    first, second = (descriptor.record(tape, pairs) for descriptor in (listed_acsf(), listed_acsf(**changes)))
    assert (first == second) is same


# complaints -----------------------------------------------------------------------------------------------------------

RADIAL = ListedFunction("Cu", "G2", ("Cu",), 4.0, (0.1, 0.0))
COMPACT = ListedFunction("Cu", "C5", ("Cu", "Cu"), 4.0, (1.0, 60.0, 120.0), "cubic")
REFUSED = {
    "kind": (RADIAL._replace(kind="G3"), "kind of a symmetry function must be G2, G4, G5, C2, C4, C5, got 'G3'"),
    "center": (RADIAL._replace(center="O"), "names O, but the elements are Cu"),
    "neighbor": (RADIAL._replace(neighbors=("H",)), "names H, but the elements are Cu"),
    "number of neighbors": (RADIAL._replace(neighbors=("Cu", "Cu")), "G2 needs 1 neighbours, or none for all"),
    "parameters": (RADIAL._replace(parameters=(0.1,)), "G2 needs eta, r_s, got 1 numbers"),
    "cutoff": (RADIAL._replace(cutoff=0.0), "cutoff must be positive"),
    "shape": (COMPACT._replace(shape="tanh3"), "shape of a compact function must be one of cubic, .* got 'tanh3'"),
    "interval": (COMPACT._replace(cutoff=0.5), "an interval of distances, got 1.0 … 0.5 Å"),
    "angles": (COMPACT._replace(parameters=(1.0, 90.0, 30.0)), "an interval of angles .* got 90.0 … 30.0"),
    "angles about nothing": (COMPACT._replace(parameters=(1.0, -10.0, 30.0)), "an interval of angles .* got -10.0"),
    "angles beyond": (COMPACT._replace(parameters=(1.0, 10.0, 190.0)), "an interval of angles .* got 10.0 … 190.0"),
    "eta": (RADIAL._replace(parameters=(-0.1, 0.0)), "eta of a symmetry function must not be negative"),
}


@pytest.mark.parametrize(("function", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_senseless_functions_are_refused(function: ListedFunction, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ListedACSF(("Cu",), (RADIAL, function))


def test_an_element_without_functions_is_refused() -> None:
    with pytest.raises(ValueError, match="no symmetry function for the atoms of O, Au"):
        ListedACSF(("O", "Cu", "Au"), (RADIAL,))


def test_an_acsf_without_functions_cannot_be_listed() -> None:
    with pytest.raises(ValueError, match="no symmetry function for the atoms of Cu"):
        ListedACSF.of(ACSF(4.0, ("Cu",)))

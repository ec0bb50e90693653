"""All operators of compiled code, see `signatures.py` for how to read it.

Shapes are written with the letters' full names: `n_radial` functions k of the distance, `n_weights` columns q of the
elements, `l_max` the highest degree of the spherical harmonics lm, of which there are (l_max + 1)².
"""

from nnpot.native.signatures import Family, Operator

_PAIRS = """\
vectors: real[n_pairs, 3]
starts: int64[n_centers + 1]
neighbors: int64[n_pairs]
species: int64[n_atoms]"""

GRADIENTS = """\
places: int32[n_entries, 3]
coefficients: float64[n_entries]
n_entries: int"""

_HARMONICS = "(l_max + 1) * (l_max + 1)"

DENSITY = Family(
    "density",
    ("n_centers", "n_pairs", "n_atoms"),
    f"""\
{_PAIRS}
weights: real[n_elements, n_weights]
n_elements: int
n_weights: int
cutoff: float
n_radial: int
l_max: int""",
    {"n_radial": 32, "l_max": 4},
)
"""A_i,lm,(q,k) = Σ_j w_sq R_k(r_ij) Y_lm(r̂_ij), s the element of neighbour j."""

ACSF = Family(
    "acsf",
    ("n_centers", "n_pairs", "n_atoms", "n_sizes", "n_numbers"),
    f"""\
{_PAIRS}
sizes: int64[n_sizes]
numbers: float64[n_numbers]
n_functions: int""",
    {},
)
"""Symmetry functions, of which `sizes` and `numbers` say which there are (`functional/symmetry_functions.py`)."""

NETWORKS = Family(
    "networks",
    ("n_atoms", "n_features", "n_weights"),
    """\
features: real[n_atoms, n_features]
species: int64[n_atoms]
mean: real[n_elements, n_features]
inverse: real[n_elements, n_features]
weights: real[n_weights]
sizes: int64[n_layers + 1]
functions: int64[n_layers - 1]
n_elements: int
n_layers: int
linear: int""",
    {"linear": 1},
)
"""One network for each element; `weights` of all elements, one after the other (`functional/networks.py`)."""

UNCERTAINTY = Family(
    "uncertainty",
    ("n_atoms", "width"),
    """\
hidden: real[n_atoms, width]
species: int64[n_atoms]
table: real[n_elements, width + 1, clusters * directions + width + 1]
n_elements: int
clusters: int
directions: int""",
    {},
)
"""What is unknown of atoms, from the last hidden layer of their networks (`nnpot/uncertainty.py`)."""

_OF_MIXING = "(l_max + 1), n_channels, n_channels"

INVARIANTS = Family(
    "invariants",
    ("n_atoms",),
    f"""\
values: real[n_atoms, {_HARMONICS}, n_in]
species: int64[n_atoms]
channels: real[n_elements, l_max + 1, n_in, n_channels]
pair: real[(body_order > 2) * {_OF_MIXING}]
product: real[(body_order > 3) * {_OF_MIXING}]
product_pair: real[(body_order > 4) * {_OF_MIXING}]
n_elements: int
n_in: int
n_channels: int
body_order: int
l_max: int""",
    {"body_order": 5, "l_max": 4},
)
"""Invariants of the atomic cluster expansion of a density (`functional/invariants.py`)."""

_FEATURES = "n_atoms, n_channels * (1 + (body_order - 2) * (l_max + 1))"

WEIGHTED_DENSITY = Family(
    "weighted_density",
    ("n_centers", "n_pairs", "n_atoms"),
    f"""\
{_PAIRS}
centers: int64[n_centers]
element_weights: real[n_elements, n_weights]
density_of_atoms: real[n_centers, {_HARMONICS}, n_seen]
projection: real[n_elements, l_max + 1, n_seen, n_channels]
hidden: real[n_elements, n_units, n_weights * n_radial + (l_max + 1) * n_channels + 1]
outer: real[n_elements, n_channels, n_units + 1]
n_elements: int
n_weights: int
cutoff: float
n_radial: int
l_max: int
n_seen: int
n_channels: int
n_units: int
{GRADIENTS}""",
    {"n_radial": 32, "l_max": 4},
)
"""A density whose neighbours are weighted by a network (`functional/weighted_density.py`)."""

_SECOND = f"n_centers, {_HARMONICS}, n_channels"
_BY_DENSITY = f"n_centers * {_HARMONICS} * n_seen"
_BY_WEIGHTS = (
    "n_elements * ((l_max + 1) * n_seen * n_channels + "
    "n_units * (n_weights * n_radial + (l_max + 1) * n_channels + 1) + n_channels * (n_units + 1))"
)

FORCES = Family(
    "forces",
    ("n_pairs",),
    """\
gradient: real[n_pairs, 3]
i: int64[n_pairs]
j: int64[n_pairs]
n_atoms: int""",
    {},
)
"""F_k = Σ_(i=k) g_ij − Σ_(j=k) g_ij."""

CORE = Family(
    "core",
    ("n_centers", "n_pairs", "n_atoms"),
    f"""\
{_PAIRS}
centers: int64[n_centers]
table: float64[3, n_elements, n_elements]
n_elements: int""",
    {},
)
"""Vectors that are not shorter than d, and the repulsion of those that were (`functional/core.py`)."""

_LENGTHENED = "real[3 * n_pairs + n_centers]"

_ALL = (
    Operator("density", DENSITY, "", f"real[n_centers, {_HARMONICS}, n_weights * n_radial]"),
    Operator(
        "density_tangent",
        DENSITY,
        f"{GRADIENTS}\ndirection: real[n_pairs, 3]",
        f"real[n_centers, {_HARMONICS}, n_weights * n_radial]",
    ),
    Operator(
        "density_pullback",
        DENSITY,
        f"{GRADIENTS}\nbar: real[n_centers, {_HARMONICS}, n_weights * n_radial]",
        "real[n_pairs, 3]",
        is_zero=True,
    ),
    Operator("acsf", ACSF, "", "real[n_centers, n_functions]"),
    Operator("acsf_tangent", ACSF, "direction: real[n_pairs, 3]", "real[n_centers, n_functions]"),
    Operator("acsf_pullback", ACSF, "bar: real[n_centers, n_functions]", "real[n_pairs, 3]", is_zero=True),
    Operator("networks", NETWORKS, "", "real[n_atoms * (n_features + 1)]"),
    Operator("networks_with_hidden", NETWORKS, "n_hidden: int", "real[n_atoms * (n_features + 1 + n_hidden)]"),
    Operator(
        "networks_gradient",
        NETWORKS,
        "h_bar: real[n_atoms]\ndirection: real[n_atoms, n_features]",
        "real[n_atoms * n_features + n_weights]",
    ),
    Operator("uncertainty", UNCERTAINTY, "", "real[n_atoms * (width + 3)]"),
    Operator("invariants", INVARIANTS, "", f"real[{_FEATURES}]"),
    Operator("invariants_tangent", INVARIANTS, f"direction: real[n_atoms, {_HARMONICS}, n_in]", f"real[{_FEATURES}]"),
    Operator(
        "invariants_pullback", INVARIANTS, f"features_bar: real[{_FEATURES}]", f"real[n_atoms, {_HARMONICS}, n_in]"
    ),
    Operator(
        "invariants_gradient",
        INVARIANTS,
        f"""\
with_values: int
direction: real[n_atoms, {_HARMONICS}, n_in]
features_bar: real[{_FEATURES}]
tangent_bar: real[{_FEATURES}]""",
        f"real[(l_max + 1) * n_channels * (n_elements * n_in + (body_order - 2) * n_channels)"
        f" + (with_values != 0) * n_atoms * {_HARMONICS} * n_in]",
    ),
    Operator("weighted_density", WEIGHTED_DENSITY, "", f"real[{_SECOND}]"),
    Operator(
        "weighted_density_pullback",
        WEIGHTED_DENSITY,
        f"bar: real[{_SECOND}]",
        f"real[3 * n_pairs + {_BY_DENSITY}]",
        is_zero=True,
    ),
    Operator(
        "weighted_density_gradient", WEIGHTED_DENSITY, f"bar: real[{_SECOND}]", f"real[{_BY_DENSITY} + {_BY_WEIGHTS}]"
    ),
    Operator(
        "weighted_density_pullback_gradient",
        WEIGHTED_DENSITY,
        f"""\
bar: real[{_SECOND}]
vectors_change: real[n_pairs, 3]
density_change: real[n_centers, {_HARMONICS}, n_seen]""",
        f"real[{_SECOND.replace(', ', ' * ')} + {_BY_DENSITY} + {_BY_WEIGHTS}]",
    ),
    Operator("forces", FORCES, "", "real[n_atoms, 3]", is_zero=True),
    Operator("core", CORE, "", _LENGTHENED),
    Operator("core_reach", CORE, "", "real[1]"),
    Operator("core_tangent", CORE, "direction: real[n_pairs, 3]", _LENGTHENED),
    Operator("core_pullback", CORE, f"bar: {_LENGTHENED}", "real[n_pairs, 3]"),
)

OPERATORS = {operator.name: operator for operator in _ALL}
"""Operators by name."""
FAMILIES = {operator.family.name: operator.family for operator in _ALL}
"""By name."""

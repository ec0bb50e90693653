"""The operators of compiled code by tensor operations, from the same arguments, and arguments to try them with."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from systems import CUTOFF, ELEMENTS, SYSTEMS, core, pairs_of, structure
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.descriptors import ACSF
from nnpot.functional import activations
from nnpot.functional.core import CorePairs, lengthened
from nnpot.functional.cutoffs import CUTOFFS, STEEP
from nnpot.functional.harmonics import degrees, mean_over_m, nonzero_gradients, product, spherical_harmonics
from nnpot.functional.networks import COMPILED
from nnpot.functional.radial import bessel_basis
from nnpot.functional.segment import segment_sum
from nnpot.functional.symmetry_functions import KINDS, AngularFamily, FunctionTable
from nnpot.native.table import OPERATORS

Arguments = tuple[Any, ...]

# by tensors -----------------------------------------------------------------------------------------------------------


def calculated(name: str, arguments: Sequence[Any]) -> Tensor:
    """Return the result of an operator, in float64."""
    given = [
        x.detach().resolve_neg().double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in arguments
    ]
    return _BY_TENSORS[name](dict(zip((a.name for a in OPERATORS[name].arguments), given, strict=True)))


def _centers(g: dict[str, Any]) -> Tensor:
    starts: Tensor = g["starts"]
    return torch.repeat_interleave(torch.arange(len(starts) - 1), starts.diff())


def _core(g: dict[str, Any], vectors: Tensor) -> Tensor:
    pairs = Pairs(vectors, _centers(g), g["neighbors"], g["species"], g["centers"])
    return _flat(lengthened(pairs, g["table"]))


def _functions(g: dict[str, Any], vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Y_lm, e_q R_k and f_c of all pairs, 0 beyond the cutoff."""
    near = vectors.detach().square().sum(dim=1) < g["cutoff"] ** 2
    v = torch.where(near.unsqueeze(dim=1), vectors, torch.full_like(vectors, g["cutoff"]))
    r = v.square().sum(dim=1, keepdim=True).sqrt()
    weights = g.get("element_weights", g.get("weights"))[g["species"][g["neighbors"]]]
    values = bessel_basis(r, g["cutoff"], g["n_radial"])[0] * near.unsqueeze(dim=1)
    radial = (weights.unsqueeze(dim=2) * values.unsqueeze(dim=1)).flatten(start_dim=1)
    envelope = CUTOFFS["polynomial"].value(r, g["cutoff"]) * near.unsqueeze(dim=1)
    return spherical_harmonics(v / r, g["l_max"]), radial, envelope


def _density(g: dict[str, Any], vectors: Tensor) -> Tensor:
    harmonics, radial, _ = _functions(g, vectors)
    terms = harmonics.unsqueeze(dim=2) * radial.unsqueeze(dim=1)
    return segment_sum(terms, _centers(g), len(g["starts"]) - 1)


def _acsf(g: dict[str, Any], vectors: Tensor) -> Tensor:
    sizes, numbers = g["sizes"].tolist(), g["numbers"].tolist()
    g1, n_g2, n_g3, n_elements, kind, n_families = sizes[:6]
    cutoff, angular_cutoff, inner_fraction = numbers[:3]
    eta, r_s = numbers[3 : 3 + n_g2], numbers[3 + n_g2 : 3 + 2 * n_g2]
    g3 = numbers[3 + 2 * n_g2 : 3 + 2 * n_g2 + n_g3]
    s, x, families = 6, 3 + 2 * n_g2 + n_g3, []
    for _ in range(n_families):
        narrow, n_radial, n_parts, n_functions = sizes[s : s + 4]
        rows = []
        for n in (n_radial, n_parts):
            rows.append(tuple(zip(numbers[x : x + n], numbers[x + n : x + 2 * n], strict=True)))
            x += 2 * n
        families.append(AngularFamily(bool(narrow), rows[0], rows[1], tuple(sizes[s + 4 : s + 4 + n_functions])))
        s += 4 + n_functions
    elements = ELEMENTS[:n_elements]
    descriptor = ACSF(cutoff, elements, 0, angular_cutoff, KINDS[kind], bool(g1), inner_fraction=inner_fraction)  # type: ignore[arg-type]
    descriptor.g2, descriptor.g3 = tuple(zip(eta, r_s, strict=True)), tuple(g3)
    descriptor._arrange(elements, g1 + n_g2 + n_g3, tuple(families))
    centers = torch.zeros(len(g["starts"]) - 1, dtype=torch.int64)  # their elements do not matter
    features: Tensor = descriptor(Pairs(vectors, _centers(g), g["neighbors"], g["species"], centers))
    return features


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": activations.identity,
    **{name: getattr(activations, name) for name in ("tanh", "sigmoid", "silu", "gaussian", "relu")},
}


def _networks(g: dict[str, Any], features: Tensor, weights: Tensor) -> Tensor:
    """Outputs h of every atom."""
    return _with_hidden(g, features, weights)[0]


def _with_hidden(g: dict[str, Any], features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs h of every atom, and what goes into the last layers."""
    sizes, outputs, inputs = g["sizes"].tolist(), [], []
    for i, s in enumerate(g["species"].tolist()):
        place = s * len(weights) // g["n_elements"]
        x = standard = (features[i] - g["mean"][s]) * g["inverse"][s]
        for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
            matrix = weights[place : place + n_out * (n_in + 1)].view(n_out, n_in + 1)
            place += n_out * (n_in + 1)
            before, x = x, matrix[:, :-1] @ x + matrix[:, -1]
            if layer < len(sizes) - 2:
                x = _ACTIVATIONS[COMPILED[int(g["functions"][layer])]](x)
        if g["linear"]:
            matrix = weights[place : place + sizes[0] + 1]
            x = x + matrix[:-1] @ standard + matrix[-1]
        outputs.append(x[0])
        inputs.append(before)
    return (torch.stack(outputs), torch.stack(inputs)) if outputs else (features.sum(dim=1), features[:0])


def _networks_with_hidden(g: dict[str, Any]) -> Tensor:
    hidden = _with_hidden(g, g["features"], g["weights"])[1]
    return _flat([_BY_TENSORS["networks"](g), hidden])


def _uncertainty(g: dict[str, Any]) -> Tensor:
    n, width = g["hidden"].shape
    mapped = [torch.cat([h, h.new_ones(1)]) @ g["table"][s] for h, s in zip(g["hidden"], g["species"], strict=True)]
    distances, deviations = torch.stack(mapped).split([g["clusters"] * g["directions"], width + 1], dim=1)
    grades = distances.reshape(n, g["clusters"], g["directions"]).norm(dim=2).amin(dim=1)
    return _flat([grades, deviations.norm(dim=1), deviations])


def _invariants(g: dict[str, Any], values: Tensor, *weights: Tensor) -> Tensor:
    channels, pair, other, product_pair = weights
    of_lm, l_max = list(degrees(g["l_max"])), g["l_max"]
    b = torch.einsum("nlk,nlkc->lnc", values, channels[g["species"]][:, of_lm])

    def mixed(x: Tensor, matrices: Tensor) -> Tensor:
        return torch.einsum("lnc,lcd->lnd", x, matrices[of_lm])

    def mean(x: Tensor) -> Tensor:
        return torch.einsum("dl,lnc->dnc", x.new_tensor(mean_over_m(l_max)), x)

    blocks = [b[:1]]
    if g["body_order"] > 2:
        blocks.append(mean(b * mixed(b, pair)))
    if g["body_order"] > 3:
        t = product(b, mixed(b, other), l_max)
        blocks.append(mean(t * b))
    if g["body_order"] > 4:
        blocks.append(mean(t * mixed(t, product_pair)))
    return torch.cat(blocks).transpose(0, 1).flatten(start_dim=1)


def _second(g: dict[str, Any], vectors: Tensor, a: Tensor, *weights: Tensor) -> Tensor:
    projection, hidden, outer = weights
    of_lm, i = list(degrees(g["l_max"])), _centers(g)
    harmonics, radial, envelope = _functions(g, vectors)
    d = torch.einsum("nlk,nlkc->nlc", a, projection[g["centers"]][:, of_lm])
    seen = harmonics.unsqueeze(dim=2) * d[i]
    u = seen.new_zeros(len(seen), g["l_max"] + 1, seen.shape[2]).index_add(1, torch.tensor(of_lm), seen)
    one = torch.ones_like(envelope)
    z = torch.einsum("px,phx->ph", torch.cat([radial, u.flatten(start_dim=1), one], dim=1), hidden[g["centers"][i]])
    weighted = torch.einsum("ph,pch->pc", torch.cat([torch.nn.functional.silu(z), one], dim=1), outer[g["centers"][i]])
    terms = harmonics.unsqueeze(dim=2) * (envelope * weighted).unsqueeze(dim=1)
    return segment_sum(terms, i, len(g["starts"]) - 1)


def _pulled(function: Callable[..., Tensor], bar: Tensor, *x: Tensor) -> list[Tensor]:
    """Gradients of Σ bar·function with respect to all of x."""
    leaves = [t.detach().requires_grad_() for t in x]
    with torch.enable_grad():
        scalar = (function(*leaves) * bar.detach()).sum() + sum(t.sum() * 0 for t in leaves)
    return list(torch.autograd.grad(scalar, leaves, allow_unused=True, materialize_grads=True))


def _pushed(function: Callable[..., Tensor], direction: Tensor, x: Tensor) -> Tensor:
    """Change of a function along a direction: the pullback is linear in its argument, and this is its transpose."""
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        out = function(leaf)
        bar = torch.zeros_like(out).requires_grad_()
        (pulled,) = torch.autograd.grad((out * bar).sum() + 0 * leaf.sum(), leaf, create_graph=True)
        scalar = (pulled * direction).sum() + 0 * bar.sum()
    return torch.autograd.grad(scalar, bar)[0]


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.flatten() for part in parts])


def _networks_gradient(g: dict[str, Any]) -> Tensor:
    x, weights = (g[name].requires_grad_() for name in ("features", "weights"))
    with torch.enable_grad():
        h = _networks(g, x, weights)
        (slopes,) = torch.autograd.grad(h.sum() + 0 * x.sum(), x, create_graph=True)
        scalar = (g["h_bar"] * h).sum() + (g["direction"] * slopes).sum() + 0 * (x.sum() + weights.sum())
    return _flat(torch.autograd.grad(scalar, (x, weights)))


def _invariants_gradient(g: dict[str, Any]) -> Tensor:
    names = ("values", "channels", "pair", "product", "product_pair")
    x = [g[name].requires_grad_() for name in names]
    with torch.enable_grad():
        out = _invariants(g, *x)
        bar = torch.zeros_like(out).requires_grad_()
        (pulled,) = torch.autograd.grad((out * bar).sum(), x[0], create_graph=True)
        (change,) = torch.autograd.grad((pulled * g["direction"]).sum() + 0 * bar.sum(), bar, create_graph=True)
        scalar = (g["features_bar"] * out).sum() + (g["tangent_bar"] * change).sum() + 0 * sum(t.sum() for t in x)
    by_values, *by_weights = torch.autograd.grad(scalar, x)
    return _flat([*by_weights, by_values] if g["with_values"] else by_weights)


def _of_second(g: dict[str, Any]) -> tuple[Tensor, ...]:
    return g["vectors"], g["density_of_atoms"], g["projection"], g["hidden"], g["outer"]


def _second_pullback_gradient(g: dict[str, Any]) -> Tensor:
    x = [t.detach().requires_grad_() for t in _of_second(g)]
    bar = g["bar"].detach().requires_grad_()
    with torch.enable_grad():
        pulled = torch.autograd.grad((_second(g, *x) * bar).sum(), x[:2], create_graph=True, materialize_grads=True)
        scalar = (pulled[0] * g["vectors_change"]).sum() + (pulled[1] * g["density_change"]).sum()
        scalar = scalar + 0 * (bar.sum() + sum(t.sum() for t in x))
    return _flat(torch.autograd.grad(scalar, (bar, *x[1:])))


def _forces(g: dict[str, Any]) -> Tensor:
    return segment_sum(g["gradient"], g["i"], g["n_atoms"]) - segment_sum(g["gradient"], g["j"], g["n_atoms"])


def _core_reach(g: dict[str, Any]) -> Tensor:
    pairs = Pairs(g["vectors"], _centers(g), g["neighbors"], g["species"], g["centers"])
    return CorePairs.of(pairs, g["table"]).inside.any().double().reshape(1)


_BY_TENSORS: dict[str, Callable[[dict[str, Any]], Tensor]] = {
    "core": lambda g: _core(g, g["vectors"]),
    "core_reach": _core_reach,
    "core_tangent": lambda g: _pushed(lambda v: _core(g, v), g["direction"], g["vectors"]),
    "core_pullback": lambda g: _pulled(lambda v: _core(g, v), g["bar"], g["vectors"])[0],
    "density": lambda g: _density(g, g["vectors"]),
    "density_tangent": lambda g: _pushed(lambda v: _density(g, v), g["direction"], g["vectors"]),
    "density_pullback": lambda g: _pulled(lambda v: _density(g, v), g["bar"], g["vectors"])[0],
    "acsf": lambda g: _acsf(g, g["vectors"]),
    "acsf_tangent": lambda g: _pushed(lambda v: _acsf(g, v), g["direction"], g["vectors"]),
    "acsf_pullback": lambda g: _pulled(lambda v: _acsf(g, v), g["bar"], g["vectors"])[0],
    "networks": lambda g: _flat(
        [
            _networks(g, g["features"], g["weights"]),
            *_pulled(lambda x: _networks(g, x, g["weights"]), torch.ones(1).double(), g["features"]),
        ]
    ),
    "networks_with_hidden": _networks_with_hidden,
    "networks_gradient": _networks_gradient,
    "uncertainty": _uncertainty,
    "invariants": lambda g: _invariants(g, *(g[n] for n in ("values", "channels", "pair", "product", "product_pair"))),
    "invariants_tangent": lambda g: _pushed(
        lambda a: _invariants(g, a, g["channels"], g["pair"], g["product"], g["product_pair"]),
        g["direction"],
        g["values"],
    ),
    "invariants_pullback": lambda g: _pulled(
        lambda a: _invariants(g, a, g["channels"], g["pair"], g["product"], g["product_pair"]),
        g["features_bar"],
        g["values"],
    )[0],
    "invariants_gradient": _invariants_gradient,
    "weighted_density": lambda g: _second(g, *_of_second(g)),
    "weighted_density_pullback": lambda g: _flat(
        _pulled(lambda v, a: _second(g, v, a, *_of_second(g)[2:]), g["bar"], *_of_second(g)[:2])
    ),
    "weighted_density_gradient": lambda g: _flat(
        _pulled(lambda *x: _second(g, g["vectors"], *x), g["bar"], *_of_second(g)[1:])
    ),
    "weighted_density_pullback_gradient": _second_pullback_gradient,
    "forces": _forces,
}

# arguments ------------------------------------------------------------------------------------------------------------


def random_arguments(name: str, generator: torch.Generator, dtype: torch.dtype) -> Arguments:
    """Return arguments of an operator of random sizes: no neighbours, one atom, sizes that fill no register, …."""

    def among(first: int, last: int) -> int:
        return int(torch.randint(first, last + 1, (), generator=generator))

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    systems = list(SYSTEMS)
    pairs = pairs_of(structure(systems[among(0, len(systems) - 1)]), 1.2 * CUTOFF)
    first = [x.to(dtype) if x.is_floating_point() else x for x in pairs.by_center()]
    n, n_pairs, n_elements = len(pairs.species), len(pairs.r_ij), len(ELEMENTS)
    l_max, n_radial, n_weights, n_channels = among(0, 4), among(1, 13), among(1, 4), among(1, 9)
    species = torch.randint(0, n_elements, (n,), generator=generator)
    family = OPERATORS[name].family.name
    known: dict[str, Any] = {"n_elements": n_elements, "l_max": l_max, "n_channels": n_channels, "cutoff": CUTOFF}
    if family in ("density", "weighted_density"):
        places, coefficients, n_entries = nonzero_gradients(l_max)
        known |= dict(zip(("vectors", "starts", "neighbors", "species"), first, strict=True))
        known |= {"places": places, "coefficients": coefficients, "n_entries": n_entries}
        known |= {"n_radial": n_radial, "n_weights": n_weights, "centers": pairs.species}
        known |= {"n_seen": among(1, 9), "n_units": among(1, 9)}
    elif family == "core":
        known |= dict(zip(("vectors", "starts", "neighbors", "species"), first, strict=True))
        known |= {"centers": pairs.species, "table": torch.from_numpy(core(size=among(0, 4) / 3 + 0.1).numbers())}
    elif family == "acsf":
        table = _random_table(generator, among)
        known |= dict(zip(("vectors", "starts", "neighbors", "species"), first, strict=True))
        known |= {"sizes": torch.tensor(table.sizes), "numbers": torch.tensor(table.numbers, dtype=torch.float64)}
        known["n_functions"] = count_functions(table.sizes)
    elif family == "networks":
        sizes = [among(1, 12), *(among(1, 9) for _ in range(among(0, 2))), 1]
        linear = among(0, 1)
        of_element = sum(a * b + b for a, b in pairwise(sizes)) + linear * (sizes[0] + 1)
        known |= {"features": random(n, sizes[0]), "species": species, "weights": random(n_elements * of_element)}
        known |= {"sizes": torch.tensor(sizes), "n_layers": len(sizes) - 1, "linear": linear}
        known["functions"] = torch.randint(0, len(COMPILED), (len(sizes) - 2,), generator=generator)
        known["n_hidden"] = sizes[-2]
    elif family == "uncertainty":
        known |= {"hidden": random(n, among(1, 12)), "species": species}
        known |= {"clusters": among(1, 4), "directions": among(1, 9)}
    elif family == "invariants":
        known |= {"values": random(n, (l_max + 1) ** 2, n_radial), "species": species, "n_in": n_radial}
        known |= {"body_order": among(2, 5), "with_values": among(0, 1)}
    else:
        known |= {"gradient": random(n_pairs, 3), "i": pairs.pair_i, "j": pairs.pair_j, "n_atoms": n}
    return _completed(name, known, random)


def _completed(name: str, known: dict[str, Any], random: Callable[..., Tensor]) -> Arguments:
    """Add random numbers for the tensors that are missing."""
    operator = OPERATORS[name]
    for size, (tensor, place, more) in operator.origins.items():
        known[size] = known[tensor].shape[place] - more
    for argument in operator.arguments:
        if argument.name not in known:
            known[argument.name] = random(*(eval(d, {}, known) for d in argument.shape))
    return tuple(known[a.name] for a in operator.arguments)


def _random_table(generator: torch.Generator, among: Callable[[int, int], int]) -> FunctionTable:
    def number(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    def angular(n: int, zetas: Sequence[float]) -> list[tuple[float, float, float, float]]:
        return [
            (number(0, 0.3), zetas[among(0, len(zetas) - 1)], (-1.0, 1.0)[among(0, 1)], number(0, 2)) for _ in range(n)
        ]

    families = []
    for narrow in (True, False):
        functions = angular(among(0, 3), (1.0, 2.0, 4.0, 2.5))
        if functions:
            families.append(AngularFamily.of(functions, narrow=narrow))
    g2 = [(number(0, 3), number(0, 2)) for _ in range(among(1, 3))]
    radial = (bool(among(0, 1)), g2, [number(0, 2) for _ in range(among(0, 2))])
    kind = KINDS[among(0, len(KINDS) - 1)]
    cutoffs = (CUTOFF, 3.3, 0.0 if kind in STEEP else number(0, 0.4))
    table = FunctionTable.of(len(ELEMENTS), kind, cutoffs, radial, families)
    assert table is not None
    return table


def count_functions(sizes: Sequence[int]) -> int:
    """Return how many symmetry functions the sizes of a table speak of."""
    g1, n_g2, n_g3, n_elements, _, n_families = sizes[:6]
    place, of_pair = 6, 0
    for _ in range(n_families):
        of_pair += sizes[place + 3]
        place += 4 + sizes[place + 3]
    return n_elements * (g1 + n_g2 + n_g3) + n_elements * (n_elements + 1) // 2 * of_pair

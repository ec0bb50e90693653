"""Automatic choice of symmetry functions from training structures.

Radial functions: shifted Gaussians on an even grid from the shortest distance that occurs to the cutoff, each as wide
as the spacing (after Gastegger et al., J. Chem. Phys. 148, 241709 (2018)).  Angular functions: a grid of candidates,
of which the most informative are kept by the CUR selection of Imbalzano et al., J. Chem. Phys. 148, 241730 (2018).
"""

import logging
from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from nnpot.batch import Batch
from nnpot.neighbors import single_batch
from nnpot.structure import Structure

log = logging.getLogger("nnpot")

RADIAL_FUNCTIONS = 12
ANGULAR_SHELLS = 6
ZETAS = (1.0, 2.0, 4.0, 8.0, 16.0)
SAMPLE_ATOMS = 1500


def choose_functions(blank: Any, structures: Sequence[Structure]) -> Any:
    """Complete an ACSF that has elements and cutoffs but no functions.

    Args:
        blank: The incomplete ACSF.
        structures: Training structures.

    Raises:
        ValueError: If no pair of atoms is closer than the cutoff.
    """
    sample = _sample(structures, blank.cutoff)
    shortest = float(torch.linalg.vector_norm(sample.r_ij, dim=1).min())
    g2 = shifted_grid(shortest, blank.cutoff, RADIAL_FUNCTIONS)
    shells = shifted_grid(shortest, blank.angular_cutoff, ANGULAR_SHELLS)
    # in G4 and G5 the Gaussian of r_ij meets that of r_ik: half of η on each side
    candidates = tuple((0.5 * eta, zeta, sign, r_s) for (eta, r_s), zeta, sign in product(shells, ZETAS, (-1.0, 1.0)))
    full = blank.replaced(g2=g2, g4=candidates, g5=candidates)
    size = blank.arguments["size"] or 32 * (1 + len(blank.elements))
    n_radial = len(blank.elements) * full.n_radial
    features = _features(full, sample)
    chosen = cur_selection(features[:, n_radial:], max(0, size - n_radial), given=features[:, :n_radial])
    selected = [*range(n_radial), *sorted(n_radial + c for c in chosen)]
    log.info(
        "symmetry functions: %d radial and %d of %d angular, shortest distance %.2f Å",
        n_radial, len(chosen), full.n_all - n_radial, shortest,
    )  # fmt: skip
    if lacking := _without_angles(full, features[:, n_radial:], chosen):
        log.warning(
            "symmetry functions: size %d leaves no angular function for %s, beside %d radial ones: the angles between "
            "these neighbours are not described; choose a larger size, such as %d",
            size, ", ".join(lacking), n_radial, 32 * (1 + len(blank.elements)),
        )  # fmt: skip
    return pruned(full, selected)


def _without_angles(full: Any, candidates: Tensor, chosen: Sequence[int]) -> list[str]:
    """The pairs of neighbour elements, as `Cu–Au`, that have angles in the data but no function of those chosen."""
    per_pair = candidates.shape[1] // len(full.element_pairs)
    varied = (candidates.amax(dim=0) > candidates.amin(dim=0)).view(-1, per_pair).any(dim=1).tolist()
    served = {k // per_pair for k in chosen}
    names = ["–".join(full.elements[z] for z in pair) for pair in full.element_pairs]
    return [name for k, name in enumerate(names) if varied[k] and k not in served]


def shifted_grid(shortest: float, cutoff: float, n: int) -> tuple[tuple[float, float], ...]:
    """Return (η, r_s) of n Gaussians centred evenly from the shortest distance to just inside the cutoff, in Å.

    η = 1 / (2 Δ²) with the spacing Δ (Gastegger et al. 2018, section II.B).
    """
    start = min(0.9 * shortest, 0.5 * cutoff)
    spacing = (cutoff - start) / n
    eta = round(0.5 / spacing**2, 6)
    return tuple((eta, round(start + k * spacing, 6)) for k in range(n))


def pruned(full: Any, selected: Sequence[int]) -> Any:
    """Drop the angular functions that no kept feature uses and renumber the kept features accordingly."""
    n_radial = len(full.elements) * full.n_radial
    g4, g5 = full.arguments["g4"], full.arguments["g5"]
    per_pair = len(g4) + len(g5)
    used = sorted({(k - n_radial) % per_pair for k in selected if k >= n_radial})
    place = {old: new for new, old in enumerate(used)}
    renumbered = [k for k in selected if k < n_radial]
    for k in selected:
        if k >= n_radial:
            pair, function = divmod(k - n_radial, per_pair)
            renumbered.append(n_radial + pair * len(used) + place[function])
    functions = (*g4, *g5)
    return full.replaced(
        g4=tuple(functions[u] for u in used if u < len(g4)),
        g5=tuple(functions[u] for u in used if u >= len(g4)),
        selected=tuple(renumbered),
    )


def cur_selection(candidates: Tensor, n: int, given: Tensor | None = None) -> list[int]:
    """Select columns one by one: the one with the largest weight in the leading singular vector of what is left.

    After each choice all columns are made orthogonal to the chosen one, so nothing is chosen twice in another guise.
    Columns are standardised first; those without variance are never chosen.

    Args:
        candidates: Shape (n_samples, n_candidates).
        n: How many to select; fewer come back when the rest is linearly dependent.
        given: Columns that are kept in any case, shape (n_samples, n_given): candidates are made orthogonal to them.

    Returns:
        Positions of the chosen columns, in the order of choice.
    """
    left = _standardized(candidates.double())
    if given is not None and given.shape[1] > 0:
        q, r = torch.linalg.qr(_standardized(given.double()))
        q = q[:, r.diagonal().abs() > 1e-8 * r.diagonal().abs().max().clamp(min=1e-30)]
        left = left - q @ (q.T @ left)
    gram = left.T @ left / max(len(left), 1)
    chosen: list[int] = []
    vector = torch.ones(gram.shape[0], dtype=gram.dtype)
    for _ in range(min(n, gram.shape[0])):
        if gram.diagonal().max() <= 1e-10:
            break
        vector = _leading_eigenvector(gram, vector)
        best = int((vector**2 * (gram.diagonal() > 1e-10)).argmax())
        chosen.append(best)
        column = gram[:, best].clone()
        gram = gram - torch.outer(column, column) / column[best]
    return chosen


def _leading_eigenvector(matrix: Tensor, start: Tensor) -> Tensor:
    """Power iteration; a rough vector is enough to rank columns."""
    vector = start + 1e-3
    for _ in range(40):
        vector = matrix @ vector
        vector = vector / torch.linalg.vector_norm(vector).clamp(min=1e-300)
    return vector


def _standardized(x: Tensor) -> Tensor:
    centered = x - x.mean(dim=0)
    spread = centered.square().mean(dim=0).sqrt()
    return centered / torch.where(spread > 1e-12, spread, torch.inf)


def _sample(structures: Sequence[Structure], cutoff: float) -> Batch:
    """A spread of structures with about SAMPLE_ATOMS atoms, as one batch with pairs."""
    total = sum(len(s) for s in structures)
    step = max(1, round(total / SAMPLE_ATOMS))
    batch = Batch.join([single_batch(s, cutoff) for s in structures[::step]])
    if len(batch.pair_i) == 0:
        batch = Batch.join([single_batch(s, cutoff) for s in structures])
    if len(batch.pair_i) == 0:
        raise ValueError(f"no two atoms are closer than the cutoff of {cutoff} Å; choose a larger one")
    return batch


def _features(descriptor: Any, batch: Batch) -> Tensor:
    with torch.no_grad():
        return descriptor(batch.pairs(descriptor.elements))  # type: ignore[no-any-return]

"""Scales taken from training data: standardised features and atomic reference energies."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnpot.batch import species_index
from nnpot.structure import Structure

log = logging.getLogger("nnpot")


class FeatureScaling(nn.Module):
    """Standardise features per element of the centre: x̂ = (x − mean) / scale.

    Args:
        n_elements: Number of elements S.
        n_features: Number of features D.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_elements: int, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_elements, n_features))
        self.register_buffer("scale", torch.ones(n_elements, n_features))

    def forward(self, x: Tensor, species: Tensor) -> Tensor:
        """Standardise features (N, D) of atoms with element index (N,)."""
        return standardised(x, self.mean, self.scale, species)

    def fit(self, x: Tensor, species: Tensor, least: float = 1e-3) -> None:
        """Take mean and standard deviation from the features (N, D) of training atoms with element index (N,).

        A feature that hardly varies for an element keeps a fraction `least` of the largest scale of that element, so
        that a new environment cannot blow it up.  Where all environments of an element are the same the scale is 1.
        """
        for s in range(len(self.mean)):
            rows = x[species == s].double()
            if rows.numel() == 0:
                continue
            spread = rows.var(dim=0, correction=0).sqrt()
            self.mean[s] = rows.mean(dim=0)
            largest = float(spread.max())
            self.scale[s] = spread.clamp(min=least * largest) if largest > 1e-8 else 1.0


def standardised(x: Tensor, mean: Tensor, scale: Tensor, species: Tensor) -> Tensor:
    """Return (x − mean_s) / scale_s of features (N, D), means and scales (S, D), element indices (N,)."""
    return (x - mean.index_select(0, species)) / scale.index_select(0, species)


def least_squares_energies(structures: Sequence[Structure], elements: Sequence[str]) -> tuple[float, ...]:
    """Fit one energy per element to the total energies, Σ_s n_s e_s ≈ E, in eV.

    Each structure weighs by 1 / N, so that the residual is an energy per atom.  Where the compositions do not
    determine all of them (all structures of one stoichiometry, say) the solution of smallest norm about equal shares is
    taken, and the log says so.

    Raises:
        ValueError: If no structure has an energy.
    """
    labelled = [s for s in structures if s.energy is not None]
    if not labelled:
        raise ValueError("no structure has an energy, so atomic reference energies cannot be fitted; give them")
    counts = torch.stack([_composition(s, elements) for s in labelled])  # (B, S)
    energies = torch.tensor([s.energy for s in labelled], dtype=torch.float64)
    n = counts.sum(dim=1)
    fractions, per_atom = counts / n[:, None], energies / n
    rank = int(torch.linalg.matrix_rank(fractions))
    if rank < len(elements):
        log.warning(
            "the compositions determine only %d of %d atomic reference energies (%s): using the least-norm solution; "
            "energies of other compositions will be meaningless",
            rank, len(elements), ", ".join(elements),
        )  # fmt: skip
    center = per_atom.mean()
    shift = torch.linalg.lstsq(fractions, (per_atom - center).unsqueeze(dim=1), driver="gelsd").solution
    return tuple((shift[:, 0] + center).tolist())


def isolated_atom_energies(structures: Sequence[Structure], elements: Sequence[str]) -> tuple[float, ...]:
    """Return the energies of the frames that hold a single free atom, one per element, in eV.

    Raises:
        ValueError: If an element has no such frame with an energy.
    """
    found = {
        int(species_index(s.numbers, elements)[0]): s.energy
        for s in structures
        if len(s) == 1 and s.energy is not None and (not any(s.pbc) or s.group == "IsolatedAtom")
    }
    missing = [e for k, e in enumerate(elements) if k not in found]
    if missing:
        raise ValueError(
            f"no isolated-atom frame with an energy for {', '.join(missing)}; add one (one atom, no periodicity or "
            "config_type=IsolatedAtom) or use atomic_energies: least_squares"
        )
    return tuple(found[k] for k in range(len(elements)))


def _composition(structure: Structure, elements: Sequence[str]) -> Tensor:
    return torch.bincount(species_index(structure.numbers, elements), minlength=len(elements)).double()

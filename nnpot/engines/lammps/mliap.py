"""Any potential for `pair_style mliap unified`, in a LAMMPS of one's own that has the packages ML-IAP and PYTHON.

from nnpot.engines.lammps.mliap import write_mliap
write_mliap("model.nnpot", "model.pt")

units metal
pair_style mliap unified model.pt
pair_coeff * * Cu Au

LAMMPS tells such a model neither the units nor the numbers of the atoms: it needs `units metal`, and its messages count
the atoms of a rank from 0.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.engines.lammps.guards import check_complete, check_elements, check_finite, check_places
from nnpot.heads import say_what_stays
from nnpot.io import load
from nnpot.potential import Potential
from nnpot.spec import build, to_spec
from nnpot.units import dtype_of

try:
    from lammps.mliap.mliap_unified_abc import MLIAPUnified
except ImportError:  # LAMMPS only calls the methods below, and its own class only names them
    MLIAPUnified = object


class MLIAPModel(MLIAPUnified):
    """What LAMMPS calls: pairs in, atomic energies and ∂E/∂r_ij out.

    Args:
        potential: Any potential, on the device and in the dtype to calculate with.
    """

    def __init__(self, potential: Potential) -> None:
        self.potential, self._is_checked = potential.eval(), False
        self.interface = None
        self.element_types = list(potential.elements)
        self.ndescriptors = self.nparams = 1
        self.rcutfac = 0.5 * potential.cutoff  # LAMMPS doubles it

    def compute_descriptors(self, data: Any) -> None:
        """Nothing: LAMMPS asks for energies and forces only."""

    def compute_gradients(self, data: Any) -> None:
        """Nothing: LAMMPS asks for energies and forces only."""

    def compute_forces(self, data: Any) -> None:
        """Set the energies of the local atoms and the forces of their pairs.

        Args:
            data: LAMMPS' neighbour data: `rij` (P, 3) in Å, `pair_i`, `pair_j`, `elems` of all atoms, `nlistatoms`.

        Raises:
            ValueError: If an atom type has no element, the list lacks pairs of bonded or excluded atoms, two atoms are
                at one place, or results are not finite.
        """
        dtype, device = self.potential.dtype_and_device()
        vectors, i, j, elements = (
            torch.as_tensor(np.asarray(x)) for x in (data.rij, data.pair_i, data.pair_j, data.elems)
        )
        order = torch.argsort(i.long(), stable=True)
        species, n_local = elements.long(), int(data.nlistatoms)
        vectors, i, j = vectors.reshape(-1, 3)[order], i.long()[order], j.long()[order]
        self._check(vectors, i, j, species, n_local)
        pairs = Pairs(
            vectors.to(device, dtype),
            i.to(device),
            j.to(device),
            species.to(device),
            species[:n_local].to(device),
            assume_sorted=True,
        )
        outputs, gradient = self.potential.evaluate_in_chunks(pairs)
        energies = outputs["energies"]
        check_finite(energies, gradient, pairs.pair_i, torch.arange(n_local))
        in_order = torch.empty_like(gradient, dtype=torch.float64).index_copy(0, order.to(device), gradient.double())
        data.eatoms = energies.cpu().numpy()
        data.energy = float(energies.sum())
        data.update_pair_forces(np.ascontiguousarray(in_order.cpu().numpy()))

    def _check(self, vectors: Tensor, i: Tensor, j: Tensor, species: Tensor, n_local: int) -> None:
        """Complain about what LAMMPS hands over; whether pairs are lacking is seen at the first step."""
        check_elements(species, self.potential.elements)
        check_places(vectors, i, j, torch.arange(len(species)))
        if not self._is_checked:
            check_complete(vectors, i, j, n_local, self.potential.cutoff)
            self._is_checked = True

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the description and the weights, as in a model file."""
        return _rebuilt, (to_spec(self.potential), self.potential.state_dict(), *self.potential.dtype_and_device())


def _rebuilt(spec: Any, state: dict[str, Tensor], dtype: torch.dtype, device: torch.device) -> MLIAPModel:
    potential: Potential = build(spec).to(dtype)
    potential.load_state_dict(state)
    return MLIAPModel(potential.to(device))


def write_mliap(model: str | Path, path: str | Path, dtype: str = "float64", device: str = "cpu") -> Path:
    """Write what `pair_style mliap unified` loads.

    Args:
        model: Model file.
        path: Where to, `*.pt`.
        dtype: Floating-point type to calculate in, `float32` or `float64`.
        device: Where LAMMPS' Python is to calculate, `cpu`, `cuda`, …

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If it is not complete, or the dtype is not known.
    """
    potential = load(model, dtype_of(dtype), device)
    say_what_stays(potential.predicts, "LAMMPS")
    torch.save(MLIAPModel(potential), path)
    return Path(path)

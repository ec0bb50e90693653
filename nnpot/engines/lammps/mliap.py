"""Any potential for `pair_style mliap unified`, in a LAMMPS of one's own that has the packages ML-IAP and PYTHON.

from nnpot.engines.lammps.mliap import write_mliap
write_mliap("model.nnpot", "model.pt")

pair_style mliap unified model.pt
pair_coeff * * Cu Au
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnpot.batch import Pairs
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
        self.potential = potential.eval()
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
        """
        dtype, device = self.potential.dtype_and_device()
        vectors, i, j, elements = (
            torch.as_tensor(np.asarray(x)) for x in (data.rij, data.pair_i, data.pair_j, data.elems)
        )
        order = torch.argsort(i.long(), stable=True)
        species = elements.long()
        pairs = Pairs(
            vectors.reshape(-1, 3)[order].to(device, dtype),
            i.long()[order].to(device),
            j.long()[order].to(device),
            species.to(device),
            species[: data.nlistatoms].to(device),
            assume_sorted=True,
        )
        outputs, gradient = self.potential.evaluate_in_chunks(pairs)
        energies = outputs["energies"]
        in_order = torch.empty_like(gradient, dtype=torch.float64).index_copy(0, order.to(device), gradient.double())
        data.eatoms = energies.cpu().numpy()
        data.energy = float(energies.sum())
        data.update_pair_forces(np.ascontiguousarray(in_order.cpu().numpy()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the description and the weights, as in a model file."""
        return _rebuilt, (to_spec(self.potential), self.potential.state_dict(), *self.potential.dtype_and_device())


def _rebuilt(spec: Any, state: dict[str, torch.Tensor], dtype: torch.dtype, device: torch.device) -> MLIAPModel:
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
    torch.save(MLIAPModel(potential), path)
    return Path(path)

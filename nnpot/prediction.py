"""What a potential says of structures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nnpot.batch import Batch
from nnpot.functional.segment import segment_sum
from nnpot.guesses import CALIBRATE, OF_PREDICTIONS, missing
from nnpot.html import table
from nnpot.neighbors import too_close
from nnpot.uncertainty import OF_ATOMS


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a potential says of a batch.

    =========  =======  ===================================================  ======
    attribute  shape    meaning                                              unit
    =========  =======  ===================================================  ======
    energies   (N,)     atomic energies, float64                             eV
    energy     (B,)     total energies, float64                              eV
    forces     (N, 3)   forces                                               eV/Å
    stress     (B, 6)   Voigt xx, yy, zz, yz, xz, xy, positive in tension;   eV/Å³
                        NaN without a periodic cell
    labels              these three and what heads predict, by the names of
                        :data:`nnpot.labels.LABELS`; `prediction.charges` and
                        `prediction["charges"]` are `labels["charges"]`
    unknown             what a calibrated model says of its own errors, by
                        the names of :func:`nnpot.uncertainty.of_batch`,
                        such as `prediction.extrapolation`; else empty
    =========  =======  ===================================================  ======
    """

    energies: Tensor
    labels: Mapping[str, Tensor]
    unknown: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def energy(self) -> Tensor:
        """Total energies in eV, float64, shape (B,)."""
        return self.labels["energy"]

    @property
    def forces(self) -> Tensor:
        """Forces in eV/Å, shape (N, 3)."""
        return self.labels["forces"]

    @property
    def stress(self) -> Tensor:
        """Stresses in eV/Å³, shape (B, 6)."""
        return self.labels["stress"]

    def __getattr__(self, name: str) -> Tensor:
        """Return a label that a head predicts, such as `charges`."""
        labels: dict[str, Tensor] = {**self.__dict__.get("labels", {}), **self.__dict__.get("unknown", {})}
        if name not in labels:
            if name in OF_ATOMS:
                raise AttributeError(f"the prediction has no {name}: {CALIBRATE}")
            raise missing("the prediction", name, OF_PREDICTIONS, [*labels, "energies"])
        return labels[name]

    def __getitem__(self, name: str) -> Tensor:
        known = {"energies": self.energies, **self.labels, **self.unknown}
        if name not in known and name in OF_ATOMS:
            raise KeyError(f"the prediction has no {name!r}: {CALIBRATE}")
        if name not in known:
            raise KeyError(f"the prediction has no {name!r}; by name it has {', '.join(known)}")
        return known[name]

    def detach(self) -> "Prediction":
        """Return the same numbers without their graph."""
        labels, unknown = ({name: x.detach() for name, x in of.items()} for of in (self.labels, self.unknown))
        return Prediction(self.energies.detach(), labels, unknown)

    def _repr_html_(self) -> str:
        rows = {"energy": ", ".join(f"{float(e):.6g} eV" for e in self.energy)}
        rows |= {
            name: f"shape {tuple(value.shape)}"
            for name, value in [*self.labels.items(), *self.unknown.items()]
            if name != "energy"
        }
        return table(f"Prediction of {len(self.energies)} atoms", rows)

    def is_finite(self, batch: Batch) -> Tensor:
        """Return for which structures energy, forces and, where there is a volume, stress are finite, shape (B,)."""
        wrong_atoms = (~torch.isfinite(self.forces)).any(dim=1).double()
        forces = segment_sum(wrong_atoms, batch.structure_of, batch.n_structures) == 0
        stress = torch.isfinite(self.stress).all(dim=1) | torch.isnan(batch.volumes)
        return torch.isfinite(self.energy) & forces & stress

    def complaints(self, batch: Batch) -> list[str]:
        """Return a sentence for each structure of which energy, forces or stress are not finite."""
        return [_complaint(batch, k) for k in (~self.is_finite(batch)).nonzero().flatten().tolist()]


def _complaint(batch: Batch, k: int) -> str:
    """What is wrong with structure k, by name if it has one, and which atoms are at one place if that is why."""
    name = (batch.names[k] if batch.names else "") or (f"structure {k}" if batch.n_structures > 1 else "")
    close = too_close(batch, k)
    why = "" if close is None else f"; atoms {close[0]} and {close[1]} are {close[2]:.2g} Å apart"
    return f"{name}{': ' if name else ''}the potential gives no finite energy, forces and stress{why}"

"""Export to metatomic (https://docs.metatensor.org/metatomic): one file that runs in ASE, i-PI and other engines.

The file holds TorchScript and weights.  It needs PyTorch and metatomic, but neither nnpot nor a compiler, and runs on
the CPU and on CUDA.  The engine finds the neighbours, and differentiates the energy to get forces and stress.
"""

import tempfile
import warnings
from pathlib import Path
from typing import Dict, List, Optional  # noqa: UP035  metatomic compares the annotations of `forward` with these

import torch
from ase.data import atomic_numbers, chemical_symbols
from metatensor.torch import Labels, TensorBlock, TensorMap
from metatomic.torch import (
    AtomisticModel,
    ModelCapabilities,
    ModelMetadata,
    ModelOutput,
    NeighborListOptions,
    System,
)
from torch import Tensor, nn

from nnpot.engines.torchscript import ScriptedEnergies, terms_of
from nnpot.machine.files import write_atomically
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.units import dtype_of

SUFFIX = ".pt"
EXTRAPOLATION = "nnpot::extrapolation"
"""Name of γ among the outputs of a model, as metatomic wants that of what is not standard."""
_EXTRA_FILES = ("torch-version", "metatomic-version", "export-metadata", "model-metadata")


def export_metatomic(potential: Potential, path: str | Path, dtype: str = "float32", name: str = "nnpot") -> Path:
    """Write a potential as a metatomic model.

    Args:
        potential: Any potential that can be recorded (:mod:`nnpot.engines.torchscript`).
        path: Where to, `*.pt`; an existing file is replaced only once the new one is complete.
        dtype: Floating-point type that the model calculates in, `float32` or `float64`.
        name: What the model calls itself.

    Raises:
        ValueError: If the dtype is not known, the path ends in another way, or the potential cannot be recorded.
    """
    precision = dtype_of(dtype)
    if Path(path).suffix != SUFFIX:
        raise ValueError(f"the name of a metatomic model ends in {SUFFIX}, that of {path} does not")
    capabilities = ModelCapabilities(
        outputs={name: ModelOutput(unit=unit, sample_kind="atom") for name, unit in _outputs(potential).items()},
        atomic_types=[atomic_numbers[e] for e in potential.elements],
        interaction_range=potential.cutoff,
        length_unit="angstrom",
        supported_devices=["cuda", "cpu"],
        dtype=dtype,
    )
    with warnings.catch_warnings(action="ignore"), tempfile.TemporaryDirectory() as folder:  # those of TorchScript
        module = _MetatomicModel(potential, precision).eval()
        unfinished = Path(folder) / Path(path).name
        AtomisticModel(module, _metadata(potential, name), capabilities).save(unfinished)
        _forget_extensions(unfinished)
        return write_atomically(Path(path), unfinished.read_bytes())


def _outputs(potential: Potential) -> Dict[str, str]:  # noqa: UP006
    """Units of what a model gives, by name: uncertainties only of a potential that knows them."""
    known = [p for p in terms_of(potential) if isinstance(p, NeuralNetworkPotential) and p.uncertainty is not None]
    return {"energy": "eV", **({"energy_uncertainty": "eV", EXTRAPOLATION: ""} if known else {})}


class _MetatomicModel(nn.Module):
    """Energies of systems in the form that metatomic prescribes; `torch.jit.script` compiles it."""

    def __init__(self, potential: Potential, dtype: torch.dtype) -> None:
        super().__init__()
        self.energies = ScriptedEnergies(potential, dtype)
        self.neighbors = NeighborListOptions(cutoff=potential.cutoff, full_list=True, strict=True)
        self.dtype, self.extrapolation, self.kinds = dtype, EXTRAPOLATION, len(chemical_symbols)

    def requested_neighbor_lists(self) -> List[NeighborListOptions]:  # noqa: UP006
        """Return the one list that the engine has to find: all pairs within the cutoff."""
        return [self.neighbors]

    def forward(
        self,
        systems: List[System],  # noqa: UP006
        outputs: Dict[str, ModelOutput],  # noqa: UP006
        selected_atoms: Optional[Labels] = None,  # noqa: UP045
    ) -> Dict[str, TensorMap]:  # noqa: UP006
        """Return the energies that are asked for, in eV: of each system, or of each atom or selected atom.

        Args:
            systems: With the neighbour list that `requested_neighbor_lists` names.
            outputs: `energy`; of a potential that knows its errors also `energy_uncertainty` and
                `nnpot::extrapolation`, γ, of a system the largest of its atoms: per system or per atom.
            selected_atoms: System and atom of those that count; all of them if None.
        """
        asked = "energy_uncertainty" in outputs or self.extrapolation in outputs
        if "energy" not in outputs and not asked:
            return {}
        device = systems[0].positions.device
        atoms = torch.cat([_atoms_of(s, len(system), device) for s, system in enumerate(systems)])  # (A, 2)
        starts = torch.bincount(atoms[:, 0], minlength=len(systems)).cumsum(0)
        centers = torch.arange(atoms.shape[0], device=device)
        if selected_atoms is not None:
            chosen = selected_atoms.values.to(torch.int64)
            centers = torch.where(chosen[:, 0] > 0, starts[chosen[:, 0] - 1], 0) + chosen[:, 1]
        numbers = torch.cat([system.types for system in systems]).to(torch.int64)
        energies, deviations, grades = self._by_center(systems, numbers, centers, atoms.shape[0], asked)

        samples, n = atoms[centers], len(systems)
        results: Dict[str, TensorMap] = {}  # noqa: UP006
        for name, output in outputs.items():
            per_system = output.sample_kind == "system"
            values, called = grades, "extrapolation"
            if name == "energy":
                values, called = energies, name
                if per_system:
                    values = torch.zeros(n, dtype=torch.float64, device=device).index_add(0, samples[:, 0], energies)
            elif name == "energy_uncertainty":
                values, called = deviations.double().square().sum(dim=1).sqrt(), "energy"
                if per_system:
                    values = self._of_systems(deviations.double(), samples[:, 0], numbers[centers], n)
            elif per_system:
                largest = torch.zeros(n, dtype=grades.dtype, device=device)
                values = largest.scatter_reduce(0, samples[:, 0], grades, "amax")
            results[name] = self._map(values, called, samples, n, per_system)
        return results

    def _of_systems(self, deviations: Tensor, system: Tensor, numbers: Tensor, n: int) -> Tensor:
        """Standard deviations of the energies of systems, shape (n,), from the deviations of atoms, shape (N, W)."""
        sums = torch.zeros(n * self.kinds, deviations.shape[1], dtype=torch.float64, device=deviations.device)
        return sums.index_add(0, system * self.kinds + numbers, deviations).reshape(n, -1).square().sum(dim=1).sqrt()

    def _map(self, values: Tensor, called: str, atoms: Tensor, n: int, per_system: bool) -> TensorMap:  # noqa: FBT001
        """Numbers of systems or of atoms in the form that metatomic prescribes."""
        device = values.device
        samples, names = atoms, ["system", "atom"]
        if per_system:
            samples, names = torch.arange(n, device=device).unsqueeze(1), ["system"]
        block = TensorBlock(
            values=values.unsqueeze(1).to(self.dtype),
            samples=Labels(names, samples.to(torch.int32)),
            components=torch.jit.annotate(List[Labels], []),  # noqa: UP006
            properties=Labels([called], torch.zeros(1, 1, dtype=torch.int32, device=device)),
        )
        return TensorMap(Labels(["_"], torch.zeros(1, 1, dtype=torch.int32, device=device)), [block])

    def _by_center(
        self,
        systems: List[System],  # noqa: UP006
        numbers: Tensor,
        centers: Tensor,
        n_atoms: int,
        asked: bool,  # noqa: FBT001
    ) -> List[Tensor]:  # noqa: UP006
        """What `ScriptedEnergies.with_unknown` says of some atoms, counted through all systems."""
        place = torch.full((n_atoms,), -1, device=centers.device)
        place[centers] = torch.arange(centers.shape[0], device=centers.device)
        vectors: List[Tensor] = []  # noqa: UP006
        pairs: List[Tensor] = []  # noqa: UP006
        first = 0
        for system in systems:
            block = system.get_neighbor_list(self.neighbors)
            vectors.append(block.values.reshape(-1, 3))
            pairs.append(block.samples.values[:, :2].to(torch.int64) + first)
            first += len(system)
        r_ij, pair_i, pair_j = torch.cat(vectors), place[torch.cat(pairs)[:, 0]], torch.cat(pairs)[:, 1]
        if centers.shape[0] < n_atoms:
            around = torch.nonzero(pair_i >= 0).flatten()
            r_ij, pair_i, pair_j = r_ij[around], pair_i[around], pair_j[around]
        found: List[Tensor] = self.energies.with_unknown(r_ij, pair_i, pair_j, numbers, numbers[centers], asked)  # noqa: UP006
        return found


def _atoms_of(system: int, n_atoms: int, device: torch.device) -> Tensor:
    """Number of the system and of each of its atoms, shape (n, 2)."""
    atoms = torch.arange(n_atoms, device=device)
    return torch.stack([torch.full_like(atoms, system), atoms], dim=1)


def _forget_extensions(path: Path) -> None:
    """Take out of a file that libraries were loaded when it was written: the model needs none of them."""
    extra = dict.fromkeys((*_EXTRA_FILES, "extensions", "extensions-deps"), "")
    model = torch.jit.load(path, _extra_files=extra)
    torch.jit.save(model, path, {**extra, "extensions": "[]", "extensions-deps": "[]"})


def _metadata(potential: Potential, name: str) -> ModelMetadata:
    parts = [p.descriptor if isinstance(p, NeuralNetworkPotential) else p for p in terms_of(potential)]
    kinds = list(dict.fromkeys(type(part).__name__ for part in parts))
    return ModelMetadata(
        name=name,
        description=f"{' + '.join(kinds)} for {', '.join(potential.elements)}, made by nnpot",
        references={"architecture": list(dict.fromkeys(part.publication for part in parts if part.publication))},
    )

"""Any potential as an ASE calculator."""

from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from nnpot.batch import Batch
from nnpot.io import load_for_evaluation
from nnpot.labels import LABELS
from nnpot.neighbors import NeighborPairs, check_places, moved_beyond_skin, neighbor_pairs
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.precision import dtype_of
from nnpot.structure import Structure
from nnpot.torch_compile import Compilation, worth_compiling


class NNPotCalculator(Calculator):
    """Energy, atomic energies, forces, stress and what heads predict of a potential, in ASE's units and signs.

    The neighbour list is found with a skin and used again until an atom has moved by half of it (Verlet), or the cell,
    the periodicity or the elements change.

    Args:
        potential: A potential, which is copied, or the path of a model file, of a package, or of a folder with files of
            n2p2.
        device: `cpu`, `cuda`, …
        dtype: Floating-point type to calculate in, `float32` or `float64`; a package has its own, and runs on the CPU.
        skin: In Å; 0 finds the neighbours anew at each step.
        compile: Compile what no C++ kernel calculates, as on a GPU, which takes about half a minute: `on` at the first
            call, `off` never, `auto` once 3 million atoms have been calculated, so in long runs only.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the model file is not complete, the dtype or `compile` is not known, or the skin is negative.
    """

    implemented_properties: list[str] = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(
        self,
        potential: str | Path | Potential,
        device: str = "cpu",
        dtype: str = "float32",
        skin: float = 1.0,
        *,
        compile: Compilation = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        precision = dtype_of(dtype)
        if skin < 0:
            raise ValueError(f"skin must not be negative, got {skin} Å")
        self.skin = skin
        self.potential, self.dtype, self.device = load_for_evaluation(potential, precision, torch.device(device))
        if compile not in get_args(Compilation):
            raise ValueError(f"compile must be one of {', '.join(get_args(Compilation))}, got {compile!r}")
        self.compile: Compilation = compile
        self.implemented_properties = ["free_energy", "energies", *self.potential.predicts]
        self._n_atoms: int | None = 0
        self._pairs: NeighborPairs | None = None
        self._pairs_of: Structure | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill `results`; called by ASE.

        Raises:
            ValueError: If an element is not known to the potential, positions or cell are not finite, or the results
                are not, as where two atoms are at one place.
        """
        super().calculate(atoms, properties, system_changes)
        structure = Structure.from_ase(cast(Atoms, self.atoms))
        pairs = self._neighbors(structure)
        batch = Batch.of_structure(structure, pairs.vectors(structure.positions, structure.cell), pairs.i, pairs.j)
        batch = batch.to(self.device, self.dtype)
        self._compile_if_it_pays(len(structure))
        with torch.no_grad():
            prediction = self.potential(batch)
        results = {name: values.double().cpu().numpy() for name, values in prediction.labels.items()}
        if not (np.isfinite(results["energy"]).all() and np.isfinite(results["forces"]).all()):
            raise ValueError(prediction.complaints(batch)[0])
        energy = float(results["energy"][0])
        self.results = {"free_energy": energy, "energies": prediction.energies.cpu().numpy()}
        for name, values in results.items():
            if LABELS[name].is_possible(structure.pbc, has_volume=structure.has_volume):
                self.results[name] = values if LABELS[name].per == "atom" else values[0]
        self.results["energy"] = energy

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Return what has changed since the last calculation, the total charge among it; called by ASE."""
        changes: list[str] = super().check_state(atoms, tol)
        if self.potential.heads and self.atoms is not None and _charge(atoms) != _charge(self.atoms):
            changes.append("charge")
        return changes

    def _compile_if_it_pays(self, n_atoms: int) -> None:
        """Count the atoms calculated so far until it is time to compile."""
        if self._n_atoms is None:
            return
        self._n_atoms += n_atoms
        if worth_compiling(self.compile, self._n_atoms):
            self._n_atoms = None
            for part in self.potential.modules():
                if isinstance(part, NeuralNetworkPotential):
                    part.compiled(evaluation=True)

    def _neighbors(self, structure: Structure) -> NeighborPairs:
        """The pairs kept from an earlier step where they still hold every neighbour, else new ones."""
        old = self._pairs_of
        if self._pairs is not None and old is not None and self._still_holds(old, structure):
            return self._pairs
        pairs = neighbor_pairs(structure, self.potential.cutoff + self.skin)
        check_places(structure, pairs, pairs.vectors(structure.positions, structure.cell))
        self._pairs, self._pairs_of = pairs, structure
        return pairs

    def _still_holds(self, old: Structure, new: Structure) -> bool:
        same = (
            old.pbc == new.pbc
            and np.array_equal(old.numbers.numpy(), new.numbers.numpy())
            and np.array_equal(old.cell.numpy(), new.cell.numpy())
        )
        return same and not bool(moved_beyond_skin(old.positions, new.positions, self.skin).any())


def _charge(atoms: Atoms) -> Any:
    return atoms.info.get("charge")

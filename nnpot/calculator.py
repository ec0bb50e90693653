"""Any potential as an ASE calculator."""

import functools
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast, get_args

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from numpy.typing import NDArray
from torch import Tensor

from nnpot import compositions
from nnpot.batch import Batch
from nnpot.committee import Committee, Member
from nnpot.extrapolation import OnExtrapolation, Policy, as_policy
from nnpot.guesses import no_property
from nnpot.io import load_for_evaluation, usable_device
from nnpot.labels import LABELS
from nnpot.neighbors import check_places, moved_beyond_skin, neighbor_pairs
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import CENTERS_AT_ONCE
from nnpot.prediction import Prediction
from nnpot.structure import Structure, charge_of
from nnpot.tables import arranged, needs_in_dynamics, with_tables
from nnpot.torch_compile import Compilation, worth_compiling
from nnpot.uncertainty import FORCES, GRADE, OF_ATOMS
from nnpot.units import dtype_of

SPREAD = ("energy_std", "energies_std", "forces_std")
"""Results of committees besides those of every potential."""

_SETTINGS = "potential, device, dtype, skin, compile, on_extrapolation"
UNLOOKED = 0.25
"""Way of an atom, in Å, after which γ is looked at again, however few steps it takes: structures that differ a little,
as those of a scan, look like dynamics."""
_OF_POLICY = ("limit", "every", "force_error", "frames", "mean_limit")

Method = TypeVar("Method", bound=Callable[..., Any])


def _one_thread_at_a_time(method: Method) -> Method:
    """A method of the calculator for which threads wait for each other."""

    @functools.wraps(method)
    def waiting(self: "NNPotCalculator", *arguments: Any, **options: Any) -> Any:
        with self._lock():
            return method(self, *arguments, **options)

    return cast(Method, waiting)


class NNPotCalculator(Calculator):
    """Energy, atomic energies, forces, stress and what heads predict of a potential, in ASE's units and signs.

    >>> from ase.build import bulk
    >>> from nnpot import ZBL, NNPotCalculator
    >>> atoms = bulk("Cu", a=2.5)
    >>> atoms.calc = NNPotCalculator(ZBL(("Cu",)))
    >>> print(f"{atoms.get_potential_energy():.3f} eV")
    12.009 eV

    Of a committee the results hold how far its members are apart as well: `energy_std` in eV, `energies_std` in eV and
    `forces_std` in eV/Å, shape (N,) each, as :class:`nnpot.Spread` has them.

    A model of `nnpot train` knows how large its errors are likely to be: the results hold `energy_uncertainty` in eV,
    `energies_uncertainty` in eV and `forces_uncertainty` in eV/Å, shape (N,) each, `stress_uncertainty` in eV/Å³, and
    γ, how far each atom is from the training data, as `extrapolation`: 1 at the edge of them.  That takes time: while
    no atom moves by half the skin from one step to the next, and the cell stays, as in dynamics, the results hold them
    at every tenth step, and where an atom has moved by 0.25 Å since (unless `on_extrapolation` is "ignore"), and
    `calculator.get_property("extrapolation", atoms)` at any.

    The neighbour list is found with a skin and used again until an atom has moved by half of it (Verlet), or the cell,
    the periodicity or the elements change.

    Several threads may share a calculator: they wait for each other, and what ASE's functions return is of the atoms
    that the thread has asked for; `results` are the last of any thread.  Threads with a calculator each, of one
    potential, do not wait.  A calculator can be pickled, and what is made by fork or spawn calculates the same.

    Args:
        potential: A potential, which is copied, or the path of a model file, of a package, of the folder of a training,
            or of one with files of n2p2; a list of several for their committee.
        device: `cpu`, `cuda`, …
        dtype: Floating-point type to calculate in, `float32` or `float64`, also PyTorch's; a package has its own, and
            runs on the CPU.
        skin: In Å; 0 finds the neighbours anew at each step.
        compile: Compile what no C++ kernel calculates, as on a GPU, which takes about half a minute: `on` at the first
            call, `off` never, `auto` once 3 million atoms have been calculated, so in long runs only.
        on_extrapolation: What to do where an atom is outside of the training data: `ignore`, `warn` in the log, or
            `stop`: keep the frame in `extrapolation.xyz` and raise :class:`nnpot.ExtrapolationError`.  Or
            `nnpot.OnExtrapolation("stop", limit=3.0, every=1)`, with another γ from which on that is done than 2, at
            other steps of dynamics than every tenth, or where forces are expected to be off by too much for a while.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the model file is not complete, the dtype or `compile` is not known, there is no such device,
            the skin is negative or infinite, or the model is to stop where it extrapolates and does not know it.
        TypeError: If there is a setting that it does not have.
    """

    implemented_properties: list[str] = ["energy", "free_energy", "energies", "forces", "stress"]

    def __init__(
        self,
        potential: Member | Sequence[Member] | None = None,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = "float32",
        skin: float = 1.0,
        *,
        compile: Compilation = "auto",
        on_extrapolation: Policy | OnExtrapolation = "warn",
        **kwargs: Any,
    ) -> None:
        if potential is None or isinstance(potential, Atoms):
            given = "" if potential is None else ", not atoms"
            raise TypeError(f"a calculator needs a model first{given}: atoms.calc = nnpot.NNPotCalculator('runs/mine')")
        self._locks: dict[int, threading.RLock] = {}
        super().__init__(**kwargs)
        precision = dtype_of(dtype)
        if not 0 <= skin < math.inf:
            raise ValueError(f"skin must be finite and not negative, got {skin} Å")
        self.skin = skin
        self.potential, self.dtype, self.device = load_for_evaluation(potential, precision, usable_device(device))
        if compile not in get_args(Compilation):
            raise ValueError(f"compile must be one of {', '.join(get_args(Compilation))}, got {compile!r}")
        self.compile: Compilation = compile
        self.implemented_properties = ["free_energy", "energies", *self.potential.predicts]
        if isinstance(self.potential, Committee):
            self.implemented_properties += SPREAD
        self.on_extrapolation = as_policy(on_extrapolation)
        if self.potential.is_calibrated:
            self.implemented_properties += OF_ATOMS
        elif self.on_extrapolation.policy == "stop" or self.on_extrapolation.looks_back:
            raise ValueError("the model does not know where it extrapolates; nnpot calibrate MODEL DATA lets it")
        self._n_atoms: int | None = 0
        self._kept: _Kept | None = None
        self._last: Structure | None = None
        self._steps = 0  # of dynamics, or of whatever moves atoms little by little
        self._looked_at: Tensor | None = None  # positions at which γ was due

    calculate_properties = _one_thread_at_a_time(Calculator.calculate_properties)
    calculation_required = _one_thread_at_a_time(Calculator.calculation_required)
    reset = _one_thread_at_a_time(Calculator.reset)

    @_one_thread_at_a_time
    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill `results`; called by ASE.

        Raises:
            ValueError: If an element is not known to the potential, positions, cell or, where it counts, the total
                charge are not finite, or the results are not, as where two atoms are at one place.
        """
        super().calculate(atoms, properties, system_changes)
        self.results = {}
        structure = Structure.from_ase(cast(Atoms, self.atoms))
        if self.potential.heads and not math.isfinite(structure.charge):
            raise ValueError(
                "the total charge, atoms.info['charge'], must be one finite number; correct it, or leave it out for 0"
            )
        batch = self._batch(structure)
        is_asked = self._is_looked_at(structure) or not OF_ATOMS.keys().isdisjoint(properties or ())
        if is_asked:
            self._looked_at = structure.positions
        if is_asked != self.potential.tells_unknown:
            self.potential.telling_unknown(is_asked)
        self._compile_if_it_pays(len(structure))
        prediction, spread = self._predicted(batch)
        told = {**prediction.labels, **spread, **prediction.unknown}
        on_host = self._downloaded({"energies": prediction.energies, **told})
        if not (np.isfinite(on_host["energy"]).all() and np.isfinite(on_host["forces"]).all()):
            raise ValueError(prediction.complaints(batch)[0])
        energy = float(on_host["energy"][0])
        self.results = {"free_energy": energy, "energies": on_host["energies"]}
        for name in prediction.labels:
            if LABELS[name].is_possible(structure.pbc, has_volume=structure.has_volume):
                self.results[name] = on_host[name] if LABELS[name].per == "atom" else on_host[name][0]
        self.results |= {name: on_host[name] if on_host[name].ndim else float(on_host[name]) for name in spread}
        self.results |= _told_of(on_host)
        self.results["energy"] = energy
        if GRADE in self.results:
            self.on_extrapolation.look(cast(Atoms, self.atoms), on_host[GRADE], on_host[FORCES], self._steps)

    def _is_looked_at(self, structure: Structure) -> bool:
        """Whether γ is due: at every so many steps, and where an atom has come far since, unless it is ignored."""
        if self._steps % self.on_extrapolation.every == 0 or self._looked_at is None:
            return True
        far = moved_beyond_skin(self._looked_at, structure.positions, 2 * UNLOOKED)
        return self.on_extrapolation.policy != "ignore" and bool(far.any())

    @_one_thread_at_a_time
    def get_property(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Return a result by its name, with the arguments of ASE's own method, which it is.

        Raises:
            PropertyNotImplementedError: If there is no such result; it names those that there are.
            ValueError: As `calculate`.
        """
        if name not in self.implemented_properties:
            raise PropertyNotImplementedError(no_property(name, self.implemented_properties, OF_ATOMS))
        return super().get_property(name, *arguments, **options)

    def get_hessian(self, atoms: Atoms | None = None) -> NDArray[np.float64]:
        """Return second derivatives of the energy by the positions, in eV/Å², shape (3N, 3N).

        They are calculated in float64 whatever the dtype (:meth:`nnpot.Potential.hessian`), and may be given to
        `ase.vibrations.VibrationsData.from_2d`.

        Args:
            atoms: By default those of the last calculation.

        Raises:
            ValueError: If there are none, or as for the potential.
        """
        atoms = self.atoms if atoms is None else atoms
        if atoms is None:
            raise ValueError("there are no atoms yet: calculator.get_hessian(atoms)")
        hessian: NDArray[np.float64] = self.potential.hessian(atoms).cpu().numpy()
        return hessian

    def _predicted(self, batch: Batch) -> tuple[Prediction, dict[str, Tensor]]:
        """What the potential says, and how far the members of a committee are apart."""
        with torch.no_grad():
            if not isinstance(self.potential, Committee):
                return self.potential(batch), {}
            prediction, spread = self.potential.mean_and_spread(batch)
        return prediction, dict(zip(SPREAD, (spread.energy, spread.energies, spread.forces), strict=True))

    def set(self, **settings: Any) -> dict[str, Any]:
        """Complain about settings: those that it has are given when it is made.

        Raises:
            TypeError: If there is one.
        """
        if settings:
            of_policy = ", ".join(f"{name}={settings[name]!r}" for name in _OF_POLICY if name in settings)
            raise TypeError(
                f"a calculator of nnpot has no setting {', '.join(settings)} to be changed; make one with "
                + (f'on_extrapolation=nnpot.OnExtrapolation("stop", {of_policy})' if of_policy else _SETTINGS)
            )
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_locks": {}, "_kept": None}

    def _lock(self) -> threading.RLock:
        """The lock of this process: one made by fork must not wait for a thread that it has not."""
        return self._locks.setdefault(os.getpid(), threading.RLock())

    @staticmethod
    def _downloaded(results: Mapping[str, Tensor]) -> dict[str, NDArray[np.float64]]:
        """Results by name on the host, in one copy: each waits for the device."""
        flat = torch.cat([values.double().flatten() for values in results.values()]).cpu()
        parts = zip(results.items(), flat.split([values.numel() for values in results.values()]), strict=True)
        return {name: part.view(values.shape).numpy() for (name, values), part in parts}

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Return what has changed since the last calculation, the total charge among it; called by ASE."""
        changes: list[str] = super().check_state(atoms, tol)
        if self.potential.heads and self.atoms is not None and charge_of(atoms) != charge_of(self.atoms):
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

    def _batch(self, structure: Structure) -> Batch:
        """The structure with the pairs kept from an earlier step where they still hold every neighbour, else new."""
        if self._kept is not None and self._still_holds(self._kept.structure, structure):
            assert self._last is not None
            self._steps += not torch.equal(self._last.positions, structure.positions)  # else it is asked once more
        else:
            is_next = self._last is not None and self._still_holds(self._last, structure)
            self._steps = self._steps + 1 if is_next else 0
            self._kept = self._with_neighbors(structure)
        self._last = structure
        return self._kept.at(structure.positions)

    def _with_neighbors(self, structure: Structure) -> "_Kept":
        for told in compositions.complaints(self.potential, [structure.numbers.tolist()]):
            self.on_extrapolation.tell(told)
        pairs = neighbor_pairs(structure, self.potential.cutoff + self.skin)
        vectors = pairs.vectors(structure.positions, structure.cell)
        check_places(structure, pairs, vectors)
        batch = Batch.of_structure(structure, vectors, pairs.i, pairs.j)
        needs = needs_in_dynamics(self.potential, self.dtype, self.device)
        if needs is not None:
            batch = with_tables(arranged(batch, needs, self.skin), CENTERS_AT_ONCE)
        return _Kept(structure, batch.to(self.device, self.dtype), (pairs.shifts @ structure.cell).to(self.device))

    def _still_holds(self, old: Structure, new: Structure) -> bool:
        same = (
            old.pbc == new.pbc
            and old.charge == new.charge
            and np.array_equal(old.numbers.numpy(), new.numbers.numpy())
            and np.array_equal(old.cell.numpy(), new.cell.numpy())
        )
        return same and not bool(moved_beyond_skin(old.positions, new.positions, self.skin).any())


def _told_of(results: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """How large errors are likely to be, as far as it is known."""
    known = [name for name in OF_ATOMS if name in results and not np.isnan(results[name]).all()]
    return {name: results[name] if OF_ATOMS[name] else float(results[name][0]) for name in known}


@dataclass(frozen=True, eq=False)
class _Kept:
    """What is used again at the steps for which a neighbour list holds.

    Attributes:
        structure: For which neighbours were found.
        batch: The same with its pairs, on the device.
        shifts: S·cell of each pair, in Å, shape (P, 3), there as well.
    """

    structure: Structure
    batch: Batch
    shifts: Tensor

    def at(self, positions: Tensor) -> Batch:
        """Return the batch with atoms at other positions, in Å, shape (N, 3), on the host."""
        r, batch = positions.to(self.shifts.device), self.batch
        r_ij = r.index_select(0, batch.pair_j) - r.index_select(0, batch.pair_i) + self.shifts
        return replace(batch, positions=r, r_ij=r_ij.to(batch.r_ij.dtype))

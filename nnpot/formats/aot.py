"""A potential compiled ahead of time into one file, `*.pt2`: an AOTInductor package, which needs no Python to run.

It holds the graph from pairs to atomic energies and ∂E/∂r_ij, the derivative included, in machine code for the
processor and the release of PyTorch that it was made for.  A program that runs it provides the operators of
`nnpot.native`, compiled for its own processor.

Inputs, in this order; every size but S is at least 2 and may change from call to call:

===========  ======  ==========================================================================  =====
r_ij         (P, 3)  vectors from centre to neighbour, sorted by centre                          Å
pair_i       (P,)    centre of each pair
pair_j       (P,)    atom that is the neighbour in each pair
species      (A,)    element of each atom, counted as in the package's `elements`
centers      (N,)    element of each centre
atom_of_row  (S, R)  centres of element s in row s, any in the places left over (`functional/blocks.py`)
row_of_atom  (N,)    where each centre is among those S·R places
mask         (S, R)  1 for a place that is taken, 0 for one left over
asked        (S, Q)  centres of which it is asked what is unknown, as `atom_of_row`
asked_mask   (S, Q)  as `mask`
===========  ======  ==========================================================================  =====

Outputs: atomic energies (N,), float64, in eV; ∂E/∂r_ij (P, 3), in eV/Å.  Pairs beyond the cutoff have no influence.
The last two inputs are those of a package that knows how large its errors are likely to be, as its metadata say, and
these further outputs (:mod:`nnpot.uncertainty`): γ (S, Q); deviations of energies (S, Q, W), in eV; the uncertainty of
forces (S, Q), in eV/Å.

The file is a zip archive whose comment is its checksum (:mod:`nnpot.formats.seal`), which is compared before anything
in the file is loaded, by LAMMPS as well.
"""

import copy
import io
import json
import logging
import platform
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from ase.data import atomic_masses, atomic_numbers
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from nnpot.batch import Pairs
from nnpot.elements import check_elements
from nnpot.formats.aot_compiler import settings_of_compiler
from nnpot.formats.described import check_cutoff
from nnpot.formats.seal import check_members, is_intact, sealed
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.linear import Fixed
from nnpot.functional.tape import Sum, Tape
from nnpot.machine import processor
from nnpot.machine.build import NATIVE, complaint, find_compiler, pytorch_release
from nnpot.machine.files import write_atomically
from nnpot.native import are_compiled
from nnpot.native.library import state
from nnpot.potential import Potential
from nnpot.uncertainty import ATOMS, DEVIATIONS, FORCES, GRADE, VIRIAL, Uncertainty
from nnpot.units import dtype_of

log = logging.getLogger("nnpot")

FORMAT = "8"
"""Number of the format of packages; raised whenever a package calls other operators or has other metadata."""
SUFFIX = ".pt2"
SHOWN = {"dtype": "dtype", "torch": "PyTorch", "processor": "processor", "instructions": "instructions"}
"""Metadata of the code of a package, by the names of the rows of `nnpot info`."""
_NAMES = ("torch", "elements", "cutoff", "dtype", "machine", "processor", "instructions", "register", "summary")
"""What the metadata hold beside the format."""
_DYNAMIC = ({0: "P"}, {0: "P"}, {0: "P"}, {0: "A"}, {0: "N"}, {1: "R"}, {0: "N"}, {1: "R"}, {1: "Q"}, {1: "Q"})
UNKNOWN = (GRADE, DEVIATIONS, FORCES)
"""What a package tells of what is unknown, in the order of its outputs."""
_LEAST = 2
"""Smallest size of an input: a compiler may treat sizes 0 and 1 as special cases."""


def write(
    potential: Potential,
    path: str | Path,
    dtype: str = "float32",
    target: str = NATIVE,
    summary: Mapping[str, Any] | None = None,
) -> Path:
    """Compile a potential into a package; about half a minute.

    Args:
        potential: Any potential.
        path: Where to, `*.pt2`.
        dtype: Floating-point type to calculate in, `float32` or `float64`.
        target: The processor that is to run it, by the name that compilers have for it, such as `x86-64-v3`.
        summary: What a model file says about where the potential comes from.

    Raises:
        ValueError: If dtype or target are not known, or the potential cannot be recorded as one graph.
        FileNotFoundError: If there is no C++ compiler.
    """
    precision, compiler = dtype_of(dtype), find_compiler()
    if compiler is None:
        raise FileNotFoundError("a package needs a C++ compiler, and there is none here; install g++")
    if not are_compiled(precision, torch.device("cpu")):
        raise FileNotFoundError(f"a package calls the C++ kernels, and they do not run here: {state().sentence}")
    if Path(path).suffix != SUFFIX:
        raise ValueError(f"the name of a package ends in {SUFFIX}, that of {path} does not")
    instructions, uncertainty = processor.instructions_of(compiler, target), _uncertainty_of(potential)
    function = _PairFunction(copy.deepcopy(potential).to("cpu", precision).eval().requires_grad_(False))
    metadata = {
        "nnpot": FORMAT,
        "torch": pytorch_release(),
        "elements": " ".join(potential.elements),
        "masses": " ".join(repr(float(atomic_masses[atomic_numbers[s]])) for s in potential.elements),
        "cutoff": repr(float(potential.cutoff)),
        "core": "yes" if potential.has_core else "no",
        "uncertainty": "no" if uncertainty is None else "yes",
        "width": "0" if uncertainty is None else str(uncertainty.width + 1),
        "virial": "0.0" if uncertainty is None else repr(float(uncertainty.virial)),
        "dtype": dtype,
        "machine": platform.machine(),
        "processor": processor.name() if target == NATIVE else target,
        "instructions": " ".join(sorted(instructions)),
        "register": str(processor.register(instructions)),
        "summary": json.dumps(dict(summary or {})),
    }
    log.info("compiling the potential into %s, about half a minute", path)
    exported = _recorded(function, _example(len(potential.elements), precision, with_asked=uncertainty is not None))
    with warnings.catch_warnings(action="ignore"), tempfile.TemporaryDirectory() as folder:  # compilers' warnings
        unfinished = str(Path(folder) / Path(path).name)
        configs = {"aot_inductor.metadata": metadata, **settings_of_compiler(compiler, target, Path(folder))}
        torch._inductor.aoti_compile_and_package(exported, package_path=unfinished, inductor_configs=configs)
        return write_atomically(Path(path), sealed(Path(unfinished).read_bytes()))


def read_rows(path: str | Path) -> dict[str, str]:
    """Return what a package says of its code, as :func:`read_metadata` does, in rows for reading."""
    metadata = read_metadata(path)
    return {row: metadata[key] for key, row in SHOWN.items()}


def read_summary(path: str | Path) -> dict[str, Any]:
    """Return what a package says about where its potential comes from, as :func:`read_metadata` does."""
    return dict(json.loads(read_metadata(path)["summary"]))


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return what a package says of itself: `elements`, `cutoff`, `dtype`, for which `processor`, …; nothing is run.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no package of this nnpot, has changed since it was written, was made with another release
            of PyTorch or for a processor that has more than this one.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no package {path}")
    content = Path(path).read_bytes()
    try:
        check_members(content)
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            names = [name for name in package.namelist() if name.endswith("_metadata.json")]
            metadata: dict[str, str] = json.loads(package.read(names[0])) if names else {}
    except Exception as error:  # of many kinds, by where the damage is
        raise ValueError(f"{path} is not a complete package ({complaint(error)}); export the model again") from error
    if not names and any(name.endswith("/data.pkl") for name in package.namelist()):
        raise ValueError(f"{path} is a file of PyTorch, such as a checkpoint; name the model that belongs to it")
    if not isinstance(metadata, dict) or metadata.get("nnpot") != FORMAT:
        raise ValueError(f"{path} is not a package that this nnpot reads; export the model again")
    if not is_intact(content):
        raise ValueError(
            f"{path} has changed since it was written: its checksum differs; copy it or export the model again"
        )
    lacking = [n for n in names if ".wrapper_" in n and n.replace("_metadata", "") not in package.namelist()]
    if lacking:  # PyTorch looks for them in a calculation only
        raise ValueError(f"{path} lacks its member {lacking[0].replace('_metadata', '')}; export the model again")
    _check_metadata(path, metadata)
    if metadata["torch"] != pytorch_release():
        raise ValueError(
            f"{path} was made with PyTorch {metadata['torch']}, this is {pytorch_release()}; export the model again"
        )
    _check_processor(path, metadata)
    return metadata


def _check_metadata(path: str | Path, metadata: dict[str, Any]) -> None:
    """Check that all is there, and is what it should be."""
    try:
        lacking = [name for name in _NAMES if not isinstance(metadata.get(name), str)]
        if lacking:
            raise ValueError(f"it does not say its {', '.join(lacking)}")
        check_elements(metadata["elements"].split())
        dtype_of(metadata["dtype"])
        check_cutoff(float(metadata["cutoff"]))
        if not isinstance(json.loads(metadata["summary"]), dict):
            raise ValueError("its summary is no table")
    except ValueError as error:
        raise ValueError(f"{path} is not a complete package ({complaint(error)}); export the model again") from error


def _check_processor(path: str | Path, metadata: dict[str, str]) -> None:
    lacking = processor.lacking(metadata["instructions"].split())
    if metadata["machine"] != platform.machine():
        lacking = [metadata["machine"]]
    if lacking:
        raise ValueError(
            f"{path} was made for another processor ({metadata['processor']}): this one has no {', '.join(lacking)}; "
            "export the model again here, or there with a --target, such as x86-64-v3"
        )


class AOTPotential(Potential):
    """A potential read from a package.  Its results have no history: it can be evaluated, not trained.

    Args:
        loader: The loaded package.
        metadata: What the package says of itself.
    """

    has_second_derivatives = False

    def __init__(self, loader: Any, metadata: dict[str, str]) -> None:
        super().__init__()
        self.loader, self.path = loader, Path()
        self.elements = tuple(metadata["elements"].split())
        self.cutoff = float(metadata["cutoff"])
        self.dtype = dtype_of(metadata["dtype"])
        self._has_core, self._is_calibrated = (metadata.get(name) == "yes" for name in ("core", "uncertainty"))
        self._virial = float(metadata.get("virial", 0.0))

    @property
    def has_core(self) -> bool:
        """As the package says of itself."""
        return self._has_core

    @property
    def is_calibrated(self) -> bool:
        """As the package says of itself."""
        return self._is_calibrated

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Load a package.  It holds machine code: load only what you trust.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no package of this nnpot, was made with another release of PyTorch or for another
                processor, which is found out before any of its code is run.
        """
        metadata = read_metadata(path)
        warnings_of_pytorch = logging.getLogger("torch.export.pt2_archive._package")
        warnings_of_pytorch.addFilter(_is_not_of_processors)
        try:
            loader = torch._inductor.aoti_load_package(str(path)).loader
        except Exception as error:  # of all kinds, by what is wrong with the file
            raise ValueError(
                f"{path} is not a complete package ({complaint(error)}); export the model again"
            ) from error
        finally:
            warnings_of_pytorch.removeFilter(_is_not_of_processors)
        potential = cls(loader, metadata)
        potential.path = Path(path).resolve()
        return potential

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return the energy of every atom, in eV, shape (N,); without history."""
        return self._run(pairs)[0]

    def record(self, tape: Tape, pairs: Pairs) -> dict[str, Sum]:
        """As of every potential, in one step."""
        energies, gradient, unknown = self._run(pairs)

        def pull(bar: Tensor) -> list[Tensor]:  # a pair has influence on the energy of its centre alone
            return [gradient * bar.to(gradient.dtype).index_select(0, pairs.pair_i).unsqueeze(dim=1)]

        def push(direction: Tensor) -> list[Tensor]:
            raise RuntimeError("a package can be evaluated, not trained")

        told = {name: tape.beside(x) for name, x in unknown.items()}
        return {"energies": ((1.0, tape.add(Fixed([energies], pull, push), tape.r)[0]),), **told}

    def _run(self, pairs: Pairs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return atomic energies (N,) in eV, ∂E/∂r_ij (P, 3) in eV/Å, and what is unknown of atoms, by name.

        Sizes that are too small are filled up with atoms of the first element and pairs beyond the cutoff.
        """
        order = None if pairs.is_sorted else torch.argsort(pairs.pair_i, stable=True)
        r_ij, pair_i, pair_j = (
            t if order is None else t.index_select(0, order) for t in (pairs.r_ij, pairs.pair_i, pairs.pair_j)
        )
        centers = _filled_up(pairs.center_species, 0)
        sorted_by_element = ElementBlocks.of(centers, len(self.elements), self.dtype, min_width=_LEAST)
        of_all = (sorted_by_element.atom_of_row, sorted_by_element.mask)
        asked = [x if self.tells_unknown else torch.zeros_like(x[:, :_LEAST]) for x in of_all if self.is_calibrated]
        energies, gradient, *unknown = self.loader.run(
            [
                _filled_up(r_ij.detach().to(self.dtype), 2 * self.cutoff).contiguous(),
                _filled_up(pair_i, len(centers) - 1),
                _filled_up(pair_j, 0),
                _filled_up(pairs.species, 0),
                centers,
                sorted_by_element.atom_of_row,
                sorted_by_element.row_of_atom,
                sorted_by_element.mask,
                *asked,
            ]
        )
        gradient = gradient[: len(r_ij)]
        if order is not None:
            gradient = torch.empty_like(gradient).index_copy(0, order, gradient)
        n = len(pairs.center_species)
        told = {}
        if self.tells_unknown and unknown:
            told = {name: sorted_by_element.gather(x)[:n] for name, x in zip(UNKNOWN, unknown, strict=True)}
            told[ATOMS] = told[DEVIATIONS].norm(dim=1)
            told[VIRIAL] = gradient.new_full((n,), self._virial)
        return energies[:n], gradient, told

    def dtype_and_device(self) -> tuple[torch.dtype, torch.device]:
        """Return the dtype that the package calculates in, and the CPU."""
        return self.dtype, torch.device("cpu")

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads the file again: machine code is not copied."""
        return type(self).read, (self.path,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """It never changes, so a copy is the thing itself."""
        return self


def _is_not_of_processors(record: logging.LogRecord) -> bool:
    """False for PyTorch's warning that this processor is another, which is known to be as good by then."""
    return "AOTI_CPU_ISA" not in record.getMessage()


class _PairFunction(nn.Module):
    """What is recorded."""

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential = potential

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return atomic energies, their derivatives with respect to the pairs and, if asked for, what is unknown."""
        r_ij, pair_i, pair_j, species, centers, atom_of_row, row_of_atom, mask, *of_asked = inputs
        pairs = Pairs(r_ij, pair_i, pair_j, species, centers, assume_sorted=True)
        pairs.cache[ElementBlocks, len(self.potential.elements)] = ElementBlocks(atom_of_row, row_of_atom, mask)
        asked = ElementBlocks(of_asked[0], row_of_atom, of_asked[1]) if of_asked else None
        with torch.no_grad():
            tape = Tape(r_ij, is_trained=False, asked=asked)
            outputs, gradient = tape.results(self.potential.record(tape, pairs))
        unknown = [outputs[name].contiguous() for name in UNKNOWN] if of_asked else []
        return outputs["energies"], gradient, *unknown


def _recorded(function: _PairFunction, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """The function as a graph of tensor operations for any sizes.

    Raises:
        ValueError: If what it does depends on the numbers in its inputs.
    """
    function(*inputs)  # fills the caches of constants, which must not happen while recording
    names = {n for d in _DYNAMIC[: len(inputs)] for n in d.values()}
    sizes = {name: torch.export.Dim(name, min=_LEAST) for name in names}
    shapes = tuple({d: sizes[name] for d, name in dynamic.items()} for dynamic in _DYNAMIC[: len(inputs)])
    try:
        graph = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(*inputs)
        return torch.export.export(graph, inputs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # of many kinds, by where the recording fails
        raise ValueError(f"this potential cannot be recorded as one graph: {complaint(error)}") from error


def _uncertainty_of(potential: Potential) -> Uncertainty | None:
    """What knows how large its errors are likely to be, if it counts the elements as the whole potential does."""
    known = (part for part in potential.modules() if isinstance(part, Uncertainty))
    found = next(known, None) if potential.is_calibrated else None
    return found if found is not None and found.elements == potential.elements else None


def _example(n_elements: int, dtype: torch.dtype, *, with_asked: bool) -> tuple[Tensor, ...]:
    """Inputs of which no two sizes are equal, nor a usual size of anything in a potential."""
    centers = torch.zeros(1009 + 3 * (n_elements - 1), dtype=torch.int64)
    for s in range(1, n_elements):
        centers[1009 + 3 * s - 3 : 1009 + 3 * s] = s
    rows = ElementBlocks.of(centers, n_elements, dtype)
    n_pairs = 3001
    pair_i = torch.sort(torch.arange(n_pairs) % len(centers)).values
    vectors = 1 + torch.rand(n_pairs, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    species = torch.cat([centers, centers[:37]])
    asked = [x[:, :61].contiguous() for x in (rows.atom_of_row, rows.mask)] if with_asked else []
    return vectors, pair_i, pair_i.flip(0), species, centers, rows.atom_of_row, rows.row_of_atom, rows.mask, *asked


def _filled_up(x: Tensor, value: float) -> Tensor:
    """At least the least number of rows, further ones of one value."""
    missing = max(_LEAST - len(x), 0)
    return torch.cat([x, x.new_full((missing, *x.shape[1:]), value)]) if missing else x

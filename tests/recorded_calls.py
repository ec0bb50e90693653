"""Calls of compiled functions as a potential makes them, kept for a program without Python (`ports/driver.cpp`)."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from systems import CUTOFF, ELEMENTS, acsf, core, knowing, listed_acsf, structure
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nnpot.batch import Batch
from nnpot.descriptors import ACE, Descriptor
from nnpot.functional import CUTOFFS
from nnpot.functional.cutoffs import STEEP
from nnpot.functional.segment import segment_sum
from nnpot.native.registry import DONE
from nnpot.native.table import OPERATORS
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential

SYSTEMS = ("alloy", "triclinic", "one atom", "water", "no neighbors")
"""Five elements in all, many neighbours, few and none."""


# other instructions, another order of sums of some hundred terms, other library functions: some ten eps
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a compiled function, and the result that the library of this process gave."""

    name: str
    arguments: tuple[Any, ...]
    result: Tensor

    def __str__(self) -> str:
        sizes = [str(x) for x in self.arguments if not isinstance(x, Tensor)]
        return f"{self.name}({', '.join(sizes)}), {self.result.dtype}"

    def written(self) -> bytes:
        """The call as `driver.cpp` reads it: the result is 0 in the beginning."""
        operator, first = OPERATORS[self.name], self.arguments[0]
        sizes, _, _ = operator.shapes(*self.arguments)
        parts = [_array(self.name.encode()), *(struct.pack("q", x) for x in (first.element_size(), 1, *sizes))]
        for argument, value in zip(operator.arguments, self.arguments, strict=True):
            if argument.is_tensor:
                parts.append(_array(value.contiguous().numpy().tobytes()))
            else:
                parts.append(struct.pack("d" if argument.kind == "float" else "q", value))
        return b"".join([*parts, _array(torch.zeros_like(self.result).numpy().tobytes())])


def _array(content: bytes) -> bytes:
    return struct.pack("q", len(content)) + content


class Recorder(TorchDispatchMode):  # type: ignore[misc]
    """Keeps all calls of operators `torch.ops.nnpot` that are made within it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator as ever, and keep it with copies of its arguments if it is one of nnpot's."""
        copies = tuple(a.detach().clone() if isinstance(a, Tensor) else a for a in args)
        result = func(*args, **(kwargs or {}))
        if func.namespace == "nnpot":
            self.calls.append(Call(func._schema.name.partition("::")[2], copies, result.detach().clone()))
        return result


def _ace(*sizes: int, **more: Any) -> Callable[[], Descriptor]:
    return lambda: ACE(CUTOFF, ELEMENTS, *sizes, **more)


def _powers(*zetas: float) -> tuple[tuple[float, float, float, float], ...]:
    return tuple((eta, zeta, sign, r_s) for eta, r_s in ((0.01, 0.0), (0.2, 0.8)) for zeta in zetas for sign in (1, -1))


RAGGED: dict[str, Callable[[], Descriptor]] = {
    **{f"ace of degree {l_max}": _ace(3, 2 * l_max + 1, l_max) for l_max in range(5)},
    **{f"ace of {c} channels": _ace(c, k, 2, element_channels=2) for c, k in ((1, 17), (7, 5), (13, 3))},
    **{f"ace of body order {n}": _ace(2, 3, 2, body_order=n) for n in (2, 3, 4, 5)},
    "ace, 32 radial": _ace(2, 32, 3),
    "weighted densities": _ace(4, 12, 4, weighted_channels=16, weighted_units=32, weighted_layers=2),
    "odd weighted densities": _ace(2, 7, 3, weighted_channels=11, weighted_units=13, weighted_layers=1),
    "small weighted densities": _ace(
        3, 5, 1, element_channels=2, weighted_channels=3, weighted_units=5, weighted_layers=2
    ),
    **{
        f"acsf, {name}": lambda name=name: acsf(cutoff_function=name, inner_fraction=0.0 if name in STEEP else 0.3)  # type: ignore[misc]
        for name in CUTOFFS
    },
    "acsf, radial only": lambda: acsf(g4=(), g5=()),
    "acsf, moments": lambda: acsf(g4=(), g5=_powers(1.0, 2.0, 4.0)),
    "acsf, many angular parts": lambda: acsf(g4=_powers(1.5, 3.0), g5=_powers(1.5, 3.0, 7.0)),
    "listed acsf": listed_acsf,
}
"""Sizes that fill whole registers, and many that do not; every kind of function."""

ACTIVATIONS = (("silu", "tanh"), ("sigmoid", "gaussian"), ("linear", "silu"))
HIDDEN = ((9, 7), (16, 3), (5, 33))


def batch() -> Batch:
    """Structures with labels, which need not be good ones."""
    labelled = []
    for name in SYSTEMS:
        atoms = structure(name)
        forces = torch.randn(len(atoms), 3, generator=torch.Generator().manual_seed(len(atoms)))
        labelled.append(single_batch(atoms.with_labels(energy=1.0, forces=forces), CUTOFF))
    return Batch.join(labelled)


def calls_of(make: Callable[[], Descriptor], dtype: torch.dtype, kind: int) -> list[Call]:
    """All calls for energies, forces and the gradient of a loss of both with respect to all weights."""
    with torch.random.fork_rng():
        torch.manual_seed(kind)
        kind %= len(HIDDEN)
        guard = core() if kind == 0 else None  # what comes of it depends on the pairs alone
        potential = NeuralNetworkPotential(make(), HIDDEN[kind], ACTIVATIONS[kind], core=guard)
        for parameter in potential.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    potential.to(dtype)
    some = batch().to(dtype=dtype)
    with Recorder() as recorder:
        trained = potential.train()(some)
        loss = (trained.energy**2).sum() + ((trained.forces - some.forces) ** 2).sum()
        torch.autograd.grad(loss, list(potential.parameters()))
        potential.eval()(some)
        if kind == 0:
            knowing(potential).to(dtype)(some)
    return recorder.calls


def call_of_forces(dtype: torch.dtype) -> Call:
    """The sum of forces, and what tensors make of it."""
    pairs, n_atoms = batch(), len(batch().numbers)
    gradient = torch.randn(len(pairs.pair_i), 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    forces = segment_sum(gradient, pairs.pair_i, n_atoms) - segment_sum(gradient, pairs.pair_j, n_atoms)
    return Call("forces", (gradient, pairs.pair_i, pairs.pair_j, n_atoms), forces)


def ragged_calls() -> list[Call]:
    """Calls of every compiled function in both precisions, of all of `RAGGED`."""
    calls = []
    for dtype in (torch.float64, torch.float32):
        calls.append(call_of_forces(dtype))
        for kind, make in enumerate(RAGGED.values()):
            calls += calls_of(make, dtype, kind)
    return calls


def write_calls(calls: Sequence[Call], path: Path) -> Path:
    """Write calls for `driver.cpp`."""
    path.write_bytes(b"".join(call.written() for call in calls))
    return path


def results(calls: Sequence[Call], path: Path) -> Iterator[tuple[int, Tensor]]:
    """Yield what was answered to every call, and its result, as `driver.cpp` has written them."""
    content, place = path.read_bytes(), 0
    for call in calls:
        n = call.result.nbytes
        (answer,) = struct.unpack_from("q", content, place)
        result = torch.frombuffer(bytearray(content[place + 8 : place + 8 + n]), dtype=call.result.dtype)
        yield answer, result.view(call.result.shape)
        place += 8 + n
    if place != len(content):
        raise ValueError(f"{path} holds more than the results of {len(calls)} calls")


def differing(calls: Sequence[Call], path: Path) -> dict[str, str]:
    """Return which calls have gone wrong elsewhere, and how: an error beyond `TOLERANCE`, relative to the norm."""
    wrong = {}
    for call, (answer, found) in zip(calls, results(calls, path), strict=True):
        error = float((found - call.result).norm()) / max(float(call.result.norm()), 1e-30)
        if answer != DONE:
            wrong[str(call)] = f"answered {answer}"
        elif not error <= TOLERANCE[call.result.dtype]:
            wrong[str(call)] = f"error {error:.2g}"
    return wrong

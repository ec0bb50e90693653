"""Kernels calculate what tensors do, however wide the vector registers are that they use."""

from collections.abc import Callable
from ctypes import CDLL

import pytest
import torch
from proofs import PRECISION, assert_close, each_precision
from registers import WIDTHS, kernels, using
from systems import CUTOFF, ELEMENTS, acsf, structure
from torch import Tensor

from nnpot.batch import Batch
from nnpot.descriptors import ACE, ACSF, Descriptor
from nnpot.native import are_compiled
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential

CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.usefixtures("double"),
    pytest.mark.skipif(not are_compiled(torch.float64, CPU), reason="no C++ compiler"),
]


def ace(n_channels: int, n_radial: int, l_max: int, **second: int) -> Callable[[], Descriptor]:
    return lambda: ACE(CUTOFF, ELEMENTS, n_channels, n_radial, l_max, **second)


def wide(zetas: tuple[float, ...]) -> ACSF:
    """Angular functions of many parts, through moments or not."""
    return acsf(
        g4=(), g5=tuple((eta, zeta, sign, 0.0) for eta in (0.01, 0.2) for zeta in zetas for sign in (1.0, -1.0))
    )


DESCRIPTORS: dict[str, Callable[[], Descriptor]] = {
    **{f"ace, {k} radial": ace(3, k, 4) for k in (1, 2, 5, 12, 17, 32)},  # whole registers, and what is left over
    **{f"ace, {c} channels": ace(c, 3, 2) for c in (1, 2, 4, 7, 13)},
    **{f"ace, degree {l_max}": ace(4, 4, l_max) for l_max in (0, 1, 3)},
    "weighted densities": ace(4, 12, 4, weighted_channels=16, weighted_units=32, weighted_layers=2),
    "small weighted densities": ace(3, 5, 2, weighted_channels=3, weighted_units=5),
    "odd weighted densities": ace(2, 7, 3, weighted_channels=11, weighted_units=13),
    "acsf": acsf,
    "acsf, moments": lambda: wide((1.0, 2.0, 4.0)),
    "acsf, wide": lambda: wide((1.5, 3.0, 7.0)),
}


def batch() -> Batch:
    """Atoms of several elements with many neighbours, and few, with labels."""
    labelled = []
    for name in ("alloy", "triclinic", "water", "one atom"):
        atoms = structure(name)
        forces = torch.randn(len(atoms), 3, generator=torch.Generator().manual_seed(len(atoms)))
        labelled.append(single_batch(atoms.with_labels(energy=1.0, forces=forces), CUTOFF))
    return Batch.join(labelled)


def everything(make: Callable[[], Descriptor], dtype: torch.dtype, used: CDLL | None) -> list[Tensor]:
    """Energies, forces, the gradient of a loss of both with respect to all weights; energies and forces evaluated."""
    torch.manual_seed(0)
    potential = NeuralNetworkPotential(make(), hidden=(9, 7), activation=("silu", "tanh"))
    for p in potential.parameters():
        p.data += 0.1 * torch.randn_like(p)
    potential.to(dtype)
    some = batch().to(dtype=dtype)
    with using(used):
        trained = potential.train()(some)
        loss = (trained.energy**2).sum() + ((trained.forces - some.forces) ** 2).sum()
        gradients = torch.autograd.grad(loss, list(potential.parameters()))
        evaluated = potential.eval()(some)
    parts = [trained.energies, trained.forces, evaluated.energies, evaluated.forces, *gradients]
    return [x.detach() for x in parts]


@pytest.mark.slow  # each width is compiled; that of the processor is that of all other tests
@each_precision
@pytest.mark.parametrize("name", DESCRIPTORS)
@pytest.mark.parametrize("register", WIDTHS)
def test_energies_forces_and_gradients_of_training(register: int, name: str, dtype: torch.dtype) -> None:
    used = kernels(register)
    assert used is not None
    by_tensors = everything(DESCRIPTORS[name], torch.float64, None)
    scale = max(float(torch.linalg.vector_norm(x)) for x in by_tensors[4:])
    for k, (found, wanted) in enumerate(zip(everything(DESCRIPTORS[name], dtype, used), by_tensors, strict=True)):
        assert_close(found.double(), wanted, 10 * PRECISION[dtype], scale=1e-2 * scale if k >= 4 else 0.0)

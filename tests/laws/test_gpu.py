"""On a GPU everything is what it is on the CPU, to rounding; `test_another_device.py` counts what is asked of one."""

import copy
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from datasets import labelled_alloys, tiny_config, write
from proofs import labelled, loss_gradients
from runs import weights
from systems import POTENTIALS, SYSTEMS, ace, knowing, network_potential, structure

from nnpot.__main__ import main
from nnpot.batch import Batch
from nnpot.calculator import NNPotCalculator
from nnpot.committee import Committee
from nnpot.neighbors import single_batch
from nnpot.potential import Potential
from nnpot.uncertainty import OF_ATOMS

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
    pytest.mark.usefixtures("double"),
]

NAMES = ("dimer", "water", "primitive cell", "one atom", "alloy", "slab")
SEVERAL = {
    **POTENTIALS,
    "ACE that knows its errors": lambda: knowing(network_potential(ace())),
    "committee": lambda: Committee(tuple(knowing(network_potential(ace(), seed)) for seed in (1, 2))),
    "with charges": lambda: network_potential(ace(), heads=("charges",)),
}
every_potential = pytest.mark.parametrize("name", SEVERAL)


def assert_equal(there: torch.Tensor, here: torch.Tensor, tolerance: float = 1e-9) -> None:
    known = here[torch.isfinite(here)]
    scale = float(known.abs().amax()) if len(known) > 0 else 0.0
    torch.testing.assert_close(there.cpu(), here, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def systems(cutoff: float) -> Batch:
    return Batch.join([single_batch(labelled(structure(name)), cutoff) for name in NAMES])


@every_potential
def test_predictions_and_second_derivatives(name: str) -> None:
    here, batch = SEVERAL[name](), systems(SEVERAL[name]().cutoff)
    there = copy.deepcopy(here).to("cuda")
    for x, y in zip(_numbers(there, batch.to("cuda")), _numbers(here, batch), strict=True):
        assert_equal(x, y)
    single = copy.deepcopy(here).to("cuda", torch.float32)(batch.to("cuda", torch.float32))
    wanted = here(batch)
    for x, y in ((single.forces, wanted.forces), (single.energies, wanted.energies)):
        assert_equal(x.detach().double(), y.detach(), 1e-3 if "ACSF" in name else 2e-4)


def _numbers(potential: Potential, batch: Batch) -> list[torch.Tensor]:
    with torch.no_grad():
        prediction = potential(batch)
    numbers = [prediction.energies, *prediction.labels.values(), *prediction.unknown.values()]
    if potential.has_second_derivatives:
        r_ij = batch.r_ij.clone().requires_grad_()
        energies = potential.atomic_energies(batch.pairs(potential.elements).with_vectors(r_ij))
        (first,) = torch.autograd.grad(energies.square().sum(), r_ij, create_graph=True)
        numbers += [first.detach(), *torch.autograd.grad(first.square().sum(), r_ij)]
    return numbers


@pytest.mark.parametrize("name", [name for name in POTENTIALS if name != "ZBL"])
def test_gradients_of_the_loss(name: str) -> None:
    batch, here = systems(POTENTIALS[name]().cutoff), POTENTIALS[name]().train()
    there = copy.deepcopy(here).to("cuda")
    wanted, got = loss_gradients(here, batch, 0.7, 1.3, 0.4), loss_gradients(there, batch.to("cuda"), 0.7, 1.3, 0.4)
    for parameter, gradient in got.items():
        assert_equal(gradient, wanted[parameter], 1e-7)


@every_potential
def test_dynamics(name: str) -> None:
    here, there = SYSTEMS["alloy"]() * 2, SYSTEMS["alloy"]() * 2
    here.calc = NNPotCalculator(SEVERAL[name](), dtype="float64", on_extrapolation="ignore")
    there.calc = NNPotCalculator(SEVERAL[name](), "cuda", dtype="float64", on_extrapolation="ignore")
    for step in range(3):
        move = 0.02 * np.random.default_rng(step).normal(size=here.positions.shape)
        here.positions += move
        there.positions += move
        assert there.get_potential_energy() == pytest.approx(here.get_potential_energy(), rel=1e-10)
        assert there.calc.results.keys() == here.calc.results.keys()
        for key, value in here.calc.results.items():
            np.testing.assert_allclose(there.calc.results[key], value, rtol=1e-7, atol=1e-8, err_msg=key)


def test_dynamics_compiled(caplog: pytest.LogCaptureFixture) -> None:
    here, there = SYSTEMS["alloy"]() * 2, SYSTEMS["alloy"]() * 2
    here.calc = NNPotCalculator(network_potential(ace()), dtype="float64")
    there.calc = NNPotCalculator(network_potential(ace()), "cuda", dtype="float64", compile="on")
    np.testing.assert_allclose(there.get_forces(), here.get_forces(), rtol=0, atol=1e-9)
    assert "without compilation" not in caplog.text


def test_a_hessian() -> None:
    there = network_potential(ace()).to("cuda")
    assert_equal(there.hessian(structure("water")), network_potential(ace()).hessian(structure("water")), 1e-8)


def trained(folder: Path, accelerator: str, *options: str) -> Path:
    """Train on a device; return the folder of the run."""
    out = folder / accelerator
    here = ["--trainer.accelerator", accelerator, "--trainer.dtype", "float64", "--seed", "1"]
    main(["train", "--config", str(tiny_config(folder)), "--out", str(out), *here, *options])
    return out


def test_a_training_and_its_commands(tmp_path: Path) -> None:
    model = trained(tmp_path, "gpu", "--uncertainty", "true", "--check", "true") / "model.nnpot"
    torch.testing.assert_close(
        weights(model), weights(trained(tmp_path, "cpu", "--uncertainty", "true") / "model.nnpot"),
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip
    data = write(tmp_path / "test.xyz", labelled_alloys(4, seed=1))
    for device in ("cuda", "cpu"):
        main(["predict", str(model), str(data), str(tmp_path / f"{device}.xyz"), "--device", device])
        main(["evaluate", str(model), str(data), "--device", device])
    there, here = (ase.io.read(tmp_path / f"{device}.xyz", ":") for device in ("cuda", "cpu"))
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(a.get_forces(), b.get_forces(), rtol=1e-3, atol=1e-4)
        assert set(OF_ATOMS) & set(a.arrays) == set(OF_ATOMS) & set(b.arrays)


@pytest.mark.parametrize(("first", "then"), [("gpu", "cpu"), ("cpu", "gpu"), ("gpu", "gpu")])
def test_a_training_goes_on_elsewhere(first: str, then: str, tmp_path: Path) -> None:
    def in_two_parts(name: str, first: str, then: str) -> torch.Tensor:
        folder = tmp_path / name
        folder.mkdir()
        run = trained(folder, first, "--trainer.max_epochs", "2")
        main(["train", "--resume", str(run), "--trainer.accelerator", then, "--trainer.max_epochs", "4"])
        return weights(run / "model.nnpot")

    wanted = in_two_parts("here", "cpu", "cpu")
    torch.testing.assert_close(in_two_parts("there", first, then), wanted, rtol=1e-4, atol=1e-6)

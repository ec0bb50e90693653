"""Activation functions and networks of one's own: trained, saved, named in configurations."""

import sys
from pathlib import Path

import pytest
import torch
from datasets import labelled_alloys, write
from proofs import assert_close
from systems import ELEMENTS, SYSTEMS, acsf
from torch import Tensor, nn

import nnpot
from nnpot.__main__ import main
from nnpot.formats import n2p2
from nnpot.nn import Function, Network


class Bent(Function):
    """A smooth ramp, with a trainable slope."""

    def __init__(self, depth: float = 1.0) -> None:
        super().__init__()
        self.depth = depth
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, z: Tensor) -> Tensor:
        return (self.slope * z + torch.sqrt(z * z + self.depth)) / 2


class Normed(Network):
    """A network with a layer norm."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.width = width

    def layers(self, n_in: int) -> nn.Module:
        first, last = nn.Linear(n_in, self.width), nn.Linear(self.width, 1)
        return nn.Sequential(first, nn.LayerNorm(self.width), nn.SiLU(), last)


class Whole(Network):
    """A module that is no sequence."""

    def layers(self, n_in: int) -> nn.Module:
        return Skipping(n_in)


class Skipping(nn.Module):
    """A linear layer beside another."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(n_in, 1), nn.Linear(n_in, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) + torch.tanh(self.other(x))


class Wide(Network):
    """Two numbers for each atom."""

    def layers(self, n_in: int) -> nn.Module:
        return nn.Linear(n_in, 2)


OWN = {
    "function": {"activation": Bent(0.5)},
    "function of one layer": {"activation": ("tanh", Bent(2.0))},
    "network": {"hidden": Normed()},
    "network that is no sequence": {"hidden": Whole()},
}


def potential(own: str, **changes: object) -> nnpot.NeuralNetworkPotential:
    torch.manual_seed(0)
    arguments = {"hidden": (4, 3), **OWN[own], **changes}
    made = nnpot.NeuralNetworkPotential(acsf(), atomic_energies=dict.fromkeys(ELEMENTS, 0.0), **arguments).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.eval()


@pytest.mark.parametrize("own", OWN)
def test_forces_are_those_of_the_plain_formula(own: str) -> None:
    mine, atoms = potential(own), SYSTEMS["alloy"]()
    r = torch.tensor(atoms.positions, requires_grad=True)
    (slope,) = torch.autograd.grad(mine.energy_at(atoms, r), r)
    assert float(slope.abs().max()) > 1e-3
    assert_close(mine.predict(atoms).forces, -slope, 1e-10)


@pytest.mark.parametrize("own", OWN)
def test_each_element_has_its_own(own: str) -> None:
    mine = potential(own)
    x = torch.randn(4, 3, mine.descriptor.n_features, dtype=torch.float64)
    for s, network in enumerate(mine.networks):
        assert_close(mine.networks(x)[s], network(x[s]), 1e-12)


@pytest.mark.parametrize("own", OWN)
def test_a_model_file_holds_it(own: str, tmp_path: Path) -> None:
    mine, atoms = potential(own, heads=("charges",)), SYSTEMS["water"]()
    again = nnpot.load(nnpot.save(mine, tmp_path / "model.nnpot"), "float64")
    assert torch.equal(again.predict(atoms).forces, mine.predict(atoms).forces)
    assert torch.equal(again.predict(atoms).labels["charges"], mine.predict(atoms).labels["charges"])


def test_members_of_a_committee_may_differ_in_it() -> None:
    members, atoms = [potential("function"), potential("function", activation=Bent(9.0))], SYSTEMS["alloy"]()
    wanted = sum(m.predict(atoms).energies for m in members) / 2
    assert_close(nnpot.Committee(members).predict(atoms).energies, wanted, 1e-12)


def test_a_network_must_give_one_number_for_each_atom() -> None:
    with pytest.raises(ValueError, match=r"Wide.layers makes must give shape \(n, 1\).*\(2, 2\) for \(2, "):
        nnpot.NeuralNetworkPotential(acsf(), Wide(), atomic_energies=dict.fromkeys(ELEMENTS, 0.0))


@pytest.mark.parametrize("own", OWN)
def test_other_programs_and_numpy_do_not_have_it(own: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of one's own have no statement in NumPy"):
        nnpot.reference.of(potential(own))
    with pytest.raises(ValueError, match="not networks or activation functions of one's own"):
        n2p2.write(potential(own, linear=False), tmp_path)


MODULE = """
from torch import nn
from nnpot.nn import Function, Network

class Ramp(Function):
    def __init__(self, depth: float = 1.0) -> None:
        super().__init__()
        self.depth = depth

    def forward(self, z):
        return (z * z + self.depth).sqrt()

class Tall(Network):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.width = width

    def layers(self, n_in):
        return nn.Sequential(nn.Linear(n_in, self.width), nn.Tanh(), nn.Linear(self.width, 1))
"""
CONFIG = """
potential:
  descriptor: {class_path: ACE, init_args: {cutoff: 4.0, channels: 2, n_radial: 3, l_max: 1}}
  OWN
data: {train: train.xyz}
trainer: {max_epochs: 1, accelerator: cpu}
repulsion: false
"""


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        pytest.param("activation: own_parts.Ramp", "Ramp", marks=pytest.mark.slow),
        pytest.param(
            *("activation: {class_path: own_parts.Ramp, init_args: {depth: 0.5}}", "Ramp"), marks=pytest.mark.slow
        ),
        pytest.param("activation: [silu, {class_path: own_parts.Ramp}]", "Ramp", marks=pytest.mark.slow),
        ("hidden: {class_path: own_parts.Tall, init_args: {width: 2}}", "Tanh"),
    ],
    ids=lambda text: text[:34],
)
def test_a_configuration_names_it(own: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_parts", raising=False)
    Path("own_parts.py").write_text(MODULE)
    Path("config.yaml").write_text(CONFIG.replace("OWN", own))
    write(Path("train.xyz"), labelled_alloys(3))
    main(["train", "--config", "config.yaml", "--out", "run"])
    assert shown in str(nnpot.load("run").networks[0])
    main(["train", "--resume", "run", "--trainer.max_epochs", "2"])


def test_what_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"hidden must be a list of whole numbers such as .*, got 64; write \[64\]"):
        nnpot.train(labelled_alloys(2), out=tmp_path / "run", hidden=64)
    with pytest.raises(ValueError, match=r"math\.floor is no activation function"):
        nnpot.train(labelled_alloys(2), out=tmp_path / "run", activation="math.floor")

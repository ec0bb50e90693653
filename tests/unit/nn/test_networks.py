"""What a network may be given: one activation for all layers or one for each, a linear term or none."""

import pytest
import torch
from proofs import by_tensors
from systems import acsf, network_potential, pairs_of, structure

from nnpot.network_potential import NeuralNetworkPotential
from nnpot.nn import MLP


def test_an_activation_for_each_layer_is_used_there() -> None:
    mlp = MLP((2, 3, 2, 1), ("gaussian", "tanh"))
    first, second, last = (p.detach() for p in mlp.parameters())
    x = torch.randn(4, 2)
    a = torch.exp(-0.5 * (x @ first[:, :-1].T + first[:, -1]) ** 2)
    a = torch.tanh(a @ second[:, :-1].T + second[:, -1])
    torch.testing.assert_close(mlp(x), a @ last[:, :-1].T + last[:, -1])


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        (("tanh",), "activation must be one function or one for each of 2 hidden layers, got tanh"),
        (("tanh", "tan"), "activation must be one of .*, got 'tan'"),
        ("tan", "activation must be one of .*, got 'tan'"),
    ],
)
def test_senseless_activations_are_refused(activation: str | tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeuralNetworkPotential(acsf(), (6, 5), activation)


def test_without_a_linear_term_the_energy_is_that_of_the_networks() -> None:
    with_linear, without = network_potential(acsf()), network_potential(acsf(), linear=False)
    state = with_linear.state_dict()
    without.load_state_dict({name: t for name, t in state.items() if not name.startswith("linear")})
    for weight in with_linear.linear.parameters():
        torch.nn.init.zeros_(weight)
    pairs = pairs_of(structure("alloy"))
    torch.testing.assert_close(without.atomic_energies(pairs), with_linear.atomic_energies(pairs), rtol=1e-14, atol=0)


@pytest.mark.parametrize("by", ["kernels", "tensors"])
def test_without_recording_results_have_no_history_even_in_training_mode(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "tensors":
        by_tensors(monkeypatch)
    potential = network_potential(acsf()).train()
    pairs = pairs_of(structure("alloy"))
    with torch.no_grad():
        energies, gradient = potential.energies_and_pair_gradient(pairs)
    assert not energies.requires_grad
    assert not gradient.requires_grad
    energies, gradient = potential.energies_and_pair_gradient(pairs)
    assert energies.requires_grad
    assert gradient.requires_grad

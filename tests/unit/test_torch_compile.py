"""The compiled graph gives what the potential gives, for any sizes, or steps aside."""

import copy
import logging
import shutil
from functools import cache, partial

import numpy as np
import pytest
import torch
from proofs import by_tensors, labelled, loss_gradients
from systems import SYSTEMS, ace, network_potential, structure

from nnpot.batch import Batch
from nnpot.calculator import NNPotCalculator
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential, Stage

pytestmark = pytest.mark.usefixtures("double")


def batch_of(*names: str) -> Batch:
    return Batch.join([single_batch(labelled(structure(name)), 3.6) for name in names])


KINDS: dict[str, dict[str, int]] = {
    "": {},
    # what comes into the graph has a history
    "weighted density": {"weighted_channels": 2, "weighted_layers": 2, "weighted_units": 3},
    "learned elements": {"element_channels": 2},
}


def plain(kind: str) -> NeuralNetworkPotential:
    return network_potential(ace(body_order=5, l_max=1, **KINDS[kind]))


@cache  # not a fixture of the module: those are made before float64 is the default, with other random numbers
def compiled(kind: str, backend: str) -> NeuralNetworkPotential:
    return plain(kind).compiled(training=True)


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        pytest.param("", "features", marks=pytest.mark.slow),
        ("weighted density", "values"),
        pytest.param("", "values", marks=pytest.mark.slow),
        pytest.param("learned elements", "values", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "names",
    [
        ("alloy",),
        pytest.param(("water", "alloy", "triclinic"), marks=pytest.mark.slow),
        pytest.param(("slab", "alloy"), marks=pytest.mark.slow),
    ],
    ids=str,
)
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_gradients_of_the_loss_are_those_without_compilation(
    backend: str, names: tuple[str, ...], kind: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "inductor" and shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("no C++ compiler")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))  # the code of inductor takes minutes
    by_tensors(monkeypatch, *(["networks"] if stage == "features" else ["networks", "invariants", "weighted_density"]))
    batch = batch_of(*names)
    actual, wanted = (loss_gradients(p, batch, 0.7, 1.3, 0.4) for p in (compiled(kind, backend), plain(kind)))
    assert compiled(kind, backend).graphs[stage, True].compiled is not None
    for name, gradient in actual.items():
        # the same sums in another order, float64
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-10, atol=1e-10 * float(wanted[name].abs().max()))


def test_a_compiled_calculator_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    by_tensors(monkeypatch)
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("no C++ compiler")
    potential, atoms = network_potential(ace(body_order=3, l_max=1)), SYSTEMS["alloy"]()
    calculators = [NNPotCalculator(potential, dtype="float64", compile=compile) for compile in ("on", "off")]
    actual, wanted = ([c.get_property(name, atoms) for name in ("energies", "forces", "stress")] for c in calculators)
    assert calculators[0].potential.graphs["features", False].compiled is not None  # type: ignore[union-attr]
    for a, b in zip(actual, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_a_calculator_compiles_once_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnpot.torch_compile.WORTH_COMPILING_FROM", 2 * len(structure("alloy")))
    calculator, atoms = NNPotCalculator(network_potential(ace())), SYSTEMS["alloy"]()
    assert isinstance(calculator.potential, NeuralNetworkPotential)
    for n_steps, compiles in enumerate([False, False, True, True], start=1):
        atoms.rattle(0.01, seed=n_steps)
        calculator.get_property("energy", atoms)
        assert bool(calculator.potential.graphs) == compiles
    graphs = dict(calculator.potential.graphs)
    calculator.get_property("energy", atoms)
    assert calculator.potential.graphs == graphs


def test_a_calculator_compiles_only_as_it_is_told() -> None:
    with pytest.raises(ValueError, match="compile must be one of auto, on, off, got True"):
        NNPotCalculator(network_potential(ace()), compile=True)  # type: ignore[arg-type]


def test_a_single_atom_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    by_tensors(monkeypatch)
    potential = network_potential(ace()).compiled(training=True)
    loss_gradients(potential, batch_of("one atom"), 1.0, 0.0)
    assert all(graph.compiled is None for graph in potential.graphs.values())


def test_copies_do_not_compile() -> None:
    potential = copy.deepcopy(network_potential(ace()).compiled(training=True))
    assert potential.graphs
    assert all(graph.refused for graph in potential.graphs.values())


def test_where_nothing_compiles_the_log_says_so_and_the_result_is_right(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("no compiler\nand a long story")

    by_tensors(monkeypatch)
    monkeypatch.setattr(torch, "compile", fail)
    batch = batch_of("alloy")
    wanted = loss_gradients(network_potential(ace()), batch, 1.0, 1.0)
    potential = network_potential(ace()).compiled(training=True)
    with caplog.at_level(logging.WARNING, "nnpot"):
        for _ in range(2):
            actual = loss_gradients(potential, batch, 1.0, 1.0)
    assert caplog.messages == ["calculating without compilation, which is slower: no compiler"]
    assert all(torch.equal(gradient, wanted[name]) for name, gradient in actual.items())

"""What somebody who knows ASE and PyTorch types first: it works, in three lines, or one sentence says what to type."""

import pickle
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from ase import Atoms
from datasets import labelled_alloys, write
from proofs import assert_close
from systems import SYSTEMS, ace, acsf, network_potential
from torch import Tensor, nn

import nnpot
from nnpot.descriptors import Descriptor
from nnpot.functional.segment import segment_sum
from nnpot.neighbors import single_batch
from nnpot.nn import Function
from nnpot.training import prepare

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
SMALL = {"channels": 2, "n_radial": 3, "l_max": 1}


class Coordination(Descriptor):
    """Soft numbers of neighbours, as a newcomer writes a descriptor."""

    def __init__(self, cutoff: float = 4.0, elements: tuple[str, ...] = (), n_features: int = 2) -> None:
        super().__init__()
        self.cutoff, self.elements, self.n_features = cutoff, elements, n_features

    def forward(self, pairs: Any) -> Tensor:
        x = (1 - pairs.r_ij.norm(dim=1) / self.cutoff).clamp(min=0)
        powers = torch.stack([x ** (3 + k) for k in range(self.n_features)], dim=1)
        return segment_sum(powers, pairs.pair_i, len(pairs.center_species))


class Bend(Function):
    """An activation function."""

    def forward(self, z: Tensor) -> Tensor:
        return (z + (z * z + 1).sqrt()) / 2


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models and labelled structures."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("a.nnpot", "b.nnpot")):
        nnpot.save(network_potential(ace(), seed), folder / name)
    write(folder / "train.xyz", labelled_alloys(4))
    return folder


@pytest.fixture(autouse=True)
def inside(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models)


@pytest.fixture
def atoms() -> Atoms:
    return SYSTEMS["alloy"]()


@pytest.fixture
def potential() -> nnpot.Potential:
    return nnpot.load("a.nnpot")


# the scripts ----------------------------------------------------------------------------------------------------------


def test_train_with_a_trainer_of_ones_own() -> None:
    task, data = prepare(nnpot.NeuralNetworkPotential(nnpot.ACE(4.0, **SMALL), hidden=(4,)), "train.xyz")
    pl.Trainer(max_epochs=1, accelerator="cpu", **QUIET).fit(task, data)
    path = nnpot.save(task.potential, "own.nnpot")
    assert nnpot.load(path).elements == ("Cu", "Au")


@pytest.mark.slow
def test_train() -> None:
    run = nnpot.train("train.xyz", "acsf", max_epochs=1, cutoff=4.0, size=8, repulsion=False)
    assert (run.errors["n_structures"], run.folder) == (4, Path("runs/train"))


def test_descriptor_alone(atoms: Atoms) -> None:
    features = nnpot.ACE(4.0, elements=["Cu", "Au"], **SMALL).features(atoms)
    assert features.shape == (4, 14)


def test_energies_of_atoms(atoms: Atoms) -> None:
    atoms.calc = nnpot.NNPotCalculator("a.nnpot")
    energies = atoms.get_potential_energies()
    assert energies.sum() == pytest.approx(atoms.get_potential_energy(), abs=1e-5)


def test_own_descriptor(atoms: Atoms) -> None:
    run = nnpot.train("train.xyz", descriptor=Coordination(), max_epochs=1, out="runs/descriptor", repulsion=False)
    assert run.potential.descriptor.features(atoms).shape == (4, 2)
    assert nnpot.load(run).descriptor.arguments == {"cutoff": 4.0, "elements": ("Cu", "Au"), "n_features": 2}


@pytest.mark.slow
def test_own_descriptor_named_in_a_configuration() -> None:
    own = {"class_path": f"{__name__}.Coordination", "init_args": {"n_features": 3}}
    run = nnpot.train("train.xyz", descriptor=own, max_epochs=1, out="runs/named", repulsion=False)
    assert (type(run.potential.descriptor), run.potential.descriptor.n_features) == (Coordination, 3)


@pytest.mark.slow
def test_own_activation_function(atoms: Atoms) -> None:
    run = nnpot.train(
        "train.xyz", activation=Bend(), max_epochs=1, out="runs/bend", repulsion=False, cutoff=4.0, **SMALL
    )
    assert isinstance(run.potential.networks[0][1].function, Bend)


def test_several_structures(potential: nnpot.Potential) -> None:
    frames = ase.io.read("train.xyz", ":")
    predictions = potential.predict(frames)
    assert [float(p.energy) for p in predictions] == [float(potential.predict(f).energy) for f in frames]


def test_forces_by_autograd(potential: nnpot.Potential, atoms: Atoms) -> None:
    r = torch.tensor(atoms.positions, requires_grad=True)
    (slope,) = torch.autograd.grad(potential.energy_at(atoms, r), r)
    assert_close(potential.predict(atoms).forces, -slope, 1e-4)


def test_the_reference_in_numpy(atoms: Atoms) -> None:
    potential = nnpot.load("a.nnpot", "float64")
    reference = nnpot.reference.of(potential).predict(atoms)
    assert np.abs(reference.forces - potential.predict(atoms).forces.numpy()).max() < 1e-10


def test_hessian(potential: nnpot.Potential, atoms: Atoms) -> None:
    hessian = potential.hessian(atoms)
    assert_close(torch.from_numpy(nnpot.NNPotCalculator("a.nnpot").get_hessian(atoms)), hessian, 1e-12)


@pytest.mark.parametrize("given", [(["a.nnpot", "b.nnpot"],), ("a.nnpot", "b.nnpot")], ids=["list", "one by one"])
def test_committee(given: Any, atoms: Atoms) -> None:
    committee = nnpot.Committee(*given)
    atoms.calc = nnpot.NNPotCalculator(committee)
    assert atoms.calc.get_property("forces_std", atoms).shape == (4,)
    assert nnpot.load(nnpot.save(committee, "committee.nnpot")).members[1].elements == committee.elements


def test_committee_by_the_calculator(atoms: Atoms) -> None:
    atoms.calc = nnpot.NNPotCalculator(["a.nnpot", "b.nnpot"])
    assert atoms.calc.get_property("energy_std", atoms) > 0


@pytest.mark.slow
def test_fine_tuning() -> None:
    run = nnpot.train("train.xyz", from_model="a.nnpot", max_epochs=1, out="runs/tuned")
    assert run.potential.elements == ("H", "O", "Cu", "Au")


def test_evaluate(potential: nnpot.Potential) -> None:
    labelled = [frame for frame in ase.io.read("train.xyz", ":")]
    of_file, of_atoms = nnpot.evaluate("a.nnpot", "train.xyz"), nnpot.evaluate(potential, labelled)
    assert of_file.errors() == of_atoms.errors()
    assert nnpot.evaluate(["a.nnpot", "b.nnpot"], ["train.xyz"]).n_structures == 4


def test_predictions_hold_what_is_asked_for_by_name(atoms: Atoms) -> None:
    prediction = network_potential(acsf(), heads=("charges",)).predict(atoms)
    assert prediction.charges is prediction["charges"]
    assert prediction["forces"] is prediction.forces
    assert prediction["energies"] is prediction.energies


@pytest.mark.slow
def test_structures_may_be_called_by_name_or_be_one(atoms: Atoms) -> None:
    one, settings = labelled_alloys(1)[0], {"recipe": "acsf", "max_epochs": 1, "cutoff": 4.0, "size": 8}
    for given in ({"structures": one}, {"data": "train.xyz"}):
        assert nnpot.train(**given, **settings, elements=["Cu", "Au"], repulsion=False).potential.elements == (
            "Cu",
            "Au",
        )


# the sentences --------------------------------------------------------------------------------------------------------

POTENTIAL = network_potential(ace())
ATOMS = SYSTEMS["alloy"]()
BATCH = single_batch(nnpot.Structure.from_ase(ATOMS), 3.6)
ACE = nnpot.ACE(elements=("Cu",))

SENTENCES: dict[str, tuple[Callable[[], Any], str]] = {
    "potential as a calculator": (lambda: POTENTIAL.get_forces(ATOMS), r"atoms\.calc = nnpot\.NNPotCalculator\("),
    "potential.energy": (lambda: POTENTIAL.energy, r"write potential\.predict\(atoms\)\.energy"),
    "potential.features": (lambda: POTENTIAL.features, r"write potential\.descriptor\.features\(atoms\)"),
    "potential.save": (lambda: POTENTIAL.save("x"), r"write nnpot\.save\(potential, path\)"),
    "potential.train": (lambda: POTENTIAL.train([ATOMS]), r"write nnpot\.train\(structures, potential=potential\)"),
    "descriptor.create": (lambda: ACE.create(ATOMS), r"write descriptor\.features\(atoms\)"),
    "something else": (lambda: POTENTIAL.quark, r"^NeuralNetworkPotential has no quark$"),
    "run.predict": (lambda: nnpot.Run("x").predict(ATOMS), r"a run has no predict; write run\.potential\.predict"),
    "nnpot.info": (lambda: nnpot.info, r"write nnpot\.describe\(path\)"),
    "nnpot.Comittee": (lambda: nnpot.Comittee, r"nnpot has no Comittee; write Committee"),
    "prediction.energy_std": (lambda: POTENTIAL.predict(ATOMS).energy_std, r"write committee\.spread\(atoms\)"),
    "one more argument": (lambda: nnpot.ZBL(["Cu"], 2.0, 3.0, 4), r"ZBL\(elements, cutoff.*: too many positional"),
    "train(potential, …)": (lambda: nnpot.train(POTENTIAL, [ATOMS]), r"write nnpot\.train\(structures, potential="),
    "train(…, potential)": (lambda: nnpot.train([ATOMS], POTENTIAL), r"recipe cannot be a potential; write"),
    "from_model=potential": (lambda: nnpot.train([ATOMS], from_model=POTENTIAL), r"from_model cannot be a potential"),
    "potential=file": (lambda: nnpot.train([ATOMS], potential="a.nnpot"), r"write from_model='a\.nnpot'"),
    "learning_rate": (lambda: nnpot.train([ATOMS], learning_rate=1e-3), r"no setting learning_rate; did you mean lr"),
    "epochs": (lambda: nnpot.train([ATOMS], epochs=3), r"no setting epochs; did you mean max_epochs"),
    "activation of torch": (lambda: nnpot.train([ATOMS], activation=nn.SiLU()), r"SiLU\(\) is no setting: .*Function"),
    "activation class": (lambda: nnpot.NeuralNetworkPotential(ACE, activation=nn.SiLU), r"or a nnpot\.nn\.Function \("),
    "one number of units": (lambda: nnpot.NeuralNetworkPotential(ACE, hidden=32), r"such as \(64, 64\), .* got 32"),
    "network of torch": (lambda: nnpot.NeuralNetworkPotential(ACE, hidden=nn.Linear(3, 1)), r"or a nnpot\.nn\.Network"),
    "descriptor by name": (lambda: nnpot.NeuralNetworkPotential("ACE"), r"a descriptor such as nnpot\.ACE"),
    "no elements": (lambda: nnpot.NeuralNetworkPotential(nnpot.ACE()).predict(ATOMS), r"no elements yet: train it"),
    "elements as a word": (lambda: nnpot.ZBL("Cu"), r"elements are a list, such as \['H', 'O'\], got 'Cu'"),
    "load several": (lambda: nnpot.load(["a.nnpot", "b.nnpot"]), r"nnpot\.Committee\(\[path, …\]\)"),
    "save the wrong way round": (lambda: nnpot.save("x.nnpot", POTENTIAL), r"nnpot\.save\(potential, path\), got 'x"),
    "describe a potential": (lambda: nnpot.describe(POTENTIAL), r"write print\(potential\)"),
    "export a potential": (lambda: nnpot.export(POTENTIAL, "x"), r"nnpot\.export\(nnpot\.save\(potential, path\)"),
    "export to onnx": (lambda: nnpot.export("a.nnpot", "x", to="onnx"), r"lammps, aot, metatomic or n2p2, got onnx"),
    "join atoms": (lambda: nnpot.Batch.join([ATOMS, ATOMS]), r"potential\.predict\(\[a, b\]\)"),
    "positions of numpy": (lambda: POTENTIAL.energy_at(ATOMS, ATOMS.positions), r"torch\.tensor\(atoms\.positions, "),
    "reference of a file": (
        lambda: nnpot.reference.of("a.nnpot"),
        r"nnpot\.reference\.of\(nnpot\.load\('a\.nnpot'\)\)",
    ),
    "reference of several": (lambda: nnpot.reference.of(POTENTIAL).predict([ATOMS]), r"one structure at a time"),
    "structure of atoms": (lambda: nnpot.Structure(ATOMS), r"made by nnpot\.Structure\.from_ase\(atoms\)"),
    "structure of symbols": (
        lambda: nnpot.Structure(["Cu"], [[0, 0, 0]], np.eye(3), (True,) * 3),
        r"got \['Cu'\]; nnpot",
    ),
    "from_ase of a file": (lambda: nnpot.Structure.from_ase("train.xyz"), r"takes atoms of ASE, .* got str"),
    "structure.symbols": (lambda: nnpot.Structure.from_ase(ATOMS).symbols, r"no symbols; write structure\.to_ase\(\)"),
    "batch of atoms": (lambda: nnpot.Batch([ATOMS, ATOMS]), r"predicted by potential\.predict\(\[a, b\]\)"),
    "potential of tensors": (
        lambda: POTENTIAL(BATCH.numbers, BATCH.positions),
        r"for atoms of ASE: potential\.predict\(",
    ),
    "potential(atoms)": (lambda: POTENTIAL(ATOMS), r"there is potential\.predict\(atoms\)"),
    "potential.calculator": (
        lambda: POTENTIAL.calculator(),
        r"write atoms\.calc = nnpot\.NNPotCalculator\(potential\)",
    ),
    "potential.device": (lambda: POTENTIAL.device, r"write potential\.dtype_and_device\(\)"),
    "potential in float16": (
        lambda: deepcopy(POTENTIAL).half().predict(ATOMS),
        r"not in float16; write potential\.float",
    ),
    "a potential and a number": (lambda: POTENTIAL + 1, r"a \+ b, got int"),
    "a number and a potential": (lambda: 1 + POTENTIAL, r"a \+ b, got int"),
    "elements as arguments": (
        lambda: nnpot.ACE("H", "O"),
        r"number in Å, got 'H'; elements: ACE\(elements=\['H', 'O'\]\)",
    ),
    "elements first": (lambda: nnpot.ACSF(["H", "O"]), r"elements: ACSF\(elements="),
    "elements by number": (lambda: nnpot.ACE(elements=[1, 8]), r"must be chemical symbols, got 1, 8"),
    "rcut": (lambda: nnpot.ACE(rcut=5.0), r"'rcut'; did you mean cutoff\?"),
    "epochs second": (lambda: nnpot.train("train.xyz", 10), r"a number of epochs is max_epochs=10"),
    "load nothing": (lambda: nnpot.load(None), r"nnpot\.load\('runs/mine'\), got NoneType"),
    "load a potential": (lambda: nnpot.load(POTENTIAL), r"got a potential, which needs no loading"),
    "calculator of nothing": (lambda: nnpot.NNPotCalculator(), r"needs a model first: atoms\.calc = nnpot\.NNPotC"),
    "calculator of model=": (lambda: nnpot.NNPotCalculator(model="a.nnpot"), r"needs a model first: atoms\.calc"),
    "calculator of atoms": (lambda: nnpot.NNPotCalculator(ATOMS), r"needs a model first, not atoms: atoms\.calc"),
    "one member": (lambda: nnpot.Committee(["a.nnpot"]), r"at least two potentials; .* by nnpot\.load\(path\)"),
    "prediction.std": (lambda: POTENTIAL.predict(ATOMS).std, r"write committee\.spread\(atoms\)"),
    "evaluate the wrong way round": (
        lambda: nnpot.evaluate("train.xyz", POTENTIAL),
        r"write nnpot\.evaluate\(potential,",
    ),
    "evaluate without labels": (lambda: nnpot.evaluate(POTENTIAL, ATOMS.copy()), r"there is nothing to compare with"),
    "evaluation.rmse": (lambda: nnpot.evaluate("a.nnpot", "train.xyz").rmse, r"write evaluation\.errors\(\)"),
    "nnpot.finetune": (lambda: nnpot.finetune, r"write nnpot\.train\(structures, from_model=path\)"),
    "nnpot.Ensemble": (lambda: nnpot.Ensemble, r"write nnpot\.Committee\(a, b, …\)"),
    "prepare a descriptor": (lambda: prepare(ACE, "train.xyz"), r"prepare\(nnpot\.NeuralNetworkPotential\(nnpot\.ACE"),
    "prepare the wrong way round": (lambda: prepare("train.xyz", POTENTIAL), r"a potential, given first: .* got str"),
}


def test_what_is_not_predicted_or_no_file_or_no_device_is_answered_as_well(tmp_path: Path) -> None:
    for ask in (lambda p: p["force"], lambda p: p[0], lambda p: [*p]):
        with pytest.raises(KeyError, match="by name it has energies, energy, forces, stress"):
            ask(POTENTIAL.predict(ATOMS))
    with pytest.raises(IsADirectoryError, match=r"is a folder; give a file in it, such as .*model\.nnpot"):
        nnpot.save(POTENTIAL, tmp_path)
    (tmp_path / "member-0").mkdir()
    nnpot.save(POTENTIAL, tmp_path / "model.nnpot")
    run = nnpot.Run(tmp_path)
    for ask_run in (lambda: run.errors, lambda: run.history):
        with pytest.raises(FileNotFoundError, match=r"holds a committee; write nnpot\."):
            ask_run()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("move", [lambda p: p.cuda(), lambda p: p.to("cuda:0")], ids=["cuda", "to"])
def test_a_device_that_is_not_there_is_said_to_be_so(move: Callable[[Any], Any]) -> None:
    with pytest.raises(
        ValueError, match=r"^the potential cannot be moved there on this machine: .*'cpu' always works$"
    ):
        move(deepcopy(POTENTIAL))


def test_what_python_and_pytorch_do_with_modules_works(atoms: Atoms, tmp_path: Path) -> None:
    energy = float(POTENTIAL.predict(atoms).energy)
    torch.save(POTENTIAL, tmp_path / "all.pt")
    again = torch.load(tmp_path / "all.pt", weights_only=False)
    for one in (deepcopy(POTENTIAL), pickle.loads(pickle.dumps(POTENTIAL)), again):
        assert float(one.predict(atoms).energy) == energy
    assert float(sum([POTENTIAL, POTENTIAL]).predict(atoms).energy) == pytest.approx(2 * energy)
    committee = nnpot.Committee(POTENTIAL, again)
    assert [*committee] == [committee[0], committee[1]]
    assert len(committee) == 2


def test_structures_of_numpy_arrays(atoms: Atoms) -> None:
    own = nnpot.Structure(atoms.numbers, atoms.positions, atoms.cell.array, tuple(atoms.pbc))
    assert float(POTENTIAL.predict(own).energy) == float(POTENTIAL.predict(atoms).energy)
    assert deepcopy(own).numbers.tolist() == pickle.loads(pickle.dumps(own)).numbers.tolist() == atoms.numbers.tolist()


def test_one_structure_is_evaluated_as_a_list_of_one() -> None:
    one = labelled_alloys(1)[0]
    assert nnpot.evaluate("a.nnpot", one).errors() == nnpot.evaluate("a.nnpot", [one]).errors()


@pytest.mark.parametrize("name", SENTENCES)
def test_what_does_not_work_says_what_does(name: str) -> None:
    ask, sentence = SENTENCES[name]
    with pytest.raises((AttributeError, TypeError, ValueError), match=sentence) as found:
        ask()
    assert "\n" not in str(found.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "inputs", [ATOMS, (ATOMS,), (BATCH,), (torch.zeros(3), torch.zeros(3))], ids=lambda x: str(x)[:9]
)
@pytest.mark.parametrize("write", [torch.jit.trace, torch.export.export], ids=["jit.trace", "export"])
def test_what_writes_modules_of_pytorch_names_nnpot_export(write: Callable[..., Any], inputs: Any) -> None:
    if inputs is ATOMS and write is torch.export.export:
        inputs = (inputs,)
    with pytest.raises(TypeError, match="nnpot export MODEL OUT --to aot"):
        write(POTENTIAL, inputs)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_so_does_scripting_it() -> None:
    with pytest.raises(TypeError, match="nnpot export MODEL OUT --to aot"):
        torch.jit.script(POTENTIAL)
    assert not hasattr(POTENTIAL, "__jit_ignored_attributes__")

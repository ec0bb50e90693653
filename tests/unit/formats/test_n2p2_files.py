"""What is written is read again; what cannot be written or read is refused in one sentence."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from proofs import assert_close
from systems import ELEMENTS, SYSTEMS, ace, acsf, compact_acsf, listed_acsf, network_potential, structure

import nnpot
from nnpot.descriptors import ListedACSF, ListedFunction
from nnpot.formats import aot, n2p2
from nnpot.formats.n2p2.functions import parse
from nnpot.formats.n2p2.settings import Line
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.repulsion import ZBL

pytestmark = pytest.mark.usefixtures("double")

SAME = 1e-12
"""Parameters go to bohr and back, weights to hartree and back: a few eps each, and other orders of sums."""


def potential(**changes: object) -> NeuralNetworkPotential:
    return network_potential(acsf(g3=(), **changes), linear=False)


WRITTEN: dict[str, Callable[[], NeuralNetworkPotential]] = {
    "cosine": lambda: potential(cutoff_function="cosine"),
    "tanh3": potential,
    "nonic with an inner radius": lambda: potential(cutoff_function="nonic", inner_fraction=0.2),
    "elements not by number": lambda: potential(elements=("Au", "O", "Cu", "H")),
    "pruned": lambda: potential(selected=(5, 0, 20, 11)),
    "listed": lambda: network_potential(
        listed_acsf(functions=tuple(f for f in listed_acsf().functions if f.neighbors or f.kind != "G5")), linear=False
    ),
    "compact": lambda: network_potential(compact_acsf(), linear=False),
    "two activations": lambda: network_potential(acsf(g3=()), activation=("gaussian", "softplus"), linear=False),
    "a linear term without slopes": lambda: _with_constant_linear(network_potential(acsf(g3=()))),
}


def _with_constant_linear(potential: NeuralNetworkPotential) -> NeuralNetworkPotential:
    with torch.no_grad():
        for weight in potential.linear.parameters():
            weight[:, :-1] = 0
    return potential


@pytest.mark.parametrize(
    "units", [n2p2.ATOMIC, pytest.param(n2p2.Units(1.0, 1.0), marks=pytest.mark.slow)], ids=["atomic", "eV and Å"]
)
@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_read_again(name: str, units: n2p2.Units, tmp_path: Path) -> None:
    original = WRITTEN[name]()
    again = n2p2.read(n2p2.write(original, tmp_path / "new", units), units)
    for system in SYSTEMS:
        wanted, actual = original.predict(structure(system)), again.predict(structure(system))
        assert_close(actual.energies, wanted.energies, SAME)
        assert_close(actual.forces, wanted.forces, SAME, scale=1.0)


def test_files_that_were_read_are_written_the_same(tmp_path: Path) -> None:
    units = n2p2.Units(1.0, 1.0)  # nothing to round
    first = n2p2.write(potential(), tmp_path / "first", units)
    second = n2p2.write(n2p2.read(first, units), tmp_path / "second", units)
    names = sorted(path.name for path in first.iterdir())
    assert names == [
        "input.nn", "scaling.data", "weights.001.data", "weights.008.data", "weights.029.data", "weights.079.data",
    ]  # fmt: skip
    assert [(first / n).read_text() for n in names] == [(second / n).read_text() for n in names]


def test_a_potential_that_was_read_keeps_what_its_elements_do_not_share(tmp_path: Path) -> None:
    original = WRITTEN["listed"]()
    descriptor = n2p2.read(n2p2.write(original, tmp_path)).descriptor
    assert isinstance(descriptor, ListedACSF)
    assert [len(descriptor.functions_of(e)) for e in ELEMENTS] == [2, 3, 5, 1]


SIMPLE = {"g2": ((0.5, 0.0),), "g4": ((0.1, 1.0, 1.0, 0.0),), "g5": (), "cutoff_function": "cosine"}
BEYOND_CP2K = {
    "nothing": ({}, False),
    "shift of G2": ({"g2": ((0.5, 1.0),)}, False),
    "shift of G4": ({"g4": ((0.1, 1.0, 1.0, 0.5),)}, True),
    "G5": ({"g5": ((0.1, 1.0, 1.0, 0.0),)}, True),
    "cutoff function": ({"cutoff_function": "polynomial"}, True),
    "inner radius": ({"inner_fraction": 0.1}, True),
}


@pytest.mark.parametrize(("changes", "mentioned"), BEYOND_CP2K.values(), ids=BEYOND_CP2K.keys())
def test_what_cp2k_cannot_run_is_mentioned(
    changes: dict[str, object], mentioned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    n2p2.write(potential(**{**SIMPLE, **changes}), tmp_path)
    assert ("CP2K knows only" in caplog.text) == mentioned


def test_that_cp2k_differentiates_softplus_wrongly_is_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    n2p2.write(network_potential(acsf(g3=(), **SIMPLE), activation="softplus", linear=False), tmp_path)
    assert "its forces with softplus are wrong" in caplog.text


# one entrance ---------------------------------------------------------------------------------------------------------


def test_a_folder_loads_as_a_model_file_does(tmp_path: Path) -> None:
    original = potential()
    nnpot.save(original, tmp_path / "model.nnpot")
    n2p2.write(original, tmp_path / "files")
    of_file, of_folder = (nnpot.load(tmp_path / n, torch.float64) for n in ("model.nnpot", "files"))
    system = structure("alloy")
    assert_close(of_folder.predict(system).forces, of_file.predict(system).forces, SAME)


def test_a_folder_runs_in_ase(tmp_path: Path) -> None:
    atoms = SYSTEMS["alloy"]()
    atoms.calc = nnpot.NNPotCalculator(n2p2.write(potential(), tmp_path), dtype="float64")
    np.testing.assert_allclose(atoms.get_forces(), potential().predict(structure("alloy")).forces, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_potential_that_was_read_is_compiled_into_a_package(tmp_path: Path) -> None:
    read = n2p2.read(n2p2.write(WRITTEN["listed"](), tmp_path / "files"))
    packaged = nnpot.load(aot.write(read, tmp_path / "model.pt2", "float64"))
    for system in ("one atom", "water", "alloy", "slab"):
        wanted, actual = read.predict(structure(system)), packaged.predict(structure(system))
        assert_close(actual.energies, wanted.energies, SAME)
        assert_close(actual.forces, wanted.forces, SAME, scale=1.0)


def test_a_potential_that_was_read_is_saved_as_a_model(tmp_path: Path) -> None:
    read = n2p2.read(n2p2.write(potential(), tmp_path / "files"))
    nnpot.save(read, tmp_path / "model.nnpot")
    again = nnpot.load(tmp_path / "model.nnpot", torch.float64)
    assert torch.equal(again.predict(structure("alloy")).forces, read.predict(structure("alloy")).forces)


# refused to be written ------------------------------------------------------------------------------------------------

UNWRITABLE: dict[str, tuple[Callable[[], Potential], str]] = {
    "linear term": (lambda: network_potential(acsf(g3=())), "no linear term; train with potential.linear: false"),
    "repulsion": (lambda: potential() + ZBL(ELEMENTS), "not a SumPotential; train without repulsion"),
    "ACE": (lambda: network_potential(ace(), linear=False), "not ACE; train with the descriptor ACSF"),
    "G3": (lambda: network_potential(acsf(), linear=False), "G3 = .* cannot be listed; leave g3 empty"),
    "silu": (
        lambda: network_potential(acsf(g3=()), activation="silu", linear=False),
        "the activation silu; train with",
    ),
    "no hidden layer": (
        lambda: NeuralNetworkPotential(acsf(g3=()), (), linear=False),
        "at least one hidden layer",
    ),
    "weighted G5": (lambda: network_potential(listed_acsf(), linear=False), "no type for a G5 that is weighted"),
}


@pytest.mark.parametrize(("make", "message"), UNWRITABLE.values(), ids=UNWRITABLE.keys())
def test_what_the_files_cannot_express_is_refused(make: Callable[[], Potential], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        n2p2.write(make(), tmp_path)


# refused to be read ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a potential for two elements, with line numbers that the complaints below name."""
    folder = tmp_path_factory.mktemp("valid")
    small = acsf(("H", "O"), g1=False, g2=((0.5, 0.0),), g3=(), g4=((0.1, 1.0, 1.0, 0.0),), g5=())
    return n2p2.write(network_potential(small, linear=False), folder)


def without(line: str) -> Callable[[str], str]:
    """Leave out the line that starts so."""
    return lambda text: "\n".join(x for x in text.splitlines() if not x.startswith(line))


def replaced(old: str, new: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return edit


def cut(n: int) -> Callable[[str], str]:
    """Leave out the last n lines."""
    return lambda text: "\n".join(text.splitlines()[:-n])


def swapped(a: int, b: int) -> Callable[[str], str]:
    """An edit that lets two lines change places."""

    def edit(text: str) -> str:
        lines = text.splitlines()
        lines[a], lines[b] = lines[b], lines[a]
        return "\n".join(lines)

    return edit


def first_word(word: str) -> Callable[[str], str]:
    """An edit that puts another word in the place of the first."""
    return lambda text: word + " " + text.lstrip().split(maxsplit=1)[1]


INPUT = {
    "no elements": (without("elements"), "input.nn has no line with elements"),
    "number of elements": (replaced("number_of_elements 2", "number_of_elements 3"), "line 3: 2 elements, but"),
    "wrong element": (replaced("elements H O", "elements H Q"), "line 3: Q is not a chemical symbol"),
    "endless number of elements": (
        replaced("number_of_elements 2", "number_of_elements inf"),
        "line 2: finite numbers",
    ),
    "elements twice": (replaced("elements H O", "elements H H"), "line 3: the elements must differ"),
    "nobody": (replaced("elements H O", "elements H X"), "line 3: X is not a chemical symbol"),
    "many layers": (
        replaced("layers_short 2", "layers_short 1000000000"),
        "line 12: global_nodes_short needs 1000000000",
    ),
    "half a layer": (replaced("layers_short 2", "layers_short 1.5"), "line 11: a whole number is needed here, got 1.5"),
    "many nodes": (
        replaced("nodes_short 6 5", "nodes_short 6 1000000000"),
        "weights, but a network 5-6-1000000000-1 has",
    ),
    "endless cutoff": (
        lambda text: text + "symfunction_short H 2 O 1 0 inf",
        "line 24: finite numbers are needed here",
    ),
    "a cutoff beyond": (lambda text: text + "symfunction_short H 2 O 1 0 1e9", "line 24: its cutoff is 5.29177e.08 Å"),
    "no number": (lambda text: text + "symfunction_short H 2 O nan 0 6", "line 24: finite numbers are needed here"),
    "too large": (lambda text: text + "symfunction_short H 2 O 1e999 0 6", "line 24: finite numbers are needed here"),
    "a line under it": (lambda text: text + "symfunction_short H 2 O 1_0 0 6", "line 24: finite numbers are needed"),
    "energy": (replaced("atom_energy H", "atom_energy H nan #"), "line 4: finite numbers are needed here, got 'nan'"),
    "no cutoff": (without("cutoff_type"), "has no line with cutoff_type"),
    "cutoff": (replaced("cutoff_type 2", "cutoff_type 9"), "line 7: cutoff_type must be one of 0 … 8, got 9"),
    "cutoff word": (
        replaced("cutoff_type 2", "cutoff_type tanh"),
        "line 7: finite numbers are needed here, got 'tanh 0.0'",
    ),
    "inner radius": (replaced("cutoff_type 2 0.0", "cutoff_type 1 1.5"), "line 7: the inner radius .* got 1.5"),
    "twice": (lambda text: text + "cutoff_type 1", "line 24: cutoff_type was given before, in line 7"),
    "hidden layers": (without("global_hidden"), "has no line with global_hidden_layers_short"),
    "nodes": (replaced("nodes_short 6 5", "nodes_short 6"), r"line 12: global_nodes_short needs 2 value\(s\), got 1"),
    "activation": (replaced("_short t t l", "_short t r l"), "line 13: the activation 'r' is not supported, only l"),
    "output": (replaced("_short t t l", "_short t t t"), "line 13: 2 hidden layers need as many activations, then l"),
    "element nodes": (lambda text: text + "element_nodes_short H 3 4", "line 24: .*hidden layer 1 … 2"),
    "type": (
        replaced("short H 2 H", "short H 4 H"),
        "line 14: symmetry functions of type 4 are not supported, only 2, 3",
    ),
    "subtype": (lambda text: text + "symfunction_short H 20 H 1 6 p2a", "line 24: .* subtype p2a are not supported"),
    "no subtype": (
        lambda text: text + "symfunction_short H 20",
        "line 24: type 20 needs neighbour, r_left, cutoff, subtype, got nothing",
    ),
    "angles": (lambda text: text + "symfunction_short H 25 1 6 90 30 p1", "line 24: .* angles .* got 90.0 … 30.0"),
    "angle missing": (
        lambda text: text + "symfunction_short H 25 1 6 90 p1",
        "line 24: type 25 needs r_left, cutoff, theta_left, theta_right, subtype, got 1 6 90 p1",
    ),
    "no type": (lambda text: text + "symfunction_short H", "line 24: symmetry functions of type .none. are not"),
    "element without a type": (lambda text: text + "element_symfunction_short H", "line 24: .* type .none. are not"),
    "too few": (lambda text: text + "symfunction_short H 2 O 0.1", "line 24: type 2 needs neighbour, eta, r_s, cutoff"),
    "neighbor": (replaced("short H 2 H", "short H 2 C"), "line 14: C is not among the elements H O"),
    "no symbol": (replaced("short H 2 H", "short H 2 Q"), "line 14: Q is not a chemical symbol"),
    "eta": (lambda text: text + "symfunction_short H 2 O -1 0 6", "line 24: eta .* must not be negative"),
    "lambda": (lambda text: text + "symfunction_short H 3 O O 1 2 1 6", "line 24: .* lambda = ±1"),
    "no function": (without("symfunction_short O"), "has no symfunction_short for O"),
    "electrostatics": (lambda text: text + "use_electrostatics", "line 24: use_electrostatics: nnpot does not support"),
    "4G": (lambda text: text + "nnp_gen 4", "line 24: nnp_gen 4: nnpot does not support long-range"),
    "normalization": (
        lambda text: text + "conv_energy 2.0",
        "has conv_energy but mean_energy, conv_energy, conv_length",
    ),
    "atomic energy": (replaced("atom_energy H", "atom_energy C"), "line 4: atom_energy needs one of the elements H O"),
    "atomic energy twice": (lambda text: text + "atom_energy H 1", "line 24: atom_energy needs .* each once"),
    "empty layer": (replaced("nodes_short 6 5", "nodes_short 6 0"), "line 12: 2 hidden layers with 6 0 nodes are no"),
    "no hidden layer": (replaced("layers_short 2", "layers_short 0"), "line 12: 0 hidden layers with 6 5 nodes are no"),
    "element nodes missing": (lambda text: text + "element_nodes_short H 1", "line 24: .* a number of nodes"),
    "scale": (lambda text: text + "scale_min_short_atomic 0", "line 24: scale_min_short_atomic was given before"),
}
SCALING = {
    "a row less": (cut(1), r"scaling.data has 9 rows, but .*input.nn lists 5 \(H\) \+ 5 \(O\) symmetry functions"),
    "order": (
        replaced("         2          1 ", "         1          6 "),
        "line 6: expected element 2, function 1 here, got 1 6",
    ),
    "columns": (
        lambda text: "\n".join(x[:96] for x in text.splitlines()),
        "line 1: expected min, max, mean, sigma, got 3",
    ),
    "nothing": (lambda text: "", "scaling.data has 0 rows"),
    "constant": (lambda text: "1 1 0 1 0.5 0\n" + "\n".join(text.splitlines()[1:]), "line 1: .* does not vary"),
    "text": (
        lambda text: "1 1 0 1 0.5 x\n" + "\n".join(text.splitlines()[1:]),
        "line 1: finite numbers are needed here",
    ),
}
WEIGHTS = {
    "truncated": (cut(3), "weights.008.data has 74 weights, but a network 5-6-5-1 has 77"),
    "swapped": (swapped(0, 1), "weights.008.data, line 1: the weight a 1 0 1 1 1 is needed here, got a 2 0 1 1 2"),
    "swapped biases": (swapped(30, 31), "line 31: the weight b 31 1 1 is needed here, got b 32 1 2"),
    "swapped layers": (swapped(4, 50), "line 5: the weight a 5 0 1 1 5 is needed here, got a 51"),
    "another count": (lambda text: text.replace(" a         7 ", " a         8 "), "line 7: the weight a 7 0 2 1 1"),
    "too many": (lambda text: text + text, "has 154 weights, but a network 5-6-5-1 has 77"),
    "text": (lambda text: "x" + text.lstrip()[1:], "weights.008.data, line 1: finite numbers are needed here"),
}
for word in ("nan", "inf", "-inf", "1e999", "1_0", "0x1p3"):
    WEIGHTS[word] = (first_word(word), f"weights.008.data, line 1: finite numbers are needed here, got '{word}'")
    SCALING[word] = (lambda text, word=word: text.replace(text.split()[2], word, 1), "line 1: finite numbers are")
BROKEN = {
    f"{name}: {what}": (name, edit, message)
    for name, edits in {"input.nn": INPUT, "scaling.data": SCALING, "weights.008.data": WEIGHTS}.items()
    for what, (edit, message) in edits.items()
}


@pytest.mark.parametrize(("name", "edit", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_files_in_disorder_are_refused(
    name: str, edit: Callable[[str], str], message: str, valid: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(valid, tmp_path / "broken")
    (folder / name).write_text(edit((folder / name).read_text()))
    with pytest.raises(ValueError, match=message):
        n2p2.read(folder)


def test_weights_need_not_say_which_they_are(valid: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(valid, tmp_path / "bare")
    for path in folder.glob("weights.*"):
        path.write_text("\n".join(line.split()[0] for line in path.read_text().splitlines()))
    bare, whole = n2p2.read(folder).state_dict(), n2p2.read(valid).state_dict()
    assert all(torch.equal(bare[name], whole[name]) for name in whole)


def test_a_misspelt_keyword_is_named(valid: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = shutil.copytree(valid, tmp_path / "misspelt")
    with (folder / "input.nn").open("a") as file:
        file.write("normalise_nodes\nepochs 10\n")
    n2p2.read(folder)
    sentence = "input.nn, line 24: normalise_nodes is not known and passed over; did you mean normalize_nodes?"
    assert [m for m in caplog.messages if "epochs" in m or "normalise" in m] == [f"{folder}/{sentence}"]


@pytest.mark.parametrize("name", ["input.nn", "scaling.data", "weights.001.data"])
def test_a_missing_file_is_named(name: str, valid: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(valid, tmp_path / "incomplete")
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"there is no file .*{name}"):
        n2p2.read(folder)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("element_symfunction_short H 2 0.1 0.5 6", ["H 2 H 0.1 0.5 6", "H 2 O 0.1 0.5 6"]),
        ("element_symfunction_short O 9 0.1 1 2 6", [f"O 9 {pair} 0.1 1 2 6" for pair in ("H H", "H O", "O O")]),
        (
            "global_symfunction_short 2 0.1 0.5 6",
            [f"{pair} 0.1 0.5 6" for pair in ("H 2 H", "H 2 O", "O 2 H", "O 2 O")],
        ),
    ],
    ids=["element, radial", "element, angular", "global"],
)
def test_functions_that_leave_elements_open_are_those_of_all_elements(short: str, long: list[str]) -> None:
    def functions(text: str) -> list[ListedFunction]:
        return list(parse(Line(Path("input.nn"), 1, tuple(text.split())), ("H", "O")))

    assert functions(short) == [f for text in long for f in functions(f"symfunction_short {text}")]


def test_the_last_row_of_runner_is_no_function(valid: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(valid, tmp_path / "runner")
    with (folder / "scaling.data").open("a") as file:
        file.write("  -0.123  0.456\n")
    system = structure("water")
    assert torch.equal(n2p2.read(folder).predict(system).energy, n2p2.read(valid).predict(system).energy)

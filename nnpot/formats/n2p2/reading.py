"""From the files to a potential."""

import difflib
import logging
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from ase.data import atomic_numbers
from torch import Tensor

from nnpot.descriptors import ListedACSF, ListedFunction
from nnpot.formats.described import check_cutoff
from nnpot.formats.n2p2.conventions import (
    ACTIVATION_LETTERS,
    ATOMIC,
    CUTOFF_TYPES,
    INPUT,
    SCALING,
    WEIGHTS,
    Units,
    weight_places,
)
from nnpot.formats.n2p2.functions import converted, parse, rank
from nnpot.formats.n2p2.scaling import read_scaling
from nnpot.formats.n2p2.settings import Line, Settings, read_lines
from nnpot.functional.cutoffs import STEEP
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.nn.layers import Affine

log = logging.getLogger("nnpot")

Functions = dict[str, list[ListedFunction]]

_UNSUPPORTED = {
    "use_electrostatics": "electrostatic energies",
    "electrostatic_type": "electrostatic energies",
    "use_vdw": "dispersion energies",
    "element_hidden_layers_short": "another number of layers for one element",
    "element_activation_short": "another activation for one element",
}
_KEYWORDS = (
    *("elements", "number_of_elements", "atom_energy", "remove_atom_energies", "cutoff_type", *_UNSUPPORTED),
    *("global_hidden_layers_short", "global_nodes_short", "element_nodes_short", "global_activation_short"),
    *("symfunction_short", "element_symfunction_short", "global_symfunction_short", "normalize_nodes"),
    *("mean_energy", "conv_energy", "conv_length", "nnp_type", "nn_type", "nnp_gen"),
    *("scale_symmetry_functions", "center_symmetry_functions", "scale_symmetry_functions_sigma"),
    *("scale_min_short", "scale_max_short", "scale_min_short_atomic", "scale_max_short_atomic"),
)
"""What counts in input.nn."""
_LONG_RANGE = {"3", "4", "10", "3G", "4G", "3G-HDNNP", "4G-HDNNP", "HDNNP-4G", "HDNNP-Q"}


def read(folder: str | Path, units: Units = ATOMIC, *, atom_energies: bool | None = None) -> NeuralNetworkPotential:
    """Read a potential of n2p2 or RuNNer: symmetry functions of types 2, 3, 9, 12, 13, 20–25, any cutoff, any scaling.

    The result is a potential like any other: it can be trained further and written again.  Elements with fewer hidden
    nodes than others are filled up with nodes of weight 0.

    Args:
        folder: Holds input.nn, scaling.data and weights.ZZZ.data for each element.
        units: What lengths and energies in the files are measured in.
        atom_energies: Whether `atom_energy` is added.  If None it is where `remove_atom_energies` stands in input.nn:
            so do RuNNer and CP2K, while n2p2 always adds it.

    Returns:
        The potential, in float64 and evaluation mode.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is not complete, contradicts another one, or asks for what nnpot does not have; file and
            line are named.
    """
    folder = Path(folder)
    settings = Settings.read(folder / INPUT)
    _refuse_unsupported(settings)
    _name_misspelt(settings)
    elements = _elements(settings)
    functions = _functions(settings, elements, units)
    cutoff_function, inner = _cutoff_function(settings)
    nodes = _hidden_nodes(settings, elements)
    hidden = tuple(max(layer) for layer in zip(*nodes.values(), strict=True))
    energies = _reference_energies(settings, elements, wanted=atom_energies)
    weights = {  # before memory is taken for the networks: files have as many lines as these have weights
        e: _weights(folder / WEIGHTS.format(atomic_numbers[e]), (len(functions[e]), *nodes[e], 1)) for e in elements
    }
    listed = tuple(f for e in elements for f in functions[e])
    potential = NeuralNetworkPotential(
        ListedACSF(elements, listed, cutoff_function, inner),  # type: ignore[arg-type]
        hidden,
        _activations(settings, len(hidden)),
        {e: units.energy * energy for e, energy in energies.items()},
        units.energy / settings.number(1.0, "conv_energy"),
        linear=False,
    ).double()
    scales = read_scaling(folder / SCALING, settings, {e: len(functions[e]) for e in elements})
    normalized = settings.find("normalize_nodes") is not None
    for s, element in enumerate(elements):
        mean, scale = scales[element]
        potential.scaling.mean[s, : len(mean)], potential.scaling.scale[s, : len(mean)] = mean, scale
        layers = [layer for layer in potential.networks[s].modules() if isinstance(layer, Affine)]
        _fill(layers, weights[element], normalized=normalized)
    return potential.eval()


def _refuse_unsupported(settings: Settings) -> None:
    for keyword, what in _UNSUPPORTED.items():
        for line in settings.all(keyword):
            raise line.error(f"{keyword}: nnpot does not support {what}")
    for keyword in ("nnp_type", "nn_type", "nnp_gen"):
        for line in settings.all(keyword):
            if set(line.words[1:2]) & _LONG_RANGE:
                raise line.error(f"{' '.join(line.words)}: nnpot does not support long-range electrostatics")


def _name_misspelt(settings: Settings) -> None:
    """Warn of keywords that look like one that counts: they are passed over as those of other programs are."""
    for line in settings.lines:
        keyword = line.words[0]
        close = [] if keyword in _KEYWORDS else difflib.get_close_matches(keyword, _KEYWORDS, n=1, cutoff=0.85)
        if close:
            log.warning(
                "%s, line %d: %s is not known and passed over; did you mean %s?",
                line.path,
                line.number,
                keyword,
                *close,
            )


def _elements(settings: Settings) -> tuple[str, ...]:
    """Chemical symbols by atomic number: the order that everything in the files follows."""
    line = settings.require("elements")
    elements = line.words[1:]
    unknown = [e for e in elements if atomic_numbers.get(e, 0) < 1]
    if unknown:
        raise line.error(f"{', '.join(unknown)} is not a chemical symbol")
    if len(set(elements)) < len(elements):
        raise line.error(f"the elements must differ, got {' '.join(elements)}")
    count = settings.number(len(elements), "number_of_elements")
    if count != len(elements):
        raise line.error(f"{len(elements)} elements, but number_of_elements is {count:g}")
    return tuple(sorted(elements, key=atomic_numbers.__getitem__))


def _functions(settings: Settings, elements: tuple[str, ...], units: Units) -> Functions:
    """The functions of each element in the order of scaling.data and of the inputs of the networks."""
    functions: Functions = {e: [] for e in elements}
    for keyword in ("symfunction_short", "element_symfunction_short", "global_symfunction_short"):
        for line in settings.all(keyword):
            for function in parse(line, elements):
                _check(line, function, elements, units)
                functions[function.center].append(function)
    for element, listed in functions.items():
        if not listed:
            raise ValueError(f"{settings.path} has no symfunction_short for {element}, an element of the potential")
        listed.sort(key=rank)  # by the numbers of the file: those that are equal there are equal
    return {e: [converted(f, units.length) for f in listed] for e, listed in functions.items()}


def _check(line: Line, function: ListedFunction, elements: tuple[str, ...], units: Units) -> None:
    """Complain about a function in the name of its line."""
    others = [e for e in (function.center, *function.neighbors) if e not in elements]
    if others:
        raise line.error(f"{others[0]} is not among the elements {' '.join(elements)}")
    try:  # let the descriptor check the other numbers of this one alone
        check_cutoff(function.cutoff * units.length)
        ListedACSF((function.center,), (converted(function, units.length)._replace(neighbors=()),))
    except ValueError as error:
        raise line.error(str(error)) from error


def _cutoff_function(settings: Settings) -> tuple[str, float]:
    """Name, and the inner radius as a fraction of the cutoff."""
    line = settings.require("cutoff_type")
    kind, *inner = line.numbers(line.words[1:3])
    if kind not in range(len(CUTOFF_TYPES)):
        raise line.error(f"cutoff_type must be one of 0 … {len(CUTOFF_TYPES) - 1}, got {line.words[1]}")
    name = CUTOFF_TYPES[int(kind)]
    fraction = inner[0] if inner and name not in (*STEEP, "hard") else 0.0  # these ignore it, as in n2p2
    if not 0 <= fraction < 1:
        raise line.error(f"the inner radius must be a fraction of the cutoff below 1, got {line.words[2]}")
    return name, fraction


def _hidden_nodes(settings: Settings, elements: tuple[str, ...]) -> dict[str, list[int]]:
    """Nodes of each hidden layer, for each element."""
    line = settings.require("global_hidden_layers_short")
    n_hidden = line.count(line.words[1])
    line = settings.require("global_nodes_short", n_hidden)
    nodes = {e: [line.count(n) for n in line.words[1 : n_hidden + 1]] for e in elements}
    if n_hidden < 1 or min(min(n) for n in nodes.values()) < 1:
        raise line.error(f"{n_hidden} hidden layers with {' '.join(line.words[1:])} nodes are no network")
    for line in settings.all("element_nodes_short"):
        element, layer, n = line.words[1:] if len(line.words) == 4 else ("", "", "")
        if element not in elements or layer not in map(str, range(1, n_hidden + 1)) or not n.isdigit() or int(n) < 1:
            raise line.error(f"element_nodes_short needs an element, a hidden layer 1 … {n_hidden}, a number of nodes")
        nodes[element][int(layer) - 1] = int(n)
    return nodes


def _activations(settings: Settings, n_hidden: int) -> tuple[str, ...]:
    """Activation of each hidden layer."""
    line = settings.require("global_activation_short", n_hidden)
    unknown = [letter for letter in line.words[1:] if letter not in ACTIVATION_LETTERS]
    if unknown:
        known = ", ".join(f"{letter} ({name})" for letter, name in ACTIVATION_LETTERS.items())
        raise line.error(f"the activation {unknown[0]!r} is not supported, only {known}")
    if line.words[n_hidden + 1 :] not in {(), ("l",)}:
        raise line.error(f"{n_hidden} hidden layers need as many activations, then l, got {' '.join(line.words[1:])}")
    return tuple(ACTIVATION_LETTERS[letter] for letter in line.words[1 : n_hidden + 1])


def _reference_energies(settings: Settings, elements: tuple[str, ...], *, wanted: bool | None) -> dict[str, float]:
    """Energy per atom of each element in front of the networks, in the unit of the file.

    From a data set that was normalised for training (mean_energy, conv_energy, conv_length) a mean energy per atom was
    taken off, and the rest multiplied by conv_energy; conv_length leaves no trace, as symmetry functions have no unit.
    """
    normalization = [k for k in ("mean_energy", "conv_energy", "conv_length") if settings.find(k)]
    if len(normalization) in {1, 2}:
        given = " and ".join(normalization)
        raise ValueError(f"{settings.path} has {given} but mean_energy, conv_energy, conv_length belong together")
    mean = settings.number(0.0, "mean_energy")
    lines = settings.all("atom_energy")
    marked = settings.find("remove_atom_energies") is not None
    if lines and not marked and wanted is None:
        log.warning(
            "%s gives atom_energy without remove_atom_energies: not added, as by RuNNer and CP2K; n2p2 would add them",
            settings.path,
        )
    offsets: dict[str, float] = {}
    for line in lines if (marked if wanted is None else wanted) else []:
        if len(line.words) < 3 or line.words[1] not in elements or line.words[1] in offsets:
            raise line.error(f"atom_energy needs one of the elements {' '.join(elements)}, each once, and an energy")
        offsets[line.words[1]] = line.numbers(line.words[2:3])[0]
    return {e: mean + offsets.get(e, 0.0) for e in elements}


def _weights(path: Path, sizes: Sequence[int]) -> list[Tensor]:
    """Augmented weights of each layer, shapes (n_out, n_in + 1).

    The file has, layer by layer, the weights a_jk from node j to node k, k fastest, then the biases b_k; behind each
    number may stand, and is compared, which weight it is.
    """
    lines = read_lines(path)
    count = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    if len(lines) != count:
        raise ValueError(f"{path} has {len(lines)} weights, but a network {'-'.join(map(str, sizes))} has {count}")
    for line, place in zip(lines, weight_places(sizes), strict=True):
        if line.words[1:] not in {(), place}:
            raise line.error(f"the weight {' '.join(place)} is needed here, got {' '.join(line.words[1:])}")
    numbers = torch.tensor([line.numbers(line.words[:1]) for line in lines], dtype=torch.float64)
    parts = numbers.flatten().split([(n_in + 1) * n_out for n_in, n_out in pairwise(sizes)])
    return [part.view(-1, n_out).mT for part, n_out in zip(parts, sizes[1:], strict=True)]


def _fill(layers: Sequence[Affine], weights: Sequence[Tensor], *, normalized: bool) -> None:
    """Set the weights of layers that may be larger; `normalize_nodes` divides z by the number of inputs."""
    with torch.no_grad():
        for layer, weight in zip(layers, weights, strict=True):
            n_out, n_in = weight.shape[0], weight.shape[1] - 1
            scaled = weight / n_in if normalized else weight
            layer.weight.zero_()
            layer.weight[:n_out, :n_in], layer.weight[:n_out, -1] = scaled[:, :-1], scaled[:, -1]

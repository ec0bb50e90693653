"""Files written by hand, in bohr and hartree, against the formulas of n2p2 stated in NumPy in these units."""

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from numpy.typing import NDArray
from proofs import assert_close
from systems import rattled

from nnpot.formats import n2p2
from nnpot.structure import Structure
from nnpot.units import BOHR, HARTREE

SAME = 1e-12
"""Both sides evaluate the same formulas in float64, once in bohr and once in Å."""

Z = {"H": 1, "O": 8}
FUNCTIONS = {  # (type, neighbours, η, λ, ζ, r_s, r_c), in the order that the files follow
    "H": [
        (2, ("H",), 0.05, None, None, 0.0, 7.0),
        (2, ("H",), 0.05, None, None, 1.5, 8.0),
        (2, ("O",), 0.05, None, None, 1.5, 8.0),
        (2, ("H",), 0.3, None, None, 0.0, 8.0),
        (3, ("H", "O"), 0.01, 1.0, 1.0, 0.0, 7.0),
        (3, ("H", "O"), 0.01, -1.0, 1.0, 0.0, 8.0),
        (3, ("O", "O"), 0.01, 1.0, 1.0, 0.0, 8.0),
        (3, ("H", "H"), 0.01, -1.0, 4.0, 0.0, 8.0),
        (9, ("H", "O"), 0.02, -1.0, 2.0, 0.0, 8.0),
        (12, (), 0.03, None, None, 0.5, 8.0),
    ],
    "O": [
        (2, ("O",), 0.02, None, None, 0.0, 8.0),
        (2, ("H",), 0.4, None, None, 1.0, 8.0),
        (3, ("H", "H"), 0.02, 1.0, 1.5, 0.7, 6.0),
        (13, (), 0.005, 1.0, 2.0, 0.5, 7.5),
    ],
}
COMPACT = {  # (type, neighbours, (r_l, r_c), (θ_l, θ_r) in degrees, subtype), in the order that the files follow
    "H": [
        (20, ("H",), (1.0, 6.5), None, "p2"),
        (20, ("O",), (1.0, 6.0), None, "p2"),
        (20, ("O",), (-7.0, 7.0), None, "p2"),
        (22, ("H", "O"), (0.5, 7.0), (20.0, 150.0), "e"),
        (24, (), (-7.5, 7.5), (40.0, 140.0), "p3"),
    ],
    "O": [
        (21, ("H", "H"), (-7.0, 7.0), (60.0, 160.0), "p4"),
        (23, (), (0.0, 7.5), None, "p1"),
        (25, (), (1.0, 7.0), (-130.0, 130.0), "p2"),
        (25, (), (0.5, 7.5), (30.0, 170.0), "p2"),
    ],
}
NODES = {"H": (4, 3), "O": (5, 3)}


def core(kind: str, x: float) -> float:
    """The core functions of n2p2."""
    return {
        "e": lambda: np.exp(1 - 1 / (1 - x**2)),
        "p1": lambda: (2 * x - 3) * x**2 + 1,
        "p2": lambda: ((15 - 6 * x) * x - 10) * x**3 + 1,
        "p3": lambda: (x * (x * (20 * x - 70) + 84) - 35) * x**4 + 1,
        "p4": lambda: (x * (x * ((315 - 70 * x) * x - 540) + 420) - 126) * x**5 + 1,
    }[kind]()


def compact(kind: str, ends: tuple[float, float], x: float) -> float:
    """The compact functions of n2p2."""
    left, right = ends
    return core(kind, abs(x - (left + right) / 2) / ((right - left) / 2)) if left < x < right else 0.0


def cutoff(kind: int, inner: float, r: float, r_c: float) -> float:
    """The cutoff functions of n2p2 by their number; `inner` is α."""
    if r >= r_c:
        return 0.0
    if kind == 2:
        return np.tanh(1 - r / r_c) ** 3
    if kind == 3:
        return np.tanh(1 - r / r_c) ** 3 / np.tanh(1) ** 3
    x = (r - inner * r_c) / (r_c - inner * r_c)
    if kind == 0 or x < 0:
        return 1.0
    return 0.5 * (np.cos(np.pi * x) + 1) if kind == 1 else core({4: "e", 5: "p1", 6: "p2", 7: "p3", 8: "p4"}[kind], x)


ACTIVATIONS = {
    "l": lambda x: x,
    "t": np.tanh,
    "s": lambda x: 1 / (1 + np.exp(-x)),
    "p": lambda x: np.log(1 + np.exp(x)),
    "g": lambda x: np.exp(-(x**2) / 2),
    "c": np.cos,
    "S": lambda x: 1 - 1 / (1 + np.exp(-x)),
    "e": lambda x: np.exp(-x),
    "h": lambda x: x**2,
}


class Hand:
    """A potential of random weights, as files and as formulas.

    Attributes:
        keywords: Lines of input.nn beside the functions.
        cutoff_type: Number and α.
        letters: Activations of the two hidden layers.
        scaling: Keywords of the scaling.
        rows: G_min, G_max, G_mean, G_sigma of each function of each element.
        layers: Weights (n_in, n_out) and biases of each layer of each element.
    """

    def __init__(
        self,
        cutoff_type: tuple[int, float] = (1, 0.0),
        letters: str = "tg",
        scaling: tuple[str, ...] = (),
        keywords: tuple[str, ...] = (),
    ) -> None:
        rng = np.random.default_rng(3)
        self.cutoff_type, self.letters, self.scaling, self.keywords = cutoff_type, letters, scaling, keywords
        least = {e: rng.uniform(0, 0.2, len(f) + len(COMPACT[e])) for e, f in FUNCTIONS.items()}
        self.rows = {e: [(x, x + 1.1, x + 0.4, 0.3 + x) for x in low] for e, low in least.items()}
        self.layers = {}
        for e, nodes in NODES.items():
            sizes = (len(self.rows[e]), *nodes, 1)
            pairs = list(pairwise(sizes))
            self.layers[e] = [(rng.normal(size=(a, b), scale=0.5), rng.normal(size=b, scale=0.2)) for a, b in pairs]

    def write(self, folder: Path) -> None:
        lines = [
            "number_of_elements 2   ! a comment",
            "elements O H           # in any order",
            f"cutoff_type {self.cutoff_type[0]} {self.cutoff_type[1]}",
            "global_hidden_layers_short 2",
            "global_nodes_short 4 3",
            "element_nodes_short O 1 5",
            f"global_activation_short {self.letters[0]} {self.letters[1]} l",
            *self.scaling,
            *self.keywords,
        ]
        for e in reversed(FUNCTIONS):
            for kind, neighbors, eta, sign, zeta, r_s, r_c in reversed(FUNCTIONS[e]):
                numbers = {
                    2: (eta, r_s, r_c), 3: (eta, sign, zeta, r_c, r_s), 9: (eta, sign, zeta, r_c),
                    12: (eta, r_s, r_c), 13: (eta, r_s, sign, zeta, r_c),
                }[kind]  # fmt: skip
                lines.append(
                    f"symfunction_short {e} {kind} {' '.join(reversed(neighbors))} {' '.join(map(str, numbers))}"
                )
            for kind, neighbors, distances, angles, subtype in reversed(COMPACT[e]):
                numbers = (*distances, *(angles or ()))
                lines.append(f"symfunction_short {e} {kind} {' '.join((*neighbors, *map(str, numbers), subtype))}")
        (folder / "input.nn").write_text("\n".join(lines))
        rows = [
            " ".join([str(i), str(k), *(f"{x:.16e}" for x in row)])
            for i, e in enumerate(FUNCTIONS, start=1)
            for k, row in enumerate(self.rows[e], start=1)
        ]
        (folder / "scaling.data").write_text("# comment\n" + "\n".join(rows))
        for e, layers in self.layers.items():
            numbers = [x for weights, biases in layers for x in (*weights.flatten(), *biases)]
            (folder / f"weights.{Z[e]:03d}.data").write_text("\n".join(f"{x:.16e}" for x in numbers))

    def functions(self, atoms: Atoms, i: int) -> NDArray[np.float64]:
        """Symmetry functions of atom i of a molecule, in bohr."""
        f_c = lambda r, r_c: cutoff(*self.cutoff_type, r, r_c)  # noqa: E731
        vectors = {j: (p - atoms.positions[i]) / BOHR for j, p in enumerate(atoms.positions) if j != i}
        symbols, values = atoms.get_chemical_symbols(), []
        for kind, neighbors, eta, sign, zeta, r_s, r_c in FUNCTIONS[symbols[i]]:
            total = 0.0
            if kind in {2, 12}:
                for j, v in vectors.items():
                    r = np.linalg.norm(v)
                    weight = Z[symbols[j]] if kind == 12 else (symbols[j],) == neighbors
                    total += weight * np.exp(-eta * (r - r_s) ** 2) * f_c(r, r_c)
            else:
                for j, k in combinations(vectors, 2):
                    v, w = vectors[j], vectors[k]
                    r = [np.linalg.norm(v), np.linalg.norm(w), np.linalg.norm(w - v)]
                    pair = Z[symbols[j]] * Z[symbols[k]]
                    weight = pair if kind == 13 else sorted((symbols[j], symbols[k])) == sorted(neighbors)
                    factors = [np.exp(-eta * (x - r_s) ** 2) * f_c(x, r_c) for x in r[: 2 if kind == 9 else 3]]
                    angle = (1 + sign * (v @ w) / (r[0] * r[1])) ** zeta
                    total += weight * 2 ** (1 - zeta) * angle * np.prod(factors)
            values.append(total)
        return np.array([*values, *self.compact_functions(symbols[i], vectors, symbols)])

    @staticmethod
    def compact_functions(center: str, vectors: dict[int, NDArray[np.float64]], symbols: list[str]) -> list[float]:
        """Compact functions of an atom with neighbours at these vectors, in bohr."""
        values = []
        for kind, neighbors, distances, angles, subtype in COMPACT[center]:
            total = 0.0
            if angles is None:
                for j, v in vectors.items():
                    weight = Z[symbols[j]] if kind == 23 else (symbols[j],) == neighbors
                    total += weight * compact(subtype, distances, np.linalg.norm(v))
            else:
                for j, k in combinations(vectors, 2):
                    v, w = vectors[j], vectors[k]
                    r = [np.linalg.norm(v), np.linalg.norm(w), np.linalg.norm(w - v)]
                    pair = Z[symbols[j]] * Z[symbols[k]]
                    weight = pair if kind > 23 else sorted((symbols[j], symbols[k])) == sorted(neighbors)
                    factors = [compact(subtype, distances, x) for x in r[: 3 if kind in {21, 24} else 2]]
                    angle = np.degrees(np.arccos((v @ w) / (r[0] * r[1])))
                    total += weight * np.prod(factors) * compact(subtype, angles, angle)
            values.append(total)
        return values

    def scaled(self, element: str, g: NDArray[np.float64]) -> NDArray[np.float64]:
        low, high, mean, sigma = np.array(self.rows[element]).T
        words = [line.split()[0] for line in self.scaling]
        s_min, s_max = (-1.0, 2.0) if "scale_min_short" in words else (0.0, 1.0)
        match "scale_symmetry_functions" in words, "center_symmetry_functions" in words:
            case True, True:
                return s_min + (s_max - s_min) * (g - mean) / (high - low)
            case True, False:
                return s_min + (s_max - s_min) * (g - low) / (high - low)
            case False, True:
                return g - mean
        if "scale_symmetry_functions_sigma" in words:
            return s_min + (s_max - s_min) * (g - mean) / sigma
        return g

    def output(self, atoms: Atoms, i: int) -> float:
        """What the network of atom i makes of it."""
        element = atoms.get_chemical_symbols()[i]
        x = self.scaled(element, self.functions(atoms, i))
        for (weights, biases), letter in zip(self.layers[element], (*self.letters, "l"), strict=True):
            z = x @ weights + biases
            x = ACTIVATIONS[letter](z / len(x) if "normalize_nodes" in self.keywords else z)
        return float(x[0])


def cluster() -> Atoms:
    positions = [[0, 0, 0], [0.95, 0.1, 0], [-0.3, 0.9, 0.1], [2.6, 0.3, 0.4], [3.1, 1.1, 0.2], [2.9, -0.4, 0.8]]
    return rattled(Atoms("OHHOHH", positions=positions))


def outputs(hand: Hand) -> NDArray[np.float64]:
    return np.array([hand.output(cluster(), i) for i in range(6)])


def energies(hand: Hand, folder: Path) -> object:
    """Atomic energies by nnpot, in hartree."""
    hand.write(folder)
    return n2p2.read(folder).predict(Structure.from_ase(cluster())).energies / HARTREE


BY_RANGE, BY_SIGMA = "scale_symmetry_functions", "scale_symmetry_functions_sigma"
CENTERED = "center_symmetry_functions"
INTERVAL = ("scale_min_short -1.0", "scale_max_short 2.0")
HANDS = {
    **{f"cutoff {k}": Hand((k, 0.0)) for k in range(9)},
    **{f"cutoff {k} with an inner radius": Hand((k, 0.25)) for k in range(9)},
    **{f"activation {letter}": Hand(letters=f"{letter}t") for letter in ACTIVATIONS},
    **{f"second activation {letter}": Hand(letters=f"t{letter}") for letter in ACTIVATIONS},
    "scaled": Hand(scaling=(BY_RANGE,)),
    "scaled to an interval": Hand(scaling=(BY_RANGE, *INTERVAL)),
    "centered": Hand(scaling=(CENTERED,)),
    "scaled and centered": Hand(scaling=(BY_RANGE, CENTERED)),
    "scaled to an interval and centered": Hand(scaling=(BY_RANGE, CENTERED, *INTERVAL)),
    "scaled by sigma": Hand(scaling=(BY_SIGMA, *INTERVAL)),
    "nodes normalized": Hand(keywords=("normalize_nodes",)),
}


@pytest.mark.parametrize("hand", HANDS.values(), ids=HANDS.keys())
def test_atomic_energies_are_those_of_the_formulas(hand: Hand, tmp_path: Path) -> None:
    assert_close(energies(hand, tmp_path), outputs(hand), SAME)


def test_every_function_of_the_hand_made_potential_counts() -> None:
    values = [Hand().functions(cluster(), i) for i in range(6)]
    assert all(abs(np.array(values[s::3])).max(axis=0).min() > 1e-4 for s in (0, 1))


NORMALIZED = ("mean_energy -0.75", "conv_energy 12.5", "conv_length 1.9")
ATOMS = ("atom_energy O -75.0", "atom_energy H -0.5")


@pytest.mark.parametrize(
    ("keywords", "factor", "oxygen", "hydrogen"),
    [
        pytest.param(NORMALIZED, 12.5, -0.75, -0.75, id="normalized data"),
        pytest.param((*ATOMS, "remove_atom_energies"), 1.0, -75.0, -0.5, id="atomic energies"),
        pytest.param((*ATOMS, "remove_atom_energies", *NORMALIZED), 12.5, -75.75, -1.25, id="both"),
        pytest.param(ATOMS, 1.0, 0.0, 0.0, id="atomic energies without remove_atom_energies"),
    ],
)
def test_offsets_of_the_energy(
    keywords: tuple[str, ...], factor: float, oxygen: float, hydrogen: float, tmp_path: Path
) -> None:
    hand = Hand(keywords=keywords)
    offsets = np.array([oxygen, hydrogen, hydrogen] * 2)
    assert_close(energies(hand, tmp_path), outputs(hand) / factor + offsets, SAME)


@pytest.mark.parametrize(
    ("keywords", "wanted", "offset"),
    [(ATOMS, True, -152.0), (("remove_atom_energies", *ATOMS), False, 0.0)],
    ids=["always", "never"],
)
def test_atomic_energies_may_be_asked_for(
    keywords: tuple[str, ...], wanted: bool, offset: float, tmp_path: Path
) -> None:
    hand = Hand(keywords=keywords)
    hand.write(tmp_path)
    energy = n2p2.read(tmp_path, atom_energies=wanted).predict(Structure.from_ase(cluster())).energy
    assert_close(energy / HARTREE, outputs(hand).sum(keepdims=True) + offset, SAME)


def test_atomic_energies_that_are_left_out_are_mentioned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Hand(keywords=ATOMS).write(tmp_path)
    n2p2.read(tmp_path)
    assert "atom_energy without remove_atom_energies: not added" in caplog.text


def test_files_in_other_units_are_converted(tmp_path: Path) -> None:
    hand = Hand()
    hand.write(tmp_path)
    units = n2p2.Units(length=10 * BOHR, energy=3 * HARTREE)
    atoms = cluster()
    atoms.positions *= 10
    energies = n2p2.read(tmp_path, units).predict(Structure.from_ase(atoms)).energies
    assert_close(energies / (3 * HARTREE), outputs(hand), SAME)

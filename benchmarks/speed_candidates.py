"""Systems and candidates of `speed.py`: a builder returns a function that does one step, or None without its peer."""

import importlib.util
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import speed_peers
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from nnpot import NNPotCalculator
from nnpot.batch import Batch
from nnpot.committee import Committee
from nnpot.descriptors import ACE, ACSF
from nnpot.native import library
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.simulation import thermal_momenta
from nnpot.structure import Structure
from nnpot.training.loss import LossOptions, weighted
from nnpot.training.soap import SOAP

VOLUME_OF_WATER = 18.015 / 0.602214
"""Å³ per molecule at 1 g/cm³."""

Builder = Callable[..., Callable[[], Any] | None]


def water(n_x: int, n_y: int, n_z: int) -> Atoms:
    """Molecules of random orientation on a jiggled grid at 1 g/cm³."""
    rng = np.random.default_rng(0)
    spacing = VOLUME_OF_WATER ** (1 / 3)
    places = np.stack(np.meshgrid(*map(np.arange, (n_x, n_y, n_z)), indexing="ij"), axis=-1).reshape(-1, 3)
    atoms = Atoms(cell=spacing * np.array([n_x, n_y, n_z]), pbc=True)
    for place in places:
        one = molecule("H2O")
        one.rotate(360 * rng.random(), rng.normal(size=3))
        one.translate((place + 0.5) * spacing + rng.normal(scale=0.2, size=3))
        atoms += one
    atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
    return atoms


def copper(n: int) -> Atoms:
    """A rattled crystal of 4n³ atoms."""
    atoms = bulk("Cu", "fcc", a=3.615, cubic=True).repeat(n)
    atoms.rattle(0.08, seed=0)
    return atoms


def heavy_alloy(repeat: int, seed: int = 0) -> Atoms:
    """A disordered alloy of heavy atoms, which stays a crystal whatever the forces are."""
    atoms = bulk("Cu", cubic=True, a=3.85).repeat(repeat)
    atoms.symbols[np.random.default_rng(seed).random(len(atoms)) < 0.5] = "Au"
    atoms.set_masses(atoms.get_masses() * 1000)
    atoms.set_momenta(thermal_momenta(atoms.get_masses(), 3e5, np.random.default_rng(seed)))
    return atoms


def system(name: str) -> Atoms:
    """Return a system of MD by its name."""
    grids = {"water192": (4, 4, 4), "water1536": (8, 8, 8), "water6000": (10, 10, 20)}
    return water(*grids[name]) if name in grids else copper({"copper256": 4, "copper4000": 10}[name])


def training_set(name: str) -> tuple[list[Atoms], int]:
    """Return labelled structures and a batch size; the labels (a harmonic energy) are there to be timed with."""
    perfect, batch_size = {"molecule21": (molecule("C6H6"), 32), "water63": (water(3, 7, 1), 4)}[name]
    if name == "molecule21":  # as many atoms as aspirin: benzene and three waters
        for k in range(3):
            other = molecule("H2O")
            other.translate([0.0, 3.0 * k - 3.0, 3.2])
            perfect += other
    frames = []
    for k in range(8 * batch_size):
        moved = perfect.copy()
        moved.rattle(0.05, seed=k)
        away = moved.positions - perfect.positions
        calculator = SinglePointCalculator(moved, energy=float((away * away).sum()), forces=-2 * away)
        moved.calc = calculator
        frames.append(moved)
    return frames, batch_size


# nnpot ----------------------------------------------------------------------------------------------------------------


def default_ace(frames: Sequence[Atoms], config: str = "ace.yaml", **changes: Any) -> NeuralNetworkPotential:
    """The network and descriptor of a configuration with random weights, fitted to the scale of some structures."""
    import yaml

    settings = yaml.safe_load((Path(__file__).parent.parent / "configs" / config).read_text())["potential"]
    descriptor = ACE(**settings.pop("descriptor")["init_args"] | changes)
    return fitted(NeuralNetworkPotential(descriptor, **settings), frames)


def ace_without_second(frames: Sequence[Atoms]) -> NeuralNetworkPotential:
    """The same, but molecules have no weighted density either."""
    return default_ace(frames, weighted_channels=0)


def large_ace(frames: Sequence[Atoms]) -> NeuralNetworkPotential:
    """That of configs/ace-large.yaml."""
    return default_ace(frames, "ace-large.yaml")


def default_acsf(frames: Sequence[Atoms]) -> NeuralNetworkPotential:
    """About 40 symmetry functions per element at 6 Å, as in the published networks of n2p2."""
    g4 = tuple((eta, zeta, sign, 0.0) for eta in (0.01, 0.07) for zeta in (1.0, 4.0) for sign in (1.0, -1.0))
    g2 = tuple((4.0, float(r)) for r in np.linspace(0.8, 5.5, 8))
    return fitted(NeuralNetworkPotential(ACSF(6.0, g2=g2, g4=g4), hidden=(25, 25)), frames)


def fitted(potential: NeuralNetworkPotential, frames: Sequence[Atoms]) -> NeuralNetworkPotential:
    """Take elements and scales from structures."""
    structures = [Structure.from_ase(f) for f in frames[:2]]
    if structures[0].energy is None:
        labelled = frames[0].copy()
        labelled.calc = SinglePointCalculator(labelled, energy=0.0, forces=np.ones((len(labelled), 3)))
        structures = [Structure.from_ase(labelled)]
    torch.manual_seed(0)
    return potential.fitted(structures)


def moving(atoms: Atoms, calculator: Any) -> Callable[[], Any]:
    """A step of MD: new positions, energy and forces."""
    rng = np.random.default_rng(0)
    moves = itertools.cycle([atoms.positions + rng.normal(scale=0.01, size=atoms.positions.shape) for _ in range(8)])
    work = atoms.copy()
    work.calc = calculator

    def step() -> None:
        work.positions = next(moves)
        work.get_forces()

    return step


def four(make: Callable[..., NeuralNetworkPotential]) -> Callable[..., Committee]:
    """A committee of four potentials."""
    return lambda frames: Committee(tuple(make(frames) for _ in range(4)))


def md(make: Callable[..., Potential], **options: Any) -> Builder:
    """MD with a potential of nnpot."""
    return lambda atoms: moving(atoms, NNPotCalculator(make([atoms]), **options))


def without_kernels(build: Builder) -> Builder:
    """The same by PyTorch's operations alone, as where there is no C++ compiler."""

    def off(function: Callable[..., Any], *arguments: Any) -> Any:
        with mock.patch.object(library, "loaded", return_value=None):
            return function(*arguments)

    def built(*arguments: Any) -> Callable[[], Any]:
        step = off(build, *arguments)
        return lambda: off(step)

    return built


def ani(atoms: Atoms, neighborlist: str) -> Any:
    """A model of TorchANI for the elements at hand, None where it is not installed."""
    if importlib.util.find_spec("torchani") is None:
        return None
    from torchani.arch import simple_ani

    symbols = sorted(set(atoms.get_chemical_symbols()))
    options = {"ensemble_size": 1, "repulsion": False, "neighborlist": neighborlist, "self_energies": "zero"}
    return simple_ani(symbols, lot="wb97x-631gd", **options).float()


def md_ani(atoms: Atoms) -> Callable[[], Any] | None:
    """TorchANI with its cell list: AEV and networks of ANI-1x size for the elements at hand."""
    model = ani(atoms, neighborlist="cell_list")
    if model is None:
        return None
    model.requires_grad_(False)
    return moving(atoms, model.ase())


def md_nep(atoms: Atoms) -> Callable[[], Any] | None:
    """NEP4 in C++ through calorine, sizes as is usual, random coefficients."""
    if importlib.util.find_spec("calorine") is None:
        return None
    from calorine.calculators import CPUNEP

    symbols = sorted(set(atoms.get_chemical_symbols()))
    t, features, neurons = len(symbols), 5 + 5 * 5, 30
    numbers = (features + 2) * neurons * t + 1 + t * t * (5 * 9 + 5 * 9)
    values = [*np.random.default_rng(0).normal(scale=0.1, size=numbers), *np.ones(features)]
    header = f"nep4 {t} {' '.join(symbols)}\ncutoff 6 4 200 100\nn_max 4 4\nbasis_size 8 8\nl_max 4 2 0\nANN 30 0\n"
    path = Path(tempfile.mkdtemp()) / "nep.txt"  # read again at the first call
    path.write_text(header + "".join(f"{v:15.7e}\n" for v in values))
    return moving(atoms, CPUNEP(str(path)))


def installed(package: str, build: Builder) -> Builder:
    """A builder where the package of a peer is there, nothing where it is not or cannot be imported."""

    def built(*arguments: Any) -> Callable[[], Any] | None:
        if importlib.util.find_spec(package) is None:
            return None
        try:
            return build(*arguments)
        except (ImportError, OSError, RuntimeError) as error:  # another e3nn, a library of the system, another torch
            print(f"{package} is installed but cannot be imported, it is left out: {error}", file=sys.stderr)
            return None

    return built


def md_peer(package: str, make: Callable[[Atoms], Any], most_atoms: int = 10_000) -> Builder:
    """MD with the calculator of a peer, left out for systems that take too much memory or time."""
    return installed(package, lambda atoms: moving(atoms, make(atoms)) if len(atoms) <= most_atoms else None)


def training(
    make: Callable[..., NeuralNetworkPotential], *, compiled: bool = False, cached: bool = False, soap: bool = False
) -> Builder:
    """Steps of training with pairs (and features, if they are kept) found before."""

    def build(frames: list[Atoms], batch_size: int) -> Callable[[], Any]:
        potential = make(frames).train()
        potential.compiled(training=compiled)
        single = [single_batch(Structure.from_ase(f), potential.cutoff) for f in frames]
        if cached:
            single = [potential.with_cache(b, torch.float32) for b in single]
        single = [b.to(dtype=torch.float32) for b in single]
        method = SOAP if soap else torch.optim.AdamW
        optimizer = method(potential.parameters(), lr=1e-3)

        starts, options = itertools.cycle(range(0, len(single), batch_size)), LossOptions()

        def step() -> None:
            start = next(starts)
            batch = Batch.join(single[start : start + batch_size])
            loss = weighted(options.of(potential(batch), batch), options.weights())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return step

    return build


def training_ani(frames: list[Atoms], batch_size: int) -> Callable[[], Any] | None:
    """TorchANI, its neighbour list within the forward pass as usual."""
    model = ani(frames[0], neighborlist="all_pairs")
    if model is None:
        return None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    numbers = torch.tensor(np.stack([f.numbers for f in frames]))
    positions = torch.tensor(np.stack([f.positions for f in frames])).float()
    energies = torch.tensor([f.get_potential_energy() for f in frames]).float()
    forces = torch.tensor(np.stack([f.get_forces() for f in frames])).float()
    periodic = bool(frames[0].pbc.any())
    cell = torch.tensor(np.asarray(frames[0].cell)).float() if periodic else None
    pbc = torch.tensor(frames[0].pbc) if periodic else None

    starts = itertools.cycle(range(0, len(frames), batch_size))

    def step() -> None:
        start = next(starts)
        some = slice(start, start + batch_size)
        x = positions[some].clone().requires_grad_()
        energy = model((numbers[some], x), cell, pbc).energies
        (gradient,) = torch.autograd.grad(energy.sum(), x, create_graph=True)
        loss = ((energy - energies[some]) / x.shape[1]).square().mean() + (gradient + forces[some]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


MD: dict[str, Builder] = {
    "nnpot ACE": md(default_ace),
    "nnpot ACE, large": md(large_ace),
    "nnpot ACE, float64": md(default_ace, dtype="float64"),
    "nnpot ACE, tensors": without_kernels(md(default_ace)),
    "nnpot ACE, tensors, compiled": without_kernels(md(default_ace, compile="on")),
    "nnpot ACSF": md(default_acsf),
    "nnpot ACE, committee of 4": md(four(default_ace)),
    "nnpot ACSF, committee of 4": md(four(default_acsf)),
    "TorchANI": md_ani,
    "NEP4 (C++)": md_nep,
    "SOAP-BPNN": md_peer("metatrain", speed_peers.soap_bpnn),
    "DeePMD se_e2_a": md_peer("deepmd", speed_peers.deepmd),
    "MACE 64x0e": md_peer("mace", speed_peers.mace, most_atoms=2000),
}

TRAINING: dict[str, Builder] = {
    "nnpot ACE": training(default_ace),
    "nnpot ACE, large": training(large_ace),
    "nnpot ACE, no weighted density": training(ace_without_second),
    "nnpot ACE, SOAP": training(default_ace, soap=True),
    "nnpot ACE, tensors": without_kernels(training(default_ace)),
    "nnpot ACE, tensors, compiled": without_kernels(training(default_ace, compiled=True)),
    "nnpot ACSF, features kept": training(default_acsf, cached=True),
    "TorchANI": training_ani,
    "SevenNet": installed("sevenn", speed_peers.training_sevennet),
}

# how the cost of ACE grows ------------------------------------------------------------------------------------------

ELEMENTS = ("Cu", "Ni", "Pd", "Ag", "Pt", "Au", "Al", "Pb", "Rh", "Ir")
"""All of them fcc; the lattice stays that of copper, so that the numbers of atoms and neighbours do, too."""


def alloy(n_elements: int) -> Atoms:
    """A rattled crystal of 1372 atoms, elements at random."""
    atoms = copper(7)
    atoms.symbols[:] = np.random.default_rng(0).choice(ELEMENTS[:n_elements], len(atoms))
    return atoms


def scaled(n_elements: int, **changes: Any) -> Callable[[], Callable[[], Any]]:
    """MD of an alloy with the default ACE, some of it changed."""

    def build() -> Callable[[], Any]:
        atoms = alloy(n_elements)
        return moving(atoms, NNPotCalculator(default_ace([atoms], **changes)))

    return build


def scaling(what: str) -> dict[str, Callable[[], Callable[[], Any]]]:
    """Return candidates that differ in one number, `what`: "elements", "channels" or "cutoff"."""
    if what == "elements":
        return {f"{n} elements": scaled(n) for n in (1, 2, 4, 10)}
    if what == "channels":
        return {f"{n} channels": scaled(1, channels=n) for n in (8, 16, 24, 32, 48)}
    return {f"cutoff {r_c} Å": scaled(1, cutoff=r_c) for r_c in (4.0, 5.0, 6.0)}

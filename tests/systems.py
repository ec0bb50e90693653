"""Small named systems, and small named potentials, over which the laws run."""

from collections.abc import Callable

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, fcc100, molecule

from nnpot.batch import Pairs
from nnpot.core import Core
from nnpot.descriptors import ACE, ACSF, Descriptor, ListedACSF, ListedFunction
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.repulsion import ZBL
from nnpot.structure import Structure
from nnpot.uncertainty import Uncertainty

CUTOFF = 3.6
ELEMENTS = ("H", "O", "Cu", "Au")


def rattled(atoms: Atoms, size: float = 0.08, seed: int = 0) -> Atoms:
    """Move every atom by normally distributed displacements, in Å."""
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(scale=size, size=moved.positions.shape)
    return moved


def _alloy() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.symbols[[0, 2]] = "Au"
    return rattled(atoms)


def _triclinic() -> Atoms:
    cell = [[3.1, 0.2, 0.0], [1.3, 3.4, 0.3], [-0.7, 0.9, 3.9]]
    return Atoms("CuAuO", positions=[[0.1, 0.2, 0.0], [1.7, 1.9, 1.6], [2.2, 0.4, 2.9]], cell=cell, pbc=True)


def _slab() -> Atoms:
    atoms = rattled(fcc100("Cu", (1, 1, 3), vacuum=4.0))
    atoms.pbc = (True, True, False)
    return atoms


SYSTEMS: dict[str, Callable[[], Atoms]] = {
    "one atom": lambda: Atoms("Cu"),
    "no neighbors": lambda: Atoms("CuO", positions=[[0, 0, 0], [0, 0, 9.0]]),
    "dimer": lambda: Atoms("OH", positions=[[0, 0, 0], [0.3, 0.2, 0.95]]),
    "collinear": lambda: Atoms("OCuO", positions=[[0, 0, -1.8], [0, 0, 0], [0, 0, 1.9]]),
    "water": lambda: rattled(molecule("H2O")),
    "molecule in a dummy cell": lambda: Atoms(rattled(molecule("H2O")), cell=[50, 50, 50], pbc=False),
    "primitive cell": lambda: bulk("Cu"),
    "alloy": _alloy,
    "triclinic": _triclinic,
    "slab": _slab,
}


def structure(name: str) -> Structure:
    """Return a named system without labels."""
    return Structure.from_ase(SYSTEMS[name](), name=name)


def pairs_of(atoms: Structure, cutoff: float = CUTOFF) -> Pairs:
    """Return its neighbour pairs for the four elements of the tests, float64."""
    return single_batch(atoms, cutoff).pairs(ELEMENTS)


def acsf(elements: tuple[str, ...] = ELEMENTS, **changes: object) -> ACSF:
    """Return an ACSF with every kind of function."""
    arguments = {
        "cutoff": CUTOFF,
        "elements": elements,
        "angular_cutoff": 3.3,
        "g1": True,
        "g2": ((0.5, 0.0), (2.0, 1.5)),
        "g3": (1.2,),
        "g4": ((0.05, 1.0, -1.0, 0.0), (0.1, 2.5, 1.0, 0.8)),
        "g5": ((0.3, 1.0, 1.0, 1.2), (0.02, 4.0, -1.0, 0.0)),
    }
    return ACSF(**{**arguments, **changes})


def listed_acsf(**changes: object) -> ListedACSF:
    """Return symmetry functions that differ between the elements, with three cutoffs, some of them weighted."""
    narrow, wide, shifted = (0.05, 1.0, -1.0, 0.0), (0.3, 2.5, 1.0, 0.0), (0.1, 4.0, 1.0, 0.8)
    functions = [
        ListedFunction("O", "G2", ("H",), CUTOFF, (0.5, 0.0)),
        ListedFunction("Cu", "G2", ("Cu",), 3.3, (2.0, 1.5)),
        ListedFunction("Cu", "G4", ("O", "Au"), CUTOFF, narrow),
        ListedFunction("Cu", "G4", ("Cu", "Cu"), CUTOFF, shifted),
        ListedFunction("Cu", "G5", ("Au", "Cu"), 2.9, wide),
        ListedFunction("Cu", "G2", (), CUTOFF, (0.1, 0.0)),
        ListedFunction("O", "G4", ("H", "H"), 3.3, narrow),
        ListedFunction("O", "G5", (), CUTOFF, wide),
        ListedFunction("H", "G2", ("O",), 2.9, (0.5, 1.0)),
        ListedFunction("H", "G4", (), CUTOFF, shifted),
        ListedFunction("O", "G2", ("Cu",), CUTOFF, (0.2, 0.0)),
        ListedFunction("Au", "G2", ("Cu",), CUTOFF, (0.0, 0.0)),
    ]
    return ListedACSF(**{"elements": ELEMENTS, "functions": tuple(functions), **changes}).double()


def compact_acsf() -> ListedACSF:
    """Return compact symmetry functions of two shapes beside one that is not compact."""
    functions = [
        ListedFunction("O", "C2", ("H",), 2.0, (0.2,), "polynomial"),
        ListedFunction("O", "C4", ("H", "H"), CUTOFF, (-CUTOFF, 60.0, 150.0), "polynomial"),
        ListedFunction("O", "C5", (), CUTOFF, (0.3, 30.0, 170.0), "exponential"),
        ListedFunction("H", "C2", (), CUTOFF, (-CUTOFF,), "polynomial"),
        ListedFunction("Cu", "C2", ("Cu",), CUTOFF, (-CUTOFF,), "nonic"),
        ListedFunction("Cu", "C5", ("O", "Au"), CUTOFF, (-1.0, 20.0, 140.0), "polynomial"),
        ListedFunction("Cu", "C4", ("Cu", "Cu"), CUTOFF, (0.5, 40.0, 100.0), "polynomial"),
        ListedFunction("Cu", "C4", ("Cu", "Cu"), 3.4, (0.5, 40.0, 130.0), "polynomial"),
        ListedFunction("Cu", "G2", ("O",), CUTOFF, (0.1, 0.0)),
        ListedFunction("Au", "C2", (), 3.0, (1.0,), "septic"),
    ]
    return ListedACSF(ELEMENTS, tuple(functions)).double()


def ace(**changes: int) -> ACE:
    """Return a small ACE, the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return ACE(CUTOFF, ELEMENTS, **{"channels": 2, "n_radial": 3, "l_max": 2, **changes}).double()


DESCRIPTORS: dict[str, Callable[[], Descriptor]] = {
    "ACSF cosine": lambda: acsf(cutoff_function="cosine"),
    "ACSF tanh3": lambda: acsf(cutoff_function="tanh3"),
    "ACSF polynomial": lambda: acsf(cutoff_function="polynomial"),
    "ACSF septic with an inner radius": lambda: acsf(cutoff_function="septic", inner_fraction=0.4),
    "ACSF radial only": lambda: acsf(g4=(), g5=()),
    "ACSF pruned": lambda: acsf(selected=(0, 3, 9, 20, 33)),
    "listed ACSF": listed_acsf,
    "listed ACSF with hardly any slope": lambda: listed_acsf(cutoff_function="nonic", inner_fraction=0.1),
    "listed compact ACSF": compact_acsf,
    "ACE": ace,
    "ACE with learned elements": lambda: ace(element_channels=2, l_max=1),
    "ACE with weighted densities": lambda: ace(
        weighted_channels=2, weighted_layers=2, weighted_units=3, weighted_cutoff=3.0
    ),
    "ACE with weighted densities, learned elements": lambda: ace(
        element_channels=2, weighted_channels=3, weighted_layers=2, weighted_units=4, l_max=1, body_order=3
    ),
    "ACE of pairs": lambda: ace(body_order=2, l_max=0),
}
"""Every descriptor, by name.  A new one adds a line and gets all laws."""


def network_potential(
    descriptor: Descriptor, seed: int = 1, activation: str | tuple[str, ...] = "tanh", **changes: object
) -> NeuralNetworkPotential:
    """Return a float64 potential with random weights, scales and reference energies everywhere."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        energies = {e: float(-k - 1) for k, e in enumerate(descriptor.elements)}
        arguments = {"atomic_energies": energies, "energy_scale": 0.7, **changes}
        potential = NeuralNetworkPotential(descriptor, (6, 5), activation, **arguments).double()
        for parameter in potential.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        torch.nn.init.normal_(potential.scaling.mean, std=0.2)
        torch.nn.init.uniform_(potential.scaling.scale, 0.5, 2.0)
    return potential.eval()


def knowing(potential: NeuralNetworkPotential) -> NeuralNetworkPotential:
    """Return the potential with random numbers as its uncertainty: three directions, two clusters."""
    uncertainty = Uncertainty(potential.elements, potential.arguments["hidden"][-1], 3, 2, 0.2, 0.25).double()
    random = torch.Generator().manual_seed(0)
    for x in uncertainty.buffers():
        x.copy_(torch.rand(x.shape, generator=random, dtype=torch.float64) + 0.1)
    uncertainty.grade.mul_(0.6)  # atoms are within the edge and beyond
    return potential.with_uncertainty(uncertainty).eval()


def core(elements: tuple[str, ...] = ELEMENTS, size: float = 1.0) -> Core:
    """Return a core of other numbers for each pair of elements: most bonds of the systems are within it."""
    places = [ELEMENTS.index(e) for e in elements]
    distances = tuple(tuple(size * (1.1 + 0.35 * (a + b) + 0.1 * abs(a - b)) for b in places) for a in places)
    factors = tuple(tuple(0.01 + 0.002 * a * b for b in places) for a in places)
    return Core(elements, distances, factors)


POTENTIALS: dict[str, Callable[[], Potential]] = {
    **{name: lambda make=make: network_potential(make()) for name, make in DESCRIPTORS.items()},  # type: ignore[misc]
    "ACSF without a linear term": lambda: network_potential(acsf(), linear=False),
    "ACSF with a core": lambda: network_potential(acsf(), core=core()),
    "ACE with weighted densities and a core": lambda: network_potential(
        DESCRIPTORS["ACE with weighted densities"](), core=core()
    ),
    "ZBL": lambda: ZBL(ELEMENTS),
    "ACSF + ZBL": lambda: network_potential(acsf()) + ZBL(ELEMENTS),
}
"""Every potential, by name."""

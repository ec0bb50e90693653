"""Potentials trained on copper and gold, and the systems on which engines are compared with ASE."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from systems import core, rattled

from nnpot.batch import Batch
from nnpot.calculator import NNPotCalculator
from nnpot.descriptors import ACE, ACSF, Descriptor
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.potential import Potential
from nnpot.repulsion import ZBL
from nnpot.structure import Structure

ELEMENTS = ("Cu", "Au")
CUTOFF = 4.5


def alloy(repeat: int = 2, seed: int = 0) -> Atoms:
    """Return a disordered fcc alloy of 4·repeat³ atoms, displaced from their sites."""
    atoms = bulk("Cu", cubic=True, a=3.85).repeat(repeat)
    atoms.symbols[np.random.default_rng(seed).random(len(atoms)) < 0.5] = "Au"
    return rattled(atoms, 0.1, seed)


def triclinic() -> Atoms:
    """Return two atoms in a skewed cell."""
    cell = [[3.1, 0.2, 0.0], [1.3, 3.4, 0.3], [-0.7, 0.9, 3.9]]
    return Atoms("CuAu", positions=[[0.1, 0.2, 0.0], [1.7, 1.9, 1.6]], cell=cell, pbc=True)


SYSTEMS: dict[str, Callable[[], Atoms]] = {
    "Cu-Au of 256 atoms": lambda: alloy(4),
    "triclinic": triclinic,
    "cell smaller than the cutoff": lambda: rattled(bulk("Au", a=4.1)),
    "cluster": lambda: Atoms(alloy(1), cell=None, pbc=False),
    "one atom": lambda: Atoms("Au"),
    "no neighbors": lambda: Atoms("CuAu", positions=[[0, 0, 0], [0, 0, 9.0]]),
}


def _train(descriptor: Descriptor) -> NeuralNetworkPotential:
    """Fit to a few alloys of the effective-medium theory, far enough to have forces of the right size."""
    structures = []
    for seed in range(4):
        atoms = alloy(seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        structures.append(Structure.from_ase(atoms))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        potential = NeuralNetworkPotential(descriptor, (8, 8)).fitted(structures, torch.float64).train()
    batch = Batch.join([single_batch(s, potential.cutoff) for s in structures])
    optimizer = torch.optim.Adam(potential.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        prediction = potential(batch)
        error = (prediction.forces - batch.forces).square().mean() + (prediction.energy - batch.energy).square().mean()
        error.backward()
        optimizer.step()
    return potential.eval()


DESCRIPTORS: dict[str, Callable[[], Descriptor]] = {
    "ACE": lambda: ACE(
        CUTOFF, ELEMENTS, channels=4, n_radial=4, l_max=2, weighted_channels=3, weighted_layers=2, weighted_units=8
    ),
    "ACSF": lambda: ACSF(
        CUTOFF,
        ELEMENTS,
        g2=((0.5, 0.0), (1.0, 2.5)),
        g4=((0.02, 1.0, -1.0, 0.0), (0.02, 2.0, 1.0, 0.0)),
        g5=((0.05, 4.0, 1.0, 0.0),),
    ),
}


@cache
def trained(kind: str) -> Potential:
    """Return a trained potential, float64: ACE, ACSF, or one of them with nuclear repulsion or a core."""
    name, *repulsion = kind.split(" + ")
    potential = _train(DESCRIPTORS[name]())
    if repulsion == ["core"]:
        return potential.with_core(core(ELEMENTS))
    return potential + ZBL(ELEMENTS) if repulsion else potential


def differences(atoms: Atoms, calculator: Calculator, potential: Potential) -> dict[str, float]:
    """Return the largest differences between a calculator and the potential in ASE, both float64.

    Energies in eV/atom, forces in eV/Å, stress relative to its largest component.
    """
    ours, wanted = atoms.copy(), atoms.copy()
    ours.calc, wanted.calc = calculator, NNPotCalculator(potential, dtype="float64")
    found = {
        "energy": abs(ours.get_potential_energy() - wanted.get_potential_energy()) / len(atoms),
        "energies": float(np.abs(ours.get_potential_energies() - wanted.get_potential_energies()).max()),
        "forces": float(np.abs(ours.get_forces() - wanted.get_forces()).max()),
    }
    if all(atoms.pbc):
        stress = wanted.get_stress()
        found["stress"] = float(np.abs(ours.get_stress() - stress).max() / np.abs(stress).max())
    return found

"""How a model is used, to copy: inputs with its real path and elements."""

import importlib
import shlex
from collections.abc import Mapping
from pathlib import Path

from nnpot.analysis.speed import STEPS
from nnpot.committee import Committee
from nnpot.engines.lammps.inputs import first_data, first_input
from nnpot.potential import Potential


def ways(model: Path, potential: Potential) -> dict[str, str]:
    """Return what to type or write, by the program."""
    path = str(model.absolute())
    exported = str(model.absolute().with_name(f"{model.stem}-lammps"))
    step = STEPS["H" in potential.elements]
    spread = """
print(atoms.calc.results["energy_std"], "eV, the spread of the members")
print(atoms.calc.results["forces_std"], "eV/Å, for each atom")"""
    return {
        "ASE": f"""from ase.io import read
from nnpot import NNPotCalculator

atoms = read("start.xyz")
atoms.calc = NNPotCalculator({path!r})
print(atoms.get_potential_energy(), "eV")
print(atoms.get_forces(), "eV/Å"){spread if isinstance(potential, Committee) else ""}""",
        "LAMMPS: export once": shlex.join(["nnpot", "export", path, "--to", "lammps", exported]),
        "LAMMPS: the atoms, as data.lammps": first_data(potential.elements),
        "LAMMPS: input, which the export writes as in.lammps": first_input(
            Path(exported) / "model.pt2", potential.elements
        ).rstrip("\n"),
        "TorchSim": f"""import torch
import torch_sim as ts
from ase.io import read
from nnpot.engines.torchsim import TorchSimModel

model = TorchSimModel({path!r}, device="cpu", dtype=torch.float32)
final = ts.integrate(
    system=read("start.xyz", ":"), model=model, integrator=ts.nvt_langevin,
    n_steps=1000, temperature=300, timestep={step / 1000:g},  # K, ps
)""",
        "Test on other structures": shlex.join(["nnpot", "evaluate", path, "test.xyz", "--report", "test.html"]),
    }


def citations(potential: Potential, summary: Mapping[str, object]) -> tuple[str, list[str]]:
    """Return how nnpot is cited, as BibTeX, and the publications of the parts of the potential."""
    version = summary.get("nnpot") or importlib.import_module("nnpot").__version__
    entry = f"""@software{{nnpot,
  title = {{nnpot: neural-network interatomic potentials in PyTorch}},
  author = {{{{The nnpot developers}}}},
  version = {{{version}}}
}}"""
    found = dict.fromkeys(getattr(part, "publication", "") for part in potential.modules())
    return entry, [text for text in found if text]

"""How a model is used, to copy: inputs with its real path and elements."""

import importlib
import shlex
from collections.abc import Mapping
from pathlib import Path

from nnpot.potential import Potential


def ways(model: Path, potential: Potential) -> dict[str, str]:
    """Return what to type or write, by the program."""
    path = str(model.absolute())
    exported = str(model.absolute().with_name(f"{model.stem}-lammps"))
    elements = " ".join(potential.elements)
    return {
        "ASE": f"""from ase.io import read
from nnpot import NNPotCalculator

atoms = read("start.xyz")
atoms.calc = NNPotCalculator({path!r})
print(atoms.get_potential_energy(), "eV")
print(atoms.get_forces(), "eV/Å")""",
        "LAMMPS: export once": shlex.join(["nnpot", "export", path, "--to", "lammps", exported]),
        "LAMMPS: input": f"""units metal
atom_style atomic
newton on
read_data start.data            # atom types in the order {elements}
pair_style nnpot
pair_coeff * * "{exported}/model.pt2" {elements}
timestep 0.001""",
        "TorchSim": f"""import torch
import torch_sim as ts
from ase.io import read
from nnpot.engines.torchsim import TorchSimModel

model = TorchSimModel({path!r}, device="cpu", dtype=torch.float32)
final = ts.integrate(
    system=read("start.xyz", ":"), model=model, integrator=ts.nvt_langevin,
    n_steps=1000, temperature=300, timestep=0.001,
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

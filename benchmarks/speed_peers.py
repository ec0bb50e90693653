"""Peers of `speed.py` that need more than a line: calculators and steps of training, random weights, usual sizes.

Each imports its package when it is called; `speed_candidates.py` leaves out those that are not installed.
"""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list


def soap_bpnn(atoms: Atoms) -> Any:
    """SOAP-BPNN of metatrain with its defaults (5 Å, n ≤ 7, l ≤ 6, two layers of 32), exported as for MD."""
    from metatomic.torch.ase_calculator import MetatomicCalculator
    from metatrain.soap_bpnn import __model__ as SoapBpnn
    from metatrain.utils.architectures import get_default_hypers
    from metatrain.utils.data import DatasetInfo
    from metatrain.utils.data.target_info import get_energy_target_info

    targets = {"energy": get_energy_target_info("energy", {"unit": "eV"}, add_position_gradients=True)}
    info = DatasetInfo(length_unit="angstrom", atomic_types=sorted(set(atoms.numbers.tolist())), targets=targets)
    model = SoapBpnn(get_default_hypers("soap_bpnn")["model"], info).float()
    path = Path(tempfile.mkdtemp()) / "soap_bpnn.pt"
    model.export().save(str(path))
    return MetatomicCalculator(str(path), device="cpu")


def deepmd(atoms: Atoms) -> Any:
    """se_e2_a of DeePMD-kit, not compressed: 6 Å, embedding 25-50-100, 16 axes, fitting net 240-240-240, float32.

    Room for neighbours is what its `auto` gives: a tenth more than the most there are, in steps of 4.
    """
    from deepmd.calculator import DP
    from deepmd.pt.model.model import get_model

    symbols, cutoff = sorted(set(atoms.get_chemical_symbols())), 6.0
    i, j = neighbor_list("ij", atoms, cutoff)
    of_j = np.array([symbols.index(s) for s in atoms.get_chemical_symbols()])[j]
    most = [int(np.bincount(i[of_j == s]).max()) for s in range(len(symbols))]
    descriptor = {
        "type": "se_e2_a", "rcut": cutoff, "rcut_smth": 0.5, "sel": [4 * (int(1.1 * n) // 4 + 1) for n in most],
        "neuron": [25, 50, 100], "axis_neuron": 16, "type_one_side": True, "precision": "float32",
    }  # fmt: skip
    fitting = {"neuron": [240, 240, 240], "resnet_dt": True, "precision": "float32"}
    model = get_model({"type_map": symbols, "descriptor": descriptor, "fitting_net": fitting}).eval()
    path = Path(tempfile.mkdtemp()) / "se_e2_a.pth"
    torch.jit.save(torch.jit.script(model), str(path), {"data_modifier.pth": ""})
    return DP(model=str(path))


def mace_model(numbers: list[int]) -> Any:
    """A small MACE: 64 scalar channels, 5 Å, two layers, correlation 3."""
    from mace import modules  # before e3nn, which it prepares
    from e3nn import o3  # isort: skip

    blocks = modules.interaction_classes
    return modules.ScaleShiftMACE(
        r_max=5.0, num_bessel=8, num_polynomial_cutoff=5, max_ell=3, num_interactions=2, correlation=3,
        interaction_cls=blocks["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=blocks["RealAgnosticInteractionBlock"],
        hidden_irreps=o3.Irreps("64x0e"), MLP_irreps=o3.Irreps("16x0e"), gate=torch.nn.functional.silu,
        num_elements=len(numbers), atomic_numbers=numbers, atomic_energies=np.zeros(len(numbers)),
        avg_num_neighbors=50.0, radial_type="bessel", atomic_inter_scale=1.0, atomic_inter_shift=0.0,
    )  # fmt: skip


def mace(atoms: Atoms) -> Any:
    """The small MACE in its calculator, not compiled."""
    from mace.calculators import MACECalculator

    model = mace_model(sorted(set(atoms.numbers.tolist())))
    return MACECalculator(models=[model.float()], device="cpu", default_dtype="float32")


def training_sevennet(frames: list[Atoms], batch_size: int) -> Callable[[], Any]:
    """SevenNet with its defaults and 5 Å, graphs found before."""
    from sevenn._const import DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.model_build import build_E3_equivariant_model
    from sevenn.train.dataload import unlabeled_atoms_to_graph
    from torch_geometric.loader import DataLoader

    numbers = sorted(set(frames[0].numbers.tolist()))
    settings = {
        **DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG, "cutoff": 5.0, "_number_of_species": len(numbers),
        "chemical_species": sorted(set(frames[0].get_chemical_symbols())), "is_parity": False,
        "_type_map": {z: k for k, z in enumerate(numbers)}, "shift": 0.0, "scale": 1.0, "conv_denominator": 7.0,
    }  # fmt: skip
    model = build_E3_equivariant_model(settings).float()
    model.set_is_batch_data(True)
    model.train()
    graphs = []
    for f in frames:
        graph = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(f, 5.0, with_shift=False))
        graph.label_energy = torch.tensor([f.get_potential_energy()], dtype=torch.float32)
        graph.label_forces = torch.tensor(f.get_forces(), dtype=torch.float32)
        graphs.append(graph)
    batches = itertools.cycle(DataLoader(graphs, batch_size=batch_size))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        batch = next(batches).clone()
        energies, forces = batch.label_energy, batch.label_forces
        out = model(batch)
        per_atom = (out["inferred_total_energy"] - energies) / len(frames[0])
        loss = per_atom.square().mean() + (out["inferred_force"] - forces).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step

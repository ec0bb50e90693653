"""How much a reader has to open who follows one evaluation from pairs to forces."""

import ast
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from ase.build import molecule

from nnpot import ACE, NeuralNetworkPotential
from nnpot.native import are_compiled
from nnpot.neighbors import single_batch
from nnpot.structure import Structure

ROOT = Path(__file__).parent.parent / "nnpot"
MAX_MODULES, MAX_IMPLEMENTATIONS = 20, 10  # two of them only tell what to type instead of what is not there


def executed(step: Any) -> set[str]:
    """Names of the modules of nnpot in which a function that stands there is called, not a generated constructor."""
    modules = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_filename != "<string>":
            modules.add(frame.f_globals.get("__name__", ""))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        step()
    finally:
        sys.setprofile(before)
    return {name for name in modules if name.split(".")[0] == "nnpot"}


@pytest.mark.skipif(not are_compiled(torch.float32, torch.device("cpu")), reason="no C++ compiler")
def test_few_modules_take_part_in_an_evaluation() -> None:
    structure = Structure.from_ase(molecule("C6H6"))
    descriptor = ACE(elements=("H", "C"), weighted_channels=16, weighted_layers=3)  # as for molecules by default
    potential = NeuralNetworkPotential(descriptor).eval()
    batch = single_batch(structure, potential.cutoff).to(dtype=torch.float32)
    potential(batch)
    taken = executed(lambda: potential(batch))
    assert {"nnpot.potential", "nnpot.functional.tape", "nnpot.functional.invariants"} <= taken
    assert len(taken) <= MAX_MODULES, sorted(taken)


def implementations() -> list[str]:
    """Classes that are a value with its derivative: they have `pullback` and `second`."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and "Protocol" not in {ast.unparse(base) for base in node.bases}:
                methods = {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
                if methods >= {"pullback", "second"}:
                    found.append(f"{path.stem}.{node.name}")
    return found


def test_one_protocol_has_few_implementations() -> None:
    found = implementations()
    assert "tape.Evaluated" not in found
    assert {"invariants.Invariants", "networks.NetworksKernel", "autograd.Autograd"} <= set(found)
    assert len(found) <= MAX_IMPLEMENTATIONS, found

"""The reference is independent: it imports neither torch nor any other part of the package."""

import ast
from pathlib import Path

import pytest

import nnpot.reference

FILES = sorted(Path(nnpot.reference.__file__).parent.rglob("*.py"))


def imported_names(source: str) -> set[str]:
    """List the absolute names of all imported modules and members."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_reference_imports_only_numpy_and_itself(path: Path) -> None:
    """Every import is NumPy's, the reference's own, or of a few harmless standard modules."""
    allowed = ("numpy", "nnpot.reference", "collections", "dataclasses", "functools", "itertools", "math", "typing")
    strangers = {
        name
        for name in imported_names(path.read_text(encoding="utf-8"))
        if not any(name == root or name.startswith(f"{root}.") for root in allowed)
    }
    assert strangers == set()


def test_scan_sees_imports_inside_functions() -> None:
    """The scan does not miss an import that is not at the top."""
    assert imported_names("def f():\n    from nnpot import nn\n    import torch.nn") == {"nnpot.nn", "torch.nn"}

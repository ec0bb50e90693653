"""The layers of the package, which module may import which, and limits of files and functions, read off the source.

=====  =======================================================================  ================================
layer  packages and modules                                                     may import
=====  =======================================================================  ================================
0      structure, batch, prepared, elements, labels, label_names, spec,          layer 0 only
       guesses, torch_compile, torch_exports, machine, native, units,
       simulation, html, compositions, fingerprints
1      functional/, neighbors, reading/                                         layer 0
2      descriptors/, nn/, copies, closest                                       layers 0–1
3      potential, prediction, hessian, heads, tables, trainable_potential,       layers 0–2, each other
       network_potential, core, repulsion, committee, spread, uncertainty, calibration,
       factors, extrapolation, selection, repelling
4      formats/, io                                                             layers 0–3, see BESIDE
5      training/, analysis/, engines/, calculator, doctor/, checks/             layers 0–4, see BESIDE
6      commands/, run, __main__                                                 layers 0–5
—      reference/                                                               NumPy only: no torch, no nnpot
=====  =======================================================================  ================================

Modules import freely within their own package.  `nnpot/__init__` re-exports and belongs to no layer; whoever imports
`nnpot.descriptors` imports its `__init__`.  The reference is for tests, `analysis/` and
`checks/`.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = (
    (
        *("structure", "batch", "prepared", "elements", "labels", "label_names", "spec", "guesses"),
        *("torch_compile", "torch_exports", "machine", "native", "units", "simulation", "html"),
        *("compositions", "fingerprints"),
    ),
    ("functional", "neighbors", "reading"),
    ("descriptors", "nn", "copies", "closest"),
    (
        *("potential", "prediction", "hessian", "heads", "tables", "trainable_potential"),
        *("network_potential", "core", "repulsion", "committee", "spread", "uncertainty"),
        *("calibration", "factors", "extrapolation", "selection", "repelling"),
    ),
    ("formats", "io"),
    ("training", "analysis", "engines", "calculator", "doctor", "checks"),
    ("commands", "run", "__main__"),
)
LAYER_OF = {part: layer for layer, parts in enumerate(LAYERS) for part in parts}
OPEN_LAYERS = {0, 3}
"""Layers whose parts may import one another; that there are no cycles is tested separately."""

BESIDE = {
    "io": {"formats"},
    "__main__": {"commands"},
    "run": {"commands"},
    "analysis": {"calculator", "engines"},
    "doctor": {"analysis"},
    "checks": {"analysis", "calculator"},
}
"""What the parts of layers 4 to 6 may import of their own layer: `io` loads and saves all formats, engines never import
training, the report imports engines, the doctor draws, checks run dynamics."""

FREE_OF_NNPOT = {"reference"}
NO_NAMES = {"utils", "util", "misc", "helpers", "helper", "common", "tools"}
MAX_LINES, MAX_BODY = 400, 60

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "nnpot").rglob("*.py"))
}
INSIDE = [name for name in MODULES if name != "nnpot"]

Rule = Callable[[str], None]


def of_each(names: Iterable[str]) -> Callable[[Rule], Callable[[], None]]:
    """Let one test ask something of each module: to run a thousand tests of a millisecond takes much longer."""

    def decorated(rule: Rule) -> Callable[[], None]:
        def of_all() -> None:
            wrong = []
            for name in names:
                try:
                    rule(name)
                except AssertionError as error:
                    wrong.append(f"{name}: {error}")
            assert wrong == []

        return of_all

    return decorated


every_module = of_each(MODULES)
every_inner_module = of_each(INSIDE)


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


@cache
def imports_of(name: str) -> list[str]:
    return list(imports_in(tree_of(name)))


def imports_in(tree: ast.AST) -> Iterator[str]:
    """Modules that a piece of code imports, absolute names; `from a import b` is `a.b` where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names)


def own_imports(name: str) -> set[str]:
    return {m for m in imports_of(name) if m == "nnpot" or m.startswith("nnpot.")}


def part_of(name: str) -> str:
    return name.split(".")[1]


def allowed(importer: str, imported: str) -> bool:
    """Whether one part may import another."""
    if importer == imported:
        return True
    if imported in FREE_OF_NNPOT:
        return importer in {"analysis", "checks"}
    above, below = LAYER_OF[importer], LAYER_OF[imported]
    if above != below:
        return above > below
    return above in OPEN_LAYERS or imported in BESIDE.get(importer, set())


@cache
def functions_of(name: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree_of(name)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


# the layers -----------------------------------------------------------------------------------------------------------


@every_inner_module
def test_every_module_has_a_layer(name: str) -> None:
    assert part_of(name) in {*LAYER_OF, *FREE_OF_NNPOT}


@every_inner_module
def test_modules_import_from_lower_layers(name: str) -> None:
    forbidden = {m for m in own_imports(name) if m != "nnpot" and not allowed(part_of(name), part_of(m))}
    assert forbidden == set()


@every_inner_module
def test_no_module_imports_the_whole_package(name: str) -> None:
    assert "nnpot" not in own_imports(name)


@every_module
def test_imports_are_absolute(name: str) -> None:
    assert [m for m in imports_of(name) if m.startswith(".")] == []


@of_each([n for n in INSIDE if part_of(n) in FREE_OF_NNPOT])
def test_the_reference_stands_on_numpy_alone(name: str) -> None:
    foreign = {m.split(".")[0] for m in imports_of(name)} - {"nnpot"}
    assert foreign - {"collections", "dataclasses", "functools", "itertools", "math", "typing", "numpy"} == set()


@of_each([n for n in INSIDE if part_of(n) in FREE_OF_NNPOT])
def test_the_reference_imports_no_other_part(name: str) -> None:
    assert {part_of(m) for m in own_imports(name)} <= FREE_OF_NNPOT


@of_each([n for n in INSIDE if part_of(n) != "training"])
def test_only_training_and_its_commands_import_lightning(name: str) -> None:
    lightning = [m for m in imports_of(name) if m.startswith(("pytorch_lightning", "lightning"))]
    assert lightning == [] or name == "nnpot.commands.train"


@of_each([n for n in INSIDE if part_of(n) == "analysis"])
def test_numbers_need_no_drawing(name: str) -> None:
    drawing = {"nnpot.analysis.drawing", "nnpot.analysis.plots", "nnpot.analysis.curves"}
    assert name in drawing or not {m for m in imports_of(name) if m in drawing or m.startswith("matplotlib")}


@of_each([n for n in INSIDE if part_of(n) == "training"])
def test_training_knows_no_architecture(name: str) -> None:
    assert {part_of(m) for m in own_imports(name)} & {"descriptors", "nn", "network_potential"} == set()


def test_there_is_no_import_cycle() -> None:
    left = {name: own_imports(name) & set(INSIDE) - {name} for name in INSIDE}
    while free := {name for name, needs in left.items() if not needs}:
        left = {name: needs - free for name, needs in left.items() if name not in free}
    assert left == {}


@every_module
def test_functions_import_nothing_of_nnpot(name: str) -> None:
    inside = {m for f in functions_of(name) for m in imports_in(f) if m.startswith("nnpot")}
    assert inside == set()


# the limits -----------------------------------------------------------------------------------------------------------


@every_module
def test_files_are_short(name: str) -> None:
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@every_module
def test_functions_are_short(name: str) -> None:
    def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        return body[-1].end_lineno - body[0].lineno + 1 if body else 0

    assert {f.name: n for f in functions_of(name) if (n := body_lines(f)) > MAX_BODY} == {}


@every_module
def test_modules_are_named_after_what_they_hold(name: str) -> None:
    assert set(name.split(".")) & NO_NAMES == set()


@every_module
def test_squeeze_names_its_dimension(name: str) -> None:
    calls = [n for n in ast.walk(tree_of(name)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    bare = [n.lineno for n in calls if n.func.attr in {"squeeze", "squeeze_"} and not n.args and not n.keywords]
    assert bare == []


# the test itself ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("importer", "imported", "wanted"),
    [
        ("neighbors", "structure", True),
        ("structure", "neighbors", False),
        ("potential", "nn", True),
        ("nn", "descriptors", False),
        ("repulsion", "potential", True),
        ("io", "formats", True),
        ("formats", "io", False),
        ("training", "io", True),
        ("engines", "training", False),
        ("training", "calculator", False),
        ("training", "analysis", False),
        ("calculator", "training", False),
        ("analysis", "calculator", True),
        ("analysis", "training", False),
        ("doctor", "analysis", True),
        ("training", "doctor", False),
        ("commands", "training", True),
        ("analysis", "reference", True),
        ("checks", "reference", True),
        ("checks", "calculator", True),
        ("checks", "training", False),
        ("training", "checks", False),
        ("potential", "reference", False),
    ],
)
def test_the_table_says_who_may_import_whom(importer: str, imported: str, wanted: bool) -> None:
    assert allowed(importer, imported) is wanted


def test_imports_are_found_wherever_they_stand() -> None:
    lines = ["from nnpot import spec", "from nnpot.structure import Structure, subsample", "import nnpot.nn.mlp"]
    code = "import os\ndef f():\n    " + "\n    ".join(lines)
    assert set(imports_in(ast.parse(code))) == {"os", "nnpot.spec", "nnpot.structure", "nnpot.nn.mlp"}

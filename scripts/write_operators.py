"""Write what C++ has to know of the operators of compiled code, from their table in nnpot/native/table.py.

python scripts/write_operators.py

- nnpot/native/api.h: declarations of all compiled functions, and the limits of their arguments.
- nnpot/engines/lammps/operators.cpp: the operators of PyTorch for programs without Python.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from nnpot.native.signatures import Argument, Family, Operator
from nnpot.native.table import FAMILIES, GRADIENTS, OPERATORS

PACKAGE = Path(__file__).parents[1] / "nnpot"
WIDTH = 120

POINTERS = {"real": "const void*", "float64": "const double*", "int64": "const int64_t*", "int32": "const int32_t*"}
NUMBERS = {"int": "int64_t", "float": "double"}
SCALARS = {"float64": "at::kDouble", "int64": "at::kLong", "int32": "at::kInt", "real": "real"}

API = """\
// Written by scripts/write_operators.py from the table of operators, nnpot/native/table.py: all compiled functions.
// They take the bytes of a number (float or double), the number of threads, sizes, then the arguments of their operator
// and the result; `void` stands for such numbers.  They say what became of it: one of `Answer` in checks.h.  How many
// numbers the arrays hold is up to the caller; of pullbacks by pair vectors and of forces the result is 0 beforehand.
#pragma once

#include <cstdint>

"""

OPERATORS_HEAD = """\
// Written by scripts/write_operators.py from the table of operators, nnpot/native/table.py: the compiled functions as
// operators of PyTorch for programs without Python, with the names, arguments and checks that they have in Python.

#include "../../native/api.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <cstdint>
#include <optional>
#include <string>

namespace {

using at::Tensor;

void check(const char* name, int answer) { TORCH_CHECK(answer == 1, "nnpot: ", name, ": ", nnpot_meaning(answer)); }

// Complains about a tensor that C would read as something else.
void expect(const char* name, const Tensor& x, at::ScalarType type, at::IntArrayRef shape) {
    TORCH_CHECK(x.scalar_type() == type, "nnpot: ", name, " must be ", type, ", got ", x.scalar_type());
    TORCH_CHECK(x.sizes() == shape, "nnpot: ", name, " must be of shape ", shape, ", got ", x.sizes());
    TORCH_CHECK(x.is_contiguous() && x.is_cpu(), "nnpot: ", name, " must be contiguous and on the CPU");
}

int64_t size(const Tensor& x, int64_t dimension) { return x.dim() > dimension ? x.size(dimension) : -1; }

at::ScalarType checked(const char* name, at::ScalarType real) {
    TORCH_CHECK(real == at::kFloat || real == at::kDouble, "nnpot: ", name, " is not compiled for ", real);
    return real;
}

"""

OPERATORS_END = """\
// Unless Python has nnpot loaded in this process: then they are there already.
template <class Function>
void define(torch::Library& library, const char* name, const char* arguments, Function function) {
    if (c10::Dispatcher::singleton().findSchema({std::string("nnpot::") + name, ""})) return;
    const std::string schema = std::string(name) + "(" + arguments + ") -> Tensor";
    library.def(schema.c_str(), torch::dispatch(c10::DispatchKey::CPU, function));
}

"""


def main() -> None:
    """Write both files."""
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")


def written() -> dict[Path, str]:
    """Return what the files are to hold."""
    return {PACKAGE / "native/api.h": api(), PACKAGE / "engines/lammps/operators.cpp": operators()}


def api() -> str:
    """Return the header."""
    limits = {name: limit for family in FAMILIES.values() for name, limit in family.limits.items()}
    constants = "".join(f"constexpr int NNPOT_MOST_{name.upper()} = {limit};\n" for name, limit in limits.items())
    groups = [macro("GRADIENTS", [declared(a) for a in parsed(GRADIENTS)])]
    groups += [macro(family.name.upper(), arguments_of_c(family)) for family in FAMILIES.values()]
    functions = "\n".join(wrapped(f"int nnpot_{o.name}", signature(o)) for o in OPERATORS.values())
    meaning = "const char* nnpot_meaning(int64_t answer);  // a sentence that begins with a small letter\n"
    return f'{API}{constants}\n{"".join(groups)}extern "C" {{\n{meaning}{functions}\n}}\n'


def parsed(text: str) -> list[Argument]:
    """Read arguments, one on each line."""
    return [Argument.parsed(line) for line in text.splitlines()]


def declared(argument: Argument) -> str:
    """An argument as C takes it."""
    return f"{(POINTERS if argument.is_tensor else NUMBERS)[argument.kind]} {argument.name}"


def arguments_of_c(family: Family) -> list[str]:
    """Return what all functions of a family begin with in C."""
    sizes = [f"int64_t {name}" for name in ("bytes", "threads", *family.sizes)]
    return [*sizes, *(declared(a) for a in parsed(family.arguments))]


def signature(operator: Operator) -> list[str]:
    """Arguments of a function in the header."""
    further = operator.further
    parts = [f"NNPOT_{operator.family.name.upper()}"]
    if further.startswith(GRADIENTS):
        parts.append("NNPOT_GRADIENTS")
        further = further.removeprefix(GRADIENTS).lstrip("\n")
    return [*parts, *(declared(a) for a in parsed(further)), "void* out"]


def macro(name: str, parts: Sequence[str]) -> str:
    """Arguments that several functions have in common, as a macro over several lines."""
    rows = list(lines(", ".join(parts), WIDTH - 8))
    body = "".join(f"    {row:{WIDTH - 6}} \\\n" for row in rows[:-1]) + f"    {rows[-1]}\n\n"
    return f"{'#define NNPOT_' + name:{WIDTH - 2}} \\\n{body}"


def lines(text: str, width: int) -> Iterator[str]:
    """Cut a text behind commas into rows."""
    row = ""
    for word in text.split(", "):
        longer = f"{row}, {word}" if row else word
        if row and len(longer) >= width:
            yield f"{row},"
            longer = word
        row = longer
    yield row


def wrapped(head: str, parts: Sequence[str], end: str = ";") -> str:
    """A call or declaration over as many lines as it takes."""
    text = f"{head}({', '.join(parts)}){end}"
    if len(text) <= WIDTH:
        return text
    indent = " " * (len(head) - len(head.lstrip()) + 4)
    return (
        f"{head}(\n" + "\n".join(indent + row for row in lines(", ".join(parts), WIDTH - len(indent) - 4)) + f"){end}"
    )


def operators() -> str:
    """Return the source of the operators."""
    functions = "\n".join(map(function, OPERATORS.values()))
    definitions = "\n".join(map(definition, OPERATORS.values()))
    registered = (
        "const bool defined = [] {\n"
        '    static torch::Library library(torch::Library::FRAGMENT, "nnpot", std::nullopt, __FILE__, __LINE__);\n'
        f"{definitions}\n    return true;\n}}();\n\n}}  // namespace\n"
    )
    return OPERATORS_HEAD + functions + "\n" + OPERATORS_END + registered


def function(operator: Operator) -> str:
    """One operator: sizes, checks, result, call."""
    name, first = operator.name, operator.arguments[0].name
    arguments = [f"const Tensor& {a.name}" if a.is_tensor else declared(a) for a in operator.arguments]
    rows = [f'    const at::ScalarType real = checked("{name}", {first}.scalar_type());']
    for size in operator.family.sizes:
        origin, place, more = operator.origins[size]
        rows.append(f"    const int64_t {size} = size({origin}, {place}){f' - {more}' if more else ''};")
    for a in operator.arguments:
        if a.is_tensor:
            rows.append(wrapped("    expect", [f'"{name}: {a.name}"', a.name, SCALARS[a.kind], braces(a.shape)]))
        elif a.kind == "float":
            rows.append(f'    TORCH_CHECK(0 < {a.name}, "nnpot: {name}: {a.name} must be positive, got ", {a.name});')
    make = "zeros" if operator.is_zero else "empty"
    rows.append(wrapped(f"    auto out = at::{make}", [braces(operator.result_shape), f"{first}.options()"]))
    sizes = [f"{first}.element_size()", "at::get_num_threads()", *operator.family.sizes]
    passed = [pointer(a) if a.is_tensor else a.name for a in operator.arguments]
    rows.append(wrapped(f'    check("{name}", nnpot_{name}', [*sizes, *passed, "out.mutable_data_ptr()"], ");"))
    body = "\n".join([*rows, "    return out;", "}", ""])
    return f"{wrapped(f'Tensor {name}', arguments, ' {')}\n{body}"


def braces(shape: Sequence[str]) -> str:
    """Return a shape in C++."""
    return f"{{{', '.join(shape)}}}"


def pointer(argument: Argument) -> str:
    """Return the numbers of a tensor as C takes them."""
    kind = {"real": "", "float64": "<double>", "int64": "<int64_t>", "int32": "<int32_t>"}[argument.kind]
    return f"{argument.name}.const_data_ptr{kind}()"


def definition(operator: Operator) -> str:
    """What tells PyTorch of an operator."""
    arguments = operator.schema[len(operator.name) + 1 :].removesuffix(") -> Tensor")
    rows = list(lines(arguments, WIDTH - 16))
    text = "\n".join(f'           "{row}{" " if row is not rows[-1] else ""}"' for row in rows)
    return f'    define(library, "{operator.name}",\n{text},\n           {operator.name});'


if __name__ == "__main__":
    main()

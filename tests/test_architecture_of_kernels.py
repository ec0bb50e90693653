"""The limits of the C++ sources, read off the source: short files, short functions, lines that fit.

How the text looks is up to clang-format (`make lint`).  Generated files are as long as they are.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_LINES, MAX_BODY, MAX_COLUMNS = 400, 60, 120

GENERATED = {"api.h", "gaunt.h", "operators.cpp"}

SOURCES = {
    path.name: path
    for folder in ("native", "engines/lammps")
    for path in sorted((ROOT / "nnpot" / folder).glob("*"))
    if path.suffix in (".cpp", ".h") and path.name not in GENERATED
}


each_file = pytest.mark.parametrize("name", SOURCES)


def text_of(name: str) -> str:
    return SOURCES[name].read_text(encoding="utf-8")


def bare(code: str) -> str:
    """Code without comments, what is in quotes, and lines of the preprocessor; as many lines as before."""
    code = re.sub(r"^\s*#(.*\\\n)*.*$", lambda m: "\n" * m[0].count("\n"), code, flags=re.MULTILINE)
    code = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), code, flags=re.DOTALL)
    return re.sub(r'"(\\.|[^"\\\n])*"|\'(\\.|[^\'\\\n])\'|//[^\n]*', '""', code)


def bodies(code: str) -> dict[str, int]:
    """Lines between the braces of every function, by what stands in front of them; of a lambda only in a function."""
    code = bare(code)
    found: dict[str, int] = {}
    opened: list[tuple[str, int, bool]] = []
    head, line = "", 1
    for letter in code:
        line += letter == "\n"
        if letter == "{":
            is_function = "(" in head and not re.match(
                r"\s*(template\s*<[^>]*>\s*)?(struct|class|enum|namespace)\b", head
            )
            opened.append((" ".join(head.split()), line, is_function and not any(f for _, _, f in opened)))
            head = ""
        elif letter == "}":
            start, first, counts = opened.pop()
            if counts:
                found[f"{first}: {start}"] = max(line - first - 1, 0)
            head = ""
        elif letter == ";":
            head = ""
        else:
            head += letter
    return found


@each_file
def test_files_are_short(name: str) -> None:
    assert len(text_of(name).splitlines()) <= MAX_LINES


@each_file
def test_functions_are_short(name: str) -> None:
    assert {start: n for start, n in bodies(text_of(name)).items() if n > MAX_BODY} == {}


@each_file
def test_lines_fit(name: str) -> None:
    lines = text_of(name).splitlines()
    assert [k for k, line in enumerate(lines, start=1) if len(line) > MAX_COLUMNS] == []


# the test itself ------------------------------------------------------------------------------------------------------


def test_every_file_is_looked_at() -> None:
    assert {"acsf.cpp", "lanes.h", "pair_nnpot.cpp"} <= set(SOURCES)


def test_bodies_are_those_of_functions() -> None:
    code = """
namespace {  // not a function()
struct S {
    int f() const { return 1; }
    void g(int n) {
        const char* text = "}";
        if (n > 0) {
            call([&] { return n; });
        }
    }
};
}
#define MACRO(x) \\
    { x }
template <class T>
int h(T x)
{
    return x;
}
"""
    names = {
        re.split(r"[: ]+", start)[-1] if "(" not in start else re.sub(r".*?(\w+)\(.*", r"\1", start): n
        for start, n in bodies(code).items()
    }
    assert names == {"f": 0, "g": 4, "h": 1}

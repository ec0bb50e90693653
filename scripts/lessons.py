"""Turn lessons, examples/lessons/NAME.py, into executed notebooks, docs/lessons/NAME.ipynb.

    python scripts/lessons.py                 # all of them; `make lessons` installs what they need before
    python scripts/lessons.py lecture h2_curve

A notebook says nothing of where and when it was made, so that only what a lesson shows can change it.
"""

import re
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
LESSONS, NOTEBOOKS = ROOT / "examples" / "lessons", ROOT / "docs" / "lessons"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LIMIT_S = 1800
COLORS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BARS = re.compile(r"(?:^.*━━━.*\n)+(?=.*━━━.*$)", re.MULTILINE)
FOLDERS = (str(ROOT), str(Path.home()), "/tmp/")


def main() -> None:
    """Convert the lessons that are named, or all."""
    sources = [LESSONS / f"{name}.py" for name in sys.argv[1:]] or sorted(LESSONS.glob("[a-z]*.py"))
    NOTEBOOKS.mkdir(parents=True, exist_ok=True)
    for source in sources:
        target = NOTEBOOKS / f"{source.stem}.ipynb"
        target.write_text(nbformat.writes(executed(source)) + "\n", encoding="utf-8")
        print(f"{target.relative_to(ROOT)}: {target.stat().st_size / 1e3:.0f} kB")


def executed(source: Path) -> nbformat.NotebookNode:
    """Return the notebook of a lesson with its outputs.

    Raises:
        CellExecutionError: If a cell fails.
        ValueError: If an output shows a folder of this machine.
    """
    notebook = jupytext.read(source)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    client = NotebookClient(
        notebook,
        timeout=LIMIT_S,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(LESSONS)}},
    )
    client.execute()
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"{source.stem}-{number}", nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_echo(output)]
        for output in cell.get("outputs", []):
            clean(output)
            if any(folder in text for text in texts(output) for folder in FOLDERS):
                raise ValueError(f"{source.name}: the output of cell {number} names a folder of this machine")
    return notebook


def is_echo(output: Any) -> bool:
    """Whether an output is only the value of a last expression: a text that has been printed already, or a number."""
    return output.output_type == "execute_result" and "text/html" not in output.data


def clean(output: Any) -> None:
    """Take colours of the terminal and repainted lines of progress bars out of what a cell has printed."""
    if output.output_type == "stream":
        lines = COLORS.sub("", output.text).split("\n")
        output.text = BARS.sub("", "\n".join(line.rpartition("\r")[2] for line in lines))


def texts(output: Any) -> list[str]:
    """Return what an output shows as text."""
    shown = [value for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return [output.get("text", ""), *map(str, shown)]


if __name__ == "__main__":
    main()

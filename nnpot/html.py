"""What notebooks show: tables in HTML, in the colours of the notebook."""

from collections.abc import Mapping, Sequence
from html import escape

_CELL = "text-align: left; padding: 0.1em 1em 0.1em 0"
_TITLE = "text-align: left; white-space: nowrap"


def table(title: str, rows: Mapping[str, str]) -> str:
    """Return a title and a table of two columns."""
    cells = "".join(
        f'<tr><th scope="row" style="{_CELL}; font-weight: normal; opacity: 0.7">{escape(name)}</th>'
        f'<td style="{_CELL}">{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    return _titled(title, cells)


def grid(title: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a title and a table of several columns, a name and numbers, with a heading of each."""
    number = _CELL.replace("left", "right", 1)
    styles = [_CELL, *[number] * (len(head) - 1)]
    top = "".join(
        f'<th scope="col" style="{style}; opacity: 0.7">{escape(name)}</th>'
        for style, name in zip(styles, head, strict=True)
    )
    rows = "".join(
        "<tr>" + "".join(f'<td style="{s}">{escape(c)}</td>' for s, c in zip(styles, line, strict=True)) + "</tr>"
        for line in lines
    )
    return _titled(title, f"<tr>{top}</tr>{rows}")


def _titled(title: str, rows: str) -> str:
    return f'<table style="border: none"><caption style="{_TITLE}"><b>{escape(title)}</b></caption>{rows}</table>'


def bar(done: int, total: int, text: str) -> str:
    """Return a bar that shows what part is done, with a text beside it."""
    return (
        f'<div style="white-space: pre; font-family: monospace"><progress value="{done}" max="{max(total, 1)}" '
        f'style="width: 16em; vertical-align: middle"></progress>  {escape(text)}</div>'
    )

"""What notebooks show: tables in HTML, in the colours of the notebook."""

from collections.abc import Mapping
from html import escape

_CELL = "text-align: left; padding: 0.1em 1em 0.1em 0"


def table(title: str, rows: Mapping[str, str]) -> str:
    """Return a title and a table of two columns."""
    cells = "".join(
        f'<tr><th scope="row" style="{_CELL}; font-weight: normal; opacity: 0.7">{escape(name)}</th>'
        f'<td style="{_CELL}">{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    return (
        f'<table style="border: none"><caption style="text-align: left"><b>{escape(title)}</b></caption>{cells}</table>'
    )

"""Tables of a page: plain texts as HTML."""

from collections.abc import Mapping
from html import escape


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table of plain texts, the first of each row its name."""
    top = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(text)}</td>" for text in row[1:])}</tr>'
        for row in rows
    )
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def pairs_of_text(rows: Mapping[str, str]) -> str:
    """Return a table of names and texts, one pair a row."""
    lines = (f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows.items())
    return f'<div class="scroll" tabindex="0"><table class="rows"><tbody>{"".join(lines)}</tbody></table></div>'

"""Docstrings as Markdown: examples and tables of plain text as code, roles of Sphinx as names."""

import re

_ROLE = re.compile(r":\w+:`~?([^`]*)`")
_TABLE = re.compile(r"^={3,}[ =]*\n.*?\n={3,}[ =]*$(?!\n\S)", re.DOTALL | re.MULTILINE)


def as_markdown(text: str) -> str:
    """Return a docstring with fences around examples and tables of plain text, and names in the place of roles."""
    lines: list[str] = []
    fenced = False
    for line in _ROLE.sub(r"`\1`", text).splitlines():
        if line.startswith(">>>") and not fenced:
            lines += [] if not lines or not lines[-1] else [""]
            lines.append("```pycon")
            fenced = True
        elif fenced and not line.strip():
            lines.append("```")
            fenced = False
        lines.append(line)
    lines += ["```"] if fenced else []
    return _TABLE.sub(lambda found: f"```text\n{found[0]}\n```", "\n".join(lines))

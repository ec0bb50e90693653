"""Writing files so that a crash leaves either the old or the new one."""

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Write a whole file beside its place and move it there; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    if isinstance(content, str):
        partial.write_text(content, encoding="utf-8", newline="")
    else:
        partial.write_bytes(content)
    os.replace(partial, path)
    return path

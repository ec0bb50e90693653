"""An extension of griffe, which reads the docstrings of the Python API: `mkdocs.yml` names this file."""

import sys
from pathlib import Path
from typing import Any

from griffe import Extension, Object

sys.path.insert(0, str(Path(__file__).parent))

from docstrings_text import as_markdown


class Docstrings(Extension):
    """Rewrite each docstring before it is read."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)

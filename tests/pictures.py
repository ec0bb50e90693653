"""Pictures of trainings take longer than the trainings of tests do: they are drawn where they are looked at."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_wanted: list[bool] = [False]


@contextmanager
def drawn() -> Iterator[None]:
    """Draw what trainings draw."""
    before, _wanted[:] = _wanted[0], [True]
    try:
        yield
    finally:
        _wanted[:] = [before]


def where_wanted(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same as a function that draws, but for :func:`drawn` the file is none."""

    def wrapper(path: Path, *arguments: Any) -> Any:
        return draw(path, *arguments) if _wanted[0] else path.write_bytes(b"not drawn")

    return wrapper

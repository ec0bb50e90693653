"""Numbers with their units, and names in order, as a reader expects them, and tables as text."""

import io
import re

from rich.console import Console
from rich.table import Table


def prefix(size: float, unit: str) -> tuple[float, str]:
    """Factor and unit that show a size in eV as meV or µeV where it is small."""
    if not unit.startswith("eV") or not size < 0.1:
        return 1.0, unit
    return (1e3, f"m{unit}") if size >= 1e-4 else (1e6, f"µ{unit}")


def axis_unit(size: float, unit: str) -> tuple[float, str]:
    """Factor and unit of an axis that reaches to a size: eV/Å instead of thousands of meV/Å."""
    if unit.startswith("m") and size >= 1e3:
        return 1e-3, unit[1:]
    return prefix(size, unit)


def with_unit(value: float, unit: str) -> str:
    """Write three digits and the unit that suits them."""
    is_large = unit.startswith("m") and abs(value) >= 999.5
    factor, unit = (1e-3, unit[1:]) if is_large else prefix(abs(value) / 10, unit)
    return f"{three_digits(factor * value)} {unit}".replace("-", "−", 1)


def three_digits(value: float) -> str:
    """Three significant digits, no decimals from 100 on."""
    return f"{value:.0f}" if abs(value) >= 100.0 else f"{value:#.3g}".rstrip(".")


def two_digits(value: float) -> str:
    """Two significant digits, no decimals from 10 on: of percentages, and how many times larger something is."""
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:#.2g}"


def duration(minutes: float) -> str:
    """Write a time in the unit that suits it, as `20 s`, `58 min` or `2.4 h`."""
    if minutes < 1.5:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 99.5 else f"{minutes / 60:.1f} h"


def natural(name: str) -> list[str | int]:
    """Return what names are sorted by so that `300K` comes before `1200K`."""
    return [int(part) if k % 2 else part for k, part in enumerate(re.split(r"(\d+)", name))]


def counted(n: int, what: str) -> str:
    """Return a number with its noun, as `1 structure` or `12 000 structures`."""
    return f"{thousands(n)} {what}{'' if n == 1 else 's'}"


def thousands(n: int) -> str:
    """Write a whole number with narrow spaces."""
    return f"{n:,}".replace(",", "\u202f")


def printed(view: Table, width: int) -> str:
    """Return a table as plain text, also where rich would put it into a notebook or colour it."""
    screen = io.StringIO()
    Console(file=screen, width=width, color_system=None, force_jupyter=False).print(view)
    return screen.getvalue().rstrip()

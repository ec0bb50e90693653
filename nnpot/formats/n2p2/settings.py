"""The lines of `input.nn`: a keyword, its values, what follows # or ! being a comment."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Line:
    """Words of a line, and where it stands.

    Attributes:
        path: The file.
        number: Line number, from 1.
        words: What stands there, comments left out.
    """

    path: Path
    number: int
    words: tuple[str, ...]

    def error(self, message: str) -> ValueError:
        """Return an error that names the line."""
        return ValueError(f"{self.path}, line {self.number}: {message}")

    def numbers(self, words: Sequence[str]) -> list[float]:
        """Return words of this line as numbers, exponents also in the manner of Fortran.

        Raises:
            ValueError: If one is not a finite number.
        """
        wrong = [word for word in words if not _NUMBER.fullmatch(word)]
        values = [] if wrong else [float(word.lower().replace("d", "e")) for word in words]
        if wrong or not all(map(math.isfinite, values)):
            raise self.error(f"finite numbers are needed here, got {' '.join(words)!r}")
        return values

    def count(self, word: str) -> int:
        """Return a word of this line as a whole number.

        Raises:
            ValueError: If it is none, or negative.
        """
        (value,) = self.numbers([word])
        if value != int(value) or value < 0:
            raise self.error(f"a whole number is needed here, got {word}")
        return int(value)


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a file that are not empty.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; a potential of n2p2 or RuNNer needs it")
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        words = tuple(text.split("#")[0].split("!")[0].split())
        if words:
            lines.append(Line(path, number, words))
    return lines


@dataclass(frozen=True)
class Settings:
    """The content of `input.nn`.

    Attributes:
        path: The file.
        lines: Its lines.
    """

    path: Path
    lines: tuple[Line, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            FileNotFoundError: If there is no such file.
        """
        return cls(path, tuple(read_lines(path)))

    def all(self, keyword: str) -> list[Line]:
        """Return every line with a keyword."""
        return [line for line in self.lines if line.words[0] == keyword]

    def find(self, *keywords: str) -> Line | None:
        """Return the line with one of some keywords of equal meaning, None where there is none.

        Raises:
            ValueError: If there are several.
        """
        found = [line for keyword in keywords for line in self.all(keyword)]
        if len(found) > 1:
            raise found[1].error(f"{found[1].words[0]} was given before, in line {found[0].number}; remove one of them")
        return found[0] if found else None

    def require(self, keyword: str, n_values: int = 1) -> Line:
        """Return the line with a keyword that must be there.

        Raises:
            ValueError: If it is not there, or has fewer values.
        """
        line = self.find(keyword)
        if line is None:
            raise ValueError(f"{self.path} has no line with {keyword}, which a potential needs")
        if len(line.words) <= n_values:
            raise line.error(f"{keyword} needs {n_values} value(s), got {len(line.words) - 1}")
        return line

    def number(self, default: float, *keywords: str) -> float:
        """Return the value of a keyword (or of another of equal meaning), or the default where it is not there.

        Raises:
            ValueError: If it is not a number.
        """
        line = self.find(*keywords)
        if line is None:
            return default
        if len(line.words) < 2:
            raise line.error(f"{line.words[0]} needs a value")
        return line.numbers(line.words[1:2])[0]

"""What other programs, editors and hands make of extended XYZ, and what must come of it.

A change works on frames, each a list of lines, and is told which of them.  After a `HARMLESS` one the file reads as
before; after a `REFUSED` one a sentence names the frame (or the next, where the number of atoms is too small); after a
`RENAMED` one a label is missing and its name is pointed out; after a `RANDOM` one all frames are read or a sentence
names one.
"""

import random
import re
from collections.abc import Callable

Frames = list[list[str]]
Change = Callable[[Frames, int, random.Random], None]


def frames_of(text: str) -> Frames:
    """Cut extended XYZ of any number of frames."""
    lines, frames = text.splitlines(), []
    while lines:
        n = int(lines[0]) + 2
        frames.append(lines[:n])
        lines = lines[n:]
    return frames


def text_of(frames: Frames) -> str:
    """Put frames together again."""
    return "".join(line + "\n" for frame in frames for line in frame)


def changed(text: str, change: Change, frame: int, chance: random.Random) -> str:
    """Return a text after a change of one of its frames."""
    frames = frames_of(text)
    change(frames, frame, chance)
    return text_of(frames)


def _comment(old: str, new: str) -> Change:
    """A change of the second line of a frame, by a regular expression that must be there."""

    def change(frames: Frames, k: int, chance: random.Random) -> None:
        frames[k][1], n = re.subn(old, new, frames[k][1], count=1)
        assert n == 1, (old, frames[k][1])

    return change


def _count(new: Callable[[int], object]) -> Change:
    def change(frames: Frames, k: int, chance: random.Random) -> None:
        frames[k][0] = str(new(int(frames[k][0])))

    return change


def _row(new: Callable[[list[str]], list[str]]) -> Change:
    """A change of the columns of one atom."""

    def change(frames: Frames, k: int, chance: random.Random) -> None:
        row = chance.randrange(2, len(frames[k]))
        frames[k][row] = "  ".join(new(frames[k][row].split()))

    return change


def _lines(new: Callable[[list[str]], list[str]]) -> Change:
    def change(frames: Frames, k: int, chance: random.Random) -> None:
        frames[k][:] = new(frames[k])

    return change


def _all(change: Change) -> Change:
    """The same change of all frames."""

    def change_all(frames: Frames, k: int, chance: random.Random) -> None:
        for other in range(len(frames)):
            change(frames, other, chance)

    return change_all


def _column(word: str, kind: str) -> Change:
    """A further column of all atoms of a frame."""

    def change(frames: Frames, k: int, chance: random.Random) -> None:
        frames[k][1] = re.sub(r"(Properties=\S+)", rf"\1:further:{kind}:1", frames[k][1])
        frames[k][2:] = [f"{line} {word}" for line in frames[k][2:]]

    return change


def _six_numbers(frames: Frames, k: int, chance: random.Random) -> None:
    """A stress as xx, yy, zz, yz, xz, xy."""

    def voigt(match: re.Match[str]) -> str:
        words = match[1].split()
        return 'stress="' + " ".join(words[i] for i in (0, 4, 8, 5, 2, 1)) + '"'

    frames[k][1] = re.sub(r'stress="([^"]*)"', voigt, frames[k][1])


def _characters(frames: Frames, k: int, chance: random.Random) -> None:
    """One to three characters less, more, or others."""
    for _ in range(chance.randint(1, 3)):
        row = chance.randrange(len(frames[k]))
        line = frames[k][row]
        at = chance.randrange(len(line) + 1)
        new = chance.choice(("", "", " ", "0", "-", ".", "e", "=", '"', ":", "x", "\t", "é", "{", "9"))
        frames[k][row] = line[:at] + new + line[at + chance.randint(0, 1) :]


def _words(frames: Frames, k: int, chance: random.Random) -> None:
    """Two words of a line change places."""
    row = chance.randrange(1, len(frames[k]))
    words = frames[k][row].split(" ")
    i, j = chance.randrange(len(words)), chance.randrange(len(words))
    words[i], words[j] = words[j], words[i]
    frames[k][row] = " ".join(words)


def _swapped_lines(frames: Frames, k: int, chance: random.Random) -> None:
    i, j = chance.randrange(len(frames[k])), chance.randrange(len(frames[k]))
    frames[k][i], frames[k][j] = frames[k][j], frames[k][i]


def _cut(frames: Frames, k: int, chance: random.Random) -> None:
    """The end of the file is missing, from somewhere in a frame on."""
    del frames[k + 1 :]
    row = chance.randrange(1, len(frames[k]))
    del frames[k][row + 1 :]
    frames[k][row] = frames[k][row][: len(frames[k][row]) // 2] if row > 1 else frames[k][row]


HARMLESS: dict[str, Change] = {
    "empty lines before": _lines(lambda lines: ["", " ", *lines]),
    "empty lines behind": _lines(lambda lines: [*lines, "", "\t"]),
    "tabs": _lines(lambda lines: [*lines[:2], *(re.sub(" +", "\t", line) for line in lines[2:])]),
    "spaces at the ends": _lines(lambda lines: [f" {line}  " for line in lines]),
    "Windows line ends": _lines(lambda lines: [line + "\r" for line in lines]),
    "spaces around =": _comment(r"energy=", "energy = "),
    "a quoted number": _comment(r"energy=(\S+)", r'energy="\1"'),
    "braces": _comment(r'Lattice="([^"]*)"', r"Lattice={\1}"),
    "brackets and commas": lambda frames, k, chance: _comment(
        r'Lattice="([^"]*)"', "Lattice=[" + ",".join(re.findall(r'Lattice="([^"]*)"', frames[k][1])[0].split()) + "]"
    )(frames, k, chance),
    "pbc of digits": _comment(r'pbc="T T T"', 'pbc="1 1 1"'),
    "pbc in small letters": _comment(r'pbc="T T T"', 'pbc="t t t"'),
    "pbc in words": _comment(r'pbc="T T T"', "pbc=[True,true,TRUE]"),
    "no pbc beside a cell": _comment(r' pbc="T T T"', ""),
    "Fortran's exponents": _row(lambda words: [words[0], *(w + "D+00" for w in words[1:])]),
    "Fortran's energy": _comment(r"energy=(\S+)", r"energy=\1d0"),
    "six components": _six_numbers,
    "capital symbols": _row(lambda words: [words[0].upper(), *words[1:]]),
    "atomic numbers": _row(lambda words: [{"Cu": "29", "Au": "79"}[words[0]], *words[1:]]),
    "another key": _comment(r"$", " remark='the energy, of course' flag"),
    "another column": _column("7.5", "R"),
    "a column of words": _column("bridge", "S"),
    "the same energy twice": _comment(r"energy=(\S+)", r"energy=\1 energy=\1"),
    "eV": _comment(r"energy=(\S+)", r"energy=\1 eV"),
}
REFUSED: dict[str, Change] = {
    "too few atoms": _count(lambda n: n - 1),
    "too many atoms": _count(lambda n: n + 1),
    "very many atoms": _count(lambda n: 99999999999),
    "more atoms than there are digits": _count(lambda n: "9" * 3000),
    "a negative number of atoms": _count(lambda n: -n),
    "a fractional number of atoms": _count(float),
    "no number of atoms": _count(lambda n: "atoms"),
    "no atoms": _lines(lambda lines: ["0", lines[1]]),
    "an atom less": _lines(lambda lines: lines[:-1]),
    "an empty line among the atoms": _lines(lambda lines: [*lines[:3], "", *lines[3:]]),
    "a column less": _row(lambda words: words[:-1]),
    "a column more": _row(lambda words: [*words, "1.0"]),
    "fused columns": _row(lambda words: [*words[:2], words[2] + "-" + words[3], *words[4:]]),
    "stars": _row(lambda words: [*words[:-1], "********"]),
    "not a number": _row(lambda words: [*words[:-1], "nan"]),
    "overflow": _row(lambda words: [words[0], "1e999", *words[2:]]),
    "a decimal comma": _row(lambda words: [*words[:-1], "0,5"]),
    "a decimal comma in the energy": _comment(r"energy=\S+", "energy=-3,5"),
    "no element": _row(lambda words: ["Cu1", *words[1:]]),
    "a dummy": _row(lambda words: ["X", *words[1:]]),
    "a unit": _comment(r"energy=(\S+)", r'energy="\1 eV"'),
    "another unit": _comment(r"energy=(\S+)", r"energy=\1 Ha"),
    "two energies": _comment(r"energy=(\S+)", r"energy=\1 energy=7.0"),
    "an energy of words": _comment(r"energy=(\S+)", "energy=unknown"),
    "an open quotation mark": _comment(r'stress="([^"]*)"', r'stress="\1'),
    "five components": _comment(r'stress="[^"]*"', 'stress="1 2 3 4 5"'),
    "lattice": _comment("Lattice", "lattice"),
    "a cell misspelt": _comment("Lattice", "Lattic"),
    "no cell": _comment(r'Lattice="[^"]*"', ""),
    "six numbers of the cell": _comment(r'Lattice="[^"]*"', 'Lattice="4 4 4 90 90 90"'),
    "properties": _comment("Properties", "properties"),
    "no positions": _comment("pos:R:3", "xyz:R:3"),
    "no species": _comment("species:S:1", "element:S:1"),
    "one type of columns less": _comment("forces:R:3", "forces:3"),
    "a type that there is not": _comment("forces:R:3", "forces:F:3"),
    "two columns of forces": _comment("forces:R:3", "forces:R:2:more:R:1"),
    "another periodicity": _comment(r'pbc="T T T"', 'PBC="F F F"'),
    "periodicity of two": _comment(r'pbc="T T T"', 'pbc="T T"'),
    "cut off": _cut,
}
RENAMED: dict[str, tuple[Change, str, str]] = {
    f"{label} as {name}": (_all(_comment(rf"(?<![_\w]){label}(?=[=:])", name)), label, name)
    for label, names in {
        "energy": ("Energy", "ENERGY", "REF_energy", "dft_energy", "total_energy"),
        "forces": ("force", "Forces", "REF_forces", "dft_force"),
        "stress": ("Stress", "REF_stress", "REF_virials", "dft_virial"),
    }.items()
    for name in names
}
RANDOM: dict[str, Change] = {"characters": _characters, "words": _words, "lines": _swapped_lines}

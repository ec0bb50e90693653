"""What is done to bytes, to text and to plain data."""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

HOSTILE_WORDS = (
    *("nan", "inf", "-inf", "1e999", "-1", "0", "99999999999", "1e9", "1e-300", "1_0", "0x10", "3.5D0", "None"),
    *("true", "[]", "{}", "''", "é", "\x00", "9" * 400, "-90", "1.5", "x y"),
)
HOSTILE_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 1000, 10**9, 2**70, 10**400, 0.0, -1.0, 0.5, 1e-300, 1e300, 1e6),
    *(float("nan"), float("inf"), "", "auto", "Cu", "least_squares", "x" * 1000, [], [1], [[]], [0.5, "a"], {}),
    *({"class": "ZBL", "arguments": {}}, {"a": 1}, [10**9], [-1], [1] * 50),
)


def flipped_bits(content: bytes, chance: random.Random) -> bytes:
    """One to three bits are others."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncated(content: bytes, chance: random.Random) -> bytes:
    """The end is missing."""
    return content[: chance.randrange(len(content))]


def inserted(content: bytes, chance: random.Random) -> bytes:
    """Some bytes more."""
    at = chance.randrange(len(content) + 1)
    return content[:at] + chance.randbytes(chance.choice((1, 1, 4, 64, 4096))) + content[at:]


def removed(content: bytes, chance: random.Random) -> bytes:
    """Some bytes less."""
    at = chance.randrange(len(content))
    return content[:at] + content[at + chance.choice((1, 1, 4, 64, 4096)) :]


def random_bytes(content: bytes, chance: random.Random) -> bytes:
    """Some bytes are others."""
    at, n = chance.randrange(len(content)), chance.choice((2, 8, 64))
    return content[:at] + chance.randbytes(n) + content[at + n :]


def repeated(content: bytes, chance: random.Random) -> bytes:
    """A piece stands there twice."""
    at, n = chance.randrange(len(content)), chance.choice((8, 512, 4096))
    return content[:at] + content[at : at + n] + content[at:]


BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "bits flipped": flipped_bits,
    "truncated": truncated,
    "bytes inserted": inserted,
    "bytes removed": removed,
    "random bytes": random_bytes,
    "a piece twice": repeated,
}


def hostile_word(content: bytes, chance: random.Random) -> bytes:
    """A word is one that should not be there."""
    lines = content.decode(errors="replace").split("\n")
    k = chance.choice([k for k, line in enumerate(lines) if line.split()])
    words = lines[k].split(" ")
    words[chance.choice([i for i, word in enumerate(words) if word])] = chance.choice(HOSTILE_WORDS)
    lines[k] = " ".join(words)
    return "\n".join(lines).encode()


def swapped_lines(content: bytes, chance: random.Random) -> bytes:
    """Two lines have changed places."""
    lines = content.split(b"\n")
    a, b = chance.sample(range(len(lines)), 2) if len(lines) > 1 else (0, 0)
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def line_removed_or_repeated(content: bytes, chance: random.Random) -> bytes:
    """A line is missing or stands there twice."""
    lines = content.split(b"\n")
    k = chance.randrange(len(lines))
    lines[k : k + 1] = [] if chance.random() < 0.5 else [lines[k]] * 2
    return b"\n".join(lines)


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where something is in nested tables and lists."""
    for key in list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield (*path, key)
        yield from places(data[key], (*path, key))


def changed_value(data: Any, chance: random.Random) -> Any:
    """A value is another, or its key is missing or misspelt."""
    new = copy.deepcopy(data)
    *path, key = chance.choice(list(places(new)))
    inside = new
    for step in path:
        inside = inside[step]
    how = chance.random()
    if how < 0.7 or isinstance(inside, list):
        inside[key] = chance.choice(HOSTILE_VALUES)
    elif how < 0.85:
        del inside[key]
    else:
        inside[f"{key}_"] = inside.pop(key)
    return new

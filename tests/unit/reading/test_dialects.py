"""Extended XYZ as other programs write it, and damaged: right, or a sentence with file and frame."""

import io
import random
import re
from pathlib import Path

import ase.io
import pytest
import torch
from datasets import labelled_alloys
from modules import loaded

from nnpot.reading import read_labelled
from nnpot.structure import Structure

dialects = loaded("scripts/fuzzing/dialects.py")
SEEDS = range(5)
FLAG = "--data.keys.{label} {name}"


@pytest.fixture(scope="module")
def text() -> str:
    """Three frames of four atoms."""
    buffer = io.StringIO()
    ase.io.write(buffer, labelled_alloys(3, seed=2), format="extxyz")
    return buffer.getvalue()


def after(text: str, change: object, seed: int, path: Path) -> int:
    """Write the text after a change; return which frame it was."""
    chance = random.Random(seed)
    frame = chance.randrange(3)
    path.write_bytes(dialects.changed(text, change, frame, chance).encode())
    return frame


def same(first: list[Structure], second: list[Structure]) -> bool:
    if len(first) != len(second):
        return False
    return all(
        a.labels.keys() == b.labels.keys()
        and a.pbc == b.pbc
        and a.group == b.group
        and torch.equal(a.numbers, b.numbers)
        and torch.equal(a.positions, b.positions)
        and torch.equal(a.cell, b.cell)
        and all(torch.equal(a.labels[name], b.labels[name]) for name in a.labels)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("name", dialects.HARMLESS)
def test_what_is_harmless_reads_as_before(text: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(text)
    whole, _ = read_labelled(path)
    for seed in SEEDS:
        after(text, dialects.HARMLESS[name], seed, path)
        assert same(read_labelled(path)[0], whole)


@pytest.mark.parametrize("name", dialects.REFUSED)
def test_what_is_wrong_is_refused_with_file_and_frame(text: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.xyz"
    for seed in SEEDS:
        frame = after(text, dialects.REFUSED[name], seed, path)
        with pytest.raises(ValueError, match=r"a\.xyz, frame \d") as error:
            read_labelled(path)
        said = int(re.findall(r"a\.xyz, frame (\d+)", str(error.value))[0])
        assert said == frame or (name == "too few atoms" and said == frame + 1)
        assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", dialects.RENAMED)
def test_a_label_under_another_name_is_pointed_out(text: str, tmp_path: Path, name: str) -> None:
    change, label, other = dialects.RENAMED[name]
    path = tmp_path / "a.xyz"
    after(text, change, 0, path)
    structures, found = read_labelled(path, naming=FLAG)
    assert not any(label in s.labels for s in structures)
    option = "virial" if "virial" in other else label
    assert f"{label} 0/3 (" in str(found)
    assert f"use --data.keys.{option} {other}" in str(found)


@pytest.mark.parametrize("name", dialects.RANDOM)
@pytest.mark.parametrize("first", range(0, 100, 20))
def test_what_is_damaged_is_read_whole_or_refused(text: str, tmp_path: Path, name: str, first: int) -> None:
    path = tmp_path / "a.xyz"
    for seed in range(first, first + 20):
        after(text, dialects.RANDOM[name], seed, path)
        try:
            structures, found = read_labelled(path)
        except ValueError as error:
            if not re.search(r"a\.xyz, frame \d", str(error)):
                pytest.fail(f"no frame is named: {error}")
            continue
        assert len(structures) == 3
        for label in ("energy", "forces"):
            assert f"{label} {sum(label in s.labels for s in structures)}/3" in str(found)

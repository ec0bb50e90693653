"""A command as a model file keeps it: nothing of the machine on which it was made."""

import shlex

import pytest

from nnpot.training.settings import command_line

SHORTENED = {
    "a relative path stays": ("configs/ace.yaml", "configs/ace.yaml"),
    "one above": ("../data/train.xyz", "../data/train.xyz"),
    "an absolute path": ("/home/maker/data/train.xyz", "train.xyz"),
    "with a space": ("/home/the maker/train.xyz", "train.xyz"),
    "after an equals sign": ("--data.train=/home/maker/train.xyz", "--data.train=train.xyz"),
    "of the home": ("~/data/train.xyz", "train.xyz"),
    "of Windows": (r"C:\Users\maker\train.xyz", "train.xyz"),
    "of Windows after an equals sign": (r"--out=C:\Users\maker\run", "--out=run"),
    "in JSON": ('{"train": "/home/the maker/a.xyz", "n": 3}', '{"train": "a.xyz", "n": 3}'),
    "in a list": ("[/home/maker/a.xyz, /home/maker/b.xyz]", "[a.xyz, b.xyz]"),
    "a level of theory": ("PBE0-D4/def2-TZVP", "PBE0-D4/def2-TZVP"),
    "a number": ("-1e-3", "-1e-3"),
}


@pytest.mark.parametrize(("argument", "wanted"), SHORTENED.values(), ids=SHORTENED.keys())
def test_absolute_paths_become_their_last_part(argument: str, wanted: str) -> None:
    assert command_line(["nnpot", "train", argument]) == shlex.join(["nnpot", "train", wanted])


@pytest.mark.parametrize("program", ["/usr/local/bin/nnpot", "/lib/site-packages/nnpot/__main__.py", "nnpot"])
def test_the_program_is_named_alone(program: str) -> None:
    assert command_line([program, "train", "--seed", "3"]) == "nnpot train --seed 3"

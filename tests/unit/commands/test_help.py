"""Help says at once what is used most, and on request everything, as the code has it."""

import re
import subprocess
import sys
from importlib import import_module

import pytest
from runs import refusal

from nnpot.__main__ import main
from nnpot.commands.help import COMMANDS, asked_for
from nnpot.commands.kinds import OTHER_NAMES, parameters_of, with_values_of_switches
from nnpot.commands.topics import topics
from nnpot.descriptors import ACE


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What is printed."""
    main(list(arguments))
    return capsys.readouterr().out


def named(text: str) -> set[str]:
    """The options in a text."""
    return set(re.findall(r"(?<![\w-])--([\w.]+)", text))


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["sample", "-h"]], ids=" ".join)
def test_it_is_shown_without_pytorch(arguments: list[str]) -> None:
    code = f"import sys; from nnpot.__main__ import main; main({arguments!r}); print('torch' in sys.modules)"
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    assert lines[-2] == "False"
    assert len(lines) > 10


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_an_example_and_only_options_that_exist(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, everything = shown(capsys, command, "--help"), shown(capsys, command, "--help", "all")
    of_ace = shown(capsys, "train", "--help", "ACE")
    assert f"\n  nnpot {command} " in text
    assert named(text) <= named(everything) | named(of_ace) | {"config", "help", "recipe", "system"}
    assert len(text.splitlines()) < 42


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_is_told_with_its_meaning(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, command, "--help", "all")
    name = command.replace("-", "_")
    function = getattr(import_module(f"nnpot.commands.{name}"), name)
    for name in parameters_of(function):
        option = next((other for other, own in OTHER_NAMES.items() if own == f"--{name}"), f"--{name}")
        assert re.search(rf"\n  ({option}[ .\n]|{name.upper()} )", text), name
    assert not re.findall(r"\n  \S+\n(?! {20})|:\w+:`", text)


def test_a_group_alone(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "train", "--help", "loss")
    assert "--loss.forces" in text
    assert "--trainer" not in text
    assert "(eV/atom)^-2. (a number; 2.0 by the recipe ace, else default 1.0)" in " ".join(text.split())


def test_it_shows_the_values_that_hold(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(shown(capsys, "train", "--help", "trainer").split())
    assert "(a whole number or auto; auto by the recipe ace, else default 300)" in text
    assert "(one of float32, float64; default float32)" in text
    text = " ".join(shown(capsys, "train", "--recipe", "acsf", "--help", "trainer").split())
    assert "(a whole number or auto; 500 by the recipe acsf, else default 300)" in text
    text = " ".join(shown(capsys, "train", "--help", "ACE").split())
    assert "for twice the time. (a whole number or auto; auto by the recipe ace, else default 0)" in text
    assert "by the recipe" not in shown(capsys, "train", "--help", "ACSF")
    assert "by the recipe" not in shown(capsys, "evaluate", "--help", "all")


def test_the_keys_of_a_descriptor(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "train", "--help", "ACE")
    assert {name.rpartition(".")[2] for name in named(text)} == set(parameters_of(ACE))
    assert "--potential.descriptor.init_args.l_max" in text


def test_a_wrong_topic_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "train", "--help", "los") == "nnpot: there is no help on los; did you mean loss?"
    assert "there is all, keys" in refusal(capsys, "evaluate", "--help", "zzz")


def test_topics_are_groups_and_classes() -> None:
    function = import_module("nnpot.commands.train").train
    assert {"all", "data", "loss", "optimizer", "trainer", "ACE", "ACSF"} <= set(topics(function))


@pytest.mark.parametrize(
    ("arguments", "topic"),
    [(["--help"], ""), (["-h", "loss"], "loss"), (["a", "--help", "--data"], "data"), ([], None)],
)
def test_what_is_asked_for(arguments: list[str], topic: str | None) -> None:
    assert asked_for(arguments) == topic


def command(model: str, *, deep: bool = False, repulsion: bool | str = "auto", name: str = "") -> None:
    """A command with switches, whose model is given without a name."""


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ("--deep m", "--deep=true m"),
        ("m --deep", "m --deep=true"),
        ("--deep false m", "--deep false m"),
        ("--deep --name x", "--deep=true --name x"),
        ("--repulsion --deep=false m", "--repulsion=true --deep=false m"),
        ("--repulsion auto m", "--repulsion auto m"),
        ("--name --deep", "--name --deep=true"),
    ],
)
def test_a_switch_needs_no_value(arguments: str, written: str) -> None:
    assert with_values_of_switches(command, arguments.split()) == written.split()

"""A shell completes commands, options and files."""

import shutil
import subprocess
from pathlib import Path

import pytest

from nnpot.__main__ import main
from nnpot.commands.completion import options_of
from nnpot.commands.help import COMMANDS


def script(capsys: pytest.CaptureFixture[str], shell: str) -> str:
    """What is printed for a shell."""
    main(["completion", "--shell", shell])
    return capsys.readouterr().out


def completed(text: str, words: list[str], folder: Path) -> list[str]:
    """What bash makes of a line, the last word being the one that is typed."""
    line = " ".join(f"'{word}'" for word in words)
    code = f'{text}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _nnpot; printf "%s\\n" "${{COMPREPLY[@]}}"'
    run = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    return run.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_and_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = script(capsys, "bash")
    (tmp_path / "train.xyz").touch()
    assert completed(text, ["nnpot", "eval"], tmp_path) == ["evaluate"]
    assert completed(text, ["nnpot", "train", "--loss.fo"], tmp_path) == ["--loss.forces"]
    assert completed(text, ["nnpot", "train", "--fr"], tmp_path) == ["--from"]
    assert completed(text, ["nnpot", "train", "tr"], tmp_path) == ["train.xyz"]


def test_every_command_is_there_for_each_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        text = script(capsys, shell)
        assert all(command in text for command in COMMANDS)
        assert "optimizer.lr" in text


def test_what_is_given_by_its_place_is_no_option() -> None:
    assert "--model" not in options_of("evaluate")
    assert {"--json", "--keys.energy", "--report"} <= set(options_of("evaluate"))

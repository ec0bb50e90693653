"""`nnpot completion`: what makes a shell complete commands and options."""

import importlib
import shlex
from typing import Literal

from nnpot.commands.help import COMMANDS
from nnpot.commands.kinds import all_names, is_positional, parameters_of

BASH = """_nnpot() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{commands}" -- "$current")); return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    *) COMPREPLY=($(compgen -f -- "$current")) ;;
  esac
}}
complete -o filenames -F _nnpot nnpot
"""

ZSH = "autoload -Uz bashcompinit && bashcompinit\n"


def completion(shell: Literal["bash", "zsh", "fish"] = "bash") -> None:
    """Print what makes a shell complete commands and options of nnpot.

    Args:
        shell: For which.
    """
    options = {command: options_of(command) for command in COMMANDS}
    if shell == "fish":
        for command, short in COMMANDS.items():
            told = shlex.quote(short.purpose)
            print(f"complete -c nnpot -n __fish_use_subcommand -f -a {command} -d {told}")
        for command, names in options.items():
            for name in names:
                print(f"complete -c nnpot -n '__fish_seen_subcommand_from {command}' -l {name.removeprefix('--')}")
        return
    cases = "\n".join(f'    {command}) words="{" ".join(names)}" ;;' for command, names in options.items())
    print((ZSH if shell == "zsh" else "") + BASH.format(commands=" ".join(COMMANDS), cases=cases), end="")


def options_of(command: str) -> list[str]:
    """Return the options of a command."""
    name = command.replace("-", "_")
    function = getattr(importlib.import_module(f"nnpot.commands.{name}"), name)
    first = [n for n in parameters_of(function) if is_positional(function, n)]
    names = [f"--{n.replace('from_model', 'from')}" for n in all_names(function) if n.split(".")[0] not in first]
    return [*names, "--config", *(["--recipe"] if command == "train" else []), "--help"]

"""The command line: `nnpot COMMAND …`; an error of the user's is one line.

Help is shown before PyTorch is imported, which takes seconds.
"""

import errno
import importlib
import logging
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from nnpot.commands.guesses import COMMANDS as OTHER_WORDS
from nnpot.commands.guesses import meant
from nnpot.commands.help import COMMANDS, asked_for, overview, short
from nnpot.machine.output import complain, read_or_not, with_notes
from nnpot.machine.signals import raised
from nnpot.machine.threads import keep_to_limits

_HELP = {"-h", "--help", "help"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error of the user's is one line on standard error and exit code 1 or 2."""
    with read_or_not(), raised():
        try:
            _run(arguments)
        except KeyboardInterrupt as stop:
            complain(with_notes(stop) or "interrupted", code=getattr(stop, "code", 130))


def _run(arguments: Sequence[str] | None) -> None:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # not every encoding has the lines of tables: Windows', into a file
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("nnpot").setLevel(logging.INFO)
    if arguments and arguments[0] in _HELP:
        arguments = [*arguments[1:2], "--help"] if arguments[1:] else []
    if not arguments:
        print(overview())
        return
    command, *rest = arguments
    if command in {"--version", "-V"}:
        print(importlib.import_module("nnpot").__version__)
        return
    if command not in COMMANDS:
        close = meant(command.lstrip("-"), COMMANDS, OTHER_WORDS)
        advice = f"did you mean {close}?" if close else f"there are {', '.join(COMMANDS)}; nnpot --help describes them"
        complain(f"there is no command {command!r}; {advice}", code=2)
    if asked_for(rest) == "":
        print(short(command))
    else:
        _call(command, rest)


def _call(command: str, arguments: Sequence[str]) -> None:
    sources = ""
    try:
        module, line = _module(command, command.replace("-", "_")), _module(command, "line")
        keep_to_limits()
        sources = line.named_sources(arguments)
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # set to INFO when it was imported
        warnings.filterwarnings("ignore", module="pytorch_lightning")  # advice on workers, its own deprecated calls
        line.call(command, module, arguments)
    except (ValueError, OSError, ImportError) as error:
        is_of_name = getattr(error, "errno", None) == errno.ENAMETOOLONG or "null byte" in str(error)
        complain(with_notes(error) + (sources if is_of_name else ""), code=1)
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or "allocate memory" in str(error)):
            raise
        details = f" ({with_notes(error)[:200]})" if str(error) else ""
        complain(f"there is not enough memory for what is asked for{sources}{details}", code=1)


def _module(command: str, name: str) -> Any:
    try:
        return importlib.import_module(f"nnpot.commands.{name}")
    except ImportError as error:
        raise ImportError(f"nnpot {command} cannot start, something of its installation is missing: {error}") from error


if __name__ == "__main__":
    main()

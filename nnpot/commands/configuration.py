"""What a configuration may be, looked at before a parser acts on it: it may come from a stranger."""

import ast
import logging
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader

from nnpot.commands.guesses import nearest
from nnpot.commands.recipes import recipes

log = logging.getLogger("nnpot")

MOST_BYTES, MOST_VALUES = 1_000_000, 100_000
"""Size of a configuration, and number of its values once repeated parts are written out."""
LARGEST = 1e12
"""No number among settings is as large."""
CLASSES = {
    "potential.descriptor": "descriptor",
    "potential": "potential",
    "potential.hidden": "network",
    "potential.activation": "activation function",
    "potential.activation[]": "activation function",
}
"""Where a class may be named, of which kind."""
_YAML = "tag:yaml.org,2002:"
_PLAIN = ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")


def check_configurations(arguments: Sequence[str]) -> None:
    """Check all configurations among the arguments of a command, files or text.

    Raises:
        ValueError: If one is not settings by name, cannot be one, or names a class where none is allowed.
        OSError: If a file cannot be read.
    """
    for k, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option != "--config":
            continue
        value = value if equals else next(iter(arguments[k + 1 : k + 2]), "")
        if not value or value.startswith("--"):
            raise ValueError("--config needs a value: a file of settings")
        check_classes(read_settings(value), option if is_text(value) else value)


SOURCES = ("--config", "--resume", "--from", "--from_model")
"""Options that name a file of which a command takes settings."""


def named_sources(arguments: Sequence[str]) -> str:
    """Return the files from which a command has settings, in brackets to be put behind a complaint; or nothing."""
    files = []
    for option, value in pairwise([*arguments, ""]):
        option, equals, own = option.partition("=")
        file = own if equals else "" if value.startswith("--") else value
        if option in SOURCES and file and not is_text(file):
            files.append(file)
    return f" (settings: {', '.join(files)})" if files else ""


def read_settings(text: str) -> dict[str, Any]:
    """Return the settings in a configuration.

    Args:
        text: Its path, or the settings themselves in JSON.

    Raises:
        ValueError: If it is no YAML, a key stands there twice, a tag asks for more than values, or it is too large.
        FileNotFoundError: If there is no such file.
    """
    if is_text(text):
        return _plain(text, "--config")
    path = Path(text)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, so no configuration{_inside(path)}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no configuration {path}{_instead(path)}")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES // 1_000_000} MB, so no configuration")
    try:
        return _plain(path.read_text(encoding="utf-8"), f"the configuration {path}")
    except UnicodeDecodeError as error:
        raise ValueError(f"the configuration {path} is no text in UTF-8; correct it") from error


def check_classes(settings: Any, source: str) -> None:
    """Check every class that settings name, before its module is imported, and say which modules will be.

    A class of another package must be one, by its source, where a descriptor or potential may be named.

    Args:
        settings: Plain data.
        source: Where they are from, for messages.

    Raises:
        ValueError: If one cannot be what is needed there.
    """
    for place, name in _named_classes(settings, ""):
        if place not in CLASSES:
            raise ValueError(f"{source}: {place or 'the whole'} is no class, so that class_path has no place there")
        if not isinstance(name, str):
            raise ValueError(f"{source}: class_path of {place} must be the name of a class, got {str(name)[:60]}")
        module, _, kind = name.rpartition(".")
        top = module.split(".")[0]
        if "." not in name or top == "nnpot" or (module in sys.modules and top not in sys.stdlib_module_names):
            continue  # nothing will be imported; what it is will be seen
        if not _may_be_class(module, kind):
            raise ValueError(
                f"{source}: {name[:80]} is no {CLASSES[place]}; give the name of one of nnpot, or module.Class of "
                "another package"
            )
        log.info("imports the module %s, named in %s", module, source)


def is_text(value: str) -> bool:
    """Return whether a configuration is given as such, not by its path."""
    return value.lstrip().startswith("{")


def _inside(folder: Path) -> str:
    """What to do with a folder instead of a configuration."""
    if (folder / "input.nn").is_file():
        return f"; to start from the potential of n2p2 in it: --from {folder}"
    files = sorted(folder.glob("*.yaml"))
    return f"; did you mean {files[0]}?" if files else ""


def _instead(path: Path) -> str:
    """What is nearly called as a file that is not there: a recipe, or another file."""
    recipe = nearest(path.stem, recipes(), cutoff=0.9)
    if recipe is not None:
        return f"; did you mean --recipe {recipe}?"
    close = nearest(path.name, [other.name for other in path.parent.glob("*.yaml")])
    return "" if close is None else f"; did you mean {path.with_name(close)}?"


def _plain(text: str, source: str) -> dict[str, Any]:
    """The settings that are written in a text."""
    try:
        _check_node(yaml.compose(text, Loader=yaml.SafeLoader), {}, source)
        settings = get_loader("yaml")(text)
    except yaml.MarkedYAMLError as error:
        line = (
            ""
            if error.problem_mark is None
            else f" (line {error.problem_mark.line + 1}: {_in_words(str(error.problem))})"
        )
        raise ValueError(f"{source} is not YAML{line}; correct it") from error
    except (yaml.YAMLError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise ValueError(f"{source} is not YAML ({what}); correct it") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{source} holds no settings such as `seed: 1`; correct it")
    return settings


def _in_words(problem: str) -> str:
    """What is wrong with a text that is no YAML, without YAML's own words where a common one is meant."""
    if "'\\t'" in problem:
        return "a tab; indent by blanks"
    if "block" in problem or "mapping values" in problem:
        return "it is indented otherwise than the lines before, or a colon is missing"
    return problem


def _check_node(node: yaml.Node | None, sizes: dict[int, int], source: str) -> int:
    """Check a node of YAML with all inside it; return its number of values, repeated parts counted each time."""
    if node is None:
        return 0
    if id(node) in sizes:
        return sizes[id(node)]
    sizes[id(node)] = MOST_VALUES  # what holds itself is too large
    where = f"{source}, line {node.start_mark.line + 1}"
    if node.tag.removeprefix(_YAML) not in _PLAIN:
        raise ValueError(f"{where}: {node.tag.removeprefix(_YAML)[:60]} is not allowed, only plain values")
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        repeated = [key for key in keys if keys.count(key) > 1] if len(set(keys)) < len(keys) else []
        if repeated:
            raise ValueError(f"{where}: {repeated[0][:60]} stands there twice")
        children = [child for pair in node.value for child in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    size = 1 + sum(_check_node(child, sizes, source) for child in children)
    if size > MOST_VALUES:
        raise ValueError(f"{where}: this holds more than {MOST_VALUES} values once its repeated parts are written out")
    sizes[id(node)] = size
    return size


def check_numbers(settings: Any, name: str = "") -> None:
    """Check that all numbers among settings are finite and not absurdly large.

    Args:
        settings: Plain data.
        name: Of the setting that they are parts of.

    Raises:
        ValueError: If one is not; it is named.
    """
    if isinstance(settings, dict):
        for key, value in settings.items():
            check_numbers(value, f"{name}.{key}" if name else str(key))
    elif isinstance(settings, list | tuple):
        for value in settings:
            check_numbers(value, name)
    elif type(settings) in (int, float) and not abs(settings) < LARGEST:
        raise ValueError(f"{name} must be a finite number below {LARGEST:.0e}, got {str(settings)[:30]}")


def _named_classes(settings: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield where classes are named, in the long form or by the name alone, and the names."""
    if isinstance(settings, list):
        for value in settings:
            yield from _named_classes(value, f"{place}[]")
    if not isinstance(settings, dict):
        if place in CLASSES and isinstance(settings, str):
            yield place, settings
        return
    for key, value in settings.items():
        inner = f"{place}.{key}" if place else str(key)
        if key == "class_path":
            yield place, value
        elif key == "init_args":
            yield from _named_classes(value, place)
        elif str(key).endswith(".class_path"):
            yield inner.removesuffix(".class_path"), value
        else:
            yield from _named_classes(value, inner)


def _may_be_class(module: str, kind: str) -> bool:
    """Whether a module, which is not imported, defines or imports a class that is derived from another."""
    if module.split(".")[0] in sys.stdlib_module_names or not all(p.isidentifier() for p in (*module.split("."), kind)):
        return False
    spec = _found(module)
    if spec is None or spec.origin is None:
        return False
    if not spec.origin.endswith(".py"):
        return True
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return False
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name, bases=[_, *_]) if name == kind:
                return True
            case ast.ImportFrom(names=names) if any((alias.asname or alias.name) == kind for alias in names):
                return True
    return False


def _found(module: str) -> ModuleSpec | None:
    """Where a module is, found without importing the packages that it is in."""
    folders, spec = None, None
    for k in range(module.count(".") + 1):
        spec = PathFinder.find_spec(".".join(module.split(".")[: k + 1]), folders)
        if spec is None:
            return None
        folders = spec.submodule_search_locations
    return spec

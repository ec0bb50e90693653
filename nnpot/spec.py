"""Modules that remember how they were built, so that a model file can hold them as plain JSON.

A specification is `{"class": "ACSF", "arguments": {"cutoff": 6.0, …}}`, nested where an argument is itself such a
module.  Classes are found by their name among the subclasses of :class:`Module` that Python has imported, or that an
installed package offers under this name by the entry point :data:`GROUP`: a file can name a class, it can never make
Python import or run anything else.
"""

import functools
import inspect
import logging
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from torch import nn

GROUP = "nnpot.modules"
"""Entry points of other packages: the name of a descriptor or potential, and where it is (`Name = "package:Name"`)."""

log = logging.getLogger("nnpot")

_classes: dict[str, type["Module"]] = {}


class Module(nn.Module):
    """A torch module that remembers its constructor arguments.

    Attributes:
        arguments: The arguments of the constructor, by name, defaults included.
    """

    arguments: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        known = _classes.get(cls.__name__)
        if known is not None and known.__module__.startswith("nnpot.") and known.__module__ != cls.__module__:
            raise TypeError(f"{cls.__name__} is the name of a class of nnpot, used in model files; choose another")
        _classes[cls.__name__] = cls
        if "__init__" in vars(cls):
            cls.__init__ = _remembering(cls.__init__)  # type: ignore[method-assign]

    def replaced(self, **changes: Any) -> Any:
        """Build a new module of the same class with some constructor arguments changed."""
        return type(self)(**{**self.arguments, **changes})


def _remembering(constructor: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def wrapper(self: Module, *args: Any, **kwargs: Any) -> None:
        if "arguments" not in self.__dict__:  # only the constructor that the user called, not those it calls
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            arguments = {k: v for k, v in bound.arguments.items() if k != "self"}
            object.__setattr__(self, "arguments", arguments)
        constructor(self, *args, **kwargs)

    return wrapper


def to_spec(value: Any) -> Any:
    """Describe a module, or an argument of one, by values that JSON can hold.

    Raises:
        TypeError: If an argument is neither a :class:`Module` nor plain data.
    """
    match value:
        case Module():
            arguments = {name: to_spec(v) for name, v in value.arguments.items()}
            return {"class": type(value).__name__, "arguments": arguments}
        case dict():
            return {str(k): to_spec(v) for k, v in value.items()}
        case list() | tuple():
            return [to_spec(v) for v in value]
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"cannot describe an argument of type {type(value).__name__} in a model file: {value!r}")


def build(spec: Any) -> Any:
    """Rebuild what :func:`to_spec` described; lists come back as tuples.

    Raises:
        ValueError: If the specification names a class that is not known, or whose package cannot be imported.
    """
    match spec:
        case {"class": name, "arguments": dict() as arguments}:
            return _class_called(name)(**{k: build(v) for k, v in arguments.items()})
        case dict():
            return {k: build(v) for k, v in spec.items()}
        case list():
            return tuple(build(v) for v in spec)
    return spec


def import_installed() -> None:
    """Import all descriptors and potentials that installed packages offer, so that a configuration may name them."""
    for entry in entry_points(group=GROUP):
        try:
            _import(entry)
        except ValueError as error:  # most trainings do without it
            log.warning("%s", error)


def _class_called(name: str) -> type[Module]:
    if name not in _classes:
        for entry in entry_points(group=GROUP, name=name):
            _import(entry)
    if name not in _classes:
        raise ValueError(
            f"the model uses the class {name!r}, which is not part of this nnpot; import the module "
            "that defines it first, or update nnpot"
        )
    return _classes[name]


def _import(entry: EntryPoint) -> None:
    try:
        entry.load()
    except Exception as error:  # of any kind: it is another's code
        package = "another package" if entry.dist is None else entry.dist.name
        raise ValueError(
            f"{entry.name} of {package} cannot be imported ({type(error).__name__}: {error}); mend or remove {package}"
        ) from error

"""Modules that remember how they were built, so that a model file can hold them as plain JSON.

A specification is `{"class": "ACSF", "arguments": {"cutoff": 6.0, …}}`, nested where an argument is itself such a
module.  Classes are found by their name among the subclasses of :class:`Module` that Python has imported, or that an
installed package offers under this name by the entry point :data:`GROUP`: a file can name a class, it can never make
Python import or run anything else.
"""

import functools
import inspect
import logging
import math
import types
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from torch import nn

from nnpot.guesses import OF_ARGUMENTS, missing

GROUP = "nnpot.modules"
"""Entry points of other packages: the name of a descriptor or potential, and where it is (`Name = "package:Name"`)."""

_MOST = 2**31
"""No whole number among the arguments is as large."""

log = logging.getLogger("nnpot")

_classes: dict[str, dict[str, type["Module"]]] = {}
"""Classes by their name, then by their module: the latest of one module, as a notebook defines it again."""


class Module(nn.Module):
    """A torch module that remembers its constructor arguments.

    Attributes:
        arguments: The arguments of the constructor, by name, defaults included.
        types_in_files: Types of arguments in model files where the constructor takes more than may stand there.
        instead: What to type in place of an attribute that is not there.
    """

    arguments: dict[str, Any]
    types_in_files: ClassVar[Mapping[str, Any]] = {}
    instead: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        known = _classes.setdefault(cls.__name__, {})
        if any(map(_is_own, known.values())) and cls.__module__ not in known:
            raise TypeError(f"{cls.__name__} is the name of a class of nnpot, used in model files; choose another")
        known[cls.__module__] = cls
        if "__init__" in vars(cls):
            cls.__init__ = _remembering(cls.__init__)  # type: ignore[method-assign]
        elif cls.__init__ is nn.Module.__init__:
            cls.__init__ = _remembering(_without_arguments)  # type: ignore[method-assign]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise missing(self, name, type(self).instead) from None

    def replaced(self, **changes: Any) -> Any:
        """Build a new module of the same class with some constructor arguments changed."""
        return type(self)(**{**self.arguments, **changes})


def _without_arguments(self: Module) -> None:
    """The constructor of a class that has none of its own."""
    nn.Module.__init__(self)


def _remembering(constructor: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def wrapper(self: Module, *args: Any, **kwargs: Any) -> None:
        if "arguments" not in self.__dict__:  # only the constructor that the user called, not those it calls
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError as error:
                known = list(signature.parameters)[1:]
                meant = [OF_ARGUMENTS[name] for name in kwargs if OF_ARGUMENTS.get(name) in known and name not in known]
                advice = f"; did you mean {meant[0]}?" if meant else ""
                raise TypeError(f"{type(self).__name__}({', '.join(known)}): {error}{advice}") from None
            bound.apply_defaults()
            _check_cutoff(type(self).__name__, bound.arguments.get("cutoff"))
            arguments = {k: v for k, v in bound.arguments.items() if k != "self"}
            object.__setattr__(self, "arguments", arguments)
        constructor(self, *args, **kwargs)

    return wrapper


def _check_cutoff(kind: str, cutoff: Any) -> None:
    """Refuse elements in the place of a cutoff, which often comes first.

    Raises:
        TypeError: If it is something other than a number or `auto`.
    """
    if isinstance(cutoff, list | tuple) or (isinstance(cutoff, str) and cutoff != "auto"):
        raise TypeError(f"cutoff of {kind} is a number in Å, got {cutoff!r}; elements: {kind}(elements=['H', 'O'])")


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
        ValueError: If the specification names a class that is not known, or whose package cannot be imported, an
            argument of a class of nnpot is not there, or one is of another type than the constructor says.
    """
    match spec:
        case {"class": name, "arguments": dict() as arguments}:
            kind = _class_called(name)
            built = {k: build(v) for k, v in arguments.items()}
            _check_arguments(kind, built)
            return kind(**built)
        case dict():
            return {k: build(v) for k, v in spec.items()}
        case list():
            return tuple(build(v) for v in spec)
    return spec


def names_own_classes(spec: Any) -> bool:
    """Return whether all classes that a specification names are those of nnpot."""
    match spec:
        case {"class": name, "arguments": dict() as arguments}:
            return _is_own(_class_called(name)) and all(map(names_own_classes, arguments.values()))
        case dict():
            return all(map(names_own_classes, spec.values()))
        case list():
            return all(map(names_own_classes, spec))
    return True


def _check_arguments(kind: type[Module], arguments: Mapping[str, Any]) -> None:
    """Check names and types of the arguments of a class: what a file leaves out must not become a default."""
    parameters = inspect.signature(kind).parameters.values()
    wanted = [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_POSITIONAL]
    missing, more = [n for n in wanted if n not in arguments], [n for n in arguments if n not in wanted]
    if _is_own(kind) and (missing or more):
        what = f"lacks {', '.join(missing)}" if missing else f"has no {', '.join(more)}"
        raise ValueError(f"{kind.__name__} {what}"[:200])
    try:
        hints = {**get_type_hints(kind.__init__), **kind.types_in_files}
    except Exception:  # another's annotations may name anything
        return
    for name, value in arguments.items():
        if not _fits(value, hints.get(name, Any)):
            raise ValueError(f"{name} of {kind.__name__} cannot be {_shown(value)}")


def _is_own(kind: type[Module]) -> bool:
    return kind.__module__.startswith("nnpot.")


def _shown(value: Any) -> str:
    text = type(value).__name__ if isinstance(value, Module) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _fits(value: Any, hint: Any) -> bool:
    """Whether plain data, or a module, are of the type of an annotation; numbers must be finite."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, h) for h in inside)
    if origin is Literal:
        return any(type(value) is type(known) and value == known for known in inside)
    if origin is tuple:
        hints = inside[:1] * len(value) if inside[1:] == (...,) and isinstance(value, tuple) else inside
        return _fit_one_by_one(value, hints)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(k, inside[0]) and _fits(v, inside[1]) for k, v in value.items())
    if hint in (int, float):
        return (type(value) is int and abs(value) < _MOST) or (type(value) is hint and math.isfinite(value))
    if hasattr(hint, "_fields"):  # a named tuple
        return _fit_one_by_one(value, tuple(get_type_hints(hint).values()))
    return not isinstance(hint, type) or isinstance(value, hint)


def _fit_one_by_one(values: Any, hints: tuple[Any, ...]) -> bool:
    return isinstance(values, tuple) and len(values) == len(hints) and all(map(_fits, values, hints))


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
    known = _classes[name]
    if len(known) > 1:
        raise ValueError(
            f"the model uses the class {name!r}, and {' and '.join(sorted(known))} each define one; import only "
            "that of the model, or give them different names"
        )
    return next(iter(known.values()))


def _import(entry: EntryPoint) -> None:
    try:
        entry.load()
    except Exception as error:  # of any kind: it is another's code
        package = "another package" if entry.dist is None else entry.dist.name
        raise ValueError(
            f"{entry.name} of {package} cannot be imported ({type(error).__name__}: {error}); mend or remove {package}"
        ) from error

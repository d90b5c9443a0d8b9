"""Whether a declaration holds what its fields say: a value of another type is refused where it was written.

For frozen dataclasses, from their `__post_init__`. What values must be besides is known to each of them.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from math import isfinite
from typing import Any, Literal, get_args, get_origin

from jobs.declared_place import place_of_caller
from jobs.errors import Invalid

_NAMES: dict[Any, str] = {
    str: "a text", bool: "True or False", int: "a whole number", float: "a finite number", timedelta: "a timedelta",
    date: "a date without a time", types.NoneType: "None",
}  # fmt: skip
LONGEST_SHOWN = 100


def check(
    declared: Any, misfits: Callable[[Any], Iterable[str]] = lambda _: (), advice: Mapping[str, str] | None = None
) -> None:
    """Raise Invalid if a field of a declaration holds a value that its annotation does not allow, or with the first of
    its misfits: what was expected, what was found and what to do.

    Args:
        advice: text that is no value of any field -> what to do instead.
    """
    for name, hint in _hints(type(declared)).items():
        value = getattr(declared, name)
        if not is_of(value, hint):
            instead = (advice or {}).get(value, "correct it") if isinstance(value, str) else "correct it"
            raise _refused(declared, f"{name}: expected {in_words(hint)}, found {shown(value)}; {instead}")
    for misfit in misfits(declared):
        raise _refused(declared, misfit)


def _refused(declared: Any, misfit: str) -> Invalid:
    """The error of a declaration: what it is, what is wrong, and where it stands."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(declared).__name__).lower()
    name, place = getattr(declared, "name", None), place_of_caller(__file__, inspect.getfile(type(declared)))
    title = f"{kind} {name}" if isinstance(name, str) and name else kind
    return Invalid(f"{title}: {misfit} (declared in {place.file}, line {place.line})")


def is_of(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type; a bool is no number, a moment no date, and NaN nothing."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in arguments)
    if origin in (typing.Union, types.UnionType):
        return any(is_of(value, each) for each in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and _are_of(value, arguments)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_are_of(pair, arguments) for pair in value.items())
    if origin is not None and issubclass(origin, Callable):  # type: ignore[arg-type]
        return callable(value)
    return _is_plain(value, hint)


def _are_of(values: tuple[Any, ...], hints: tuple[Any, ...]) -> bool:
    if hints[1:] == (...,):
        hints = hints[:1] * len(values)
    return len(values) == len(hints) and all(is_of(value, hint) for value, hint in zip(values, hints, strict=True))


def _is_plain(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is date:
        return isinstance(value, date) and not isinstance(value, datetime)
    return isinstance(value, kind)


def in_words(hint: Any) -> str:
    """What an annotation allows, for people."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(in_words, arguments))
    if origin is tuple and arguments[1:] == (...,):
        return f"a tuple, each {in_words(arguments[0])}"
    if origin is tuple:
        return f"a tuple of {', '.join(map(in_words, arguments))}"
    if origin is not None and issubclass(origin, Mapping):
        return f"a mapping of {in_words(arguments[0])} to {in_words(arguments[1])}"
    if origin is not None:
        return "a function"
    return _NAMES.get(hint) or ("anything" if hint is Any else f"a {hint.__name__}")


def shown(value: Any) -> str:
    """A value as it was written, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}

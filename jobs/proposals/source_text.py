"""Declarations as the Python text that makes them, laid out as `ruff format` does; comments stand above what they say.

Only what differs from a field's default is written.
"""

from __future__ import annotations

import dataclasses
import json
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from jobs.problem import Family, Range
from jobs.use_case import Column
from jobs.window_lengths import BEFORE
from jobs.windows import Aggregate, Ratio

WIDTH, INDENT = 120, "    "
_UNITS = (("DAY", timedelta(days=1)), ("HOUR", timedelta(hours=1)), ("SECOND", timedelta(seconds=1)))
_BY_PLACE: dict[type, int] = {Column: 2, Family: 1, Aggregate: 1, Range: 2, Ratio: 3}
"""Fields that are written without their names."""
_FIRST = ("name", "description")


@dataclasses.dataclass(frozen=True)
class Name:
    """A name of Python, written as it is."""

    text: str


@dataclasses.dataclass(frozen=True, eq=False)
class SourceText:
    """Writes values; some are written as names, some with comments above."""

    names: Mapping[int, str]
    """`id` of a value -> the name that the file has for it."""
    comments: Mapping[int, str]
    """`id` of a value -> what is said above it."""

    def assigned(self, name: str, value: Any) -> str:
        """A statement that gives a value a name."""
        said = _commented(self.comments.get(id(value), ""), 0)
        return "\n".join([*said, self._text(value, f"{name} = ", "", 0, own=True)])

    def _text(self, value: Any, before: str, after: str, depth: int, own: bool = False) -> str:
        """A value with what stands before and after it: in one line, or in several where that is too long."""
        short = self._short(value, own)
        if short is not None and _width(INDENT * depth + before + short + after) <= WIDTH:
            return f"{INDENT * depth}{before}{short}{after}"
        opening, items, closing = self._parts(value, own)
        if not items:
            return f"{INDENT * depth}{before}{short or opening + closing}{after}"
        lines = [f"{INDENT * depth}{before}{opening}"]
        for prefix, item in items:
            lines += _commented(self._comment(item), depth + 1)
            lines.append(self._text(item, prefix, ",", depth + 1))
        return "\n".join([*lines, f"{INDENT * depth}{closing}{after}"])

    def _short(self, value: Any, own: bool = False) -> str | None:
        """A value in one line; None if a comment stands within it."""
        if not own and id(value) in self.names:
            return self.names[id(value)]
        if _is_plain(value):
            return plain_text(value)
        opening, items, closing = self._parts(value, own)
        texts = [self._short(item) for _, item in items]
        if any(text is None or self._comment(item) for text, (_, item) in zip(texts, items, strict=True)):
            return None
        inside = ", ".join(f"{prefix}{text}" for text, (prefix, _) in zip(texts, items, strict=True))
        return f"{opening}{inside}{',' if isinstance(value, tuple) and len(items) == 1 else ''}{closing}"

    def _comment(self, item: Any) -> str:
        """What is said above an item; nothing above a name, as it stands where that is given."""
        return "" if id(item) in self.names else self.comments.get(id(item), "")

    def _parts(self, value: Any, own: bool) -> tuple[str, list[tuple[str, Any]], str]:
        """The brackets of a value, and what is in them: prefix and value each."""
        if (not own and id(value) in self.names) or _is_plain(value):
            return "", [], ""
        if isinstance(value, Mapping):
            return "{", [(f"{plain_text(key)}: ", item) for key, item in value.items()], "}"
        if isinstance(value, list | tuple):
            brackets = "[]" if isinstance(value, list) else "()"
            return brackets[0], [("", item) for item in value], brackets[1]
        return f"{type(value).__name__}(", list(_fields(value)), ")"


def _fields(value: Any) -> Iterable[tuple[str, Any]]:
    """The fields of a dataclass that differ from their defaults, those without names first."""
    by_place = _BY_PLACE.get(type(value), 0)
    if isinstance(value, Aggregate) and value.column is not None:
        by_place = 2
    fields = list(dataclasses.fields(value))
    for number, field in enumerate(sorted(fields, key=lambda f: not by_place and f.name not in _FIRST)):
        given = getattr(value, field.name)
        if number < by_place:
            yield "", given
        elif given != _default(field):
            yield f"{field.name}=", given


def _default(field: dataclasses.Field[Any]) -> Any:
    """The default of a field; an object that nothing equals if it has none."""
    if field.default is not dataclasses.MISSING:
        return field.default
    factory: Callable[[], Any] | Any = field.default_factory
    return object() if factory is dataclasses.MISSING else factory()


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | timedelta | date | Name)


def plain_text(value: Any) -> str:
    """A value without parts, as Python has it."""
    if isinstance(value, Name):
        return value.text
    if isinstance(value, str):
        return repr(value) if '"' in value and "'" not in value else json.dumps(value, ensure_ascii=False)
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, date):
        return f"date({value.year}, {value.month}, {value.day})"
    return f"{value:_}" if type(value) is int and abs(value) > 9_999 else repr(value)


def _duration(value: timedelta) -> str:
    if value == BEFORE:
        return "BEFORE"
    unit, length = next((each for each in _UNITS if value and not value % each[1]), _UNITS[-1])
    count = value / length
    number = f"{count:.0f}" if count == round(count) else f"{count!r}"
    return unit if count == 1 else f"{number} * {unit}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _commented(text: str, depth: int) -> Sequence[str]:
    head = f"{INDENT * depth}# "
    wrapped = textwrap.wrap(text, WIDTH - len(head), break_on_hyphens=False)
    return [head + line for line in wrapped]

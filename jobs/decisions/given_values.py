"""Values of columns as clients send them in JSON, checked and brought to what facts hold: one function per column."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from math import inf, isfinite
from typing import Any, Literal

from jobs.errors import Invalid
from jobs.ingest.identifier_text import canonical_identifier
from jobs.online.column_type import Kind
from jobs.times import microseconds
from jobs.use_case import Column

Reader = Callable[[Any], Any]
"""From a value that is not null to what facts hold of it; raises Invalid."""
Form = Literal["number", "integer", "boolean", "text", "identifier", "category", "time", "vector"]
"""What a client sends: an identifier is a text that is not blank (numbers are integers), a category is a text or an
integer, a time is ISO 8601, a vector is a list of numbers."""
LONGEST_TEXT, LONGEST_IDENTIFIER = 100_000, 1000
_SHOWN = 60


def form_of(column: Column, kind: Kind | None, *, is_key: bool = False) -> Form:
    """What JSON has to hold for a column.

    Args:
        kind: what the table of events holds there, which decides what an identifier is.
        is_key: it says which event is meant, and so has to name one, also where it is declared as a string.
    """
    if column.kind in ("timestamp", "vector"):
        return "time" if column.kind == "timestamp" else "vector"
    if column.kind == "boolean" or kind == "bool":
        return "boolean"
    if column.kind == "category":
        return "category"
    if kind == "string" and (column.kind == "identifier" or (is_key and column.kind == "string")):
        return "identifier"
    if column.kind in ("text", "string"):
        return "text"
    whole = column.kind == "integer" or (column.kind == "identifier" and kind in ("int64", None))
    return "integer" if whole else "number"


def reader(column: Column, kind: Kind | None, *, is_key: bool = False) -> Reader:
    """What reads the values of a column; kind, is_key: as `form_of` takes them."""
    return _READERS[form_of(column, kind, is_key=is_key)](column)


def _of_numbers(column: Column) -> Reader:
    least = -inf if column.minimum is None else column.minimum
    most = inf if column.maximum is None else column.maximum

    def read(value: Any) -> float:
        if type(value) is not float and type(value) is not int:
            raise _refused(column, "a number", value)
        try:
            number = float(value)
        except OverflowError:
            raise _refused(column, "a number that is a double", value) from None
        if not isfinite(number) or not least <= number <= most:
            raise _refused(column, f"a finite number{_bounds(column)}", value)
        # Added zero makes one number of 0.0 and -0.0.
        return number + 0.0

    return read


def _of_integers(column: Column) -> Reader:
    least = -(2**63) if column.minimum is None else column.minimum
    most = 2**63 - 1 if column.maximum is None else column.maximum

    def read(value: Any) -> int:
        if type(value) is float and value.is_integer() and abs(value) <= 2**53:
            value = int(value)
        if type(value) is not int or not least <= value <= most or not -(2**63) <= value < 2**63:
            raise _refused(column, f"an integer of 64 bits{_bounds(column)}", value)
        return value

    return read


def _of_booleans(column: Column) -> Reader:
    def read(value: Any) -> bool:
        if type(value) is not bool:
            raise _refused(column, "true or false", value)
        return value

    return read


def _of_texts(column: Column) -> Reader:
    is_category = column.kind == "category"

    def read(value: Any) -> str:
        if is_category and type(value) is int:
            value = str(value)
        if type(value) is not str or len(value) > LONGEST_TEXT or "\0" in value:
            raise _refused(column, f"a text of at most {LONGEST_TEXT:,} characters, none of them NUL", value)
        return value

    return read


def _of_identifiers(column: Column) -> Reader:
    """Texts that name one thing, as tables have them: identifiers in their one form, strings as they are."""

    def read(value: Any) -> str:
        is_short = type(value) is str and len(value) <= LONGEST_IDENTIFIER
        identifier = canonical_identifier(value) if is_short else None
        if identifier is None:
            said = f"a text of 1 to {LONGEST_IDENTIFIER:,} characters that names one thing: not blank, no word for none"
            raise _refused(column, f"{said} ('null', 'n/a'), no boolean, list or object, no rounded number", value)
        return identifier if column.kind == "identifier" else str(value)

    return read


def _of_times(column: Column) -> Reader:
    def read(value: Any) -> int:
        try:
            if type(value) is not str:
                raise ValueError
            moment = datetime.fromisoformat(value)
            return microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            raise _refused(column, "a time in ISO 8601, as 2026-05-01T14:02:00Z", value) from None

    return read


def _of_vectors(column: Column) -> Reader:
    """Vectors stay lists of floats; tables hold their JSON."""
    length = column.length

    def read(value: Any) -> list[float]:
        if type(value) is not list or len(value) != length:
            raise _refused(column, f"a list of {length} numbers", value)
        if not all(type(one) in (int, float) and isfinite(one) for one in value):
            raise _refused(column, f"a list of {length} finite numbers", value)
        return [float(one) for one in value]

    return read


_READERS: dict[Form, Callable[[Column], Reader]] = {
    "number": _of_numbers, "integer": _of_integers, "boolean": _of_booleans, "text": _of_texts,
    "identifier": _of_identifiers, "category": _of_texts, "time": _of_times, "vector": _of_vectors,
}  # fmt: skip


def _bounds(column: Column) -> str:
    parts = [
        f"{word} {bound:g}" for word, bound in (("from", column.minimum), ("to", column.maximum)) if bound is not None
    ]
    return f" {' '.join(parts)}" if parts else ""


def _refused(column: Column, expected: str, value: Any) -> Invalid:
    text = repr(value)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return Invalid(f"column {column.name}: expected {expected}, found {shown}; correct it")

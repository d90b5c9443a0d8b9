"""One JSON object as the values of a record: numbers keep their digits, and nothing is said twice.

Many at once, and whole files: see `jobs.ingest.json_records`.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from jobs.errors import EvergreenError
from jobs.ingest.csv_records import LINE, MALFORMED

NO_OBJECT, NAME_TWICE = "no JSON object", "a name twice in one JSON object"
"""Why a text is no record."""


class ObjectRead(NamedTuple):
    """The values of a text by their names, as text, and why it is no record."""

    values: Mapping[str, str | None]
    fault: str | None = None


class NoRecord(EvergreenError, ValueError):
    """Why a text, or what it says, is no record."""


class _Number(str):
    """The digits of a number with a point or an exponent, which are those of a program."""


class _Twice(dict[str, Any]):
    """An object that says something twice, of which the last."""


def read_object(text: str) -> ObjectRead:
    """What a text says, an object or a list within as its JSON; of a text that is no object, nothing but the reason."""
    try:
        return ObjectRead(as_texts(parsed(text)))
    except NoRecord as reason:
        return ObjectRead({}, str(reason))


def parsed(text: str) -> dict[str, Any]:
    """The object that a text is, with texts instead of numbers. Raises NoRecord with the reason if it is none."""
    try:
        said = _DECODER.decode(text)
        if r"\u" in text:  # may be half of a character, which no table can hold
            json.dumps(said, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise NoRecord(NO_OBJECT) from error
    if isinstance(said, _Twice):
        raise NoRecord(NAME_TWICE)
    if not isinstance(said, dict):
        raise NoRecord(NO_OBJECT)
    return said


def as_texts(said: Mapping[str, Any]) -> dict[str, str | None]:
    """The values of an object as text, an object or a list within as its JSON. Raises NoRecord if it is too deep."""
    try:
        return {name: _text(value) for name, value in said.items()}
    except RecursionError as error:
        raise NoRecord(NO_OBJECT) from error


def as_frame(read: Sequence[ObjectRead], lines: pl.Series, most_names: int | None = None) -> pl.DataFrame:
    """The objects in rows by the names in any of them, with their `_line` and `_malformed`.

    most_names: of more names those that most objects have; None: all.
    """
    counts = Counter(name for each in read for name in each.values)
    names = dict(counts.most_common(most_names)) if most_names is not None and len(counts) > most_names else counts
    columns = {name: _filled([each.values.get(name) for each in read]) for name in names}
    columns[LINE] = lines
    columns[MALFORMED] = pl.Series([each.fault for each in read], dtype=pl.String)
    return pl.DataFrame(columns)


def _filled(values: list[str | None]) -> pl.Series:
    """The values; an empty text is no more of one than a text that is not there, as in CSV."""
    texts = pl.Series("text", values, dtype=pl.String)
    return texts.to_frame().select(pl.when(pl.col("text") != "").then("text")).to_series()


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else _Twice(made)


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_int=str, parse_float=_Number, parse_constant=str)

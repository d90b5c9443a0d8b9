"""JSON Lines as records: one object a line, its values as text, none lost and none rounded.

Numbers keep their digits; an object or a list within a record is its JSON, with numbers as text. What the values mean
is known to `jobs.ingest.parsing`.
"""

import gzip
import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from jobs.ingest.csv_records import LINE, MALFORMED
from jobs.ingest.declared_formats import IN_GROUPS
from jobs.ingest.registered_inputs import InputError
from jobs.ingest.text_files import GZIP

NO_OBJECT, NAME_TWICE = "no JSON object in one line", "a name twice in one JSON object"
"""Why a line is no record."""
_LONGEST_LINE = 1_000_000
_LOOKED_AT, _MOST_NAMES = 100, 25
"""So many lines are looked at for names that others may share, and so many names are taken apart by one pattern."""
_BLANK = r"[ \t\r]*"
_PLAIN = r"""(?:"([^"\\\x00-\x1f]*)"|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null))"""
"""A text without escapes, or a number or word of JSON."""
_IS_GROUPED = re.compile(IN_GROUPS).search


class _Number(str):
    """The digits of a number with a point or an exponent, which are those of a program."""


class _Twice(dict[str, Any]):
    """An object that says something twice, of which the last."""


def is_json_lines(file: Path) -> bool:
    """Whether a file begins with an object in a line of its own, and goes on with another."""
    with file.open("rb") as plain:
        zipped = plain.read(len(GZIP)) == GZIP
    try:
        with gzip.open(file) if zipped else file.open("rb") as lines:
            first, after = lines.readline(_LONGEST_LINE), lines.read(1)
        return after == b"{" and _read(first.decode("utf-8-sig"))[1] is None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return False


def records(path: Path, lines: pl.Series) -> tuple[pl.DataFrame, frozenset[str]]:
    """The records of a file by the names in any of them, with `_line` and `_malformed`; a blank line is no record.

    And the names whose values can be read in one way only: numbers of JSON, and text that is not like them. Raises
    InputError if no line is a record.
    """
    filled = (
        lines.alias("text").to_frame().with_row_index(LINE, offset=1).filter(pl.col("text").str.strip_chars() != "")
    )
    alike, names, texts = _alike(filled)
    others = filled.join(alike.select(LINE), on=LINE, how="anti", maintain_order="left")
    read = [_read(line) for line in others["text"]]
    names = list(dict.fromkeys([*names, *(name for record, _ in read for name in record)]))
    if not names:
        raise InputError(
            f"{path}: expected JSON Lines, an object in every line, found none in {len(read)} lines; convert the file"
        )
    values = {name: [record.get(name) for record, _ in read] for name in names}
    columns = {name: _texts(found) for name, found in values.items()}
    columns[LINE] = others[LINE]
    columns[MALFORMED] = pl.Series([fault for _, fault in read], dtype=pl.String)
    texts |= {name for name, found in values.items() if any(type(v) is str and _IS_GROUPED(v.strip()) for v in found)}
    return pl.concat([alike, pl.DataFrame(columns)], how="diagonal").sort(LINE), frozenset(names) - texts


def _alike(lines: pl.DataFrame) -> tuple[pl.DataFrame, list[str], set[str]]:
    """The records of lines that have the names of the first one in its order, and plain values: taken apart at once.

    With those names, and which of them have text like a number with marks between thousands.
    """
    first = next((record for record, _ in map(_read, lines["text"].head(_LOOKED_AT)) if record), {})
    names = [] if len(first) > _MOST_NAMES or {LINE, MALFORMED} & first.keys() else list(first)
    if not names:
        return lines.clear().select(LINE, pl.lit(None, pl.String).alias(MALFORMED)), [], set()
    parts = lines["text"].str.extract_groups(_pattern(names)).struct.unnest()
    text, literal = ([f"{2 * n + which}" for n in range(len(names))] for which in (1, 2))
    is_record = pl.coalesce(text[0], literal[0]).is_not_null()
    columns = [
        # An empty text is no more of a value than one that is not there, as in CSV.
        pl.coalesce(pl.when(pl.col(t) != "").then(t), pl.when(pl.col(x) != "null").then(x)).alias(name)
        for t, x, name in zip(text, literal, names, strict=True)
    ]
    grouped = parts.select(pl.col(t).str.strip_chars().str.contains(IN_GROUPS).any() for t in text).row(0)
    alike = parts.select(*columns, lines[LINE], pl.lit(None, pl.String).alias(MALFORMED)).filter(
        parts.select(is_record).to_series()
    )
    return alike, names, {name for name, is_grouped in zip(names, grouped, strict=True) if is_grouped}


def _pattern(names: Sequence[str]) -> str:
    """Pattern of a line that is an object of these names in this order, with plain values: two groups for each."""
    escaped = ("".join(rf"\x{{{ord(c):x}}}" for c in json.dumps(name, ensure_ascii=False)) for name in names)
    fields = rf"{_BLANK},{_BLANK}".join(f"{name}{_BLANK}:{_BLANK}{_PLAIN}" for name in escaped)
    return rf"^{_BLANK}\{{{_BLANK}{fields}{_BLANK}\}}{_BLANK}$"


def _read(line: str) -> tuple[dict[str, Any], str | None]:
    """The values of a line, numbers as text, and why it is no record."""
    try:
        record = _DECODER.decode(line)
        if r"\u" in line:  # may be half of a character, which no table can hold
            json.dumps(record, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return {}, NO_OBJECT
    if isinstance(record, _Twice):
        return {}, NAME_TWICE
    return (record, None) if isinstance(record, dict) else ({}, NO_OBJECT)


def _texts(values: list[Any]) -> pl.Series:
    """Values as text; an empty text is no more of a value than one that is not there, as in CSV."""
    if not set(map(type, values)) <= {str, type(None)}:
        values = [_text(value) for value in values]
    texts = pl.Series("text", values, dtype=pl.String)
    return texts.to_frame().select(pl.when(pl.col("text") != "").then("text")).to_series()


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else _Twice(made)


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_int=str, parse_float=_Number, parse_constant=str)

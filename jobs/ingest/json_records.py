"""JSON Lines as records: one object a line, its values as text, none lost and none rounded.

Numbers keep their digits; an object or a list within a record is its JSON, with numbers as text. What the values mean
is known to `jobs.ingest.parsing`.
"""

import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

import polars as pl

from jobs.ingest.csv_records import LINE, MALFORMED
from jobs.ingest.registered_inputs import InputError
from jobs.ingest.text_files import GZIP

NO_OBJECT, NAME_TWICE = "no JSON object in one line", "a name twice in one JSON object"
"""Why a line is no record."""
_LONGEST_LINE = 1_000_000
_LIKE_THOUSANDS = re.compile(r"\.\d{3}$")


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


def records(path: Path, lines: pl.Series) -> pl.DataFrame:
    """The records of a file by the names in any of them, with `_line` and `_malformed`; a blank line is no record.

    Raises InputError if no line is a record.
    """
    filled = [(number, line) for number, line in enumerate(lines.to_list(), 1) if line.strip()]
    read = [_read(line) for _, line in filled]
    names = list(dict.fromkeys(name for record, _ in read for name in record))
    if not names:
        raise InputError(
            f"{path}: expected JSON Lines, an object in every line, found none in {len(read)} lines; convert the file"
        )
    columns = {name: _texts([record.get(name) for record, _ in read]) for name in names}
    columns[LINE] = pl.Series([number for number, _ in filled], dtype=pl.UInt32)
    columns[MALFORMED] = pl.Series([fault for _, fault in read], dtype=pl.String)
    return pl.DataFrame(columns)


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


def _digits(number: str) -> str:
    """A number as it is written, but for one whose point could be taken for a mark between thousands."""
    return f"{number}0" if _LIKE_THOUSANDS.search(number) else number


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_int=str, parse_float=_digits, parse_constant=str)

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

import polars as pl

from jobs.ingest.csv_records import LINE, MALFORMED
from jobs.ingest.declared_formats import IN_GROUPS
from jobs.ingest.json_objects import as_frame, read_object
from jobs.ingest.registered_inputs import InputError
from jobs.ingest.text_files import GZIP

TEXT = "text"
_LONGEST_LINE = 1_000_000
_LOOKED_AT, _MOST_NAMES = 100, 25
"""So many lines are looked at for names that others may share, and so many names are taken apart by one pattern."""
_BLANK = r"[ \t\r]*"
_PLAIN = r"""(?:"([^"\\\x00-\x1f]*)"|(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null))"""
"""A text without escapes, or a number or word of JSON."""
_IS_GROUPED = re.compile(IN_GROUPS).search


def is_json_lines(file: Path) -> bool:
    """Whether a file begins with an object in a line of its own, and goes on with another."""
    with file.open("rb") as plain:
        zipped = plain.read(len(GZIP)) == GZIP
    try:
        with gzip.open(file) if zipped else file.open("rb") as lines:
            first, after = lines.readline(_LONGEST_LINE), lines.read(1)
        return after == b"{" and read_object(first.decode("utf-8-sig")).fault is None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return False


def records(path: Path, lines: pl.Series) -> tuple[pl.DataFrame, frozenset[str]]:
    """The records of a file, as `records_of` returns them; a blank line is no record.

    Raises InputError if no line is a record.
    """
    filled = lines.alias(TEXT).to_frame().with_row_index(LINE, offset=1).filter(pl.col(TEXT).str.strip_chars() != "")
    found, unambiguous = records_of(filled)
    if set(found.columns) == {LINE, MALFORMED}:
        raise InputError(
            f"{path}: expected JSON Lines, an object in every line, found none in {filled.height} lines; convert the "
            "file"
        )
    return found, unambiguous


def records_of(lines: pl.DataFrame, most_names: int | None = None) -> tuple[pl.DataFrame, frozenset[str]]:
    """The records of numbered texts (`_line`, `text`) by the names in any of them, with `_line` and `_malformed`.

    And the names whose values can be read in one way only: numbers of JSON, and text that is not like them.

    most_names: of more names in texts that are not alike, those that most of them have; None: all.
    """
    alike, names, texts = _alike(lines)
    if alike.height == lines.height:
        return alike, frozenset(names) - texts
    others = lines.join(alike.select(LINE), on=LINE, how="anti", maintain_order="left")
    read = [read_object(text) for text in others[TEXT]]
    names = [*names, *(name for each in read for name in each.values)]
    for each in read:
        texts |= {name for name, value in each.values.items() if type(value) is str and _IS_GROUPED(value.strip())}
    found = pl.concat([alike, as_frame(read, others[LINE], most_names)], how="diagonal").sort(LINE)
    return found, frozenset(names) - texts


def _alike(lines: pl.DataFrame) -> tuple[pl.DataFrame, list[str], set[str]]:
    """The records of lines that have the names of the first one in its order, and plain values: taken apart at once.

    With those names, and which of them have text like a number with marks between thousands.
    """
    first = next((each.values for each in map(read_object, lines[TEXT].head(_LOOKED_AT)) if each.values), {})
    names = [] if len(first) > _MOST_NAMES or {LINE, MALFORMED} & first.keys() else list(first)
    if not names:
        return lines.clear().select(LINE, pl.lit(None, pl.String).alias(MALFORMED)), [], set()
    parts = lines[TEXT].str.extract_groups(_pattern(names)).struct.unnest()
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

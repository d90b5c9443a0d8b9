"""Values that are texts of JSON objects, each a row by the names of its columns."""

from __future__ import annotations

import polars as pl

from jobs.ingest.csv_records import LINE, MALFORMED
from jobs.ingest.json_records import TEXT, records_of
from jobs.messages.message import Decoded, Values

NO_TEXT, TOMBSTONE = "no text in UTF-8", "a tombstone, which has no value"
"""Why a value is no record."""

MOST_NAMES = 1_000
"""Names that are read of some messages; more are ones that a producer makes up, and a table of them all has no end."""


def rows(values: Values) -> Decoded:
    """The rows that values are."""
    texts = numbered_texts(values)
    found, _ = records_of(texts.filter(pl.col(MALFORMED).is_null()).select(LINE, TEXT), MOST_NAMES)
    others = texts.filter(pl.col(MALFORMED).is_not_null()).select(LINE, MALFORMED)
    return Decoded.plain(pl.concat([found, others], how="diagonal").sort(LINE))


def numbered_texts(values: Values) -> pl.DataFrame:
    """The text of each value, its number from 1, and why it has none."""
    texts = pl.Series(TEXT, [_text(value) for value in values], pl.String)
    is_tombstone = pl.Series([value is None for value in values], dtype=pl.Boolean)
    fault = pl.when(is_tombstone).then(pl.lit(TOMBSTONE)).when(pl.col(TEXT).is_null()).then(pl.lit(NO_TEXT))
    return texts.to_frame().with_row_index(LINE, offset=1).with_columns(fault.alias(MALFORMED))


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None

"""Quarantine tables: rows that were not let in, as found, with the reasons; append-only.

Which rows are bad is decided by `jobs.ingest.contracts` and `jobs.ingest.row_versions`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from jobs.ingest import calendar
from jobs.ingest.advice import advice
from jobs.ingest.contracts import COLUMNS, REASONS
from jobs.ingest.csv_records import LINE
from jobs.ingest.parsing import UTC, Batch
from jobs.ingest.readers import FILE, FOUND
from jobs.ingest.registered_inputs import InputError
from jobs.lakehouse.envelope import DELETED
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Source

SCHEMA = pa.schema(
    {
        "row": pa.string(),
        "reasons": pa.string(),
        "columns": pa.string(),
        "file": pa.string(),
        "as_of": pa.timestamp("us", "UTC"),
        "row_hash": pa.string(),
    }
)
UNKNOWN = "unknown "
"""How the reason of a row begins that waits for what it refers to; its JSON holds the canonical values."""


def table_of(raw_table: str) -> str:
    return f"{raw_table}_quarantine"


def entries(bad: pl.DataFrame, files: Sequence[Path], as_of: datetime) -> pl.DataFrame:
    """Bad rows as rows of a quarantine table: all values as text in one JSON object."""
    names = [c.removeprefix(FOUND) for c in bad.columns if c.startswith(FOUND)]
    # As text, since a NaN has no place in JSON and an amount like 12,50 stays as it was.
    text = [calendar.as_text(pl.col(FOUND + n), bad.schema[FOUND + n]).alias(n) for n in names]
    # Of messages that are no records there may be no value at all.
    encoded = pl.struct(text).struct.json_encode() if text else pl.repeat("{}", pl.len())
    rows = bad.select(encoded).to_series()
    paths = [str(p) for p in files]
    return pl.DataFrame(
        {
            "row": rows,
            "reasons": bad[REASONS].list.join("; "),
            "columns": bad[COLUMNS].list.join(", "),
            "file": bad[FILE].replace_strict(dict(enumerate(paths)), return_dtype=pl.String),
            "as_of": pl.Series([as_of], dtype=UTC).new_from_index(0, bad.height),
            "row_hash": pl.Series(
                [hashlib.sha256(r.encode()).hexdigest()[:32] for r in rows],
                dtype=pl.String,
            ),
        }
    ).unique(["file", "row_hash"], keep="first", maintain_order=True)


def reason_counts(bad: pl.DataFrame) -> dict[str, int]:
    """Reason -> rows that are bad for it, the commonest first."""
    counted = bad[REASONS].explode().drop_nulls().value_counts(sort=True)
    return dict(counted.iter_rows())


def append(lakehouse: Lakehouse, table: str, entries: pl.DataFrame) -> int:
    """Append the entries that the quarantine of a raw table does not hold yet; returns how many."""
    if entries.is_empty():
        return 0
    quarantine = table_of(table)
    if lakehouse.exists(quarantine):
        stored = pl.DataFrame(lakehouse.to_arrow(quarantine, columns=["file", "row_hash"]))
        entries = entries.join(stored, on=["file", "row_hash"], how="anti", maintain_order="left")
    if entries.is_empty():
        return 0
    # Batches need no engine, which a stream may have to do without for a while.
    lakehouse.write(quarantine, entries.to_arrow().cast(SCHEMA).to_reader(), mode="append", schema=SCHEMA)
    return entries.height


def waiting(lakehouse: Lakehouse, table: str, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Canonical rows of a raw table that were sound but referred to something unknown (released or not); deletions,
    which only streams let in, are left out."""
    quarantine = table_of(table)
    empty = pl.DataFrame(schema=dict(types))
    if not lakehouse.exists(quarantine):
        return empty
    stored = pl.DataFrame(lakehouse.to_arrow(quarantine, columns=["row", "reasons"]))
    rows = stored.filter(pl.col("reasons").str.starts_with(UNKNOWN))["row"].unique(maintain_order=True)
    waits = [row for row in map(json.loads, rows) if DELETED not in row]
    if not waits:
        return empty
    text = pl.DataFrame(waits, schema=dict.fromkeys(types, pl.String))
    return text.select(from_text(n, t) for n, t in types.items())


def as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """A canonical column as text that `from_text` reads back exactly."""
    if dtype == UTC:
        return pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").alias(name)
    return pl.col(name).cast(pl.String)


def from_text(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == UTC:
        return pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.6fZ", time_unit="us", time_zone="UTC")
    if dtype == pl.Boolean:
        return pl.col(name) == "true"
    return pl.col(name).cast(dtype)


def no_valid_rows(source: Source, batch: Batch, reasons: Mapping[str, int], table: str = "") -> InputError:
    """The error of a load whose rows are all bad; `table` is the quarantine that holds them."""
    if batch.frame.is_empty():
        paths = ", ".join(map(str, batch.files))
        return InputError(f"{paths}: expected rows of {source.name}, found none; deliver the file again")
    why = "; ".join(f"{reason} ({n:,} rows)" for reason, n in list(reasons.items())[:5])
    where = f" The rows are in {table}." if table else ""
    return InputError(
        f"{', '.join(map(str, batch.files))}: expected valid rows of {source.name}, found none among "
        f"{batch.frame.height:,}: {why}.{where} Mend the file, or declare what it holds in a columns file (`--columns`)"
        f"{_how_to_read(source, batch)}"
    )


def _how_to_read(source: Source, batch: Batch) -> str:
    """The first value of each column that does not parse, and what a columns file could say about it."""
    lines = []
    for column in source.columns:
        unread = unparsed(batch.frame, column.name)
        if not unread.is_empty():
            value, line = unread[0, FOUND + column.name], unread[0, LINE]
            said = advice(source, column, unread[FOUND + column.name])
            lines.append(f"\n{column.name}: {str(value)[:100]!r} in line {line} is no {column.kind}. Say: {said}")
    return ":" + "".join(lines) if lines else ""


def unparsed(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """The rows of a batch whose value of a column was found and not understood, with that value as text."""
    if FOUND + column not in frame.columns:
        return frame.clear()
    rows = frame.filter(pl.col(FOUND + column).is_not_null() & pl.col(column).is_null())
    return rows.with_columns(calendar.as_text(pl.col(FOUND + column), frame.schema[FOUND + column]))

"""Keys that files lack, made of what their rows hold: the same row has the same key in whatever file it comes.

Which columns make a key is declared (`jobs.use_case.Column.made_of`).
"""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import polars as pl

from jobs.ingest.input_files import table_of
from jobs.ingest.readers import FILE, FOUND, KNOWN_AT
from jobs.use_case import Column, Source

DIGEST_BYTES = 8
_DIGEST, _AT, _PLACE, _DELIVERY = "_digest", "_at", "_place", "_delivery"


def made_columns(source: Source, frame: pl.DataFrame) -> list[Column]:
    """Columns that no file of a batch has, and that are made of others."""
    return [c for c in source.columns if c.made_of and FOUND + c.name not in frame.columns]


def with_made_keys(source: Source, frame: pl.DataFrame, files: Sequence[Path]) -> pl.DataFrame:
    """Canonical rows with the columns that are made of others; null where the first of those is.

    A value is that of the first column, a digest of all of them, and the row's place among the rows of its file that
    are equal in them. So equal rows of one file are rows of their own, and a row that another file delivers again is
    the same row: the order of rows does not change a key, nor do further rows and files. Parts that a writer made of
    one table are one file.
    """
    if not (made := made_columns(source, frame)):
        return frame
    delivery = _delivery(frame, files)
    return frame.with_columns(_made(source, column, frame, delivery).alias(column.name) for column in made)


def repeats(column: Column, frame: pl.DataFrame, files: Sequence[Path]) -> int:
    """How many rows are equal to an earlier one of their file in all that a column is made of."""
    equal = frame.select(column.made_of).with_columns(_delivery(frame, files))
    return equal.height - equal.n_unique()


def _delivery(frame: pl.DataFrame, files: Sequence[Path]) -> pl.Series:
    """The number of the first file of each row's table."""
    tables = [table_of(file) for file in files]
    return frame[FILE].replace([*range(len(files))], [tables.index(table) for table in tables]).alias(_DELIVERY)


def _made(source: Source, column: Column, frame: pl.DataFrame, delivery: pl.Series) -> pl.Series:
    values = frame.select(_exact(name, frame.schema[name]) for name in column.made_of)
    digests = [blake2b(repr(row).encode(), digest_size=DIGEST_BYTES).hexdigest() for row in values.iter_rows()]
    others = [c.name for c in source.columns if c.name not in {*column.made_of, column.name}]
    others += [KNOWN_AT] if KNOWN_AT in frame.columns else []
    rows = pl.DataFrame({_DIGEST: pl.Series(digests, dtype=pl.String)} | {name: frame[name] for name in others})
    rows, same = rows.with_columns(delivery).with_row_index(_AT), [_DIGEST, _DELIVERY]
    equal = rows.filter(pl.struct(same).is_duplicated()).sort(*same, *others, _AT)
    places = equal.select(_AT, (pl.int_range(pl.len(), dtype=pl.UInt32).over(same) + 1).alias(_PLACE))
    placed = rows.join(places, on=_AT, how="left", maintain_order="left")
    parts = [values[column.made_of[0]], placed[_DIGEST], placed[_PLACE].fill_null(1)]
    return pl.select(pl.concat_str([pl.lit(part) for part in parts], separator="-")).to_series()


def _exact(name: str, dtype: pl.DataType) -> pl.Expr:
    """Values as texts and numbers that are written in one way only: an identifier is the same as integer and text."""
    value = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return value.dt.epoch("us")
    if dtype.is_float():
        return value + 0.0  # -0 is 0
    return value if dtype == pl.Boolean else value.cast(pl.String)

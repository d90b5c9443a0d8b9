"""How the values of a column are written in its files, in words; for people who check what a load reads."""

import polars as pl

from jobs.ingest.declared_formats import EPOCH_UNITS, ValueFormat
from jobs.ingest.parsing import Batch
from jobs.ingest.readers import FOUND, ZONED
from jobs.ingest.time_formats import in_format
from jobs.use_case import Column

_SHAPES = 4
_PARTS = (
    (r"^0000-00-00", "%Y-%m-%d"), (r"00:00:00", "%H:%M:%S"), (r"[zZ]$", "%z"), (r"[+-]00:?(?:00)?$", "%z"),
    (r"00:00", "%H:%M"), (r"\.0+", "%.f"),
)  # fmt: skip


def format_of(batch: Batch, column: Column, form: ValueFormat) -> str:
    """How the values that were understood are written: a format of times, marks of numbers, words, or a type."""
    values = batch.frame.filter(pl.col(column.name).is_not_null())[FOUND + column.name].drop_nulls()
    if values.dtype != pl.String:
        zone = f" in {form.timezone}" if column.kind == "timestamp" and _is_naive(values.dtype) else ""
        unit = f" in {form.epoch} since 1970" if column.kind == "timestamp" and values.dtype.is_numeric() else ""
        return f"{values.dtype}{zone}{unit}"
    if column.kind == "timestamp":
        return _of_times(values.str.strip_chars(), form)
    if column.kind == "number" and (form.decimal or form.thousands):
        return f"text, decimal {form.decimal or 'not said'!r}, thousands {form.thousands!r}"
    if column.kind == "boolean":
        return "text: " + ", ".join(values.str.strip_chars().str.to_lowercase().unique().sort().head(_SHAPES * 2))
    return "text"


def _is_naive(dtype: pl.DataType) -> bool:
    return dtype == pl.Date or (isinstance(dtype, pl.Datetime) and not dtype.time_zone)


def _of_times(text: pl.Series, form: ValueFormat) -> str:
    if form.times:
        return ", ".join(f"{f} since 1970" if f in EPOCH_UNITS else f"{f} in {form.timezone}" for f in form.times)
    shapes = pl.DataFrame({"shape": text.str.replace_all(r"\d", "0"), "zoned": text.str.contains(ZONED)})
    for declared in reversed(form.published):
        is_published = in_format(text, declared).is_not_null()
        shapes = shapes.with_columns(pl.when(is_published).then(pl.lit(declared)).otherwise("shape").alias("shape"))
    for pattern, part in _PARTS:
        shapes = shapes.with_columns(pl.col("shape").str.replace(pattern, part))
    common = shapes.group_by("shape", "zoned").len().sort("len", "shape", descending=[True, False]).head(_SHAPES)
    return ", ".join(s if zoned else f"{s} in {form.timezone}" for s, zoned, _ in common.iter_rows())

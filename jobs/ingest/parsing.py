"""From columns as a file has them to columns as the tables have them: names, types, UTC.

A value that does not parse becomes null next to the value found, which `jobs.ingest.contracts` reports. Which column
of a file is which: see `jobs.ingest.column_matching`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa

from jobs.ingest import vectors
from jobs.ingest.arrival_dates import DATE_ALONE, known_at_the_end_of_dates, localized
from jobs.ingest.calendar import as_text, in_calendar
from jobs.ingest.declared_formats import EPOCH_UNITS, ValueFormat
from jobs.ingest.identifiers import canonical_identifiers
from jobs.ingest.inspection import CARRIER_TIME, FileSchema, Inspection
from jobs.ingest.made_keys import with_made_keys
from jobs.ingest.readers import FOUND, KNOWN_AT, ZONED
from jobs.ingest.time_formats import OFFSETS, in_format, since_1970
from jobs.use_case import Column, Kind, Source

UTC = pl.Datetime("us", "UTC")
ROW, HAPPENED = "_row", "_happened"
"""Position over all files of a load, the time that must not be in the future."""
TYPES: dict[Kind, pl.DataType] = {
    "timestamp": UTC, "number": pl.Float64(), "integer": pl.Int64(), "boolean": pl.Boolean(), "string": pl.String(),
    "category": pl.String(), "vector": pl.String(), "text": pl.String(),
}  # fmt: skip
KINDS_IN_TABLE: dict[str, pa.DataType] = {
    "timestamp": pa.timestamp("us", "UTC"), "number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(),
    "string": pa.string(), "category": pa.string(),
    "vector": pa.string(), "text": pa.string(),
}  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """All rows of the files of one load: canonical columns, `found:` columns, `known_at`, `_row` and `_file`."""

    frame: pl.DataFrame
    schema: FileSchema
    files: tuple[Path, ...]
    zone_assumed: str | None
    """The zone in which timestamps without one were read; None if there were none."""
    types: tuple[Mapping[str, str], ...]
    """Per file: column of the table -> type of its values there; without columns that hold none."""
    dates_alone: int
    """Rows that were known at a date without a time."""
    midnights: tuple[str, ...]
    """Columns of arrivals that are all at midnight, and therefore count as dates without a time."""
    versioned: bool
    """The rows say themselves when they became known, so one key may have several versions."""


def kind_in_table(column: Column, identifiers: Mapping[str, str]) -> Kind:
    """The column's kind, with `integer` or `string` for an identifier."""
    if column.kind != "identifier":
        return column.kind
    return "string" if identifiers.get(column.name) == "string" else "integer"


def table_schema(source: Source, identifiers: Mapping[str, str]) -> pa.Schema:
    """Arrow schema of the raw table: the declared columns, `known_at`, `event_date`, `loaded_in`."""
    fields = [pa.field(c.name, KINDS_IN_TABLE[kind_in_table(c, identifiers)]) for c in source.columns]
    extra = [
        (KNOWN_AT, pa.timestamp("us", "UTC")),
        ("event_date", pa.date32()),
        ("loaded_in", pa.int64()),
    ]
    return pa.schema([*fields, *(pa.field(n, t) for n, t in extra)])


def canonical(column: str, dtype: pl.DataType, kind: Kind, form: ValueFormat) -> pl.Expr:
    """The values of `column` as `kind`; null where they do not parse."""
    value = pl.col(column)
    if isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        return _from_text(value.cast(pl.String), kind, form)
    if dtype == pl.Null:
        return value.cast(TYPES[kind])
    if kind == "timestamp":
        if dtype.is_numeric():
            return value.map_batches(lambda numbers: since_1970(numbers, form.epoch), return_dtype=UTC)
        value = in_calendar(value, dtype)
        return _in_utc(value.cast(pl.Datetime("us")) if dtype == pl.Date else value, dtype, form.timezone)
    if kind == "boolean" and dtype != pl.Boolean:
        return pl.when(value == 1).then(True).when(value == 0).then(False)
    if kind == "integer" and not dtype.is_integer():
        return pl.when(value == value.round()).then(value.cast(pl.Int64, strict=False))
    if kind == "vector":
        return vectors.from_lists(value, dtype)
    if kind == "category" and dtype.is_float():  # integers beside a missing one
        whole = pl.when(value == value.round()).then(value.cast(pl.Int64, strict=False))
        return pl.coalesce(whole.cast(pl.String), value.cast(pl.String))
    return value.cast(TYPES[kind], strict=False)


def _from_text(value: pl.Expr, kind: Kind, form: ValueFormat) -> pl.Expr:
    stripped = value.str.strip_chars()
    if kind == "timestamp":
        return stripped.map_batches(lambda text: _times(text, form), return_dtype=UTC)
    if kind == "boolean":
        lower = stripped.str.to_lowercase()
        true, false = (
            [word.strip().lower() for word in words] for words in (form.true or TRUE_WORDS, form.false or FALSE_WORDS)
        )
        return pl.when(lower.is_in(true)).then(True).when(lower.is_in(false)).then(False)
    if kind in ("string", "category", "text"):
        return pl.when(~value.str.contains("\0", literal=True)).then(value)  # which no database holds
    if kind == "vector":
        return vectors.from_text(stripped)
    return _plain_number(stripped, form).cast(TYPES[kind], strict=False)


def _plain_number(text: pl.Expr, form: ValueFormat) -> pl.Expr:
    """Numbers with the declared marks as programs write them; null where the marks are elsewhere."""
    if not form.decimal and not form.thousands:
        return text
    decimal = form.decimal or ("," if form.thousands == "." else ".")
    mark = r"[ \x{a0}\x{202f}]" if form.thousands == " " else re.escape(form.thousands)
    groups = rf"|\d{{1,3}}(?:{mark}\d{{3}})+" if mark else ""
    written = rf"^[+-]?(?:\d+{groups})?(?:{re.escape(decimal)}\d*)?(?:[eE][+-]?\d+)?$"
    plain = text.str.replace_all(mark, "") if mark else text
    return pl.when(text.str.contains(written)).then(plain.str.replace(decimal, ".", literal=True))


def _times(text: pl.Series, form: ValueFormat) -> pl.Series:
    """Text as times in UTC; only in the formats that a person declared, if any are, else also in the source's own."""
    times = pl.Series([None], dtype=UTC).new_from_index(0, len(text))
    if not form.times:
        times = _parse_timestamps(text, form.timezone)
    for declared in form.times or form.published:
        if times.null_count() == text.null_count():
            break
        read = in_format(text, declared)
        in_utc = read if read.dtype == UTC else localized(read, form.timezone)
        times = pl.select(pl.coalesce(times, in_utc)).to_series()
    return times


def _in_utc(value: pl.Expr, dtype: pl.DataType, zone: str) -> pl.Expr:
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return value.dt.cast_time_unit("us").dt.convert_time_zone("UTC")
    return localized(value.dt.cast_time_unit("us"), zone)


TRUE_WORDS, FALSE_WORDS = ("1", "true", "1.0"), ("0", "false", "0.0")
_FORMATS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M", "%Y-%m-%d",
)  # fmt: skip


_FOUR_DIGIT_YEAR = r"^\d{4}-"
"""How a timestamp in text begins: a parser by itself reads 26-05-02 as the year 26."""


def _parse_timestamps(text: pl.Series, zone: str) -> pl.Series:
    text = pl.select(pl.when(text.str.contains(_FOUR_DIGIT_YEAR)).then(text)).to_series().str.replace(" UTC$", "Z")
    zoned = text.str.contains(ZONED).fill_null(False)
    if not zoned.any():
        return localized(_parse_naive(text), zone)
    naive = localized(_parse_naive(pl.select(pl.when(~zoned).then(text)).to_series()), zone)
    plain = text.str.replace(" ", "T", literal=True).str.replace(r"(?i)\s*z$", "+00:00")
    plain = plain.str.replace(r"\s*([+-]\d{2}):?(\d{2})$", "${1}:${2}").str.replace(r"(:\d{2}\S*[+-]\d{2})$", "${1}:00")
    with_zone, to_minutes = (
        plain.str.to_datetime(f"%Y-%m-%dT%H:%M{seconds}%:z", time_unit="us", time_zone="UTC", strict=False)
        for seconds in (":%S%.f", "")
    )
    with_zone = pl.select(pl.coalesce(with_zone, to_minutes)).to_series()
    return pl.select(pl.when(zoned).then(with_zone).otherwise(naive)).to_series()


def _parse_naive(text: pl.Series) -> pl.Series:
    parsed = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    for form in _FORMATS:
        if parsed.null_count() == text.null_count():
            break
        in_format = text.str.to_datetime(form, time_unit="us", strict=False)
        parsed = (
            in_format if parsed.null_count() == len(text) else pl.select(pl.coalesce(parsed, in_format)).to_series()
        )
    return parsed


def make_batch(source: Source, inspected: Inspection) -> Batch:
    """The rows of inspected files in canonical columns; identifiers as integers if all of them are, else as text."""
    schema, carrier = inspected.schema, inspected.carrier
    kinds: dict[str, Kind] = {c.name: c.kind for c in inspected.source.columns} | {KNOWN_AT: "timestamp"}
    frames = _one_type([_canonical_frame(x, kinds, inspected.formats) for x in inspected.frames])
    frame = pl.concat(frames, how="diagonal").with_row_index(ROW)
    frame, midnights = known_at_the_end_of_dates(frame, source, inspected.formats)
    paths = tuple(file.path for file in inspected.files)
    frame = with_made_keys(source, frame, paths)
    derived = carrier is not None and source.known_at not in schema.columns
    zones = {zone for x in inspected.frames for zone in _zones_assumed(x, kinds, inspected.formats)}
    return Batch(
        frame=_dated(source, carrier, derived, frame),
        schema=schema,
        files=paths,
        types=tuple(_types(x) for x in inspected.frames),
        zone_assumed=", ".join(sorted(zones)) or None,
        dates_alone=int(frame[DATE_ALONE].sum()),
        midnights=midnights,
        versioned=KNOWN_AT in schema.in_file or (source.known_at is not None and not derived),
    )


def _types(frame: pl.DataFrame) -> dict[str, str]:
    names = [n for n in frame.columns if n.startswith(FOUND) and frame.schema[n] != pl.Null]
    return {n.removeprefix(FOUND): str(frame.schema[n]) for n in names}


def _canonical_frame(
    frame: pl.DataFrame, kinds: Mapping[str, Kind], formats: Mapping[str, ValueFormat]
) -> pl.DataFrame:
    columns: list[pl.Expr | pl.Series] = []
    for name, kind in kinds.items():
        column = FOUND + name
        if column in frame.columns and kind == "identifier":
            columns.append(canonical_identifiers(frame[column]).alias(name))
        elif column in frame.columns:
            columns.append(canonical(column, frame[column].dtype, kind, formats[name]).alias(name))
        elif name != KNOWN_AT:
            columns.append(pl.lit(None, TYPES.get(kind, pl.Int64())).alias(name))
    return frame.with_columns(columns)


def _one_type(frames: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Frames whose columns have one type each: text, where files hold values in different ones."""
    types: dict[str, set[pl.DataType]] = {}
    for name, dtype in (item for frame in frames for item in frame.schema.items()):
        types.setdefault(name, set()).add(dtype)
    mixed = [name for name, dtypes in types.items() if len(dtypes) > 1]
    return [f.with_columns(as_text(pl.col(n), f.schema[n]) for n in mixed if n in f.columns) for f in frames]


def _dated(source: Source, carrier: Source | None, derived: bool, frame: pl.DataFrame) -> pl.DataFrame:
    """With `known_at`, and `_happened`: what must not lie in the future."""
    if carrier is not None:
        frame = _carried(source, frame)
    if derived:
        delay = source.latency if source.carried_delay is None else source.carried_delay
        known_at = pl.col(CARRIER_TIME) + delay
        dates = {KNOWN_AT: known_at, HAPPENED: pl.col(CARRIER_TIME)}
        dates |= {source.known_at: known_at} if source.known_at else {}
        return frame.with_columns(**dates)
    known_at = pl.col(source.known_at or source.event_time) + (timedelta(0) if source.known_at else source.latency)
    # A report of today is known at the end of today, but it does not lie in the future.
    whole_day = pl.when(DATE_ALONE).then(timedelta(days=1)).otherwise(timedelta(0))
    happened = pl.col(source.event_time) - (whole_day if source.event_time == source.known_at else timedelta(0))
    dates = {HAPPENED: happened} | ({} if KNOWN_AT in frame.columns else {KNOWN_AT: known_at})
    return frame.with_columns(**dates)


def _carried(source: Source, frame: pl.DataFrame) -> pl.DataFrame:
    """A row of the carrier that leaves one of this source's own columns empty says nothing about it."""
    own = [FOUND + c.name for c in source.columns if c.name not in source.key and not c.nullable]
    return frame.filter(pl.all_horizontal(pl.col(c).is_not_null() for c in own if c in frame.columns))


def _zones_assumed(frame: pl.DataFrame, kinds: Mapping[str, Kind], formats: Mapping[str, ValueFormat]) -> set[str]:
    """The zones in which times without one were read."""
    columns = [n for n, kind in kinds.items() if kind == "timestamp" and FOUND + n in frame.columns]
    return {formats[n].timezone for n in columns if _has_naive(frame[FOUND + n], formats[n])}


def _has_naive(values: pl.Series, form: ValueFormat) -> bool:
    """Whether a column holds a time without a zone."""
    dtype = values.dtype
    if dtype == pl.String and form.times:
        return any(declared not in EPOCH_UNITS and not any(o in declared for o in OFFSETS) for declared in form.times)
    if dtype == pl.String:
        return not values.str.strip_chars().str.contains(ZONED).all(ignore_nulls=True)
    return dtype == pl.Date or (isinstance(dtype, pl.Datetime) and not dtype.time_zone)

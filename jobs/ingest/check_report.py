"""What is told of one input before it is loaded: counts, reasons with their first value, formats, what is suspicious.

Nothing is read or decided here: see `jobs.ingest.load.judge`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from jobs.ingest import calendar
from jobs.ingest.advice import advice
from jobs.ingest.contracts import REASONS
from jobs.ingest.csv_records import LINE
from jobs.ingest.identifier_text import EXACT_DOUBLES
from jobs.ingest.identifiers import canonical_text
from jobs.ingest.load import Judged
from jobs.ingest.load_job import LoadJob
from jobs.ingest.made_keys import made_columns, repeats
from jobs.ingest.parsing import ROW, table_schema
from jobs.ingest.quarantine import unparsed
from jobs.ingest.raw_commit import LOADED_IN
from jobs.ingest.readers import FILE, FOUND, KNOWN_AT, ZONED
from jobs.ingest.value_formats import format_of
from jobs.use_case import Column

SHOWN = 100
"""So many characters of a value are told."""


@dataclass(frozen=True)
class CheckedInput:
    """One input as a load would see it."""

    name: str
    read: int
    good: int
    quarantined: tuple[dict[str, Any], ...]
    """Per reason: `reason`, `rows`, and `first`: `file`, `line` and `value` of the first such row."""
    columns: dict[str, dict[str, str]]
    """Column of the table -> its name in the file, the kind found, how its values are written."""
    left_out: tuple[str, ...]
    first_event: datetime | None
    last_event: datetime | None
    suspicious: tuple[str, ...]
    rows: pl.DataFrame
    """The rows that a load would append."""

    def summary(self) -> dict[str, Any]:
        """All but the rows, as JSON has it."""
        first, last = (time.isoformat() if time else None for time in (self.first_event, self.last_event))
        return {
            "read": self.read, "good": self.good, "quarantined": list(self.quarantined), "columns": self.columns,
            "left_out": list(self.left_out), "first_event": first, "last_event": last,
            "suspicious": list(self.suspicious),
        }  # fmt: skip

    def first_rows(self, number: int) -> list[dict[str, Any]]:
        """The first rows that would be stored, times as text."""
        times = pl.selectors.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
        return self.rows.head(number).with_columns(times, pl.selectors.date().cast(pl.String)).to_dicts()


def checked_input(job: LoadJob, judged: Judged) -> CheckedInput:
    """What is told of a judged load."""
    batch, outcomes, source = judged.batch, judged.outcomes, job.source
    bad = pl.concat([rows.select(ROW, REASONS) for rows in outcomes.bad])
    times = outcomes.good.select(first=pl.col(source.event_time).min(), last=pl.col(source.event_time).max()).row(0)
    schema = table_schema(source, judged.identifiers)
    rows = outcomes.new.with_columns(pl.lit(judged.table.loaded_in + 1, pl.Int64).alias(LOADED_IN))
    return CheckedInput(
        name=source.input,
        read=batch.frame.height,
        good=batch.frame.height - bad.height,
        quarantined=tuple(_reasons(job, judged, bad)),
        columns={
            column.name: {
                "in_file": batch.schema.in_file[column.name],
                "kind": batch.schema.columns.get(column.name, column.kind),
                "format": format_of(batch, column, job.names.value_format(source, column.name)),
            }
            for column in (*source.columns, Column(KNOWN_AT, "timestamp"))
            if column.name in batch.schema.in_file
        }
        | {
            column.name: {"in_file": "", "kind": column.kind, "format": f"made of {', '.join(column.made_of)}"}
            for column in made_columns(source, batch.frame)
        },
        left_out=batch.schema.undeclared,
        first_event=times[0],
        last_event=times[1],
        suspicious=tuple(_suspicious(job, judged)),
        rows=rows.select(schema.names),
    )


def _reasons(job: LoadJob, judged: Judged, bad: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The commonest reason first."""
    frame = judged.batch.frame
    found = [calendar.as_text(pl.col(c), dtype) for c, dtype in frame.schema.items() if c.startswith(FOUND)]
    each = bad.explode(REASONS).group_by(REASONS, maintain_order=True).agg(pl.len().alias("rows"), pl.col(ROW).min())
    for reason, rows, first in (
        each.sort("rows", ROW, descending=[True, False], maintain_order=True).select(REASONS, "rows", ROW).iter_rows()
    ):
        row = frame.filter(pl.col(ROW) == first).with_columns(found).row(0, named=True)
        file, line = str(judged.batch.files[row[FILE]]), row[LINE]
        yield {"reason": reason, "rows": rows, "first": {"file": file, "line": line, "value": _value(job, reason, row)}}


def _value(job: LoadJob, reason: str, row: dict[str, Any]) -> str | None:
    """The value found that a reason is about; of the key, or of the whole row, if it is about no column."""
    names = [name.removeprefix(FOUND) for name in row if name.startswith(FOUND)]
    about = [name for name in names if reason.startswith(f"{name}:") or reason.endswith(f" {name}")]
    if reason.startswith("duplicate key"):
        about = list(job.source.key)
    found = [row[FOUND + name] for name in about or names if FOUND + name in row]
    return ", ".join("" if value is None else str(value) for value in found)[:SHOWN] if any(found) else None


def _suspicious(job: LoadJob, judged: Judged) -> Iterator[str]:
    frame = judged.batch.frame
    for column in job.source.columns:
        if FOUND + column.name not in frame.columns:
            continue
        understood = frame.filter(pl.col(column.name).is_not_null())
        values = understood.select(LINE, pl.col(FOUND + column.name).alias("value")).drop_nulls()
        if values.schema["value"] == pl.String:
            yield from _blanks(job, column, values)
            if column.kind == "identifier" and understood.schema[column.name] == pl.String:
                yield from _forms(column.name, values["value"].unique())
            yield from _zones(job, column, values)
        yield from _unread(job, column, unparsed(frame, column.name))
        yield from _parts(column, judged)
    for column in made_columns(job.source, frame):
        if equal := repeats(column, frame, judged.batch.files):
            yield (
                f"{equal:,} rows are equal to an earlier one of their file in all that {column.name} is made of, and "
                "are rows of their own"
            )
    yield from _dates(job, judged)
    if judged.outcomes.choice.duplicates:
        yield f"{judged.outcomes.choice.duplicates:,} rows repeat another one exactly, and are stored once"


def _blanks(job: LoadJob, column: Column, values: pl.DataFrame) -> Iterator[str]:
    if column.kind != "identifier" and column.name not in job.source.key:
        return
    padded = values.filter(pl.col("value") != pl.col("value").str.strip_chars())
    if padded.is_empty():
        return
    same = values["value"].n_unique() - values["value"].str.strip_chars().n_unique()
    text, line = padded["value"][0], padded[LINE][0]
    yield (
        f"{column.name}: {padded.height:,} values have blanks around them, the first {text!r} in line {line}; "
        f"{same:,} differ from others by blanks only"
    )


def _forms(column: str, identifiers: pl.Series) -> Iterator[str]:
    """Identifiers in text that are one number, such as 7 and 007, and two identifiers."""
    text = canonical_text(identifiers).unique()
    numbers = pl.DataFrame({"text": text, "number": text.str.strip_prefix("+").cast(pl.Float64, strict=False)})
    alike = numbers.drop_nulls().filter(pl.col("number").abs() < EXACT_DOUBLES, pl.len().over("number") > 1)
    if not alike.is_empty():
        first, other = alike.sort("number", "text")["text"][:2]
        others = ", as are others" if alike.height > 2 else ""
        yield f"{column}: {first!r} and {other!r} are one number written in two ways, and two identifiers{others}"


def _zones(job: LoadJob, column: Column, values: pl.DataFrame) -> Iterator[str]:
    form = job.names.value_format(job.source, column.name)
    if column.kind != "timestamp" or form.times:
        return
    text = values.filter(pl.col("value").str.contains(r":\d{2}"))
    naive = text.filter(~pl.col("value").str.strip_chars().str.contains(ZONED))
    if 0 < naive.height < text.height:
        yield (
            f"{column.name}: {naive.height:,} times have no zone, the first {naive['value'][0]!r} in line "
            f"{naive[LINE][0]}, and {text.height - naive.height:,} have one; those without are read in "
            f"{form.timezone}: if that is wrong, say `{job.source.name}: {{{column.name}: {{timezone: ZONE}}}}`"
        )


def _unread(job: LoadJob, column: Column, unread: pl.DataFrame) -> Iterator[str]:
    said = advice(job.source, column, unread[FOUND + column.name]) if not unread.is_empty() else ""
    if said and column.kind != "identifier":
        value, line = str(unread[FOUND + column.name][0])[:SHOWN], unread[LINE][0]
        yield (
            f"{column.name}: {unread.height:,} values are no {column.kind}, the first {value!r} in line {line}; if "
            f"they are meant to be, say in a columns file (`--columns`): {said}"
        )


def _dates(job: LoadJob, judged: Judged) -> Iterator[str]:
    """What arrived at a date without a time, and columns that are taken for such dates."""
    if judged.batch.dates_alone:
        yield f"{judged.batch.dates_alone:,} rows arrived at a date without a time: known at the end of that day"
    if judged.outcomes.known_at_event:
        yield (
            f"{judged.outcomes.known_at_event:,} rows were known at the very moment of the event that they are about: "
            "is that when they arrived?"
        )
    for name in judged.batch.midnights:
        yield (
            f"{name}: all times are at midnight, so they are taken for dates; if they are moments, say "
            f'`{job.source.name}: {{{name}: {{format: "%Y-%m-%d %H:%M:%S"}}}}` in a columns file (`--columns`)'
        )


def _parts(column: Column, judged: Judged) -> Iterator[str]:
    """Files that hold a column in different types; text in a CSV file beside a type is none."""
    held: dict[str, str] = {}
    for path, types in zip(judged.batch.files, judged.batch.types, strict=True):
        if column.name in types:
            held.setdefault(types[column.name], str(path))
    if len(held) > 1:
        yield f"{column.name}: files differ: " + ", ".join(f"{dtype} in {path}" for dtype, path in held.items())

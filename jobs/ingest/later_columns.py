"""Columns that a source declares after its raw table was made: the table gets them, and known rows get their values.

A value of a column that was not declared is no correction of the world. Where a file holds a row again that the table
has, but for these columns, the values belong to that row: it stays the version that it is, known since it was known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl
import pyarrow as pa

from jobs.errors import Invalid
from jobs.ingest import contracts
from jobs.ingest.load_job import LoadJob
from jobs.ingest.parsing import Batch, table_schema
from jobs.ingest.readers import KNOWN_AT
from jobs.lakehouse.envelope import enveloped
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Source, UseCase


def of(lakehouse: Lakehouse, use_case: UseCase, source: Source) -> tuple[str, ...]:
    """Declared columns that the raw table lacks; none where there is no table yet."""
    table = use_case.raw_table(source)
    if not lakehouse.exists(table):
        return ()
    held = lakehouse.schema(table).names
    return tuple(column.name for column in source.columns if column.name not in held)


def without(source: Source, names: Sequence[str]) -> Source:
    """The source as it was before it declared some columns. Raises Invalid as `expect`."""
    expect(source, names)
    references = {name: column for name, column in source.references.items() if name not in names}
    kept = tuple(column for column in source.columns if column.name not in names)
    return replace(source, columns=kept, references=references)


def expect(source: Source, names: Sequence[str]) -> None:
    """Raises Invalid if one of these columns identifies rows, or says when they happened or were known."""
    needed = {*source.key, source.event_time, *filter(None, [source.known_at])}
    if wrong := sorted(needed & set(names)):
        raise Invalid(
            f"{source.name}: expected key and times that its table has, found {wrong} declared anew; the rows that are "
            "there have none: declare it under another name, or begin a new home"
        )


def add(job: LoadJob, names: Sequence[str], batch: Batch | None) -> int:
    """Give the raw table columns, in one commit with the values that files hold for rows of it; returns how many rows.

    Args:
        batch: the rows of the files with all columns; None: there is no file.
    """
    stored = pl.DataFrame(job.lakehouse.to_arrow(job.table))
    schema = job.lakehouse.schema(job.table)
    identifiers = {} if batch is None else dict(batch.schema.columns)
    wanted = enveloped(table_schema(job.source, identifiers), schema)
    # Types of what is there stay as they are.
    wanted = pa.schema([schema.field(f.name) if f.name in schema.names else f for f in wanted])
    found = None if batch is None else _found(job, names, batch, stored)
    filled = stored if found is None else stored.join(
        found, on=[name for name in found.columns if name not in names], how="left", nulls_equal=True,
        maintain_order="left",
    )  # fmt: skip
    missing = [pl.lit(None).alias(name) for name in names if name not in filled.columns]
    rows = filled.with_columns(missing).select(wanted.names).to_arrow().cast(wanted)
    job.lakehouse.replace_rows(job.table, rows, job.lakehouse.state(job.table), job.partitions)
    return 0 if found is None else filled.select(pl.any_horizontal(pl.col(names).is_not_null()).sum()).item()


def _found(job: LoadJob, names: Sequence[str], batch: Batch, stored: pl.DataFrame) -> pl.DataFrame:
    """Of each row of the files, but for the columns that come later, their values; of equal ones those of the first."""
    checks = contracts.row_checks(job.source, batch.frame.columns, job.names.timezone, job.now)
    good, _, _ = contracts.split(batch.frame, checks)
    same = [column.name for column in job.source.columns if column.name not in names]
    same += [KNOWN_AT] if batch.versioned and KNOWN_AT not in same else []
    rows = good.select(*same, *names).unique(same, keep="first", maintain_order=True)
    return rows.with_columns(pl.col(name).cast(stored.schema[name]) for name in same)

"""The rows of files as the tables would hold them: parsed, with identifiers of the kind that the good rows have.

Whether they may be loaded is decided by `jobs.ingest.schemas`, and what becomes of each by `jobs.ingest.row_outcomes`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import polars as pl

from jobs.ingest import contracts
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.identifiers import as_kind, canonical_text, kind_of
from jobs.ingest.inspection import Inspection
from jobs.ingest.parsing import Batch, make_batch
from jobs.ingest.readers import FOUND
from jobs.use_case import Source


def read_batch(
    source: Source, inspected: Inspection, names: ColumnsFile, expected: Mapping[str, str], now: datetime
) -> Batch:
    """The rows of inspected files (without problems) as seen from `now`.

    `expected` says of which kind identifier columns are in the tables, where that is known. A row that is bad for
    another reason, such as a footer, has no say in it.
    """
    batch = make_batch(source, inspected)
    columns = [c.name for c in source.columns if c.kind == "identifier" and c.name in batch.schema.columns]
    undecided = any(batch.frame[c].dtype == pl.String and expected.get(c) != "string" for c in columns)
    good = _good(source, batch, names, now) if undecided else batch.frame
    rows = batch.frame if good.is_empty() else good
    kinds = {c: kind_of(rows[c], expected.get(c)) for c in columns}
    frame = batch.frame.with_columns(as_kind(batch.frame[c], kind).alias(c) for c, kind in kinds.items())
    return replace(batch, frame=frame, schema=replace(batch.schema, columns={**batch.schema.columns, **kinds}))


def as_stored(source: Source, batch: Batch, stored: Callable[[str], pl.Series]) -> Batch:
    """`batch` with text identifiers as found in columns in which `stored` has some that are not in their one form.

    They were loaded before there was one: in another form the same row, loaded again, would be a further row.
    """
    frame = batch.frame
    for column in (c.name for c in source.columns if c.kind == "identifier" and FOUND + c.name in frame.columns):
        if frame[column].dtype != pl.String:
            continue
        found = frame[FOUND + column].cast(pl.String)
        if frame[column].eq_missing(found).all():
            continue
        texts = stored(column)
        if texts.dtype == pl.String and not (canonical_text(texts).eq_missing(texts)).all():
            frame = frame.with_columns(found.alias(column))
    return replace(batch, frame=frame)


def _good(source: Source, batch: Batch, names: ColumnsFile, now: datetime) -> pl.DataFrame:
    checks = contracts.row_checks(source, batch.frame.columns, names.timezone, now)
    return contracts.split(batch.frame, checks)[0]

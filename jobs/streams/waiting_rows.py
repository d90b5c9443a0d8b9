"""Rows that came over a topic and wait in quarantine for what they refer to, as a stream finds them when it starts.

Rows of files wait there too; loads of files let those in (`jobs.ingest.row_outcomes`).
"""

from __future__ import annotations

import json

import polars as pl

from jobs.ingest import quarantine
from jobs.ingest.contracts import COLUMNS, REASONS
from jobs.ingest.day_digests import EVENT_DATE
from jobs.ingest.parsing import TYPES, UTC, kind_in_table
from jobs.ingest.readers import KNOWN_AT
from jobs.lakehouse.envelope import DELETED, OFFSET, PARTITION, SCHEMA, TOPIC
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.place import Place
from jobs.streams.intake import Intake
from jobs.streams.known_rows import CHANGED


def waiting_rows(lakehouse: Lakehouse, table: str, intake: Intake) -> pl.DataFrame | None:
    """The rows, let in since or not; None if there are none."""
    name = quarantine.table_of(table)
    if not lakehouse.exists(name):
        return None
    stored = pl.DataFrame(lakehouse.to_arrow(name, columns=["row", "reasons", "file"]))
    found = stored.filter(pl.col("reasons").str.starts_with(quarantine.UNKNOWN)).rows(named=True)
    placed = [(json.loads(row["row"]), row["reasons"], place) for row in found if (place := Place.parsed(row["file"]))]
    if not placed:
        return None
    types = {c.name: TYPES[kind_in_table(c, intake.types)] for c in intake.source.columns}
    types |= {KNOWN_AT: UTC, DELETED: pl.Boolean()}
    text = pl.DataFrame([values for values, _, _ in placed], schema=dict.fromkeys(types, pl.String))
    rows = text.select(quarantine.from_text(column, kind) for column, kind in types.items())
    columns = [list(intake.referred)] * rows.height
    intake.waited.update(rows.select(intake.source.key).hash_rows())
    rows = rows.with_columns(
        pl.col(DELETED).fill_null(False),
        pl.lit(False).alias(CHANGED),
        pl.Series(TOPIC, [place.topic for _, _, place in placed], pl.String),
        pl.Series(PARTITION, [place.partition for _, _, place in placed], pl.Int64),
        pl.Series(OFFSET, [place.offset for _, _, place in placed], pl.Int64),
        pl.lit(None, pl.String).alias(SCHEMA),
        pl.col(intake.source.event_time).dt.date().alias(EVENT_DATE),
        pl.Series(REASONS, [reasons.split("; ") for _, reasons, _ in placed], pl.List(pl.String)),
        pl.Series(COLUMNS, columns, pl.List(pl.String)),
    )
    return rows.select(*intake.columns, EVENT_DATE, CHANGED, REASONS, COLUMNS).sort(KNOWN_AT)

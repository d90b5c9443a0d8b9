"""The times of a use case's schedule that its data reach, for the SQL that makes targets of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from jobs.lakehouse.tables import Lakehouse
from jobs.targets import Schedule
from jobs.use_case import UseCase

AHEAD = 2
"""Times after the newest row: they are there as soon as they come, although no row comes before them."""


def scheduled_times(lakehouse: Lakehouse, use_case: UseCase) -> list[str]:
    """From the first row that says that an entity exists to a little beyond the newest of any source, in UTC.

    Empty without a schedule, or without rows.
    """
    schedule = use_case.schedule
    if schedule is None:
        return []
    tables = [use_case.raw_table(each) for each in use_case.sources]
    key = (use_case.name, schedule, lakehouse.versions(tables))
    # A run that makes models anew asks several times.
    return lakehouse.read_once("scheduled times", key, lambda: _times(lakehouse, use_case, schedule))


def _times(lakehouse: Lakehouse, use_case: UseCase, schedule: Schedule) -> list[str]:
    source = use_case.source(schedule.entities_of)
    newest = [_newest(lakehouse, use_case.raw_table(each)) for each in use_case.sources]
    first = _first(lakehouse, use_case.raw_table(source), source.event_time)
    if first is None:
        return []
    last = max(moment for moment in newest if moment is not None)
    moments = schedule.moments(first, max(first, schedule.after(last, AHEAD)))
    return [f"{moment:%Y-%m-%d %H:%M:%S}" for moment in moments]


def _newest(lakehouse: Lakehouse, table: str) -> datetime | None:
    version = lakehouse.version(table)
    return None if version is None else lakehouse.maxima(table, ["known_at"], version)[0]


def _first(lakehouse: Lakehouse, table: str, event_time: str) -> datetime | None:
    if not lakehouse.exists(table):
        return None
    rows: Any = pl.DataFrame(lakehouse.to_arrow(table, columns=[event_time, "known_at"]))
    first: datetime | None = rows.select(pl.max_horizontal(event_time, "known_at").min()).item()
    return first

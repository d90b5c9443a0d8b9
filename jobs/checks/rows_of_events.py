"""Whether the rows of a table are the events that were known: windows, history, training set and predictions.

Only the latest days are looked at, so that the cost does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from jobs.checks.check import Check, Outcome
from jobs.datasets.gone_events import GoneEvents
from jobs.features import fact_frames
from jobs.features.arrivals import Arrivals
from jobs.features.clock import DECIDED_AT
from jobs.features.stamps import Stamps
from jobs.ingest.raw_table import rows_per_day
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring import prediction_log
from jobs.scoring.batch import nights
from jobs.use_case import UseCase

RECENT_DAYS, MOST_ROWS = 3, 500_000
"""Days looked at, and rows after which no further day is added."""
ROWS_EQUAL_EVENTS = Check(
    "rows_equal_events",
    "One row per event that was over and known: none is lacking, none too many, none there twice.",
    blocking=True,
)
NO_FUTURE = Check(
    "no_future",
    "No row is of later than the moment (as_of), lies on another day than its event, or was known before it happened.",
    blocking=True,
)
ROWS_ARE_EVENTS = Check(
    "rows_are_events", "Each row is an event that was over and known, and is there once.", blocking=True
)


@dataclass(frozen=True)
class EventRows:
    """A table of one row per event, partitioned by the day of the event."""

    table: str
    time: str
    """Column of the event's time."""
    known_at: str = ""
    """Column of when the row was known, a timestamp or microseconds since 1970; empty: it has none."""
    only: tuple[tuple[str, str, Any], ...] = ()
    """The rows that are meant, as a filter of pyarrow; empty: all."""
    is_nightly: bool = False
    """Rows are made in the night of their day: events that were gone by then have none."""


def recent(lakehouse: Lakehouse, table: str, days: Sequence[date] = (), as_of: datetime | None = None) -> list[date]:
    """The latest days with rows among `days`, or else of the last ones before `as_of`; few, but one if there is any."""
    wanted = set(days)
    if not wanted and as_of is not None:
        last = (as_of - timedelta(microseconds=1)).date()
        wanted = {last - timedelta(days=n) for n in range(RECENT_DAYS)}
    chosen: list[date] = []
    total = 0
    for day, count in reversed(rows_per_day(lakehouse, table).items()):
        if day not in wanted:
            continue
        total += count or 0
        if chosen and (total > MOST_ROWS or len(chosen) == RECENT_DAYS):
            break
        chosen.append(day)
    return sorted(chosen)


def judge(
    lakehouse: Lakehouse, use_case: UseCase, rows_of: EventRows, as_of: datetime, days: Sequence[date] = ()
) -> list[Outcome]:
    """ROWS_EQUAL_EVENTS and NO_FUTURE of the latest of `days`, or else of those before `as_of`."""
    # Days of the events: one of which the table has no row at all would not be among its own.
    chosen = recent(lakehouse, use_case.events, days, as_of)
    if not chosen:
        return [check.not_judged("no event of these days") for check in (ROWS_EQUAL_EVENTS, NO_FUTURE)]
    rows = _rows(lakehouse, use_case, rows_of, chosen)
    events = known_events(lakehouse, use_case, as_of, chosen)
    if rows_of.is_nightly:
        gone = GoneEvents.of(lakehouse, use_case).at_nights(nights(chosen, as_of))
        events = events.filter(~pl.col("id").is_in(gone.implode())) if len(gone) else events
    return [_equal(rows, events, chosen), _no_future(rows, events, as_of)]


def judge_part(
    lakehouse: Lakehouse, use_case: UseCase, rows_of: EventRows, as_of: datetime, days: Sequence[date]
) -> list[Outcome]:
    """ROWS_ARE_EVENTS and NO_FUTURE of a table that holds some of the events."""
    rows = _rows(lakehouse, use_case, rows_of, days)
    if rows.is_empty():
        return [check.not_judged("no rows of these days") for check in (ROWS_ARE_EVENTS, NO_FUTURE)]
    events = known_events(lakehouse, use_case, as_of, days)
    counts = _compared(rows, events)
    wrong = counts["unknown"] + counts["twice"]
    found = f"{counts['unknown']:,} that are none and {counts['twice']:,} there twice"
    outcome = ROWS_ARE_EVENTS.outcome(
        not wrong, "known events only, each once", found, rows=rows.height, **_without(counts, "lacking")
    )
    return [outcome, _no_future(rows, events, as_of)]


def known_events(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, days: Sequence[date]) -> pl.DataFrame:
    """The first versions of the events of some days that were over and known (`jobs.datasets.event_rows`).

    Ids, and `decided_at` of those that were decided at another moment than their event time.
    """
    log, id, time = prediction_log.table(use_case), use_case.event_id, use_case.event_timestamp
    raw = use_case.raw_events
    tables = [use_case.events, log, *([raw] if raw else [])]
    key = (use_case.name, lakehouse.versions(tables), as_of, tuple(days))

    def read() -> pl.DataFrame:
        own = {DECIDED_AT} & set(lakehouse.schema(use_case.events).names)
        filters = [(PARTITION, "in", list(days)), ("version", "=", 1)]
        rows = lakehouse.to_arrow(use_case.events, None, [id, time, "known_at", "version", *own], filters)
        events: Any = pl.DataFrame(rows).lazy()
        for moments in (Arrivals.of(lakehouse, raw, id), Stamps.of(lakehouse, log, id, as_of)):
            events = events if moments is None else moments.on(events)
        events = fact_frames.known(events, time, as_of)
        is_told = DECIDED_AT in fact_frames.names(events)
        decided = pl.col(DECIDED_AT) if is_told else pl.lit(None, pl.Datetime("us", "UTC"))
        known: pl.DataFrame = events.select(id=id, decided_at=decided).collect()
        return known

    return lakehouse.read_once("checked events", key, read)


def _rows(lakehouse: Lakehouse, use_case: UseCase, rows_of: EventRows, days: Sequence[date]) -> pl.DataFrame:
    columns = {use_case.event_id: "id", rows_of.time: "time", PARTITION: "day"}
    columns |= {rows_of.known_at: "known"} if rows_of.known_at else {}
    filters = [(PARTITION, "in", list(days)), *rows_of.only]
    rows = pl.DataFrame(lakehouse.to_arrow(rows_of.table, columns=list(columns), filters=filters))
    rows = rows.rename(columns)
    if "known" in rows.columns and rows.schema["known"].is_integer():
        rows = rows.with_columns(pl.from_epoch("known", "us").dt.replace_time_zone("UTC"))
    return rows


def _compared(rows: pl.DataFrame, events: pl.DataFrame) -> dict[str, int]:
    ids = rows.get_column("id")
    return {
        "lacking": events.join(rows, on="id", how="anti").height,
        "unknown": rows.join(events, on="id", how="anti").height,
        "twice": ids.len() - ids.n_unique(),
    }


def _equal(rows: pl.DataFrame, events: pl.DataFrame, days: Sequence[date]) -> Outcome:
    counts = _compared(rows, events)
    span = f"{days[0]} to {days[-1]}" if len(days) > 1 else str(days[0])
    found = f"{rows.height:,}: {counts['lacking']:,} lacking, {counts['unknown']:,} unknown, {counts['twice']:,} twice"
    return ROWS_EQUAL_EVENTS.outcome(
        not any(counts.values()),
        f"the {events.height:,} events of {span}",
        f"{rows.height:,} rows, the same" if not any(counts.values()) else found,
        rows=rows.height, events=events.height, days=len(days), **counts,
    )  # fmt: skip


def _no_future(rows: pl.DataFrame, events: pl.DataFrame, as_of: datetime) -> Outcome:
    time, rows = pl.col("time"), rows.join(events.unique("id"), on="id", how="left")
    # Features are of the moment of the decision, which may be of the next day.
    another_day = (time.dt.date() != pl.col("day")) & time.ne_missing(pl.col(DECIDED_AT))
    faults = {"later": time > as_of, "on_another_day": another_day}
    if "known" in rows.columns:
        faults |= {"known_later": pl.col("known") > as_of, "known_before_it_happened": pl.col("known") < time}
    counts = rows.select(fault.sum().alias(name) for name, fault in faults.items()).row(0, named=True)
    wrong = {name: count for name, count in counts.items() if count}
    found = ", ".join(f"{count:,} rows {name.replace('_', ' ')}" for name, count in wrong.items()) or "only such"
    return NO_FUTURE.outcome(not wrong, f"rows of until {as_of:%Y-%m-%d %H:%M} UTC", found, rows=rows.height, **counts)


def _without(counts: dict[str, int], name: str) -> dict[str, int]:
    return {other: count for other, count in counts.items() if other != name}

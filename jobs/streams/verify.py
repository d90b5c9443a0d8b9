"""Whether the features of streamed events are what a batch makes of the same facts, in every cell.

Batch is the nightly lineage: marts, and the kernel over all of a day. A difference is a fault of one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from jobs.features import window_tables
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring import prediction_log
from jobs.streams.stored_features import fingerprints
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures

MOST_SHOWN = 20
OTHER = "_other"


@dataclass(frozen=True)
class Difference:
    """A cell that is not what batch makes of it."""

    id: Any
    feature: str
    streamed: Any
    batch: Any


@dataclass
class Verified:
    """Features of one day, compared."""

    events: int = 0
    cells: int = 0
    different: int = 0
    examples: list[Difference] = field(default_factory=list)
    not_in_marts: int = 0
    """Streamed events that marts lack as yet: a nightly run brings them."""
    waiting_days: set[date] = field(default_factory=set)
    """The days of those."""
    decided_elsewhere: int = 0
    """Events that the decision service decided at another moment, which is the one that batch goes by."""
    of_others: int = 0
    """Tables that are of other declarations until the stream has made them anew: they are not compared."""


def days_of(lakehouse: Lakehouse, use_case: UseCase) -> list[date]:
    """The days of which there are streamed features."""
    tables = [use_case.stream_table(windows) for windows in use_case.windows]
    found = {day for table in tables if lakehouse.exists(table) for day in lakehouse.files(table).values() if day}
    return sorted(found)


def verify(lakehouse: Lakehouse, use_case: UseCase, days: Sequence[date]) -> Verified:
    """Compute the features of streamed events of some days again by batch, and compare every cell."""
    found = Verified()
    for windows in use_case.windows:
        table = use_case.stream_table(windows)
        [fingerprint] = fingerprints(lakehouse, [table])
        found.of_others += fingerprint not in (None, windows.fingerprint)
        if fingerprint == windows.fingerprint:
            streamed = pl.DataFrame(lakehouse.to_arrow(table, filters=[(PARTITION, "in", list(days))]))
            batch = _batch(lakehouse, use_case, windows, days)
            _compare(found, windows, streamed.join(batch, on=windows.id, how="left", suffix=OTHER))
    return found


def _batch(lakehouse: Lakehouse, use_case: UseCase, windows: WindowFeatures, days: Sequence[date]) -> pl.DataFrame:
    tables = {
        "events": use_case.events, "labels": use_case.labels, "decisions": prediction_log.table(use_case),
        "arrivals": use_case.raw_events,
    }  # fmt: skip
    as_of = datetime.now(UTC) + timedelta(days=1)
    facts = use_case.fact_mart(windows)
    return pl.DataFrame(window_tables.computed(lakehouse, windows, tables, tuple(sorted(days)), as_of, facts))


def _compare(found: Verified, windows: WindowFeatures, both: pl.DataFrame) -> None:
    id, names = windows.id, list(windows.names)
    lacking = pl.col(f"event_timestamp{OTHER}").is_null()
    elsewhere = pl.col("event_timestamp") != pl.col(f"event_timestamp{OTHER}")
    same = both.filter(~lacking & ~elsewhere)
    found.events = max(found.events, both.height)
    found.not_in_marts = max(found.not_in_marts, int(both.select(lacking.sum()).item()))
    found.waiting_days |= set(both.filter(lacking)[PARTITION])
    found.decided_elsewhere = max(found.decided_elsewhere, both.filter(~lacking & elsewhere).height)
    found.cells += same.height * len(names)
    for name in names:
        differing = same.filter(_bits(name).ne_missing(_bits(name + OTHER)))
        found.different += differing.height
        for row in differing.head(MOST_SHOWN - len(found.examples)).iter_rows(named=True):
            found.examples.append(Difference(row[id], name, row[name], row[name + OTHER]))


def _bits(name: str) -> pl.Expr:
    """A value as what has the same bits; 0.0 and -0.0 differ."""
    column = pl.col(name)
    return pl.when(column == 0).then((1 / column.cast(pl.Float64)).cast(pl.String)).otherwise(column.cast(pl.String))

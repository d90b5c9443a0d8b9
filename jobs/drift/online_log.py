"""Drift of what the decision service decided, hour by hour, from its rows of the prediction log.

Hours go by `scored_at`, the moment of the decision. Scores are those of the model version that decided most of the
last hour, so that a new champion alarms nobody: its scores are judged once it has a past of its own. A decision of a
fallback has no score, which counts as one that is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.arrays import Float32s, Ints
from jobs.drift.drift_kernel import edges_of
from jobs.drift.hourly_counts import HOURS, HourlyCounts, counted
from jobs.drift.online_hours import HourDrift, band, judge
from jobs.lakehouse.tables import Lakehouse
from jobs.scoring import prediction_log
from jobs.scoring.decided_columns import SCORE
from jobs.times import microseconds, midnight
from jobs.use_case import UseCase

STABLE_DAYS = 28
"""Days, at most, of which the noise of hours is measured."""
JUDGED_DAYS = 2
"""Days before the last hour that are judged, and so are no part of the noise."""
BINS = 10
"""Bins of about as many rows: an hour has fewer than the days of `jobs.drift.detector`."""
HOLDS = 3
"""Hours that a feature stays named after it was over the line: few rows show a change now and then only."""
_AT_ONCE = 8
"""Features that are read at once."""
_MICROSECONDS_AN_HOUR = 3_600_000_000


@dataclass(frozen=True, eq=False)
class OnlineDrift:
    """The last two days of decisions by the hour."""

    hours: tuple[HourDrift, ...]
    """Rising; the last one is the last whole hour."""
    model_version: int | None
    """Whose scores are judged."""

    @property
    def last(self) -> HourDrift:
        return self.hours[-1]

    @property
    def named(self) -> tuple[str, ...]:
        """Features that were over the line in one of the last hours that were judged, the latest and worst first."""
        judged = [hour for hour in self.hours if hour.features][-HOLDS:]
        recent = [hour for hour in judged if hour.hour > self.last.hour - timedelta(hours=HOLDS)]
        return tuple(dict.fromkeys(name for hour in reversed(recent) for name in hour.named))


def measure(lakehouse: Lakehouse, use_case: UseCase, now: datetime) -> OnlineDrift | None:
    """Judge the whole hours before `now`, of two days; None where nothing was decided in all the time looked at."""
    table = prediction_log.table(use_case)
    if not lakehouse.exists(table):
        return None
    end = now.replace(minute=0, second=0, microsecond=0)
    first = midnight((end - timedelta(hours=1)).date() - timedelta(days=STABLE_DAYS + JUDGED_DAYS))
    log = _Log(lakehouse, table, lakehouse.version(table), first, end)
    decided = log.read(["model_version"])
    if not decided.num_rows:
        return None
    version = _version(decided)
    counts = _counts(log, features(lakehouse, use_case), version)
    stable = replace(counts, counts=counts.counts[:STABLE_DAYS])
    known = band(_without_beginning(stable), use_case.label_features)
    hours = [end - timedelta(hours=n) for n in range(JUDGED_DAYS * HOURS, 0, -1)]
    return OnlineDrift(tuple(judge(known, counts, hour) for hour in hours), version)


def features(lakehouse: Lakehouse, use_case: UseCase) -> list[str]:
    """Numbers and categories of the log besides what was decided."""
    own = {*prediction_log.decided(use_case), *prediction_log.event_columns(use_case)}
    return [name for name in lakehouse.schema(prediction_log.table(use_case)).names if name not in own]


@dataclass(frozen=True)
class _Log:
    """The rows of the service in the prediction log at one version, of some time."""

    lakehouse: Lakehouse
    table: str
    version: int | None
    first: datetime
    end: datetime

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Columns of the rows, and when each was decided."""
        when = [("scored_at", ">=", self.first), ("scored_at", "<", self.end)]
        kept = [("origin", "in", prediction_log.OF_SERVICE), *when]
        return self.lakehouse.to_arrow(self.table, self.version, ["scored_at", *columns], kept)

    def hours(self, rows: pa.Table) -> Ints:
        """Hours of rows since the beginning."""
        micros = rows.column("scored_at").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
        hours: Ints = (micros - microseconds(self.first)) // _MICROSECONDS_AN_HOUR
        return hours


def _version(decided: pa.Table) -> int | None:
    """The model version of most of the decisions of the last hour in which any model decided."""
    rows = decided.filter(pc.is_valid(decided.column("model_version"))).sort_by([("scored_at", "descending")])
    if not rows.num_rows:
        return None
    since = rows.column("scored_at")[0].as_py() - timedelta(hours=1)
    counts = pc.value_counts(rows.filter(pc.greater(rows.column("scored_at"), since)).column("model_version"))
    return int(max(counts.to_pylist(), key=lambda each: each["counts"])["values"])


def _counts(log: _Log, names: Sequence[str], version: int | None) -> HourlyCounts:
    """Counts of features and the score, over bins of the stable days."""
    own: dict[str, Any] = {}
    for n in range(0, len(names), _AT_ONCE):
        rows = log.read(names[n : n + _AT_ONCE])
        hours = log.hours(rows)
        own |= {name: _feature(hours, rows.column(name)) for name in names[n : n + _AT_ONCE]}
    rows = log.read([SCORE, "model_version"])
    mine = pc.fill_null(pc.equal(rows.column("model_version"), pa.scalar(version, pa.int64())), True)
    rows = rows.filter(mine)
    own[SCORE] = _feature(log.hours(rows), rows.column(SCORE))
    bins = max(part.shape[-1] for part in own.values())
    return HourlyCounts(log.first.date(), tuple(own), np.stack([_widened(part, bins) for part in own.values()], axis=2))


def _feature(hours: Ints, column: pa.ChunkedArray) -> Ints:
    """Counts of a feature, shape (days, 24, bins), missing last."""
    is_stable = hours < STABLE_DAYS * HOURS
    values = _numbers(column, is_stable)
    edges = edges_of(values[is_stable], BINS)
    return counted(hours, values, edges, STABLE_DAYS + JUDGED_DAYS + 1, len(edges) + 2)


def _widened(counts: Ints, bins: int) -> Ints:
    """The same counts with empty bins before the last."""
    more = np.zeros((*counts.shape[:-1], bins - counts.shape[-1]), counts.dtype)
    return np.concatenate([counts[..., :-1], more, counts[..., -1:]], axis=-1)


def _numbers(column: pa.ChunkedArray, is_stable: Any) -> Float32s:
    """Values as float32, NaN where there is none; a text is the place of its value among the commonest."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        counts = pc.value_counts(column.filter(pa.array(is_stable)).drop_null()).to_pylist()
        commonest = [each["values"] for each in sorted(counts, key=lambda each: -each["counts"])][: BINS - 1]
        places = pc.fill_null(pc.index_in(column, pa.array(commonest, column.type)), len(commonest))
        column = pc.if_else(pc.is_null(column), None, places)
    numbers: Float32s = column.cast(pa.float32(), safe=False).to_numpy().astype(np.float32)
    return numbers


def _without_beginning(stable: HourlyCounts) -> HourlyCounts:
    """From the first day with rows on: days before it are no neighbours of any."""
    days = np.flatnonzero(stable.rows.sum(axis=(1, 2)))
    start = int(days[0]) if len(days) else len(stable)
    return replace(stable, first=stable.first + timedelta(days=start), counts=stable.counts[start:])

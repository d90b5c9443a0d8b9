"""Features that a model was served, by the nightly log, against offline values computed anew for the same events.

The last days that were scored, of a part of the entities; how values are compared is in `jobs.drift.skew`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.datasets import event_rows
from jobs.datasets.event_rows import InputVersions
from jobs.drift.skew import LogColumns, Skew, compare
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.scoring.logged_days import LoggedDays
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DAYS, ROWS = 3, 20_000
"""Days and, about, rows that are compared."""


@dataclass(frozen=True)
class Checked:
    """A comparison and what it was made of."""

    skew: Skew
    days: tuple[date, ...]
    model_version: int
    features: tuple[str, ...]

    def share(self, rows: int) -> float:
        """Of the rows compared."""
        return rows / max(self.skew.rows, 1)


def first_day(as_of: datetime) -> date:
    """The first of the DAYS days before `as_of`."""
    return (as_of - timedelta(days=DAYS)).date()


def check(
    lakehouse: Lakehouse,
    use_case: UseCase,
    logged: LoggedDays,
    features: Sequence[str],
    as_of: datetime,
    rows: int = ROWS,
) -> Checked:
    """Compare the last DAYS days in the log of the model version that scored the last of them.

    Of many rows a part is compared, chosen by a hash of the entity that blocks are made of, not of the event: that
    keeps events together by which a stale value is known.

    Args:
        logged: what is in the log, at least one day.
        features: those of that model.

    Raises:
        ValueError: a table that features are made from does not exist.
    """
    from jobs.feature_store.store import open_store

    days = logged.days[-DAYS:]
    chosen = _part(use_case.cluster_key, sum(logged.rows[day] for day in days), rows)
    keys = LogColumns(use_case.event_id, use_case.event_timestamp, use_case.entities)
    log = logged.of(lakehouse, use_case, days).where(chosen)
    served = _columns(log, keys, features)
    inputs = event_rows.inputs(lakehouse, use_case, [use_case.events], as_of, "offline values")
    store = open_store(lakehouse, use_case, inputs.versions)
    events = event_rows.known(lakehouse, use_case, inputs.versions, as_of, days).where(chosen)
    frame = event_rows.with_features(store, use_case, events.selectExpr(*event_rows.columns(use_case, events)))
    offline = _columns(frame, keys, features)
    skew = compare(served, offline, keys, features)
    if skew.features:
        # Events at the edges of windows are looked up only where there is something to explain.
        older = _columns(_older(lakehouse, use_case, inputs, min(days)).where(chosen), keys, ())
        skew = compare(
            served, offline, keys, features, reaches(use_case), older.cast(offline.select(keys.names).schema)
        )
    return Checked(skew, days, logged.model_version, tuple(features))


def reaches(use_case: UseCase) -> Mapping[str, tuple[tuple[str, ...], timedelta]]:
    """Feature -> its entity, and how far back its window starts."""
    return {feature.name: (windows.keys, feature.reach) for windows in use_case.windows for feature in windows.features}


def _columns(frame: DataFrame, keys: LogColumns, features: Sequence[str]) -> pa.Table:
    """The keys of the rows and their features, as far as they are there."""
    return frame.select(*keys.names, *(name for name in features if name in frame.columns)).toArrow()


def _older(lakehouse: Lakehouse, use_case: UseCase, inputs: InputVersions, before: date) -> DataFrame:
    """Events that windows of the compared ones reach back to; without features."""
    reach = max((far for _, far in reaches(use_case).values()), default=timedelta(0))
    first = before - reach - timedelta(days=1)
    days = f"{PARTITION} >= date '{first}' and {PARTITION} < date '{before}'"
    return event_rows.known(lakehouse, use_case, inputs.versions, inputs.as_of, None).where(days)


def _part(block: str, rows_held: int, rows_wanted: int) -> str:
    """SQL: a part of the rows by entity, about as many as wanted."""
    return f"crc32(cast(`{block}` as string)) % {max(1, round(rows_held / rows_wanted))} = 0"

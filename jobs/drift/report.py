"""Drift for people: what the night's evidence measured of every feature and the score, and a classifier's opinion of
the last day. How days are judged is in `jobs.drift.detector` and `jobs.stats.domain_classifier`; nothing is decided
here.

The classifier takes samples of the days that the champion decided from the nightly log, and of the weeks before from
the table of all events (`jobs.datasets.history`), scored now, so that scores of one model are compared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from jobs.datasets import history
from jobs.drift import classifier_null
from jobs.drift.detector import Drift
from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.models.tables import features_of
from jobs.models.texts import compared, compared_names
from jobs.models.vectors import columns_of
from jobs.registry.bundle import Bundle
from jobs.scoring.batch import score_frame
from jobs.scoring.decided_columns import SCORE
from jobs.scoring.logged_days import LoggedDays
from jobs.stats import domain_classifier as two_sample
from jobs.stats.domain_classifier import Null, TwoSample
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NULL_DAYS = timedelta(days=two_sample.ENOUGH_DAYS // 2 + 7 * two_sample.WEEKS)
"""The latest days of the reference that have as many days as are enough with four weeks before or after them."""
_SEED = 0


@dataclass(frozen=True, eq=False)
class DriftReport:
    """What was found."""

    judged: tuple[Drift, ...]
    """By day; the last one is the day that was asked about."""
    reference: tuple[date, date]
    """First and last day of the stable period."""
    two_sample: TwoSample | None
    """Of the last day; None where the weeks before it lack days."""
    then: pa.Table
    """A sample of the same weekdays of the weeks before the last day, with features and score."""
    now: pa.Table
    """A sample of the last day."""

    @property
    def last(self) -> Drift:
        return self.judged[-1]

    @property
    def named(self) -> tuple[str, ...]:
        """Features that are over a line, the worst first."""
        return tuple(dict.fromkeys([*self.last.named, *(self.two_sample.named if self.two_sample else ())]))

    @property
    def alarm(self) -> bool:
        return self.last.alarm or (self.two_sample is not None and self.two_sample.alarm)


def report(
    lakehouse: Lakehouse,
    use_case: UseCase,
    bundle: Bundle,
    logged: LoggedDays,
    judged: Sequence[Drift],
    stable: Sequence[date],
) -> DriftReport:
    """Add the classifier's opinion of the last judged day to what the night's evidence measured.

    Args:
        logged: days that the model of `bundle` decided.
        judged: drift of the latest days, as the evidence judged it, at least one.
        stable: days of the reference that it was judged by.
    """
    rows = _Rows.of_log(lakehouse, use_case, bundle, logged)
    null = _null(rows, stable)
    then, now, classified = _two_sample(bundle, rows, null, judged[-1].day)
    # A day behind a gap cannot be judged by the classifier either.
    two_sample = classified if judged[-1].judged else None
    return DriftReport(tuple(judged), (stable[0], stable[-1]), two_sample, then, now)


def prepare(
    lakehouse: Lakehouse, use_case: UseCase, bundle: Bundle, logged: LoggedDays, stable: Sequence[date]
) -> None:
    """Measure the classifier's null distribution on a champion's stable days, on the evening that the champion came.

    Args: as those of `report`.
    """
    _null(_Rows.of_log(lakehouse, use_case, bundle, logged), stable)


def _history_days(lakehouse: Lakehouse, use_case: UseCase, bundle: Bundle, until: date) -> dict[date, int]:
    """Days and rows before `until` of the table of all events, by day; none without a table that has the features."""
    name = history.table(use_case)
    if not lakehouse.exists(name) or not bundle.manifest.columns.keys() <= set(lakehouse.schema(name).names):
        return {}
    files: Any = pl.DataFrame(pa.table(lakehouse.snapshot(name).get_add_actions(flatten=True)))
    days = files.group_by(pl.col(f"partition.{PARTITION}").alias("day")).agg(pl.col("num_records").sum().alias("rows"))
    days = days.filter((pl.col("day") < until) & (pl.col("rows") > 0)).sort("day")
    return dict(zip(days["day"].to_list(), days["rows"].to_list(), strict=True))


@dataclass(frozen=True)
class _Rows:
    """Id, day, features and score of rows, in the engine: from the log, and of the days before it scored on the way."""

    lakehouse: Lakehouse
    use_case: UseCase
    bundle: Bundle
    logged: LoggedDays
    before: Mapping[date, int]

    @classmethod
    def of_log(cls, lakehouse: Lakehouse, use_case: UseCase, bundle: Bundle, logged: LoggedDays) -> _Rows:
        """The days of the log, and those before them."""
        before = _history_days(lakehouse, use_case, bundle, logged.days[0])
        return cls(lakehouse, use_case, bundle, logged, before)

    @property
    def held(self) -> Mapping[date, int]:
        """Days and their rows."""
        return {**self.before, **self.logged.rows}

    def of(self, days: Sequence[date], part: str = "true") -> DataFrame:
        """The rows of `days` that the SQL condition `part` keeps."""
        names = self.bundle.manifest.columns
        mine = [day for day in days if day in self.logged.rows]
        earlier = [day for day in days if day in self.before]
        parts: list[Any] = []
        if earlier:
            earlier_rows = self.lakehouse.read(history.table(self.use_case)).where(of_days(earlier)).where(part)
            parts.append(score_frame(self.lakehouse, earlier_rows, self.bundle, [self._id, PARTITION, *names]))
        if mine:
            parts.append(self.logged.of(self.lakehouse, self.use_case, mine).where(part))
        columns = [f"`{name}`" for name in (self._id, PARTITION, *names, SCORE)]
        frames = [frame.selectExpr(*columns) for frame in parts]
        together: DataFrame = frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])
        return together

    def sampled(self, days: Sequence[date], share: int) -> pa.Table:
        """One of `share` rows, chosen by a hash of the event's id, in the order of ids: what a classifier learns must
        not depend on whether a night or the service put them into the log."""
        rows = self.of(days, f"crc32(cast(`{self._id}` as string)) % {share} = 0").toArrow()
        return rows.sort_by(self._id).drop_columns(self._id)

    @property
    def _id(self) -> str:
        return self.use_case.event_id


def _null(rows: _Rows, stable: Sequence[date]) -> Null | None:
    """The classifier's null distribution, measured on the model's first evening; None: too few whole weeks."""
    stable, settings, bundle = [day for day in stable if day in rows.held], rows.lakehouse.settings, rows.bundle
    if not stable:
        return None
    of = {"bundle": bundle.sha256, "first": str(stable[0]), "last": str(stable[-1])}
    measured_until, null = classifier_null.last(settings, rows.use_case, of)
    if measured_until:
        return null
    enough_rows = len(stable) * two_sample.ROWS
    sample = rows.sampled(stable, max(1, sum(rows.held[day] for day in stable) // enough_rows))
    days = sample.filter(pc.greater(sample[PARTITION], stable[-1] - NULL_DAYS))
    with contextlib.suppress(ValueError):  # gaps leave too few days with whole weeks around them
        null = two_sample.null(_samples(days, bundle.manifest.names), _SEED)
    classifier_null.remember(settings, rows.use_case, of, null)
    return null


def _two_sample(
    bundle: Bundle, rows: _Rows, null: Null | None, day: date
) -> tuple[pa.Table, pa.Table, TwoSample | None]:
    """Samples of the weeks before and of the day, and the AUC of a classifier between them."""
    weeks = [day - timedelta(weeks=n) for n in range(1, two_sample.WEEKS + 1)]
    days = [each for each in weeks if each in rows.held]
    table = rows.sampled([*days, day], max(1, rows.held[day] // two_sample.ROWS))
    is_now = pc.equal(table[PARTITION], day)
    then, now = table.filter(pc.invert(is_now)), table.filter(is_now)
    if null is None or len(days) < len(weeks):
        return then, now, None
    names = bundle.manifest.names
    found = two_sample.two_sample_test(null, _samples(table, names), day, compared_names(names), _SEED)
    return then, now, replace(found, named=columns_of(found.named))


def _samples(table: pa.Table, names: Sequence[str]) -> two_sample.RowsByDay:
    features = compared(features_of(table, names), names)
    days = np.array(table[PARTITION].to_pylist(), dtype="datetime64[D]")
    return {one.item(): two_sample.sample(features[days == one], _SEED) for one in np.unique(days)}

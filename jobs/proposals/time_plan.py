"""Times of a proposed project: its days, when labels are known, and how long training and evaluation look back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil

import polars as pl

from jobs.errors import Invalid
from jobs.proposals.roles import Roles
from jobs.proposals.table_profile import TableProfile

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
USUAL_AGE = 10_957 * DAY
"""Events of longer ago are taken for mistakes, unless most are (`jobs.use_case.Source.plausible_age`)."""
TRAINED_ON = 2_000_000
"""Rows that a training looks back over, about, in a long file."""


@dataclass(frozen=True)
class TimePlan:
    """Days and lengths of a proposed project."""

    first: datetime
    last: datetime
    delay: timedelta
    """After an event its label is known."""
    training: timedelta
    evaluation: timedelta
    """Length of the validation window, and of the one that models are judged on."""
    plausible_age: timedelta
    only_dates: bool
    rows_a_day: float

    @property
    def span(self) -> timedelta:
        return self.last - self.first

    @property
    def days(self) -> tuple[date, date]:
        return self.first.date(), self.last.date()


def plan(table: TableProfile, found: Roles, now: datetime) -> TimePlan:
    """Times that suit a table as it is. Raises Invalid if all its events are of one moment, or to come."""
    times = found.time.sample.drop_nulls()
    times = times.filter(times <= now)
    if times.is_empty():
        raise Invalid(f"{table.path}: {found.time.name}: expected times until {now:%Y-%m-%d}, found later ones alone; "
                      "name another time (`--time COLUMN`)")  # fmt: skip
    middle: datetime = times.quantile(0.5, "nearest")  # type: ignore[assignment]
    age = max(USUAL_AGE, (now - middle) * 2 if now - middle > USUAL_AGE / 2 else USUAL_AGE)
    good = times.filter(times > now - age)
    first, last = _robust(good)
    if last <= first:
        raise Invalid(f"{table.path}: {found.time.name}: expected several moments, found {first} in all rows; "
                      "name another time (`--time COLUMN`)")  # fmt: skip
    span = last - first
    delay = _delay(found, span)
    rows_a_day = table.rows / max(1.0, span / DAY)
    training = _whole(min(span + DAY, max(120 * DAY, TRAINED_ON / rows_a_day * DAY)))
    evaluation = min(14 * DAY, max(HOUR, _whole((span - delay) / 6)))
    only_dates = bool((good.dt.time() == datetime.min.time()).all())
    return TimePlan(first, last, delay, training, evaluation, age, only_dates, rows_a_day)


def _robust(times: pl.Series) -> tuple[datetime, datetime]:
    """First and last time, without stray ones far from all others."""
    low: datetime = times.quantile(0.005, "nearest")  # type: ignore[assignment]
    high: datetime = times.quantile(0.995, "nearest")  # type: ignore[assignment]
    near = times.filter(times.is_between(low - (high - low) - DAY, high + (high - low) + DAY))
    return near.min(), near.max()  # type: ignore[return-value]


def _delay(found: Roles, span: timedelta) -> timedelta:
    """After which a label is known: that of 95 % of the labels whose time is known, else a week in a long file."""
    if found.reported is not None:
        ages = (found.reported.sample - found.time.sample).drop_nulls()
        late: timedelta = ages.quantile(0.95, "nearest")  # type: ignore[assignment]
        return _whole(min(max(late, HOUR), span / 3))
    return 7 * DAY if span >= 45 * DAY else DAY if span >= 10 * DAY else max(HOUR, _whole(span / 10))


def _whole(length: timedelta) -> timedelta:
    """Whole days, or whole hours of less than two days; rounded up."""
    unit = DAY if length >= 2 * DAY else HOUR
    return ceil(length / unit) * unit

"""What is decided about where no event asks for it: entities at times of a schedule; and labels that a rule makes.

Declarations only: SQL makes tables of them (`jobs.projects.standard_targets`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from jobs.conditions import Where, conditions
from jobs.declared_types import check

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EVERY = re.compile(rf"({'|'.join(DAYS)}|day|month) ([01]\d|2[0-3]):([0-5]\d)")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Schedule:
    """Targets at fixed times: each entity of a source that exists then, silent ones too.

    An entity exists at a moment if by then a row of the source had happened and was known, was neither superseded nor
    deleted, and, where `until` is declared, had not ended.
    """

    every: str
    """`Monday 06:00`, `day 06:00`, or `month 06:00`, which is the first of each month."""
    entities_of: str
    """Source whose rows say which entities there are."""
    zone: str = "UTC"
    """Time zone of `every`. A time that clocks skip comes later by what they skip; one that comes twice comes once."""
    until: str | None = None
    """Column of the source: when the entity ends, null as long as it does not."""

    def __post_init__(self) -> None:
        check(self, _schedule_misfits)

    def moments(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """The times of the schedule within [first, last], in UTC, in order."""
        day = first.astimezone(UTC).date() - _DAY
        while day <= last.astimezone(UTC).date() + _DAY:
            moment = self._on(day)
            if moment is not None and first <= moment <= last:
                yield moment
            day += _DAY

    @property
    def longest_pause(self) -> timedelta:
        """The most days between two times of the schedule."""
        which = self.every.split()[0]
        return {"day": _DAY, "month": 31 * _DAY}.get(which, 7 * _DAY)

    def after(self, moment: datetime, count: int) -> datetime:
        """The last of the next times of the schedule, so many, after a moment."""
        found = self.moments(moment + timedelta(microseconds=1), moment + count * timedelta(days=32))
        return [next(found) for _ in range(count)][-1]

    def _on(self, day: date) -> datetime | None:
        """The time on a day, UTC; None: it is another day's."""
        [(which, hour, minute)] = EVERY.findall(self.every)
        if (which in DAYS and DAYS[day.weekday()] != which) or (which == "month" and day.day != 1):
            return None
        # Python reads a time that is skipped, and one that comes twice, by the offset before (PEP 495, fold=0).
        return datetime.combine(day, time(int(hour), int(minute)), ZoneInfo(self.zone)).astimezone(UTC)


@dataclass(frozen=True)
class HorizonLabel:
    """The label of a target is what the facts of its entity were in a time after it: in (t, t + horizon].

    It is known at t + horizon, if facts are known until then, and has further versions where facts come later.
    """

    facts: str
    """Source of the facts."""
    horizon: timedelta
    value: Literal["any", "none", "count", "sum"]
    """`any` and `none` say whether there was a fact. `count` is how many there were, `sum` that of a column, or 0."""
    column: str | None = None
    where: Where | None = None
    """Facts that are meant; None: all."""

    def __post_init__(self) -> None:
        check(self, _label_misfits)
        conditions(self.where)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the facts that it reads."""
        return tuple(filter(None, [self.column, *(each.column for each in conditions(self.where))]))


def _schedule_misfits(schedule: Schedule) -> Iterator[str]:
    if not EVERY.fullmatch(schedule.every):
        yield (
            f"every: expected a day of the week, `day` or `month` and a time, such as 'Monday 06:00', found "
            f"{schedule.every!r}; write it so"
        )
    if schedule.zone not in available_timezones():
        yield f"zone: expected a time zone such as 'Europe/London', found {schedule.zone!r}; correct it"


def _label_misfits(label: HorizonLabel) -> Iterator[str]:
    if label.horizon <= timedelta(0):
        yield f"horizon: expected more than 0, found {label.horizon!r}; say how long after a target facts count"
    if (label.value == "sum") != (label.column is not None):
        yield f"column: expected one for `sum` and for nothing else, found {label.column!r}; correct it"

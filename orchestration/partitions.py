"""The daily partitions of a use case: days that have events in its input, up to yesterday while the input grows."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from jobs.ingest import registered_inputs
from jobs.settings import Settings
from jobs.times import days_between, midnight
from jobs.use_case import UseCase

MOST_EMPTY = 366
"""Days without events between the first and the last partition, unless more days than these have some."""
MOST_EXCLUDED = 100
"""So many days without events are no partitions; where there are more, they are empty ones: a record of Dagster names
every day that is left out."""
ALIVE = timedelta(days=31)
"""An input whose last day is older than this has ended: the days after it are not missing."""


def daily(settings: Settings, use_case: UseCase, today: date | None = None) -> dg.DailyPartitionsDefinition:
    """One partition per UTC day with events, from the first to the last one; while the input grows, to yesterday."""
    inputs = registered_inputs.registered(settings, use_case)
    first, last = _span(settings, use_case)
    first, empty = _frequent_days(inputs.runs_of_days if inputs else ()) or (first, [])
    end = None if alive(settings, use_case, today) else (last + timedelta(days=1)).isoformat()
    excluded = [midnight(day) for day in empty] if len(empty) <= MOST_EXCLUDED else []
    return dg.DailyPartitionsDefinition(start_date=first.isoformat(), end_date=end, exclusions=excluded)


def _frequent_days(runs: Sequence[tuple[date, date]]) -> tuple[date, list[date]] | None:
    """The day from which on most days have events, or all but a year of them, and those that have none since.

    Every partition costs Dagster a record per asset: a single event of long ago must not make thousands. Its row is
    loaded all the same, with the whole input.
    """
    if not runs:
        return None
    first, empty, filled = runs[-1][0], list[date](), 0
    for (start, end), (following, until) in zip(reversed(runs[:-1]), reversed(runs), strict=False):
        filled += (until - following).days + 1
        gap = days_between(end, following)
        if len(empty) + len(gap) > max(MOST_EMPTY, filled):
            break
        first, empty = start, gap + empty
    return first, empty


def last_until(settings: Settings, use_case: UseCase, day: date) -> str:
    """Key of the last partition up to a day; of the first one if there is none before, of the day if there is none."""
    return between(settings, use_case, date.min, day)[1].isoformat()


def between(settings: Settings, use_case: UseCase, first: date, last: date) -> tuple[date, date]:
    """First and last partition of some days; the nearest one if none of them is one."""
    days = [date.fromisoformat(key) for key in daily(settings, use_case).get_partition_keys()] or [last]
    end = max((day for day in days if day <= last), default=days[0])
    return min((day for day in days if first <= day <= end), default=end), end


def alive(settings: Settings, use_case: UseCase, today: date | None = None) -> bool:
    """Whether the input still grows, so that a day without data is missing and not merely outside of it."""
    return _span(settings, use_case)[1] >= (today or datetime.now(UTC).date()) - ALIVE


def _span(settings: Settings, use_case: UseCase) -> tuple[date, date]:
    inputs = registered_inputs.registered(settings, use_case)
    return (inputs.first_day, inputs.last_day) if inputs else (use_case.first_day, use_case.last_day)

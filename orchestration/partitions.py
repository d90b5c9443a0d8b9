"""The daily partitions of a use case: the days of its registered input, up to yesterday while the input grows."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from jobs.ingest import registered_inputs
from jobs.settings import Settings
from jobs.use_case import UseCase

ALIVE = timedelta(days=31)
"""An input whose last day is older than this has ended: the days after it are not missing."""


def daily(settings: Settings, use_case: UseCase, today: date | None = None) -> dg.DailyPartitionsDefinition:
    """One partition per UTC day, from the first to the last day of the input, or to yesterday if it still grows."""
    first, last = _span(settings, use_case)
    end = None if alive(settings, use_case, today) else (last + timedelta(days=1)).isoformat()
    return dg.DailyPartitionsDefinition(start_date=first.isoformat(), end_date=end)


def alive(settings: Settings, use_case: UseCase, today: date | None = None) -> bool:
    """Whether the input still grows, so that a day without data is missing and not merely outside of it."""
    return _span(settings, use_case)[1] >= (today or datetime.now(UTC).date()) - ALIVE


def _span(settings: Settings, use_case: UseCase) -> tuple[date, date]:
    inputs = registered_inputs.registered(settings, use_case)
    return (inputs.first_day, inputs.last_day) if inputs else (use_case.first_day, use_case.last_day)

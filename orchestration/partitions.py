"""The daily partitions of a use case: the days its registered input is about."""

from datetime import timedelta

import dagster as dg

from jobs import inputs
from jobs.settings import Settings
from jobs.use_case import UseCase


def daily(settings: Settings, use_case: UseCase) -> dg.DailyPartitionsDefinition:
    """One partition per UTC day, from the first to the last day of the input."""
    known = inputs.registered(settings, use_case)
    first, last = (known.first_day, known.last_day) if known else (use_case.first_day, use_case.last_day)
    return dg.DailyPartitionsDefinition(start_date=first.isoformat(), end_date=(last + timedelta(days=1)).isoformat())

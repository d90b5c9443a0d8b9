"""Moments and days as integers: microseconds and days since 1970, UTC. What happens at them is not known here."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from jobs.arrays import Floats

Times = npt.NDArray[np.int64]
"""Event times in microseconds since 1970, UTC."""
MICROSECONDS_A_DAY = 86_400_000_000
NEVER = int(np.iinfo(np.int64).max)
"""Moment of what has not happened: the report of an event without one, the withdrawal of a report that stands."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Microseconds from 1970 to an aware moment, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(microseconds: int) -> datetime:
    """The aware moment of so many microseconds since 1970, exactly."""
    return _EPOCH + timedelta(microseconds=microseconds)


def day_number(day: date) -> int:
    """Days from 1970 to a day."""
    return (day - _EPOCH.date()).days


def numbered_day(number: int) -> date:
    """The day of a `day_number`."""
    return _EPOCH.date() + timedelta(days=int(number))


def midnight(day: date) -> datetime:
    """The moment at which a day begins."""
    return datetime.combine(day, datetime.min.time(), UTC)


def end_of(day: date) -> datetime:
    """The midnight that ends a day."""
    return midnight(day + timedelta(days=1))


def days_between(day: date, later: date) -> list[date]:
    """The days after one and before another, in their order."""
    return [day + timedelta(days=n) for n in range(1, (later - day).days)]


def moment_text(moment: datetime) -> str:
    """A moment as it can be given on the command line, to the second: 2026-05-01T14:02:00."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()


def ages(times: Times, moment: int) -> Floats:
    """Age in days of each event at a moment (microseconds UTC); negative before it happened."""
    days: Floats = (moment - times) / MICROSECONDS_A_DAY
    return days

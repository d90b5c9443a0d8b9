"""How far a window reaches: a time, a number of facts within a time, or a short time against a long one.

Declarations only; which facts count then is the business of `jobs.features`.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from jobs.errors import Invalid

BEFORE = timedelta(microseconds=1)
"""As a delay: what happened before the event, without the event itself and without what happened at its very moment."""
LONGEST = timedelta(days=36_525)
"""Of windows, and of all that a feature looks back; a mistake lies beyond a hundred years."""
MOST_FACTS = 100


@dataclass(frozen=True)
class Last:
    """The last facts, so many, and none older than `within`: what a person did the last five times.

    Facts of one event time are taken in the order in which they were known, those of one moment by their event's id.
    """

    facts: int
    within: timedelta

    def __post_init__(self) -> None:
        if isinstance(self.facts, bool) or not isinstance(self.facts, int) or not 1 <= self.facts <= MOST_FACTS:
            raise Invalid(f"Last: expected 1 to {MOST_FACTS} facts, found {self.facts!r}")
        expect_window(self.within, "Last: within")


@dataclass(frozen=True)
class Trend:
    """The value of a short window over the value of the long one that it is the end of."""

    short: timedelta
    long: timedelta

    def __post_init__(self) -> None:
        expect_window(self.short, "Trend: short")
        expect_window(self.long, "Trend: long")
        if self.short >= self.long:
            raise Invalid(f"Trend: expected a short window below the long one, found {self.short} and {self.long}")


Window: TypeAlias = timedelta | Last | Trend


def reach(window: Window) -> timedelta:
    """The time that a window looks back at most."""
    return window.within if isinstance(window, Last) else window.long if isinstance(window, Trend) else window


def window_name(window: Window) -> str:
    """A window as part of a column's name.

    >>> window_name(timedelta(hours=6)), window_name(Last(5, timedelta(days=30)))
    ('6h', 'last_5_30d')
    >>> window_name(Trend(timedelta(days=1), timedelta(days=30)))
    '1d_over_30d'
    """
    if isinstance(window, Last):
        return f"last_{window.facts}_{duration(window.within)}"
    return f"{duration(window.short)}_over_{duration(window.long)}" if isinstance(window, Trend) else duration(window)


def delay_name(delay: timedelta) -> str:
    """The end of the name of a feature with a delay.

    >>> delay_name(timedelta(days=7)), delay_name(BEFORE), delay_name(timedelta(0))
    ('_delay_7d', '_before', '')
    """
    return "" if not delay else "_before" if delay == BEFORE else f"_delay_{duration(delay)}"


def duration(length: timedelta) -> str:
    """A short exact name for a duration: 10m, 1h, 7d, 1500ms.

    >>> duration(timedelta(days=7)), duration(timedelta(minutes=90)), duration(timedelta(0))
    ('7d', '90m', '0s')
    """
    micros = length // timedelta(microseconds=1)
    units = (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1))
    if micros == 0:
        return "0s"
    return next(f"{micros // size}{unit}" for unit, size in units if micros % size == 0)


def expect_window(length: Any, place: str) -> None:
    """Raises Invalid for what is no positive duration of at most a hundred years."""
    if not isinstance(length, timedelta) or not timedelta(0) < length <= LONGEST:
        raise Invalid(f"{place}: expected a positive timedelta of at most {LONGEST.days:,} days, found {length!r}")

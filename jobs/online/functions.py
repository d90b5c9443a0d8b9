"""Functions of window features for one target: from ranges of series to a value, bit for bit as the kernel has it.

A function is compiled for one feature; the ranges of its windows are found before, once for all features.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from math import isfinite
from typing import Any, TypeAlias

from jobs.online.exact_prefix import sample_deviation
from jobs.online.series import Series
from jobs.windows import Aggregate

Value: TypeAlias = float | int | None


Range: TypeAlias = tuple[Series, int, int]
"""The facts of a series that a window holds: those at [low, high)."""
Ranges: TypeAlias = Sequence[Range]
Compute: TypeAlias = Callable[[Ranges, int], Value]
"""From all ranges and the target's moment in microseconds to a value, None where it is undefined."""


def count(at: int) -> Compute:
    def compute(ranges: Ranges, _: int) -> Value:
        return ranges[at][2] - ranges[at][1]

    return compute


def total(at: int, column: str) -> Compute:
    def compute(ranges: Ranges, _: int) -> Value:
        series, low, high = ranges[at]
        return series.sums[column].total(low, high) if high > low else None

    return compute


def mean(at: int, column: str) -> Compute:
    def compute(ranges: Ranges, _: int) -> Value:
        series, low, high = ranges[at]
        return series.sums[column].total(low, high) / (high - low) if high > low else None

    return compute


def deviation(at: int, column: str) -> Compute:
    def compute(ranges: Ranges, _: int) -> Value:
        series, low, high = ranges[at]
        if high - low < 2:
            return None
        sums, squares = series.sums[column], series.squares[column]
        return sample_deviation(high - low, sums.pair(low, high), squares.pair(low, high))

    return compute


def extreme(at: int, column: str, better: Callable[..., Any]) -> Compute:
    def compute(ranges: Ranges, _: int) -> Value:
        series, low, high = ranges[at]
        return float(series.extremes[column, better].best(low, high)) if high > low else None

    return compute


def distinct(at: int, column: str, window: Hashable) -> Compute:
    def compute(ranges: Ranges, _: int) -> Value:
        series, low, high = ranges[at]
        return series.different(column, low, high, window)

    return compute


def percentile(at: int, aggregate: Aggregate) -> Compute:
    column, share, how = str(aggregate.column), aggregate.share, aggregate.interpolation

    def compute(ranges: Ranges, _: int) -> Value:
        series, low, high = ranges[at]
        if low == high:
            return None
        values = sorted(series.values[column][low:high])
        place, rest = divmod((len(values) - 1) * share.numerator, share.denominator)
        if how == "linear":
            below, above = float(values[place]), float(values[min(place + 1, len(values) - 1)])
            return below + rest / share.denominator * (above - below)
        return float(values[place + _up(how, place, 2 * rest - share.denominator, rest)])

    return compute


def _up(how: str, place: int, half: int, rest: int) -> int:
    """How far above a place the value of another interpolation stands."""
    nearest = place & 1 if half == 0 else int(half > 0)
    return {"lower": 0, "higher": int(rest > 0), "nearest": nearest}[how]


def age(at: int, *, last: bool) -> Compute:
    def compute(ranges: Ranges, moment: int) -> Value:
        series, low, high = ranges[at]
        return (moment - series.times[high - 1 if last else low]) / 1e6 if high > low else None

    return compute


def rate(at: int, over: int) -> Compute:
    def compute(ranges: Ranges, _: int) -> Value:
        events = ranges[over][2] - ranges[over][1]
        return (ranges[at][2] - ranges[at][1]) / events if events else None

    return compute


def streak(at: int, breaks: int, *, is_age: bool) -> Compute:
    """The true facts above the latest false one."""

    def compute(ranges: Ranges, moment: int) -> Value:
        series, low, high = ranges[at]
        broken, first, end = ranges[breaks]
        if end > first:
            low = bisect_right(series.times, broken.times[end - 1], low, high)
        if not is_age:
            return high - low
        return (moment - series.times[low]) / 1e6 if high > low else None

    return compute


def trend(short: Compute, long: Compute) -> Compute:
    def compute(ranges: Ranges, moment: int) -> Value:
        above, below = short(ranges, moment), long(ranges, moment)
        if above is None or not below:
            return None
        value = above / below
        return value if isfinite(value) else None

    return compute


def or_else(compute: Compute, empty: float | None) -> Compute:
    """The value, or what is declared for a window in which it is undefined."""
    if empty is None:
        return compute
    fallback = float(empty)

    def filled(ranges: Ranges, moment: int) -> Value:
        value = compute(ranges, moment)
        return fallback if value is None else value

    return filled

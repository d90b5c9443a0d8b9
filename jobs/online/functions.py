"""Functions of window features for one target, as expressions: bit for bit the values that the kernel has.

Each takes the facts of its window (`jobs.online.evaluation.Range`) and `empty`, the expression of what is declared for
a window in which it is undefined.
"""

from math import isfinite
from typing import Any

from jobs.online.evaluation import Evaluation, Range
from jobs.windows import Aggregate


def count(of: Range) -> str:
    return of.size


def total(to: Evaluation, of: Range, column: str, empty: str) -> str:
    return f"{_total(to, of, column)} if {of.high} > {of.low} else {empty}"


def mean(to: Evaluation, of: Range, column: str, empty: str) -> str:
    return f"{_total(to, of, column)} / ({of.size}) if {of.high} > {of.low} else {empty}"


def _total(to: Evaluation, of: Range, column: str) -> str:
    return to.once(f"{_prefix(to, of, 'sums', column)}.total({of.low}, {of.high})")


def deviation(to: Evaluation, of: Range, column: str, empty: str) -> str:
    pairs = [f"{_prefix(to, of, kept, column)}.pair({of.low}, {of.high})" for kept in ("sums", "squares")]
    return f"sample_deviation({of.size}, {pairs[0]}, {pairs[1]}) if {of.size} > 1 else {empty}"


def _prefix(to: Evaluation, of: Range, kept: str, column: str) -> str:
    return to.once(f"{of.series}.{kept}[{column!r}]")


def extreme(to: Evaluation, of: Range, column: str, empty: str, better: str) -> str:
    """better: max or min."""
    extremes = to.once(f"{of.series}.extremes[{column!r}, {better}]")
    return f"float({extremes}.best({of.low}, {of.high})) if {of.high} > {of.low} else {empty}"


def distinct(to: Evaluation, of: Range, column: str, window: Any) -> str:
    """window: the same for ranges that move on together."""
    return f"{of.series}.different({column!r}, {of.low}, {of.high}, {to.named(window)})"


def percentile(to: Evaluation, of: Range, aggregate: Aggregate, empty: str) -> str:
    values = to.once(f"{of.series}.values[{str(aggregate.column)!r}]")
    found = f"{to.named(_percentile)}({values}[{of.low}:{of.high}], {to.named(aggregate)})"
    return f"{found} if {of.high} > {of.low} else {empty}"


def _percentile(values: Any, aggregate: Aggregate) -> float:
    values, share, how = sorted(values), aggregate.share, aggregate.interpolation
    place, rest = divmod((len(values) - 1) * share.numerator, share.denominator)
    if how == "linear":
        below, above = float(values[place]), float(values[min(place + 1, len(values) - 1)])
        return below + rest / share.denominator * (above - below)
    return float(values[place + _up(how, place, 2 * rest - share.denominator, rest)])


def _up(how: str, place: int, half: int, rest: int) -> int:
    """How far above a place the value of another interpolation stands."""
    nearest = place & 1 if half == 0 else int(half > 0)
    return {"lower": 0, "higher": int(rest > 0), "nearest": nearest}[how]


def age(to: Evaluation, of: Range, empty: str, *, last: bool) -> str:
    place = f"{of.high} - 1" if last else of.low
    return f"(moment - {to.once(f'{of.series}.times')}[{place}]) / 1e6 if {of.high} > {of.low} else {empty}"


def rate(of: Range, over: Range, empty: str) -> str:
    return f"({of.size}) / ({over.size}) if {over.high} > {over.low} else {empty}"


def streak(to: Evaluation, of: Range, breaks: Range, empty: str, *, is_age: bool) -> str:
    """The true facts above the latest false one."""
    times, broken = to.once(f"{of.series}.times"), to.once(f"{breaks.series}.times")
    behind = f"bisect_right({times}, {broken}[{breaks.high} - 1], {of.low}, {of.high})"
    low = to.once(f"{behind} if {breaks.high} > {breaks.low} else {of.low}")
    if not is_age:
        return f"{of.high} - {low}"
    return f"(moment - {times}[{low}]) / 1e6 if {of.high} > {low} else {empty}"


def trend(to: Evaluation, short: str, long: str, empty: str) -> str:
    found = to.once(f"{to.named(_trend)}({to.once(short)}, {to.once(long)})")
    return f"{found} if {found} is not None else {empty}"


def _trend(short: Any, long: Any) -> float | None:
    if short is None or not long:
        return None
    value: float = short / long
    return value if isfinite(value) else None

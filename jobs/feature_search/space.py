"""What a search may declare: function x column x condition x windows of each entity, over the facts of a use case.

Only declarations of `jobs.windows`, so that whatever is found is exact in knowledge time, incremental and served like
any feature. Which of them help is found out in `jobs.feature_search.selection`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations
from typing import TypeVar

from jobs.conditions import Value, Where
from jobs.use_case import UseCase
from jobs.window_lengths import BEFORE, Last, Trend, Window, reach
from jobs.windows import Aggregate, Function, Ratio, WindowFeatures

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVENT_WINDOWS = (10 * MINUTE, HOUR, 6 * HOUR, *(n * DAY for n in (1, 3, 7, 14, 30, 60, 90)))
LABEL_WINDOWS = tuple(n * DAY for n in (1, 7, 14, 30, 60, 90))
LEVEL_WINDOW = 30 * DAY
PERCENTILES = (0.1, 0.5, 0.9)
PERCENTILE_WINDOWS = tuple(n * DAY for n in (7, 30, 60, 90))
"""Shorter windows hold too few events for their percentiles to differ from smallest and largest."""
TRENDS = (Trend(HOUR, DAY), Trend(DAY, 7 * DAY), Trend(7 * DAY, 30 * DAY))
LAST = (1, 3, 5, 10)
"""Numbers of the last events, none of them older than `LONGEST_LAST`."""
LONGEST_LAST = 30 * DAY
LONGEST_CLASS = 30
"""Characters of a class in a feature's name."""
OF_PAIRS = frozenset({"count", "last_age", "mean", "max"})
"""Of two entities together: most pairs are seen once or twice, so that other functions say the same."""
OF_LAST: tuple[Function, ...] = ("mean", "std", "max")
OF_NUMBERS: tuple[Function, ...] = ("mean", "std", "min", "max", "sum")
ABOVE_LEVEL = 2.0
"""A value above this multiple of its entity's own level is unusual; what is not above it is ordinary."""


Some = TypeVar("Some", bound=Window)


@dataclass(frozen=True)
class FactColumns:
    """What the facts of a use case are made of."""

    numbers: tuple[str, ...]
    """Numeric columns of the events."""
    codes: tuple[str, ...]
    """Columns of which different values can be counted: other entities, texts."""
    flags: tuple[str, ...]
    """Boolean columns of the events."""
    label_values: tuple[Value, ...]
    """Labels that are counted: yes and no, or the commonest classes; none of a number."""
    quantiles: Mapping[str, tuple[float, float]]
    """Of each number, a low and a high value."""
    label_delay: timedelta
    """By this age most labels are known."""
    longest: timedelta
    """No window is longer: too few events would have all of it behind them."""


@dataclass(frozen=True)
class Candidate:
    """One aggregate, in all windows that it may have, of one declaration."""

    windows: str
    """Name of the `WindowFeatures` that it would join."""
    aggregate: Aggregate
    ratio: Ratio | None = None
    """What the aggregate reads and the declaration does not have yet."""

    def columns(self, declared: WindowFeatures) -> tuple[str, ...]:
        """Names of its features, one per window."""
        return replace(declared, aggregates=(self.aggregate,), ratios=()).names


def with_all_entities(use_case: UseCase) -> UseCase:
    """The use case with a declaration, still empty, of every entity and of every two that have none."""
    have = {frozenset(windows.keys) for windows in use_case.windows}
    names = {windows.name for windows in use_case.windows}
    keys = [key for size in (1, 2) for key in combinations(use_case.entities, size) if frozenset(key) not in have]
    more = [
        WindowFeatures(_free(_name_of(key), names), key, use_case.event_id, use_case.event_timestamp, ())
        for key in keys
    ]
    return replace(use_case, windows=(*use_case.windows, *more))


def _free(name: str, taken: Collection[str]) -> str:
    """The name, or one like it that no declaration has."""
    return name if name not in taken else _free(f"more_{name}", taken)


def candidates(use_case: UseCase, facts: FactColumns) -> tuple[Candidate, ...]:
    """Every aggregate that a search considers, without those whose features are declared already."""
    found = []
    for declared in use_case.windows:
        for aggregate, ratio in _of_entity(use_case, declared, facts):
            candidate = without(declared, Candidate(declared.name, aggregate, ratio), declared.names)
            if candidate is not None:
                found.append(candidate)
    return tuple(found)


def without(declared: WindowFeatures, candidate: Candidate, names: Collection[str]) -> Candidate | None:
    """The candidate without the windows whose features are among `names`; None if no window is left."""
    pairs = zip(candidate.aggregate.windows, candidate.columns(declared), strict=True)
    windows = tuple(window for window, name in pairs if name not in names)
    return replace(candidate, aggregate=replace(candidate.aggregate, windows=windows)) if windows else None


def computed(declared: WindowFeatures, some: Sequence[Candidate]) -> WindowFeatures:
    """A declaration of these candidates alone, with the ratios that they read."""
    mine = [candidate for candidate in some if candidate.windows == declared.name]
    ratios = {candidate.ratio.name: candidate.ratio for candidate in mine if candidate.ratio}
    return replace(declared, aggregates=tuple(c.aggregate for c in mine), ratios=tuple(ratios.values()))


def _of_entity(
    use_case: UseCase, declared: WindowFeatures, facts: FactColumns
) -> Iterator[tuple[Aggregate, Ratio | None]]:
    prefix = _name_of(declared.keys).removesuffix("_windows")
    windows, is_pair = _up_to(facts.longest, EVENT_WINDOWS), len(declared.keys) > 1
    for aggregate in (*_of_events(declared, facts, windows), *_of_labels(use_case, facts)):
        if not is_pair or aggregate.function in OF_PAIRS:
            yield replace(aggregate, name=f"{prefix}_{aggregate.name}"), None
    for column in () if is_pair else facts.numbers:
        for aggregate in _of_shapes(column, facts.longest):
            yield replace(aggregate, name=f"{prefix}_{aggregate.name}"), None
        ratio = Ratio(f"{prefix}_{column}_to_level", column, Aggregate("mean", column, (LEVEL_WINDOW,), BEFORE))
        for aggregate in _of_ratio(ratio, windows):
            yield replace(aggregate, name=f"{prefix}_{aggregate.name}"), ratio


def _name_of(keys: Sequence[str]) -> str:
    return "_".join([*(key.removesuffix("_id") for key in keys), "windows"])


def _of_events(declared: WindowFeatures, facts: FactColumns, windows: tuple[timedelta, ...]) -> Iterator[Aggregate]:
    yield Aggregate("count", windows=windows, name="events")
    yield Aggregate("last_age", windows=windows[-1:], delay=BEFORE, name="previous_age")
    # How long the last events took: the age of the first of them.
    yield Aggregate("first_age", windows=_last(windows[-1], LAST[1:]), delay=BEFORE, name="last_events_age")
    yield Aggregate("count", windows=_up_to(facts.longest, TRENDS), name="events_trend")
    for column in facts.numbers:
        for function in OF_NUMBERS:
            yield Aggregate(function, column, windows, name=f"{column}_{function}")
        low, high = facts.quantiles[column]
        yield _counted(f"{column}_low", (column, "<=", low), windows)
        yield _counted(f"{column}_high", (column, ">", high), windows)
    for column in (name for name in facts.codes if name not in declared.keys):
        yield Aggregate("distinct", column, windows, name=f"different_{column}")
    for column in facts.flags:
        yield _counted(column, (column, True), windows)


def _of_labels(use_case: UseCase, facts: FactColumns) -> Iterator[Aggregate]:
    windows, label = _up_to(facts.longest, LABEL_WINDOWS), use_case.label
    if not facts.label_values:
        for function in ("mean", "std"):
            yield Aggregate(function, label, windows, of="labels", name=f"known_label_{function}")
        yield Aggregate("mean", label, _last(windows[-1], LAST), of="labels", name="last_known_labels")
    for number, value in enumerate(facts.label_values, start=1):
        where: Where = (label, value)
        name = _known(value, number)
        yield Aggregate("count", of="labels", where=where, windows=windows, name=name)
        yield Aggregate("last_age", of="labels", where=where, windows=windows[-1:], name=f"last_{name}_age")
        yield Aggregate("first_age", of="labels", where=where, windows=windows[-1:], name=f"first_{name}_age")
    if facts.label_values != (True, False):
        return
    delay = facts.label_delay
    yield Aggregate("rate", label, windows, delay, of="labels", empty=0, name="positive_rate")
    yield Aggregate("streak", label, windows[-1:], of="labels", name="positive_streak")
    yield Aggregate("streak_age", label, windows[-1:], of="labels", name="positive_streak_age")


def _of_ratio(ratio: Ratio, windows: tuple[timedelta, ...]) -> Iterator[Aggregate]:
    """How far values lay above the entity's own level, and what is ordinary; both without the event itself."""
    column = ratio.column
    ordinary: Where = (ratio.name, "<=", ABOVE_LEVEL)
    yield Aggregate("max", ratio.name, windows, BEFORE, name=f"{column}_to_level_max")
    yield Aggregate("mean", ratio.name, windows, BEFORE, name=f"{column}_to_level_mean")
    yield Aggregate("count", None, windows, BEFORE, where=(ratio.name, ">", ABOVE_LEVEL), name=f"unusual_{column}")
    for function in ("mean", "std"):
        yield Aggregate(function, column, windows, BEFORE, where=ordinary, name=f"ordinary_{column}_{function}")


def _of_shapes(column: str, longest: timedelta) -> Iterator[Aggregate]:
    """Percentiles, trends and the last values, without the event itself where that is what they are compared with."""
    for share in PERCENTILES:
        windows = _up_to(longest, PERCENTILE_WINDOWS)
        name = f"{column}_p{share * 100:.0f}"
        yield Aggregate("percentile", column, windows, BEFORE, percentile=share, name=name)
    for function in ("mean", "sum"):
        yield Aggregate(function, column, _up_to(longest, TRENDS), name=f"{column}_{function}_trend")
    for function in OF_LAST:
        several = LAST if function == "mean" else LAST[1:]
        yield Aggregate(function, column, _last(longest, several), BEFORE, name=f"{column}_{function}_of_last")


def _last(within: timedelta, numbers: Sequence[int]) -> tuple[Last, ...]:
    return tuple(Last(number, min(within, LONGEST_LAST)) for number in numbers)


def _known(value: Value, number: int) -> str:
    """Words for known labels of a value, as part of a name; by their number, as classes may be written alike."""
    if isinstance(value, bool):
        return "known_positives" if value else "known_negatives"
    return f"known_{number}_{re.sub(r'[^0-9a-z]+', '_', str(value).lower())[:LONGEST_CLASS].strip('_')}".strip("_")


def _counted(name: str, where: Where, windows: tuple[timedelta, ...]) -> Aggregate:
    return Aggregate("count", windows=windows, where=where, name=f"{name}_events")


def _up_to(longest: timedelta, windows: tuple[Some, ...]) -> tuple[Some, ...]:
    return tuple(window for window in windows if reach(window) <= longest) or windows[:1]

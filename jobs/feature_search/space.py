"""What a search may declare: function x column x condition x windows of each entity, over the facts of a use case.

Only declarations of `jobs.windows`, so that whatever is found is exact in knowledge time, incremental and served like
any feature. Which of them help is found out in `jobs.feature_search.selection`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations

from jobs.conditions import Where
from jobs.use_case import UseCase
from jobs.windows import Aggregate, Function, Ratio, WindowFeatures

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVENT_WINDOWS = (10 * MINUTE, HOUR, 6 * HOUR, *(n * DAY for n in (1, 3, 7, 14, 30, 60, 90)))
LABEL_WINDOWS = tuple(n * DAY for n in (1, 7, 14, 30, 60, 90))
LEVEL_WINDOW = 30 * DAY
OF_PAIRS = frozenset({"count", "last_age", "mean", "max"})
"""Of two entities together: most pairs are seen once or twice, so that other functions say the same."""
OF_NUMBERS: tuple[Function, ...] = ("mean", "std", "min", "max", "sum")
ABOVE_LEVEL = 2.0
"""A value above this multiple of its entity's own level is unusual; what is not above it is ordinary."""


@dataclass(frozen=True)
class FactColumns:
    """What the facts of a use case are made of."""

    numbers: tuple[str, ...]
    """Numeric columns of the events."""
    codes: tuple[str, ...]
    """Columns of which different values can be counted: other entities, texts."""
    flags: tuple[str, ...]
    """Boolean columns of the events."""
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


def with_pairs(use_case: UseCase) -> UseCase:
    """The use case with a declaration, still empty, of every two entities that have none together."""
    have = {frozenset(windows.keys) for windows in use_case.windows}
    first = use_case.windows[0]
    pairs = [
        WindowFeatures(_name_of(pair), pair, first.id, first.event_timestamp, ())
        for pair in combinations(use_case.entities, 2)
        if frozenset(pair) not in have
    ]
    return replace(use_case, windows=(*use_case.windows, *pairs))


def candidates(use_case: UseCase, facts: FactColumns) -> tuple[Candidate, ...]:
    """Every aggregate that a search considers, without those whose features are declared already."""
    found = []
    for declared in use_case.windows:
        for aggregate, ratio in _of_entity(use_case, declared, facts):
            candidate = Candidate(declared.name, aggregate, ratio)
            if aggregate.windows and not set(candidate.columns(declared)) & set(declared.names):
                found.append(candidate)
    return tuple(found)


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
        ratio = Ratio(f"{prefix}_{column}_to_level", column, Aggregate("mean", column, (LEVEL_WINDOW,), SECOND))
        for aggregate in _of_ratio(ratio, windows):
            yield replace(aggregate, name=f"{prefix}_{aggregate.name}"), ratio


def _name_of(keys: Sequence[str]) -> str:
    return "_".join([*(key.removesuffix("_id") for key in keys), "windows"])


def _of_events(declared: WindowFeatures, facts: FactColumns, windows: tuple[timedelta, ...]) -> Iterator[Aggregate]:
    yield Aggregate("count", windows=windows, name="events")
    yield Aggregate("last_age", windows=windows[-1:], delay=SECOND, name="previous_age")
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
    for value, name in ((True, "known_positives"), (False, "known_negatives")):
        where: Where = (label, value)
        yield Aggregate("count", of="labels", where=where, windows=windows, name=name)
        yield Aggregate("last_age", of="labels", where=where, windows=windows[-1:], name=f"last_{name}_age")
        yield Aggregate("first_age", of="labels", where=where, windows=windows[-1:], name=f"first_{name}_age")
    delay = facts.label_delay
    yield Aggregate("rate", label, windows, delay, of="labels", empty=0, name="positive_rate")
    yield Aggregate("streak", label, windows[-1:], of="labels", name="positive_streak")
    yield Aggregate("streak_age", label, windows[-1:], of="labels", name="positive_streak_age")


def _of_ratio(ratio: Ratio, windows: tuple[timedelta, ...]) -> Iterator[Aggregate]:
    """How far values lay above the entity's own level, and what is ordinary; both without the event itself."""
    column = ratio.column
    ordinary: Where = (ratio.name, "<=", ABOVE_LEVEL)
    yield Aggregate("max", ratio.name, windows, SECOND, name=f"{column}_to_level_max")
    yield Aggregate("mean", ratio.name, windows, SECOND, name=f"{column}_to_level_mean")
    yield Aggregate("count", None, windows, SECOND, where=(ratio.name, ">", ABOVE_LEVEL), name=f"unusual_{column}")
    for function in ("mean", "std"):
        yield Aggregate(function, column, windows, SECOND, where=ordinary, name=f"ordinary_{column}_{function}")


def _counted(name: str, where: Where, windows: tuple[timedelta, ...]) -> Aggregate:
    return Aggregate("count", windows=windows, where=where, name=f"{name}_events")


def _up_to(longest: timedelta, windows: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    return tuple(window for window in windows if window <= longest) or windows[:1]

"""The rows that a search learns from and judges on: some events, with labels as known when each period began.

Two periods of validation, one after the other and each later than what is learned for it, so that a feature that
helped once by chance, or in one season, is not taken for one that helps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.arrays import Bools, Floats, Ints, codes
from jobs.conditions import Value
from jobs.datasets.gone_events import GoneEvents
from jobs.datasets.history import LabelVersions, label_versions
from jobs.errors import Invalid
from jobs.features import fact_frames, stamps
from jobs.features.fact_frames import Frame
from jobs.lakehouse.tables import Lakehouse
from jobs.tasks.task import Labels, Task
from jobs.times import Times, microseconds, midnight
from jobs.use_case import UseCase, problem_of

MOST_ROWS = 100_000
"""Positives first, at most half of it; the negatives that are drawn stand for all of them."""
LEAST_POSITIVES = 20
SHORTEST = timedelta(days=1)
"""Of a period."""
MOST_VALUES, MOST_CLASSES = 1000, 5
"""Of a category as an input, the commonest ones; of labels whose facts are counted."""


@dataclass(frozen=True, eq=False)
class Period:
    """Places of rows: those learned from, with their labels as known then, and those judged on."""

    train: Ints
    train_labels: Labels
    valid: Ints
    valid_labels: Labels


@dataclass(frozen=True, eq=False)
class SearchRows:
    """Events that a search computes features for, by place; every array has one value per row."""

    events: pl.LazyFrame
    """Every version of every event that was known, with `is_target`."""
    labels: pl.LazyFrame
    ids: pl.Series
    inputs: dict[str, Floats]
    """The event's own values, which are features already; of a category, the number of its value."""
    categories: frozenset[str]
    """Inputs that are categories."""
    weights: Floats
    """How many events each row stands for."""
    blocks: Ints
    task: Task
    label_values: tuple[Value, ...]
    """The commonest labels as the table has them, of which facts can be counted; none of a number."""
    periods: tuple[Period, Period]


def read(
    lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, changed_on: date | None = None, seed: int = 0
) -> SearchRows:
    """The rows as known at `as_of`.

    Args:
        changed_on: first day of a change that features are searched for; both periods lie after it.

    Raises:
        ValueError: a table is missing, or a period holds too few labels that are evidence to learn from or to judge on.
    """
    events, labels = (_known(lakehouse, table, use_case, as_of) for table in (use_case.events, use_case.labels))
    gone = GoneEvents.of(lakehouse, use_case).at(as_of)
    firsts = events.filter(pl.col("version") == 1).collect()
    firsts = firsts.filter(~pl.col(use_case.event_id).is_in(gone.implode())) if len(gone) else firsts
    times = firsts[use_case.event_timestamp].dt.epoch("us").to_numpy()
    versions = label_versions(lakehouse, use_case, None, pa.chunked_array([firsts[use_case.event_id].to_arrow()]))
    known, inside = versions.at(microseconds(as_of), len(times)), _inside(use_case, times, as_of)
    rare = known == 1 if versions.task.name == "binary" else np.zeros(len(times), np.bool_)
    weights = _drawn(rare, inside, seed) * _counts(use_case, firsts)
    places = np.flatnonzero(weights)
    rows = firsts[places]
    return SearchRows(
        events.with_columns(is_target=(pl.col("version") == 1) & _among(use_case, rows)),
        labels,
        rows[use_case.event_id],
        *_inputs(use_case, rows),
        weights[places],
        codes(use_case.cluster_key, rows[use_case.cluster_key].to_numpy(), rows.height)[1],
        versions.task,
        _label_values(versions, known[places], labels.collect_schema()[use_case.label].is_integer()),
        _periods(use_case, as_of, changed_on, (times, versions, places)),
    )


def _inputs(use_case: UseCase, rows: pl.DataFrame) -> tuple[dict[str, Floats], frozenset[str]]:
    """The inputs that trees take, and those of them that are categories."""
    values, categories = {}, set()
    for name in problem_of(use_case).inputs:
        kind = rows.schema.get(name)
        if kind is not None and (kind.is_numeric() or kind == pl.Boolean):
            values[name] = rows[name].cast(pl.Float64).to_numpy()
        elif kind == pl.String and rows[name].null_count() < rows.height and name not in use_case.without_categories:
            common = rows[name].value_counts(sort=True)[name].drop_nulls().head(MOST_VALUES)
            number = pl.Series(range(len(common)), dtype=pl.Float64)
            values[name] = rows[name].replace_strict(common, number, default=None, return_dtype=pl.Float64).to_numpy()
            categories.add(name)
    return values, frozenset(categories)


def _label_values(versions: LabelVersions, labels: Labels, is_number: bool) -> tuple[Value, ...]:
    if versions.task.name == "binary":
        return True, False
    known = labels[versions.task.is_known(labels)]
    classes = versions.task.classes
    if not classes:
        return ()
    commonest = np.argsort(-np.bincount(known, minlength=len(classes)), kind="stable")[:MOST_CLASSES]
    return tuple(int(classes[n]) if is_number else classes[n] for n in commonest)


def _counts(use_case: UseCase, events: pl.DataFrame) -> Floats:
    """How much each event counts by the declared weight; 0 where that is missing."""
    name = problem_of(use_case).weight
    if name is None or name not in events.columns:
        return np.ones(events.height)
    counts: Floats = events[name].cast(pl.Float64).fill_null(0.0).fill_nan(0.0).clip(0.0).to_numpy()
    return counts


def _known(lakehouse: Lakehouse, table: str, use_case: UseCase, as_of: datetime) -> pl.LazyFrame:
    rows = lakehouse.scan(table)
    frame: Frame = pl.DataFrame(lakehouse.to_arrow(table)).lazy() if rows is None else rows
    for windows in use_case.windows[:1] if table == use_case.events else ():
        features = use_case.window_table(windows)
        frame = stamps.as_computed(lakehouse, (features, lakehouse.version(features)), frame, use_case.event_id)
    known = fact_frames.known(frame, use_case.event_timestamp, as_of)
    assert isinstance(known, pl.LazyFrame)
    return known


def _inside(use_case: UseCase, times: Times, as_of: datetime) -> Bools:
    start, end = as_of - use_case.training_window, as_of - use_case.label_maturity
    return (times > microseconds(start)) & (times <= microseconds(end))


def _drawn(is_positive: Bools, inside: Bools, seed: int) -> Floats:
    """How many events each one stands for; 0 is not drawn."""
    generator = np.random.default_rng(seed)
    weights = np.zeros(len(inside))
    room = MOST_ROWS
    for chosen, most in ((is_positive & inside, MOST_ROWS // 2), (~is_positive & inside, MOST_ROWS)):
        count = int(chosen.sum())
        rate = min(1.0, min(most, room) / max(count, 1))
        drawn = chosen & (generator.random(len(chosen)) < rate)
        weights[drawn] = count / max(drawn.sum(), 1)
        room -= int(drawn.sum())
    return weights


def _among(use_case: UseCase, rows: pl.DataFrame) -> pl.Expr:
    return pl.col(use_case.event_id).is_in(rows[use_case.event_id].implode())


def _periods(
    use_case: UseCase, as_of: datetime, changed_on: date | None, rows: tuple[Times, LabelVersions, Ints]
) -> tuple[Period, Period]:
    """The last two periods in which labels are mature; after a change, each with as much of it before as it is long."""
    length, end = problem_of(use_case).validation_window, as_of - use_case.label_maturity
    if changed_on is not None:
        length = min(length, (end - midnight(changed_on)) / 3)
    if length < SHORTEST:
        raise Invalid(
            f"{use_case.name}: expected {3 * SHORTEST.days} days with mature labels since the change of {changed_on}, "
            f"found them until {end:%Y-%m-%d}; search when more labels are known"
        )
    first, second = (_period(use_case, (end - n * length, end - (n - 1) * length), as_of, rows) for n in (2, 1))
    return first, second


def _period(
    use_case: UseCase, span: tuple[datetime, datetime], as_of: datetime, rows: tuple[Times, LabelVersions, Ints]
) -> Period:
    (start, end), (times, versions, places) = span, rows
    task, own = versions.task, times[places]
    then, now = (versions.at(microseconds(moment), len(times))[places] for moment in (start, as_of))
    unlabelled = task.unlabelled(problem_of(use_case).unlabelled)
    mature = (own <= microseconds(start - use_case.label_maturity)) & (unlabelled is not None)
    train = (own <= microseconds(start)) & (task.is_known(then) | mature)
    valid = (own > microseconds(start)) & (own <= microseconds(end)) & (task.is_known(now) | (unlabelled is not None))
    parts = [
        (np.flatnonzero(chosen), task.settled(labels[chosen], unlabelled))
        for chosen, labels in ((train, then), (valid, now))
    ]
    for what, labels in (("before", parts[0][1]), ("in", parts[1][1])):
        evidence = int(task.informative(labels).sum())
        if not LEAST_POSITIVES <= evidence < len(labels):
            raise Invalid(
                f"{use_case.name}: expected at least {LEAST_POSITIVES} known {task.evidence}, and other labels, {what} "
                f"the period {start:%Y-%m-%d} to {end:%Y-%m-%d}, found {evidence} in {len(labels)} rows; search when "
                "more labels are known, or as of a later day"
            )
    return Period(*parts[0], *parts[1])

"""The rows that a search learns from and judges on: some events, with labels as known when each period began.

Two periods of validation, one after the other and each later than what is learned for it, so that a feature that
helped once by chance, or in one season, is not taken for one that helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.arrays import Bools, Floats, Ints, codes
from jobs.datasets.history import LabelVersions, label_versions
from jobs.errors import Invalid
from jobs.features import fact_frames
from jobs.lakehouse.tables import Lakehouse
from jobs.times import Times, microseconds
from jobs.use_case import UseCase, problem_of

MOST_ROWS = 100_000
"""Positives first, at most half of it; the negatives that are drawn stand for all of them."""
LEAST_POSITIVES = 20


@dataclass(frozen=True, eq=False)
class Period:
    """Places of rows: those learned from, with their labels as known then, and those judged on."""

    train: Ints
    train_labels: Bools
    valid: Ints
    valid_labels: Bools


@dataclass(frozen=True, eq=False)
class SearchRows:
    """Events that a search computes features for, by place; every array has one value per row."""

    events: pl.LazyFrame
    """Every version of every event that was known, with `is_target`."""
    labels: pl.LazyFrame
    ids: pl.Series
    inputs: dict[str, Floats]
    """The event's own numbers, which are features already."""
    weights: Floats
    """How many events each row stands for."""
    blocks: Ints
    periods: tuple[Period, Period]


def read(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, seed: int = 0) -> SearchRows:
    """The rows as known at `as_of`.

    Raises:
        ValueError: a table is missing, the task is not binary, or a period holds too few positives to learn from or to
            judge on.
    """
    if problem_of(use_case).task != "binary":
        raise Invalid(
            f"{use_case.name}: expected a binary task, found {problem_of(use_case).task}; declare features of other "
            "tasks by hand, no search measures them yet"
        )
    events, labels = (_known(lakehouse, table, use_case, as_of) for table in (use_case.events, use_case.labels))
    firsts = events.filter(pl.col("version") == 1).collect()
    times = firsts[use_case.event_timestamp].dt.epoch("us").to_numpy()
    versions = label_versions(lakehouse, use_case, None, pa.chunked_array([firsts[use_case.event_id].to_arrow()]))
    weights = _drawn(versions.at(microseconds(as_of), len(times)) == 1, _inside(use_case, times, as_of), seed)
    places = np.flatnonzero(weights)
    rows = firsts[places]
    return SearchRows(
        events.with_columns(is_target=(pl.col("version") == 1) & _among(use_case, rows)),
        labels,
        rows[use_case.event_id],
        _numbers(rows, problem_of(use_case).inputs),
        weights[places],
        codes(use_case.cluster_key, rows[use_case.cluster_key].to_numpy(), rows.height)[1],
        _periods(use_case, as_of, times, versions, places),
    )


def _numbers(rows: pl.DataFrame, names: Sequence[str]) -> dict[str, Floats]:
    kinds = {name: kind for name, kind in rows.schema.items() if name in names}
    numbers = [name for name, kind in kinds.items() if kind.is_numeric() or kind == pl.Boolean]
    return {name: rows[name].cast(pl.Float64).to_numpy() for name in numbers}


def _known(lakehouse: Lakehouse, table: str, use_case: UseCase, as_of: datetime) -> pl.LazyFrame:
    frame = lakehouse.scan(table)
    if frame is None:
        frame = pl.DataFrame(lakehouse.to_arrow(table)).lazy()
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
    use_case: UseCase, as_of: datetime, times: Times, versions: LabelVersions, places: Ints
) -> tuple[Period, Period]:
    length, end = problem_of(use_case).validation_window, as_of - use_case.label_maturity
    first, second = (_period(use_case, (end - n * length, length), times, versions, places, as_of) for n in (2, 1))
    return first, second


def _period(
    use_case: UseCase,
    window: tuple[datetime, timedelta],
    times: Times,
    versions: LabelVersions,
    places: Ints,
    as_of: datetime,
) -> Period:
    start, end = window[0], window[0] + window[1]
    then, now = (versions.at(microseconds(moment), len(times))[places] for moment in (start, as_of))
    own = times[places]
    mature = own <= microseconds(start - use_case.label_maturity)
    train = (own <= microseconds(start)) & (versions.task.is_known(then) | mature)
    valid = (own > microseconds(start)) & (own <= microseconds(end))
    parts: Any = (np.flatnonzero(train), then[train] == 1, np.flatnonzero(valid), now[valid] == 1)
    for what, labels in (("before", parts[1]), ("in", parts[3])):
        if not LEAST_POSITIVES <= labels.sum() < len(labels):
            raise Invalid(
                f"{use_case.name}: expected at least {LEAST_POSITIVES} known positives, and negatives, {what} the "
                f"period {start:%Y-%m-%d} to {end:%Y-%m-%d}, found {int(labels.sum())} in {len(labels)} rows; search "
                "when more labels are known, or as of a later day"
            )
    return Period(*parts)

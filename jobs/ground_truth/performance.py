"""Performance on the truth, per day, model version and slice, each with how much of the truth is in.

Windows that are not mature are provisional: positives not yet reported count as negative there. For
estimates of performance before it is known see `jobs.ground_truth.performance_estimate`.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Bools, Floats, Ints
from jobs.errors import Invalid
from jobs.ground_truth.label_maturity import MATURE
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.problem import Review
from jobs.stats import metrics
from jobs.tasks.binary import BINARY
from jobs.tasks.task import RowValues, Task
from jobs.times import microseconds

EVERYTHING = "all"
"""Name of the slice of all rows."""


@dataclass(frozen=True, eq=False)
class DecidedArms:
    """Who was to answer each event, and what was decided; every array holds a value per event."""

    arms: NDArray[Any]
    """`champion`, or an arm of a rollout (`jobs.rollouts.assignment`)."""
    alerts: Bools
    """Whether it was not approved."""
    blocks: Bools

    def rows(self, places: Ints | Bools) -> Self:
        """Those of the events at these places."""
        return replace(self, arms=self.arms[places], alerts=self.alerts[places], blocks=self.blocks[places])


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredEvents(LabelledScores):
    """Scored events with all that performance is measured by; scores may be those of several models."""

    versions: NDArray[Any]
    """Model versions that scored the rows."""
    entities: NDArray[Any]
    """Numbers of the events' entities."""
    amounts: Floats | None
    task: Task = BINARY
    """With the classes of labels and models, in the order of the columns of scores."""
    unlabelled: float | str | None = None
    """Label of mature events without one, as `Problem.unlabelled`."""
    lower: Floats | None = None
    upper: Floats | None = None
    """Ends of the intervals around predictions; NaN where a model made none."""
    weights: Floats | None = None
    """How much each event counts; None: alike."""
    decided: DecidedArms | None = None
    """None: scores were made up to be judged, and nothing followed from them."""
    slices: Mapping[str, Bools] = field(default_factory=dict)
    """Names of slices -> their rows, as `jobs.datasets.slices.masks` returns them."""

    def rows(self, places: Ints | Bools) -> Self:
        """The events at these places, known as of the same moment."""
        decided = None if self.decided is None else self.decided.rows(places)
        slices = {name: mask[places] for name, mask in self.slices.items()}
        return replace(super().rows(places), slices=slices, decided=decided)


@dataclass(frozen=True)
class Performance:
    """Metrics of one model version on one slice, over the days up to and including `day`."""

    day: int
    """Days since 1970, UTC."""
    version: Any
    slice: str
    rows: int
    positives: int
    """Known by now."""
    label_maturity: float
    """Expected share of the window's truth that is in."""
    judged: bool
    """Whether enough of the truth is in; otherwise the metrics are provisional."""
    metrics: Mapping[str, float | None]
    """As `jobs.stats.metrics.evaluate` names them, and `precision_at_K` of the review's capacity; None where
    undefined."""


def performance(
    scored: ScoredEvents,
    review: Review | None,
    days: int = 1,
    mature_from: float = MATURE,
    only: AbstractSet[int] | None = None,
) -> tuple[Performance, ...]:
    """Performance by day, version and slice, as known at `scored.as_of`.

    Args:
        days: length of the window that ends with each day; windows of several days overlap.
        mature_from: label maturity from which a window is judged.
        only: days since 1970 whose windows are measured; None: all.

    Raises:
        ValueError: as the single metrics do, or for a window without days.
    """
    if days < 1:
        raise Invalid(f"days: expected a window of at least 1 day, found {days}")
    past = scored.rows(scored.times <= microseconds(scored.as_of))
    return tuple(
        _measured((day, version, name), past, places, review, mature_from)
        for day, version, rows in windows(past, days, only)
        for name, places in parts(past, rows)
    )


def windows(scored: ScoredEvents, days: int, only: AbstractSet[int] | None) -> Iterator[tuple[int, Any, Ints]]:
    """Day, version and places of the rows of each window that has rows."""
    day, versions = scored.days, np.unique(scored.versions)
    for last in np.unique(day):
        if only is not None and int(last) not in only:
            continue
        rows = np.flatnonzero((day > last - days) & (day <= last))
        for version in versions:
            if len(places := rows[scored.versions[rows] == version]):
                yield int(last), version.item(), places


def parts(scored: ScoredEvents, places: Ints) -> Iterator[tuple[str, Ints]]:
    """Name and places of the rows of each slice, that of all rows first."""
    yield EVERYTHING, places
    for name, mask in scored.slices.items():
        if mask[places].any():
            yield name, places[mask[places]]


def _measured(
    window: tuple[int, Any, str], past: ScoredEvents, places: Ints, review: Review | None, mature_from: float
) -> Performance:
    """Performance on the rows at these places, those of one day, version and slice."""
    rows, labels = past.rows(places), past.reported[places]
    measured = dict(metrics_of(rows, review))
    if review is not None:
        at_capacity = metrics.precision_at(labels, rows.scores, rows.days, review.capacity)
        measured |= {f"precision_at_{review.capacity}": at_capacity}
    mature = float(past.shares[places].mean())
    return Performance(
        *window,
        rows=len(rows),
        positives=int(labels.sum()),
        label_maturity=mature,
        judged=mature >= mature_from,
        metrics=measured,
    )


def metrics_of(rows: ScoredEvents, review: Review | None) -> Mapping[str, float | None]:
    """Metrics of the task, on rows whose label is known; of a binary task on all, as silence means no."""
    values = RowValues(rows.entities, rows.days, rows.amounts, rows.weights)
    if rows.task.name == "binary":
        return rows.task.metrics(rows.reported, rows.scores, values, review)
    unlabelled = rows.task.unlabelled(rows.unlabelled)
    assert rows.values is not None
    known = np.where(rows.reported, rows.values, rows.task.unknown(len(rows)))
    judged = np.ones(len(rows), np.bool_) if unlabelled is not None else rows.task.is_known(known)
    ends = None if rows.lower is None or rows.upper is None else (rows.lower, rows.upper)
    if ends is not None and np.isnan(ends[0][judged]).any():
        ends = None
    values = replace(values, intervals=ends).of(judged)
    return rows.task.metrics(rows.task.settled(known[judged], unlabelled), rows.scores[judged], values, None)

"""Performance on the truth, per day, model version and slice, each with how much of the truth is in.

Windows that are not mature are shown as provisional: frauds not yet reported count as good there. What performance will
be found, before it is known, is `jobs.ground_truth.performance_estimate`'s business.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Bools, Floats, Ints
from jobs.ground_truth.label_delay import Delay
from jobs.ground_truth.label_maturity import MATURE
from jobs.ground_truth.reports import heard_until
from jobs.problem import Review
from jobs.stats import metrics
from jobs.times import MICROSECONDS_A_DAY, Times, ages, microseconds

EVERYTHING = "all"
"""Name of the slice of all rows."""


@dataclass(frozen=True, eq=False)
class Scored:
    """Scored events and what is known about them; every array has one value per row."""

    times: Times
    """Of the events, microseconds UTC."""
    scores: Floats
    versions: NDArray[Any]
    """Model version that scored the row."""
    entities: NDArray[Any]
    amounts: Floats
    known_at: Times
    """Of the labels, as `jobs.ground_truth.reports.labels` gives them."""
    positive: Bools
    slices: Mapping[str, Bools] = field(default_factory=dict)
    """As `jobs.evaluation.evaluation_rows.masks` gives them."""

    def rows(self, places: Ints) -> "Scored":
        """The rows at these places."""
        return Scored(
            self.times[places],
            self.scores[places],
            self.versions[places],
            self.entities[places],
            self.amounts[places],
            self.known_at[places],
            self.positive[places],
            {name: mask[places] for name, mask in self.slices.items()},
        )


@dataclass(frozen=True)
class Performance:
    """How well one model version did on one slice in the days up to and including `day`."""

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
    """False: provisional, as too little of the truth is in."""
    metrics: Mapping[str, float | None]
    """As `jobs.stats.metrics.evaluate` names them, and `precision_at_K` of the review's capacity; None where
    undefined."""


def performance(
    scored: Scored,
    delay: Delay,
    review: Review,
    as_of: datetime,
    days: int = 1,
    least: float = MATURE,
    only: AbstractSet[int] | None = None,
) -> tuple[Performance, ...]:
    """Performance by day, version and slice, as known at `as_of`.

    Args:
        days: length of the window that ends with each day; windows of several days overlap.
        least: label maturity from which a window is judged.
        only: days since 1970 whose windows are measured; None: all.

    Raises:
        ValueError: as the single metrics do, or for a window without days.
    """
    if days < 1:
        raise ValueError(f"days: expected a window of at least 1 day, found {days}")
    past = scored.rows(np.flatnonzero(scored.times <= microseconds(as_of)))
    share = delay.share(ages(past.times, heard_until(past.known_at, as_of)))
    found = past.positive & (past.known_at <= microseconds(as_of))
    return tuple(
        _measured(day, version, name, past.rows(places), found[places], share[places], review, least)
        for day, version, places in _windows(past, days, only)
        for name, places in _parts(past, places)
    )


def _windows(scored: Scored, days: int, only: AbstractSet[int] | None) -> Iterator[tuple[int, Any, Ints]]:
    """Day, version and places of the rows of each window that has rows."""
    day, versions = scored.times // MICROSECONDS_A_DAY, np.unique(scored.versions)
    for last in np.unique(day):
        if only is not None and int(last) not in only:
            continue
        rows = np.flatnonzero((day > last - days) & (day <= last))
        for version in versions:
            if len(places := rows[scored.versions[rows] == version]):
                yield int(last), version.item(), places


def _parts(scored: Scored, places: Ints) -> Iterator[tuple[str, Ints]]:
    yield EVERYTHING, places
    for name, mask in scored.slices.items():
        if mask[places].any():
            yield name, places[mask[places]]


def _measured(
    day: int, version: Any, name: str, rows: Scored, found: Bools, share: Floats, review: Review, least: float
) -> Performance:
    days = rows.times // MICROSECONDS_A_DAY
    measured = metrics.evaluate(found, rows.scores, rows.entities, days, rows.amounts, review)
    at_capacity = metrics.precision_at(found, rows.scores, days, review.capacity)
    mature = float(share.mean())
    return Performance(
        day,
        version,
        name,
        len(found),
        int(found.sum()),
        mature,
        mature >= least,
        {**measured, f"precision_at_{review.capacity}": at_capacity},
    )

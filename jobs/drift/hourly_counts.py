"""Histograms of features by day and hour of the day, as one value, and what to expect of an hour by its neighbours.

Counting goes by bins of `jobs.drift.drift_kernel`; judging is in `jobs.drift.online_hours`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Floats, Ints
from jobs.drift.drift_kernel import Edges, bins_of
from jobs.drift.histograms import WEEK
from jobs.errors import Invalid
from jobs.times import midnight

HOURS = 24
NEAR_DAYS = 14
"""Days, at most, of which an hour's expectation is made: those next to it on one side."""
GROUPS = 5
"""Groups of days in a row; the median of their means is what is expected, so that the odd days of one or two groups (an
outage, a holiday) do not show (Lugosi & Mendelson, Foundations of Computational Mathematics 19, 2019)."""


@dataclass(frozen=True, eq=False)
class HourlyCounts:
    """Counts of rows; a row is in one bin of each feature that knows it."""

    first: date
    """UTC day of the first counts."""
    features: tuple[str, ...]
    counts: NDArray[np.int64]
    """Shape (days, 24, features, bins): bins in the order of values, missing values last."""

    def __post_init__(self) -> None:
        if self.counts.ndim != 4 or self.counts.shape[1:3] != (HOURS, len(self.features)):
            expected = f"(days, {HOURS}, {len(self.features)}, bins)"
            raise Invalid(f"counts: expected shape {expected}, found {self.counts.shape}")

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def rows(self) -> Floats:
        """Shape (days, 24, features)."""
        rows: Floats = self.counts.sum(axis=-1).astype(np.float64)
        return rows

    def moment(self, day: int, hour: int) -> datetime:
        """The beginning of an hour."""
        return midnight(self.first + timedelta(days=day)) + timedelta(hours=hour)

    def place(self, moment: datetime) -> tuple[int, int]:
        """Day and hour that a moment is in."""
        moment = moment.astimezone(UTC)
        return (moment.date() - self.first).days, moment.hour


@dataclass(frozen=True, eq=False)
class Expected:
    """What the hours of a day would show as its neighbours do, in one of several ways; NaN where nothing is known."""

    shares: Floats
    """Shape (24, features, bins)."""
    rows: Floats
    """Shape (24, features), of which the shares are made."""
    days: Ints
    """Likewise, days with rows."""


def expected(counts: HourlyCounts, day: int, before: bool) -> tuple[Expected, Expected]:
    """What to expect of the hours of a day by the same hours of the days before or after it: of all of them, and of
    those of the same day of the week."""
    places = range(max(0, day - NEAR_DAYS), day) if before else range(day + 1, min(len(counts), day + 1 + NEAR_DAYS))
    near = counts.counts[places.start : places.stop]
    alike = counts.counts[[place for place in places if (place - day) % WEEK == 0]]
    groups = [part.sum(axis=0) for part in np.array_split(near, GROUPS) if len(part)]
    return _expected(near, groups), _expected(alike, [alike.sum(axis=0)])


def _expected(days: NDArray[np.int64], groups: list[NDArray[np.int64]]) -> Expected:
    rows = days.sum(axis=-1)
    shape = days.shape[1:]
    if not groups:
        return Expected(np.full(shape, np.nan), rows.sum(axis=0).astype(float), (rows > 0).sum(axis=0))
    middle = median(shares_of(np.stack(groups)))
    # Of few rows, spread over many bins, no bin may hold any in most groups.
    scattered = middle.sum(axis=-1) == 0
    middle[scattered] = shares_of(days.sum(axis=0))[scattered]
    with np.errstate(invalid="ignore"):
        return Expected(middle / middle.sum(axis=-1, keepdims=True), rows.sum(axis=0).astype(float), (rows > 0).sum(0))


def shares_of(counts: NDArray[np.int64]) -> Floats:
    """Shares of the rows of each histogram; NaN without rows."""
    with np.errstate(invalid="ignore"):
        shares: Floats = counts / counts.sum(axis=-1, keepdims=True)
    return shares


def median(values: Floats) -> Floats:
    """The median along the first axis of what is known; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        middle: Floats = np.nanmedian(values, axis=0)
    return middle


def counted(hours: Ints, values: NDArray[np.float32], edges: Edges, days: int, bins: int) -> NDArray[np.int64]:
    """Counts of one feature, shape (days, 24, bins).

    Args:
        hours: of each row, from the beginning of the first day; those outside of the days are left out.
        values: NaN is missing.
        bins: at least the edges and two.
    """
    inside = (hours >= 0) & (hours < days * HOURS)
    found = bins_of(values[inside], edges)
    found = np.where(found == len(edges) + 1, bins - 1, found)
    counts = np.bincount(hours[inside] * bins + found, minlength=days * HOURS * bins)
    return counts.reshape(days, HOURS, bins)

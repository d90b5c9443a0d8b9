"""Whether an hour of decisions looks as hours of its time of day do: distances of hourly histograms, judged against the
noise that stable hours have. Scores are one more feature.

An hour is compared with the same hour of the two weeks before it, and with that of the same day of the week: the nearer
of the two counts, so that the rhythm of neither day nor week alarms, while what is far from both stands out. The hours
of a stable past, compared in the same way with those before or after them, say how far hours usually are.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import log

import numpy as np

from jobs.arrays import Floats
from jobs.drift.detector import LABEL_FEATURES_FACTOR, extreme
from jobs.drift.histograms import WEEK
from jobs.drift.hourly_counts import HOURS, Expected, HourlyCounts, expected, median, shares_of
from jobs.stats.divergences import jensen_shannon, kolmogorov_smirnov

FEWEST_DAYS = 14
"""Days with an hour of this time, of which its noise is measured: each day of the week twice."""
FEWEST_NEAR = (WEEK, 2)
"""Days with an hour of this time, of which the two expectations are made."""
FEWEST_ROWS = 10
"""Rows of an hour that is judged."""
SMALLEST_DISTANCES = np.array([0.09, 0.03])[:, None]
"""Jensen-Shannon and Kolmogorov-Smirnov distances below which a change is too small for an hour's alarm: about that of
1% and 3% of rows moving to a bin where nothing was. Smaller lasting ones are for the daily detector."""
RETURN_HOURS = 4380
"""Hours in which the noise alone is to reach the line once: six months."""
MEASURES = ("Jensen-Shannon", "Kolmogorov-Smirnov")
FLOORS = np.array([1 / (8 * log(2)), 1 / 4])[:, None]
"""Variances, by that of sampling, of the distances of a binary share (`jobs.drift.detector`)."""


@dataclass(frozen=True, eq=False)
class Band:
    """How far stable hours are from what was expected of them; arrays are NaN where that is not known."""

    location: Floats
    """Shape (24, 2, features): median of Jensen-Shannon and Kolmogorov-Smirnov distances, by hour of the day."""
    sampling: Floats
    """Shape (24, 1, features): median of 1 / rows + 1 / rows compared with."""
    line: Floats
    """Shape (2, features): how many times as far as the median an hour may be."""


@dataclass(frozen=True)
class FeatureHour:
    """A feature in one hour."""

    score: float
    """Of the distance that deviates most; 1 is the line."""
    measure: str
    """That distance."""
    rows: int
    by_measure: Mapping[str, tuple[float, float]]
    """Each distance, and the limit at which the line lies at this time of day, with so many rows."""

    @property
    def distance(self) -> float:
        return self.by_measure[self.measure][0]

    @property
    def limit(self) -> float:
        return self.by_measure[self.measure][1]


@dataclass(frozen=True)
class HourDrift:
    """What was found in an hour."""

    hour: datetime
    """Its beginning."""
    rows: int
    features: Mapping[str, FeatureHour]
    """Those that could be judged."""
    note: str = ""
    """Why none could be."""

    @property
    def named(self) -> tuple[str, ...]:
        """Features over the line, the worst first."""
        over = [name for name, found in self.features.items() if found.score >= 1]
        return tuple(sorted(over, key=lambda name: -self.features[name].score))


def band(stable: HourlyCounts, of_labels: Collection[str] = ()) -> Band:
    """Measure how far the hours of a stable past are from those before or after them, whichever are more.

    Args:
        of_labels: features that are made of labels; their line is higher, as in `jobs.drift.detector`.
    """
    days = len(stable)
    looked = [_looked(stable, day, before=2 * day >= days - 1) for day in range(days)]
    shape = (HOURS, 2, len(stable.features))
    if not looked:
        return Band(np.full(shape, np.nan), np.full((HOURS, 1, shape[2]), np.nan), np.full(shape[1:], np.nan))
    distances, sampling = (np.stack(values) for values in zip(*looked, strict=True))
    usual = median(sampling)
    distances = _widened(distances, sampling, usual)
    location = np.maximum(median(distances), np.sqrt(usual * FLOORS))
    location[np.isfinite(distances).sum(axis=0) < FEWEST_DAYS] = np.nan
    ratios = (distances / location).reshape(-1, *shape[1:])
    return Band(location, usual, _lines(ratios, _factors(stable, of_labels)))


def judge(band: Band, counts: HourlyCounts, hour: datetime) -> HourDrift:
    """Judge an hour by the days before it, which the counts hold as well."""
    day, of_day = counts.place(hour)
    moment, rows = counts.moment(day, of_day), counts.rows[day, of_day]
    most = int(rows.max(initial=0))
    if most < FEWEST_ROWS:
        return HourDrift(moment, most, {}, f"{most} decisions, of at least {FEWEST_ROWS} that are needed")
    distances, sampling = (values[of_day] for values in _looked(counts, day, before=True))
    limits = band.location[of_day] * band.line * np.sqrt(np.maximum(1, sampling / band.sampling[of_day]))
    with np.errstate(invalid="ignore"):
        deviations = (distances / limits * band.line - 1) / (band.line - 1)
        scores = np.maximum(np.minimum(deviations, distances / SMALLEST_DISTANCES), 0)
    limits = np.maximum(limits, SMALLEST_DISTANCES)
    found = {
        name: _feature(scores[:, n], np.stack([distances[:, n], limits[:, n]], axis=1), int(rows[n]))
        for n, name in enumerate(counts.features)
        if np.isfinite(scores[:, n]).all()
    }
    few = f"fewer than {FEWEST_DAYS} days with decisions at this time of day before it"
    return HourDrift(moment, most, found, "" if found else few)


def _feature(scores: Floats, pairs: Floats, rows: int) -> FeatureHour:
    by_measure = {name: (float(pair[0]), float(pair[1])) for name, pair in zip(MEASURES, pairs, strict=True)}
    return FeatureHour(float(scores.max()), MEASURES[int(scores.argmax())], rows, by_measure)


def _looked(counts: HourlyCounts, day: int, before: bool) -> tuple[Floats, Floats]:
    """Distances of the hours of a day, shape (24, 2, features), and their sampling (24, 1, features), of the
    expectation that is nearer by as much as chance would have it; NaN where there is none."""
    own = counts.rows[day]
    now = shares_of(counts.counts[day])
    ways = [
        _distances(now, own, way, fewest)
        for way, fewest in zip(expected(counts, day, before), FEWEST_NEAR, strict=True)
    ]
    distances, sampling = (np.stack(values) for values in zip(*ways, strict=True))
    apart = distances / np.sqrt(sampling)
    nearer = np.where(np.isfinite(apart), apart, np.inf).sum(axis=2, keepdims=True).argmin(axis=0)[None]
    return np.take_along_axis(distances, nearer, 0)[0], np.take_along_axis(sampling, nearer, 0)[0]


def _distances(now: Floats, rows: Floats, way: Expected, fewest: int) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.stack([jensen_shannon(way.shares, now), kolmogorov_smirnov(way.shares, now)], axis=1)
        sampling = (1 / rows + 1 / way.rows)[:, None]
    unknown = ((rows < FEWEST_ROWS) | (way.days < fewest))[:, None]
    return np.where(unknown, np.nan, distances), np.where(unknown, np.nan, sampling)


def _widened(distances: Floats, sampling: Floats, usual: Floats) -> Floats:
    """Distances of hours of fewer rows than usual count less, by the square root."""
    counted: Floats = distances / np.sqrt(np.maximum(1, sampling / usual))
    return counted


def _lines(ratios: Floats, factors: Floats) -> Floats:
    """Lines of shape (2, features), of distances over their medians, shape (hours, 2, features)."""
    middle, (half, upper) = median(np.abs(ratios - 1)) / 0.6745, _quantiles(ratios, [0.5, 0.9])
    own = np.maximum(np.maximum(middle, (upper - half) / 1.2816), 1e-3)
    # The quietest of many features is so partly by luck: half way (in logarithms) to the median feature.
    scale = np.sqrt(own * np.maximum(own, median(own.T)[:, None])) * factors
    deviations = (ratios - 1) / scale
    largest = np.where(np.isfinite(deviations), deviations, -np.inf).max(axis=(1, 2))
    largest = largest[np.isfinite(largest)]
    if not len(largest):
        return np.full(scale.shape, np.nan)
    return np.asarray(1 + extreme(largest, RETURN_HOURS) * scale)


def _quantiles(values: Floats, shares: list[float]) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Floats = np.nanquantile(values, shares, axis=0)
    return found


def _factors(stable: HourlyCounts, of_labels: Collection[str]) -> Floats:
    return np.array([LABEL_FEATURES_FACTOR if name in of_labels else 1.0 for name in stable.features])

"""Whether features, or a model's scores, are distributed as they used to be: distances of daily histograms, judged
against the noise of a stable period. Scores are one more feature; labels are not looked at here.

A window of days is compared with the same weekdays of the weeks before it, so that weekly rhythm and slow growth cancel
and a jump stands out; how far such windows are apart in a stable world is measured on the reference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from math import log

import numpy as np

from jobs.arrays import Floats
from jobs.drift.histograms import WEEK, Histograms, expected
from jobs.errors import Invalid
from jobs.models.vectors import column_of
from jobs.stats.divergences import jensen_shannon, kolmogorov_smirnov, stability_index

DAY = timedelta(days=1)
WINDOWS = (1, 3, 7)
"""Days, each ending on the judged day: a jump shows in one, a small lasting change in seven."""
WEEKS = 4
REFERENCE_DAYS, FEWEST_DAYS = 56, 42
SMALLEST_DISTANCES = np.array([0.03, 0.01])[:, None]
"""Jensen-Shannon and Kolmogorov-Smirnov distances below which a change is too small to matter, however sure: about that
of 0.2% and 1% of rows moving to a bin where nothing was."""
LABEL_FEATURES_FACTOR = 1.5
"""The line of features that are made of labels is higher by this factor: few rows have one, all of a few campaigns, of
which a reference of weeks has seen hardly any. Measured in docs/monitoring/drift.md."""
RETURN_DAYS = 1000
"""Days in which the noise alone is to reach the extrapolated extreme once, per window."""
STANDARD_ERRORS = 4.0
"""How far the noise of the worst of many features may be underestimated, in standard errors of a deviation: those are
1 / sqrt(2 n) of it for n independent windows, of which a few weeks hold few (Kendall & Stuart, The Advanced Theory of
Statistics 1). Measured in docs/monitoring/drift.md."""


@dataclass(frozen=True, eq=False)
class Noise:
    """How far windows of some days are from what was expected of them, in a stable world."""

    window: int
    location: Floats
    """Shape (2, features): median of Jensen-Shannon and Kolmogorov-Smirnov distances."""
    scale: Floats
    """Likewise, a robust standard deviation."""
    sampling: float
    """1 / rows + 1 / rows compared with: variance of sampled shares is proportional to it."""
    line: float
    """Deviations, of the feature that deviates most, at which a day is no longer taken for stable."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A stable period and its noise."""

    histograms: Histograms
    weeks: int
    noise: tuple[Noise, ...]


@dataclass(frozen=True)
class FeatureDrift:
    """One feature on one day, in the window that deviates most."""

    score: float
    """1 is the line."""
    window: int
    stability_index: float
    """Shown because people know it; it ranks like Jensen-Shannon's and is not judged."""
    jensen_shannon: float
    kolmogorov_smirnov: float


@dataclass(frozen=True)
class Drift:
    """What was found on a day."""

    day: date
    features: Mapping[str, FeatureDrift]
    votes: tuple[int, ...]
    """Windows, in days, in which some feature is over the line."""
    judged: tuple[int, ...]
    """Windows that could be compared."""

    @property
    def score(self) -> float:
        """That of the feature that deviates most; 1.0 is the alarm line, 0.0 if nothing could be compared."""
        return max((feature.score for feature in self.features.values()), default=0.0)

    @property
    def alarm(self) -> bool:
        return self.score >= 1

    @property
    def named(self) -> tuple[str, ...]:
        """Features over the line, the worst first."""
        over = [name for name, feature in self.features.items() if feature.score >= 1]
        return tuple(sorted(over, key=lambda name: -self.features[name].score))


def reference(stable: Histograms) -> Reference:
    """Measure the noise of a stable period, of which REFERENCE_DAYS days are about right.

    Raises:
        ValueError: fewer than FEWEST_DAYS days.
    """
    if len(stable.days) < FEWEST_DAYS:
        raise Invalid(f"reference: expected at least {FEWEST_DAYS} days with rows, found {len(stable.days)}; wait")
    weeks = min(WEEKS, len(stable.days) // (2 * WEEK))
    noise: list[Noise] = []
    for window in WINDOWS:
        noise.append(_noise(stable, window, weeks, noise[0] if noise else None))
    return Reference(stable, weeks, tuple(noise))


def judge(reference: Reference, recent: Histograms, of_labels: Collection[str] = ()) -> Drift:
    """Judge the last day of `recent`.

    Args:
        of_labels: features that are made of labels.
        recent: counts of the days since the reference, over its edges. Days may be missing; with a gap behind the
            reference the weeks compared with lie before it. The day after one that is missing, and usually is not, is
            not judged: its features look back at what never came.

    Raises:
        ValueError: no day, or other features than the reference's.
    """
    if not recent.days:
        raise Invalid("recent days: expected at least the day to judge, found none; count it first")
    together, day = reference.histograms.followed_by(recent), recent.days[-1]
    together = together.until(day)
    features = together.features
    noise_and_window = {
        n.window: (n, w)
        for n in reference.noise
        if (w := _window(together, day, n.window, reference.weeks)) is not None
    }
    if not noise_and_window:
        return Drift(day, {}, (), ())
    lines = np.array([LABEL_FEATURES_FACTOR if name in of_labels else 1.0 for name in features])
    scores = np.stack([_scores(noise, window) for noise, window in noise_and_window.values()]) / lines
    worst, windows = scores.argmax(axis=0), list(noise_and_window)
    measured = {
        name: _feature(n, float(scores[k, n]), noise_and_window[windows[k]][1])
        for n, (name, k) in enumerate(zip(features, worst, strict=True))
    }
    return Drift(
        day,
        _of_columns(measured),
        tuple(window for window, of_window in zip(windows, scores, strict=True) if of_window.max() >= 1),
        tuple(windows),
    )


def _of_columns(measured: Mapping[str, FeatureDrift]) -> dict[str, FeatureDrift]:
    """A vector is one feature: that of its elements which deviates most. Lines are made for the worst of all features
    (`extreme`), elements among them, so that this changes no alarm."""
    columns: dict[str, FeatureDrift] = {}
    for name, found in measured.items():
        column = column_of(name)
        columns[column] = max(columns.get(column, found), found, key=lambda each: each.score)
    return columns


@dataclass(frozen=True, eq=False)
class _Window:
    """Shares of a window and those expected of it, shape (features, bins)."""

    days: int
    then: Floats
    now: Floats
    rows: float
    rows_then: float

    @property
    def sampling(self) -> float:
        return 1 / self.rows + 1 / self.rows_then

    @property
    def distances(self) -> Floats:
        return np.stack([jensen_shannon(self.then, self.now), kolmogorov_smirnov(self.then, self.now)])


def _window(histograms: Histograms, last: date, window: int, weeks: int, step: int = -1) -> _Window | None:
    """The `window` days up to `last`, and what was expected of each, weighted by its rows; None if any is missing, or
    follows a gap."""
    days = [last - timedelta(days=n) for n in range(window)]
    positions = {day: n for n, day in enumerate(histograms.days)}
    if any(day - DAY not in positions and day - DAY - timedelta(days=WEEK) in positions for day in days):
        return None
    then = [expected(histograms, day, weeks, step) for day in days if day in positions]
    whole = [pair for pair in then if pair is not None]
    if len(whole) < window:
        return None
    counts = histograms.counts[[positions[day] for day in days]]
    rows = counts[:, 0].sum(axis=-1)
    shares = np.average(np.stack([share for share, _ in whole]), axis=0, weights=rows)
    return _Window(window, shares, counts.sum(axis=0) / rows.sum(), float(rows.sum()), sum(r for _, r in whole))


def _noise(stable: Histograms, window: int, weeks: int, day: Noise | None) -> Noise:
    """Windows of the reference against the weeks before them, and, to use all of it, against the weeks after: whatever
    grows or wanders steadily looks the same backwards.

    Args:
        day: noise of single days. A feature that changes slowly (a mean over a month) is hardly less noisy over a week,
            and the reference holds too few weeks to measure that: the scale of a longer window is at least half way (in
            logarithms) to that of a day, and its line as high.
    """
    candidates = [_window(stable, last, window, weeks, step) for step in (-1, 1) for last in stable.days]
    windows = [each for each in candidates if each is not None]
    if len(windows) < WEEK:
        raise Invalid(
            f"reference: expected days in a row, found {len(windows)} windows of {window} days; mend the gaps"
        )
    distances = np.stack([each.distances for each in windows])
    sampling = float(np.median([each.sampling for each in windows]))
    location = np.median(distances, axis=0)
    scale = _scale(distances, location, sampling)
    scale = scale if day is None else np.sqrt(scale * np.maximum(scale, day.scale))
    largest = ((distances - location) / scale).max(axis=(1, 2))
    margin = 1 + STANDARD_ERRORS / (2 * len(stable.days) / window) ** 0.5
    line = max(margin * extreme(largest, RETURN_DAYS), day.line if day else 0.0)
    return Noise(window, location, scale, sampling, line)


def _scale(distances: Floats, location: Floats, sampling: float) -> Floats:
    """Shape (2, features), from distances of shape (windows, 2, features)."""
    # Both estimate a normal deviation; the upper decile sees a tail that the median deviation does not.
    middle = np.median(np.abs(distances - location), axis=0) / 0.6745
    upper = (np.quantile(distances, 0.9, axis=0) - location) / 1.2816
    # A feature that hardly ever varied still is a sample: deviation of the distance of one binary share. To second
    # order the divergence is chi-squared / (8 ln 2 rows); the variance of a share is at most 1 / (4 rows).
    floor = np.sqrt(sampling * np.array([1 / (8 * log(2)), 1 / 4]))[:, None]
    own = np.maximum(np.maximum(middle, upper), floor)
    # The quietest of many features is so partly by luck: half way (in logarithms) to the median feature.
    scale: Floats = np.sqrt(own * np.maximum(own, np.median(own, axis=1, keepdims=True)))
    return scale


def extreme(largest: Floats, times: int) -> float:
    """What the largest deviation of a day, or of another time, reaches once in so many `times`: Gumbel's distribution
    through its median and upper decile (Coles, An Introduction to Statistical Modeling of Extreme Values, 2001, chapter
    3)."""
    half, tenth, rare = (-log(-log(1 - p)) for p in (0.5, 0.1, 1 / times))
    median, decile = np.quantile(largest, [0.5, 0.9])
    return float(median + (decile - median) / (tenth - half) * (rare - half))


def _scores(noise: Noise, window: _Window) -> Floats:
    """Shape (features,): over the line in some distance, and large enough to matter, is 1 and more."""
    # A window of fewer rows is noisier by the square root.
    distances = window.distances / max(1.0, window.sampling / noise.sampling) ** 0.5
    deviations = (distances - noise.location) / noise.scale / noise.line
    scores: Floats = np.maximum(np.minimum(deviations, distances / SMALLEST_DISTANCES), 0).max(axis=0)
    return scores


def _feature(n: int, score: float, window: _Window) -> FeatureDrift:
    index = stability_index(window.then[n], window.now[n], 0.5 / window.rows)
    jensen, kolmogorov = window.distances[:, n].tolist()
    return FeatureDrift(score, window.days, float(index), jensen, kolmogorov)

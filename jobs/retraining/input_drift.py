"""Drift of features and scores: the days that a champion decided against the stable days before it.

The statistics are those of `jobs.drift.detector`, on arrays of a history. Which model is adopted, and when, is in
the events of `jobs.retraining.monitor`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial

import numpy as np

from jobs.arrays import Float32s, Floats, Ints, surest
from jobs.datasets.day_cache import digest
from jobs.drift import detector
from jobs.drift.detector import Drift, Reference
from jobs.drift.drift_kernel import Edges, bins_of, edges_of
from jobs.drift.histograms import Histograms
from jobs.models.protocol import Model
from jobs.models.texts import compared, compared_names
from jobs.retraining.monitored_history import MonitoredHistory
from jobs.times import end_of, microseconds

SCORE = "score"
"""The model's output, as one more feature."""
THREADS = 2
"""Threads that predict whole days; LightGBM lets go of the interpreter meanwhile."""
DAY = timedelta(days=1)
DailyScores = Mapping[date, Floats]
"""Day -> what the champion of that day made of its events."""


@dataclass(frozen=True, eq=False)
class Adoption:
    """A model that decides from the day after `today`, and the stable days that its own are compared with."""

    model: Model
    today: date
    last: date
    """Last day of the reference."""
    settled_since: date | None = None
    """First day of the reference, if the world before it was another."""

    def stable_days(self, monitored: MonitoredHistory, moment: int) -> list[date]:
        """Days of the reference: the latest `jobs.drift.detector.REFERENCE_DAYS` with events."""
        days = monitored.days_until(self.last, detector.REFERENCE_DAYS, moment)
        return [day for day in days if day >= (self.settled_since or day)]

    def compared_days(self, scores: DailyScores) -> list[date]:
        """Days after the reference: those that the model would have decided, and those decided since."""
        since = [self.last + n * DAY for n in range(1, (self.today - self.last).days + 1)]
        return [*since, *(day for day in sorted(scores) if day > self.today)]


@dataclass(frozen=True, eq=False)
class Measured:
    """What follows from an adoption, a history and scores, as known at a moment: a cache, of daily histograms."""

    adoption: Adoption
    moment: int
    edges: Mapping[str, Edges]
    reference: Reference | None
    """None: it could not be measured, for the reason in `note`."""
    compared: Histograms
    """Days after the reference."""
    last: date | None
    """Latest day that was counted, with or without events."""
    note: str = ""

    @property
    def reference_days(self) -> tuple[date, date] | None:
        """First and last day of the reference."""
        days = self.reference.histograms.days if self.reference is not None else ()
        return (days[0], days[-1]) if days else None

    def drift(self, label_features: Collection[str]) -> Drift | None:
        """Drift of the latest day; None if it has no events, or there is nothing to compare with."""
        days = self.compared.days
        if self.reference is None or not days or days[-1] != self.last:
            return None
        return detector.judge(self.reference, self.compared, label_features)


def adopted(
    monitored: MonitoredHistory,
    model: Model,
    today: date,
    changed_on: date | None = None,
    settled_since: date | None = None,
) -> Adoption | None:
    """`model` decides from tomorrow on: what its scores used to look like is what it makes of the days so far.

    A reference that spans a change would be blind: while one is being learned (`changed_on`) the reference ends
    before it, afterwards it begins there (`settled_since`).

    Returns None where fewer than `jobs.drift.detector.FEWEST_DAYS` days are left.
    """
    last = today if changed_on is None else changed_on - DAY
    adoption = Adoption(model, today, last, settled_since)
    enough = len(adoption.stable_days(monitored, microseconds(end_of(today)))) >= detector.FEWEST_DAYS
    return adoption if enough else None


def settles(monitored: MonitoredHistory, change: date, after: timedelta, day: date) -> bool:
    """Whether at the end of `day` the world since `change` is the usual one: the first day that is `after` it and
    leaves enough days with events to measure their noise."""
    if day + DAY - change < after:
        return False
    enough = detector.FEWEST_DAYS
    days = [d for d in monitored.days_until(day, (day - change).days + 1, microseconds(end_of(day))) if d >= change]
    return len(days) >= enough and day == max(days[enough - 1], change + after - DAY)


def measured(
    monitored: MonitoredHistory, adoption: Adoption, scores: DailyScores, moment: int, before: Measured | None
) -> Measured:
    """Histograms as known at a moment; of `before` what a later moment does not change."""
    if before is None or before.adoption is not adoption or monitored.delivered_between(before.moment, moment):
        return _measured_anew(monitored, adoption, scores, moment)
    days = [day for day in adoption.compared_days(scores) if before.last is None or day > before.last]
    if not days:
        return replace(before, moment=moment)
    later = _counted(monitored, before.edges, days, scores, moment)
    return replace(before, moment=moment, compared=before.compared.followed_by(later), last=days[-1])


def _measured_anew(monitored: MonitoredHistory, adoption: Adoption, scores: DailyScores, moment: int) -> Measured:
    stable, compared = adoption.stable_days(monitored, moment), adoption.compared_days(scores)
    own = _predicted(monitored, adoption.model, stable)
    edges = _edges(monitored, stable, own, moment)
    undecided = [day for day in compared if day <= adoption.today]
    decided = {**scores, **_predicted(monitored, adoption.model, undecided)}
    later = _counted(monitored, edges, compared, decided, moment)
    reference, note = None, ""
    try:
        reference = detector.reference(_counted(monitored, edges, stable, own, moment))
    except ValueError as error:  # gaps, such as a day of the week without events
        note = str(error)
    return Measured(adoption, moment, edges, reference, later, compared[-1] if compared else None, note)


def _predicted(monitored: MonitoredHistory, model: Model, days: Sequence[date]) -> dict[date, Floats]:
    """A model's scores of whole days; two months of them, by several hundred trees, are worth two threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        scores = pool.map(lambda day: monitored.scores(model, day), days)
        return dict(zip(days, scores, strict=True))


def _counted(
    monitored: MonitoredHistory, edges: Mapping[str, Edges], days: Sequence[date], scores: DailyScores, moment: int
) -> Histograms:
    width = max(len(cuts) for cuts in edges.values()) + 2
    counts = np.zeros((len(days), len(edges), width), dtype=np.int64)
    cut = digest(_table(edges).tobytes())
    for k, day in enumerate(days):
        count = partial(_counts, monitored, edges, width, day, scores[day], moment)
        counts[k] = monitored.cached("counts", [day], moment, [cut, digest(scores[day].tobytes())], count)
    with_events = [k for k in range(len(days)) if counts[k, 0].sum()]
    return Histograms(tuple(days[k] for k in with_events), tuple(edges), counts[with_events])


def _counts(
    monitored: MonitoredHistory, edges: Mapping[str, Edges], width: int, day: date, scores: Floats, moment: int
) -> Ints:
    """Shape (features, bins)."""
    features = compared(monitored.features_of(day, moment), monitored.history.names)
    counts = np.zeros((len(edges), width), dtype=np.int64)
    for n, (name, cuts) in enumerate(edges.items()):
        values = surest(scores)[monitored.known(day, moment)] if name == SCORE else features[:, n]
        bins = bins_of(values, cuts)
        bins[bins == len(cuts) + 1] = width - 1
        counts[n] = np.bincount(bins, minlength=width)
    return counts


def _edges(monitored: MonitoredHistory, stable: Sequence[date], scores: DailyScores, moment: int) -> dict[str, Edges]:
    """Edges of each feature and of the score, by the events of stable days."""
    read = monitored.history.names
    names = (*compared_names(read), SCORE)

    def table() -> Float32s:
        features = np.concatenate([compared(monitored.features_of(day, moment), read) for day in stable])
        edges = [edges_of(column) for column in features.T]
        edges.append(edges_of(np.concatenate([surest(scores[day])[monitored.known(day, moment)] for day in stable])))
        return _table(dict(zip(names, edges, strict=True)))

    content = [digest(scores[day].tobytes()) for day in stable]
    rows = monitored.cached("edges", stable, moment, content, table)
    return {name: row[~np.isnan(row)] for name, row in zip(names, rows, strict=True)}


def _table(edges: Mapping[str, Edges]) -> Float32s:
    """A row per feature, filled up with NaN."""
    rows = np.full((len(edges), max(len(cuts) for cuts in edges.values())), np.nan, dtype=np.float32)
    for row, cuts in zip(rows, edges.values(), strict=True):
        row[: len(cuts)] = cuts
    return rows

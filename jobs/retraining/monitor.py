"""What is looked at every evening of a history: drift of features and scores, and what reports say by then.

The statistics are those of `jobs.drift.detector` and `jobs.ground_truth.concept_drift`, here on arrays instead of in
the engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.datasets.history import History
from jobs.drift import detector
from jobs.drift.drift_kernel import Edges, bins_of, edges_of
from jobs.drift.histograms import Histograms
from jobs.ground_truth import performance_drop
from jobs.ground_truth.concept_drift import concept_drift
from jobs.ground_truth.drift_windows import DriftTest
from jobs.ground_truth.label_delay import Delay, learn
from jobs.ground_truth.label_maturity import MATURE
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.ground_truth.reports import reported_until
from jobs.models.protocol import Model
from jobs.retraining.policy import ALARM, Evidence
from jobs.times import MICROSECONDS_A_DAY, NEVER, ages, day_number, microseconds, numbered_day
from jobs.use_case import UseCase

SCORE = "score"
"""The model's output, as one more feature."""
THREADS = 2
"""That predict whole days; LightGBM lets go of the interpreter meanwhile."""
REMEMBERED = timedelta(days=90)
"""How far back the decisions are looked at through their labels, unless these mature slowly."""


@dataclass(frozen=True)
class DailyEvidence:
    """What one evening showed."""

    scores: Mapping[str, float]
    named: Mapping[str, Sequence[str]]
    changed_on: date
    reports: int
    """Labels known by now."""
    maturity: float
    """Share of the day's reports that is expected to be in."""
    positives: Mapping[date, int]
    versions: Mapping[str, Any] = field(default_factory=dict)

    def evidence(self, as_of: datetime) -> Evidence:
        return Evidence(as_of, self.scores, self.changed_on, self.positives, self.named, self.versions)


class Monitor:
    """Watches a history day by day; what it says of a day does not depend on when it was asked.

    An evening sees the events that were known by then. Some may be delivered days after their own (`History.known_at`):
    once they are, they count to their own day.
    """

    def __init__(self, history: History, use_case: UseCase) -> None:
        self.history, self.use_case = history, use_case
        self._days = history.days
        late = history.known_at > (self._days + 1) * MICROSECONDS_A_DAY
        self._deliveries = np.sort(history.known_at[late])
        """When events became known that were not by the evening of their day."""
        self._looked = 0
        self._scores: dict[date, Floats] = {}
        self._positive = self._first_positive()
        self._reference: detector.Reference | None = None
        self._edges: dict[str, Edges] = {}
        self._recent: list[Histograms] = []
        self._measured: Callable[[int], None] | None = None
        """Measures the reference of the model that decides, as known at a moment."""
        self._adopted = False
        """Whether that is still to be done."""

    def watch(self, history: History) -> None:
        """The same events, of whose labels less can become known: some were blocked."""
        self.history = history
        self._positive = self._first_positive()

    def rows_of(self, day: date) -> slice:
        """Events of a day; they lie together, as events are sorted by time."""
        number = day_number(day)
        first, last = np.searchsorted(self._days, [number, number + 1])
        return slice(int(first), int(last))

    def decided(self, day: date, scores: Floats) -> None:
        """The decisions of a day."""
        self._scores[day] = scores
        if self._reference is not None and not self._adopted:
            self._recent.append(self._counted([day], {day: scores}, _end_of(day)))

    def scores_of(self, day: date) -> Floats | None:
        """The decisions of a day; None: nobody decided."""
        return self._scores.get(day)

    def adopt(
        self, model: Model, today: date, changed_on: date | None = None, settled_since: date | None = None
    ) -> None:
        """`model` decides from tomorrow on: what its scores used to look like is what it makes of the days so far.

        A reference that spans a change would be blind: while one is being learned (`changed_on`) the reference ends
        before it, afterwards it begins there (`settled_since`).
        """
        last = today if changed_on is None else changed_on - timedelta(days=1)
        if len(self._stable(last, settled_since, _end_of(today))) >= detector.FEWEST_DAYS:
            # Measured when somebody looks: who catches up with months needs the last reference only.
            self._measured = partial(self._measure, model, last, settled_since, today)
            self._adopted = True

    def _stable(self, last: date, settled_since: date | None, moment: int) -> list[date]:
        days = self._days_until(last, detector.REFERENCE_DAYS, moment)
        return [day for day in days if day >= (settled_since or day)]

    def _measure(self, model: Model, last: date, settled_since: date | None, today: date, moment: int) -> None:
        stable = self._stable(last, settled_since, moment)
        scores = self._predicted(model, stable)
        features = np.concatenate([self._features(day, moment) for day in stable])
        self._edges = {name: edges_of(features[:, n]) for n, name in enumerate(self.history.names)}
        self._edges[SCORE] = edges_of(np.concatenate([scores[day][self.known(day, moment)] for day in stable]))
        self._reference = detector.reference(self._counted(stable, scores, moment))
        since = [last + timedelta(days=n) for n in range(1, (today - last).days + 1)]
        decided = [day for day in sorted(self._scores) if day > today]
        ours = self._predicted(model, since)
        self._recent = [self._counted([day], {**self._scores, **ours}, moment) for day in (*since, *decided)]

    def _predicted(self, model: Model, days: Sequence[date]) -> dict[date, Floats]:
        """A model's scores of whole days; two months of them, by several hundred trees, are worth two threads."""
        with ThreadPoolExecutor(THREADS) as pool:
            made = pool.map(lambda day: model.predict(self.history.features[self.rows_of(day)]), days)
            return dict(zip(days, made, strict=True))

    def settles(self, change: date, after: timedelta, day: date) -> bool:
        """Whether at the end of `day` the world since `change` is the usual one: the first day that is `after` it and
        leaves enough days with events to measure their noise."""
        if day + timedelta(days=1) - change < after:
            return False
        enough = detector.FEWEST_DAYS
        days = [d for d in self._days_until(day, (day - change).days + 1, _end_of(day)) if d >= change]
        first = days[enough - 1] if len(days) >= enough else None
        return first is not None and day == max(first, change + after - timedelta(days=1))

    def _days_until(self, last: date, count: int, moment: int) -> list[date]:
        """Of the last `count` days those with events."""
        days = [last - timedelta(days=n) for n in range(count - 1, -1, -1)]
        return [day for day in days if len(self.history.times[self.rows_of(day)][self.known(day, moment)])]

    def known(self, day: date, moment: int) -> Any:
        """Which of a day's events are known at a moment."""
        if not len(self._deliveries):
            return slice(None)
        return self.history.known_at[self.rows_of(day)] <= moment

    def _features(self, day: date, moment: int) -> Any:
        return self.history.features[self.rows_of(day)][self.known(day, moment)]

    def _reported(self, moment: int) -> tuple[Any, Any]:
        """Position and first report of the events that are known at a moment and reported at any."""
        places, first = self._positive
        if not len(self._deliveries):
            return places, first
        there = self.history.known_at[places] <= moment
        return places[there], first[there]

    def delay(self, as_of: datetime) -> Delay:
        """How long reports take, as learned from those known at `as_of`."""
        places, known = self._reported(microseconds(as_of))
        return learn(self.history.times[places], known, as_of, self.use_case.label_maturity)

    def look(self, evening: datetime) -> DailyEvidence:
        """The evening's evidence."""
        moment = microseconds(evening)
        self._catch_up(moment)
        today = evening.date() - timedelta(days=1)
        scores: dict[str, float] = {}
        named: dict[str, Sequence[str]] = {}
        changed_on = today
        if self._reference is not None and self._recent and self._recent[-1].days:
            found = detector.judge(self._reference, _together(self._recent), self.use_case.label_features)
            scores["drift"] = found.score
            named["drift"] = found.named
            if found.votes:
                changed_on = today - timedelta(days=min(found.votes) - 1)
        delay = self.delay(evening)
        if (found_by_labels := self._concept(evening, delay)) is not None:
            scores["concept"] = found_by_labels.score
            if found_by_labels.alarm and not named.get("drift"):
                window = min(found_by_labels.windows, key=lambda days: found_by_labels.windows[days])
                changed_on = today - timedelta(days=window - 1)
        if (lost := performance_drop.drop(self.average_precisions(evening, delay))) is not None:
            scores["performance"] = lost
            if lost >= ALARM and not any(scores[name] >= ALARM for name in scores if name != "performance"):
                changed_on = today - timedelta(days=math.ceil(delay.bound(MATURE)) + performance_drop.RECENT_DAYS - 1)
        reports = int(self._known_labels(moment).sum())
        share = delay.share(ages(self.history.times[self.rows_of(today)][self.known(today, moment)], moment))
        return DailyEvidence(
            scores, named, changed_on, reports, float(share.mean()) if len(share) else 0.0, self._positives(moment)
        )

    def _catch_up(self, moment: int) -> None:
        """Measure what a new model, or events delivered since the last look, make different."""
        delivered = np.searchsorted(self._deliveries, [self._looked, moment], side="right")
        if self._measured is not None and (self._adopted or delivered[0] < delivered[1]):
            self._measured(moment)
            self._adopted = False
        self._looked = moment

    def _concept(self, evening: datetime, delay: Delay) -> DriftTest | None:
        """Whether reported positives score lower than they used to, of the decisions of the last months.

        They are those of several champions; where a row lies among the scores of its day compares between them.
        """
        days = [day for day in sorted(self._scores) if day > evening.date() - remembered(self.use_case)]
        if not days:
            return None
        rows = slice(self.rows_of(days[0]).start, self.rows_of(days[-1]).stop)
        moment = microseconds(evening)
        known = np.full(len(self.history), NEVER)
        places, first = self._positive
        known[places] = first
        known[~self._standing(moment)] = NEVER
        scores = np.concatenate([self._scores[day] for day in days])
        if len(scores) != rows.stop - rows.start:
            return None
        there = self.history.known_at[rows] <= moment
        known = known[rows][there]
        labelled = LabelledScores(
            times=self.history.times[rows][there],
            scores=scores[there],
            known_at=known,
            positive=known < NEVER,
            delay=delay,
            as_of=evening,
        )
        return concept_drift(labelled)

    def average_precisions(self, evening: datetime, delay: Delay) -> list[float]:
        """Of the latest mature days that were decided about, oldest first, as of all their reports; NaN where there is
        none. While no reports come, no day ripens."""
        moment = microseconds(evening)
        heard = reported_until(self._reported(moment)[1], evening)
        last = datetime.fromtimestamp(heard / 1e6, UTC).date() - timedelta(days=math.ceil(delay.bound(MATURE)) + 1)
        count = performance_drop.RECENT_DAYS + performance_drop.NOISE_DAYS
        since = evening.date() - remembered(self.use_case)
        days = [day for day in self._days_until(last, count, moment) if day in self._scores and day > since]
        if len(days) < performance_drop.RECENT_DAYS + performance_drop.FEWEST_DAYS:
            return []
        rows = slice(self.rows_of(days[0]).start, self.rows_of(days[-1]).stop)
        positive = self._positive_at(moment, rows)
        found = []
        for day in days:
            own, there = self.rows_of(day), self.known(day, moment)
            labels = positive[own.start - rows.start : own.stop - rows.start][there]
            able = labels.any() and not labels.all()
            share = float(delay.share(ages(self.history.times[own][there], heard)).mean()) if able else 1.0
            found.append(performance_drop.complete(labels, self._scores[day][there], share) if able else float("nan"))
        return found

    def _positive_at(self, moment: int, rows: slice) -> Bools:
        """Whether each of these events is known as positive at a moment."""
        labels = self.history.labels
        inside = (labels.rows >= rows.start) & (labels.rows < rows.stop)
        holds = inside & labels.values & self._known_labels(moment)
        positive = np.zeros(rows.stop - rows.start, dtype=np.bool_)
        positive[labels.rows[holds] - rows.start] = True
        return positive

    def _known_labels(self, moment: int) -> Bools:
        """Which versions of labels hold at a moment, of events known by then."""
        labels = self.history.labels
        holds: Bools = (labels.known_at <= moment) & (moment < labels.superseded_at)
        return holds & (self.history.known_at[labels.rows] <= moment) if len(self._deliveries) else holds

    def _standing(self, moment: int) -> Bools:
        """Whether each event is known as positive at a moment: reported, and not withdrawn."""
        return self._positive_at(moment, slice(0, len(self.history)))

    def _positives(self, moment: int) -> dict[date, int]:
        times = self.history.times[self._standing(moment)]
        days, counts = np.unique(times // MICROSECONDS_A_DAY, return_counts=True)
        return {numbered_day(day): int(count) for day, count in zip(days, counts, strict=True)}

    def _first_positive(self) -> tuple[Any, Any]:
        """Position and first report of every event that is reported, withdrawn or not."""
        labels = self.history.labels
        rows, first = labels.rows[labels.values], labels.known_at[labels.values]
        order = np.lexsort((first, rows))
        places, start = np.unique(rows[order], return_index=True)
        return places, first[order][start]

    def _counted(self, days: Sequence[date], scores: Mapping[date, Floats], moment: int) -> Histograms:
        names = tuple(self._edges)
        width = max(len(cuts) for cuts in self._edges.values()) + 2
        counts = np.zeros((len(days), len(names), width), dtype=np.int64)
        for k, day in enumerate(days):
            features = self._features(day, moment)
            for n, (name, cuts) in enumerate(self._edges.items()):
                values = scores[day][self.known(day, moment)] if name == SCORE else features[:, n]
                bins = bins_of(values, cuts)
                bins[bins == len(cuts) + 1] = width - 1
                counts[k, n] = np.bincount(bins, minlength=width)
        there = [k for k in range(len(days)) if counts[k, 0].sum()]
        return Histograms(tuple(days[k] for k in there), names, counts[there])


def remembered(use_case: UseCase) -> timedelta:
    """How far back the decisions are looked at: to the first day that a drop of performance is judged by."""
    judged = timedelta(days=performance_drop.RECENT_DAYS + performance_drop.NOISE_DAYS + 1)
    return max(REMEMBERED, use_case.label_maturity + judged)


def _end_of(day: date) -> int:
    return (day_number(day) + 1) * MICROSECONDS_A_DAY


def _together(parts: Sequence[Histograms]) -> Histograms:
    found = parts[0]
    for part in parts[1:]:
        if part.days:
            found = found.followed_by(part)
    return found

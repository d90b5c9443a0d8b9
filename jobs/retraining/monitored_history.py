"""A history as it is known at moments: events that were delivered, labels that hold, how long reports take.

What follows for the champion is measured in `jobs.retraining.input_drift` and `jobs.retraining.label_evidence`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from jobs.arrays import Bools, Floats, Ints
from jobs.datasets.day_cache import DayCache
from jobs.datasets.history import History, LabelVersions
from jobs.ground_truth.label_delay import Delay, learn_delay
from jobs.models.protocol import Model
from jobs.times import MICROSECONDS_A_DAY, NEVER, Times, ages, day_number, microseconds, numbered_day
from jobs.use_case import UseCase


@dataclass(frozen=True, eq=False)
class MonitoredHistory:
    """A history with the indexes that looks at single days need; made by `of`.

    Some events may be delivered days after their own (`History.known_at`): once they are, they count to their own day.
    """

    history: History
    use_case: UseCase
    days: Ints
    """Days since 1970 of the events, rising."""
    deliveries: Times
    """Moments, rising, at which events became known that were not by the evening of their day."""
    reported: Ints
    """Positions, rising, of the events that are ever reported as positive, withdrawn or not."""
    first_reports: Times
    """First report of each of them."""
    cache: DayCache | None = None
    """Arrays of the evening before; None: all are computed."""

    @classmethod
    def of(cls, history: History, use_case: UseCase, cache: DayCache | None = None) -> MonitoredHistory:
        days = history.days
        late = history.known_at > (days + 1) * MICROSECONDS_A_DAY
        return cls(history, use_case, days, np.sort(history.known_at[late]), *_first_reports(history.labels), cache)

    def relabelled(self, history: History) -> MonitoredHistory:
        """The same events, of whose labels less can become known: some were blocked."""
        reported, first = _first_reports(history.labels)
        return replace(self, history=history, reported=reported, first_reports=first)

    def rows_of(self, day: date) -> slice:
        """Events of a day; they lie together, as events are sorted by time."""
        number = day_number(day)
        first, last = np.searchsorted(self.days, [number, number + 1])
        return slice(int(first), int(last))

    def rows_between(self, first: date, last: date) -> slice:
        return slice(self.rows_of(first).start, self.rows_of(last).stop)

    def known(self, day: date, moment: int) -> Any:
        """Which of a day's events are known at a moment, as an index."""
        if not len(self.deliveries):
            return slice(None)
        return self.history.known_at[self.rows_of(day)] <= moment

    def times_of(self, day: date, moment: int) -> Times:
        times: Times = self.history.times[self.rows_of(day)][self.known(day, moment)]
        return times

    def features_of(self, day: date, moment: int) -> Any:
        return self.history.features[self.rows_of(day)][self.known(day, moment)]

    def scores(self, model: Model, day: date) -> Floats:
        """A model's scores of all events of a day."""

        def predicted() -> Floats:
            features = self.history.features[self.rows_of(day)]
            return model.predict(features) if len(features) else self.history.task.no_scores()

        identity = getattr(model, "identity", None)
        if self.cache is None or identity is None:
            return predicted()
        return self.cache.of("scores", [day], [identity], predicted)

    def cached(
        self, what: str, days: Sequence[date], moment: int, made_of: Sequence[str], compute: Callable[[], Any]
    ) -> Any:
        """An array that follows from the events of `days` that are known at a moment, and from `made_of`."""
        if self.cache is None:
            return compute()
        rows_known = [len(self.times_of(day, moment)) for day in days]
        return self.cache.of(what, days, [*rows_known, *made_of], compute)

    def days_until(self, last: date, count: int, moment: int) -> list[date]:
        """Of the `count` days up to `last` those with events known at a moment."""
        days = [last - timedelta(days=n) for n in range(count - 1, -1, -1)]
        return [day for day in days if len(self.times_of(day, moment))]

    def delivered_between(self, moment: int, later: int) -> bool:
        """Whether events became known after `moment`, up to `later`, that were not by the evening of their day."""
        first, last = np.searchsorted(self.deliveries, [moment, later], side="right")
        return bool(first < last)

    def reports(self, moment: int) -> tuple[Ints, Times]:
        """Position and first report, at any time, of the events that are known at a moment and ever reported."""
        if not len(self.deliveries):
            return self.reported, self.first_reports
        is_known = self.history.known_at[self.reported] <= moment
        return self.reported[is_known], self.first_reports[is_known]

    def delay(self, as_of: datetime) -> Delay:
        """How long reports take, as learned from those known at `as_of`."""
        positions, first = self.reports(microseconds(as_of))
        return learn_delay(self.history.times[positions], first, as_of, self.use_case.label_maturity)

    def maturity(self, day: date, delay: Delay, moment: int) -> float:
        """Share of a day's reports that is expected to be in; 0 without events."""
        share = delay.share(ages(self.times_of(day, moment), moment))
        return float(share.mean()) if len(share) else 0.0

    def known_labels(self, moment: int) -> Bools:
        """Which versions of labels hold at a moment, of events known by then."""
        labels = self.history.labels
        holds: Bools = (labels.known_at <= moment) & (moment < labels.superseded_at)
        return holds & (self.history.known_at[labels.rows] <= moment) if len(self.deliveries) else holds

    def positive(self, moment: int) -> Bools:
        """Whether each event is known as positive at a moment: reported, and not withdrawn; where a task has no
        positives, whether it is labelled."""
        labels = self.history.labels
        positive = np.zeros(len(self.history), dtype=np.bool_)
        positive[labels.rows[labels.reported & self.known_labels(moment)]] = True
        return positive

    def positives(self, positive: Bools) -> dict[date, int]:
        """How many events are `positive`, by their day."""
        days, counts = np.unique(self.days[positive], return_counts=True)
        return {numbered_day(day): int(count) for day, count in zip(days, counts, strict=True)}

    def first_report_of(self, rows: slice) -> Times:
        """First report, at any time, of each of these events; NEVER without one."""
        first = np.full(rows.stop - rows.start, NEVER)
        begin, end = np.searchsorted(self.reported, [rows.start, rows.stop])
        first[self.reported[begin:end] - rows.start] = self.first_reports[begin:end]
        return first


def _first_reports(labels: LabelVersions) -> tuple[Ints, Times]:
    rows, first = labels.rows[labels.reported], labels.known_at[labels.reported]
    order = np.lexsort((first, rows))
    positions, start = np.unique(rows[order], return_index=True)
    return positions, first[order][start]

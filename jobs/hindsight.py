"""Whether a champion turned out worse than the one before it would have been: on mature labels of what it decided.

The former champion scores the same rows, in the shadow of the present one. Neither learned from them: they are later
than both trainings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobs.challenge import difference
from jobs.history import History
from jobs.maturity import MATURE
from jobs.monitor import Monitor
from jobs.recipes import Comparison
from jobs.split import microseconds
from jobs.training_rows import problem_of
from jobs.use_case import UseCase

LEVEL = 0.99
"""Confidence, one-sided, that the former champion would have been better; it is asked every evening anew."""
LEAST_POSITIVES = 20
NAMES = ("present", "former")


@dataclass(frozen=True)
class Hindsight:
    """What mature labels say."""

    worse: bool
    said: str
    positives: int = 0
    present: float | None = None
    """Average precision of the champion, and of its predecessor on the same rows."""
    former: float | None = None


def hindsight(
    history: History, use_case: UseCase, present: Any, former: Any, since: datetime, as_of: datetime
) -> Hindsight:
    """Compare two models on the mature events since a promotion, as known at `as_of`.

    Mature is an event of an age at which `MATURE` of the reports are in, by the learned delay.

    Args:
        present, former: have `predict`, on features in the order of the history's.
    """
    delay = Monitor(history, use_case).delay(as_of)
    until = as_of - timedelta(days=delay.bound(MATURE))
    chosen = (history.times > microseconds(since)) & (history.times <= microseconds(until)) & history.known(as_of)
    labels = history.labels_at(as_of)[chosen] == 1
    positives = int(labels.sum())
    if positives < LEAST_POSITIVES:
        said = f"{positives} of {LEAST_POSITIVES} mature positives are known of what it decided since {since:%Y-%m-%d}"
        return Hindsight(False, said, positives)
    rows = history.rows(chosen, labels)
    models = dict(zip(NAMES, (present, former), strict=True))
    found = Comparison(rows, {name: model.predict(rows.examples.features) for name, model in models.items()})
    mine, theirs = (found.average_precision(name) for name in NAMES)
    low, high = difference(found, "former", "present", LEVEL, problem_of(use_case).seed)
    said = (
        f"average precision {mine:.3f} since {since:%Y-%m-%d}, the former champion would have had {theirs:.3f}, on "
        f"{positives} mature positives (difference {low:+.3f} to {high:+.3f})"
    )
    return Hindsight(low > 0, said, positives, mine, theirs)

"""Whether a champion turned out worse than the one before it would have been: on mature labels of what it decided.

The former champion scores the same rows, in the shadow of the present one. Neither learned from them: they are later
than both trainings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.arrays import Bools, Floats
from jobs.datasets.history import History
from jobs.ground_truth.label_delay import Delay
from jobs.ground_truth.label_maturity import MATURE
from jobs.ground_truth.reports import reported_until
from jobs.retraining.comparison import difference
from jobs.times import MICROSECONDS_A_DAY, microseconds
from jobs.training.recipes import Comparison
from jobs.use_case import UseCase, problem_of

LEVEL = 0.99
"""Confidence, one-sided, that the former champion would have been better; it is asked every evening anew."""
LEAST_POSITIVES = 20
LONGEST = timedelta(days=60)
"""A promotion that has stood so long is not asked about any more: by then the policy has judged what came after it."""
NAMES = ("present", "former")
Scores = Callable[[Bools], Floats]
"""Rows of a history -> a model's scores of them."""


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
    history: History, use_case: UseCase, present: Scores, former: Scores, delay: Delay, since: datetime, as_of: datetime
) -> Hindsight:
    """Compare two models on the mature events since a promotion, as known at `as_of`.

    Mature is an event of an age at which `MATURE` of the reports are in, by the learned `delay`; while no reports come,
    none ripens.
    """
    if as_of - since > LONGEST:
        return Hindsight(False, f"in production since {since:%Y-%m-%d}, more than {LONGEST.days} days: it stays")
    heard = reported_until(history.labels.known_at[history.labels.values], as_of)
    until = heard - int(delay.bound(MATURE) * MICROSECONDS_A_DAY)
    chosen = (history.times > microseconds(since)) & (history.times <= until) & history.known(as_of)
    chosen &= history.let_through
    labels = history.labels_at(as_of)[chosen] == 1
    positives = int(labels.sum())
    if positives < LEAST_POSITIVES:
        said = f"{positives} of {LEAST_POSITIVES} mature positives are known of what it decided since {since:%Y-%m-%d}"
        return Hindsight(False, said, positives)
    rows = history.rows(chosen, labels)
    found = Comparison(rows, {name: of(chosen) for name, of in zip(NAMES, (present, former), strict=True)})
    mine, theirs = (found.average_precision(name) for name in NAMES)
    low, high = difference(found, "former", "present", LEVEL, problem_of(use_case).seed)
    said = (
        f"average precision {mine:.3f} since {since:%Y-%m-%d}, the former champion would have had {theirs:.3f}, on "
        f"{positives} mature positives (difference {low:+.3f} to {high:+.3f})"
    )
    return Hindsight(low > 0, said, positives, mine, theirs)

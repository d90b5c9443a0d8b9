"""Whether a champion is worse than its predecessor on the mature events since its promotion.

Both models score the same rows, which are later than both trainings. Rolling back is in `jobs.retraining.rollback`.
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
from jobs.retraining.comparison import gains
from jobs.stats.paired_bootstrap import interval
from jobs.times import MICROSECONDS_A_DAY, microseconds
from jobs.training.recipe_trainer import Comparison
from jobs.use_case import UseCase, problem_of

LEVEL = 0.99
"""One-sided confidence that the former champion is better; high, as the question is asked again every evening."""
LEAST_POSITIVES = 20
LONGEST_PROMOTION = timedelta(days=60)
"""Promotions older than this are not compared: by then the policy has decided about later challengers."""
NAMES = ("present", "former")
ScoresOfRows = Callable[[Bools], Floats]
"""Mask of rows of a history -> a model's scores of these rows."""


@dataclass(frozen=True)
class PredecessorComparison:
    """The comparison of a champion with its predecessor on mature labels."""

    worse: bool
    """Whether the champion is worse beyond noise."""
    message: str
    positives: int = 0
    present: float | None = None
    """The objective of the champion, such as average precision."""
    former: float | None = None
    """That of its predecessor on the same rows."""


@dataclass(frozen=True)
class Succession:
    """A promotion that is looked back at."""

    present: ScoresOfRows
    """Of the champion."""
    former: ScoresOfRows
    """Of its predecessor."""
    since: datetime
    """When the champion took over."""


def compare_with_predecessor(
    history: History, use_case: UseCase, succession: Succession, delay: Delay, as_of: datetime
) -> PredecessorComparison:
    """Compare a champion with its predecessor on the mature events since its promotion, as known at `as_of`.

    An event is mature at the age at which a share `MATURE` of the reports is in, by the learned `delay`. Age is counted
    to the last report, so that no event becomes mature while no reports arrive.
    """
    since = succession.since
    if as_of - since > LONGEST_PROMOTION:
        return PredecessorComparison(
            False, f"in production since {since:%Y-%m-%d}, more than {LONGEST_PROMOTION.days} days: it stays"
        )
    last_report = reported_until(history.labels.known_at[history.labels.reported], as_of)
    until = last_report - int(delay.bound(MATURE) * MICROSECONDS_A_DAY)
    chosen = (history.times > microseconds(since)) & (history.times <= until) & history.known(as_of)
    chosen &= history.let_through
    task, known = history.task, history.labels_at(as_of)
    unlabelled = task.unlabelled(problem_of(use_case).unlabelled)
    chosen = chosen if unlabelled is not None else chosen & task.is_known(known)
    labels = task.settled(known[chosen], unlabelled)
    positives = int(task.informative(labels).sum())
    if positives < LEAST_POSITIVES:
        evidence = f"{positives} of {LEAST_POSITIVES} mature {task.evidence}"
        message = f"{evidence} are known of what it decided since {since:%Y-%m-%d}"
        return PredecessorComparison(False, message, positives)
    rows = history.rows(chosen, labels)
    compared = Comparison(rows, {"present": succession.present(chosen), "former": succession.former(chosen)})
    mine, theirs = (compared.value(name) for name in NAMES)
    low, high = interval(gains(compared, "former", "present", problem_of(use_case).seed), LEVEL)
    message = (
        f"{task.words} {mine:.3f} since {since:%Y-%m-%d}, the former champion would have had {theirs:.3f}, on "
        f"{positives} mature {task.evidence} ({'difference' if task.greater_is_better else 'gain'} {low:+.3f} to "
        f"{high:+.3f})"
    )
    return PredecessorComparison(low > 0, message, positives, mine, theirs)

"""Events of a rollout of a task without a review: what each cost by the objective, as champion and arm scored it.

That is an absolute error, a log loss, a declared cost (`jobs.tasks.task.Task.losses`). Nothing is blocked: every event
that both models scored counts once its label is mature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.rollouts.paired_scores import OfModel, PairedScores
from jobs.stats.confidence_sequences import ConfidenceSequence, Looking, of_mean
from jobs.tasks.task import Labels, Task

if TYPE_CHECKING:
    from jobs.tasks.task import Scores


@dataclass(frozen=True, eq=False)
class LabelledLosses:
    """In the order of decisions; less is better."""

    champion: Floats
    arm: Floats
    clusters: Any
    """The entity of each event."""
    measure: str
    """The objective in words."""

    @property
    def gains(self) -> Floats:
        """How much less each event costs by the arm."""
        gains: Floats = self.champion - self.arm
        return gains

    def sequence(self, looking: Looking) -> ConfidenceSequence:
        """Around the mean gain of an event."""
        return of_mean(self.gains, looking, self.clusters)

    def gain(self) -> tuple[float, float]:
        """Mean gain of an event over the champion, and its standard error."""
        if len(self.gains) < 2:
            return 0.0, 1.0  # nothing is known: any arm may be best
        return float(self.gains.mean()), float(self.gains.std(ddof=1) / len(self.gains) ** 0.5)


def labelled_losses(pairs: PairedScores, labels: Labels, is_known: Bools, clusters: Any, task: Task) -> LabelledLosses:
    """labels: of the same events, in the same order; is_known: whose label is mature, and is one."""
    take = pairs.both & is_known
    champion, arm = (task.losses(labels[take], _scores(side, task, take)) for side in (pairs.champion, pairs.arm))
    return LabelledLosses(champion, arm, clusters[take], task.words)


def _scores(side: OfModel, task: Task, take: Bools) -> Scores:
    """Scores as the task's losses take them, shape (events,) or (events, classes)."""
    if not task.classes:
        return side.scores[take]
    assert side.probabilities is not None
    rows = [[chances.get(name, 0.0) for name in task.classes] for chances in side.probabilities[take]]
    return np.array(rows, np.float64).reshape(len(rows), len(task.classes))

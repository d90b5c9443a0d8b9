"""The champion's predecessor in a replay: it scores every day in its shadow, and may turn out to be better."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from jobs.arrays import Bools, Floats, surest
from jobs.backtesting.replay_models import Models
from jobs.datasets.history import History
from jobs.ground_truth.label_delay import Delay
from jobs.retraining.predecessor import PredecessorComparison, Succession, compare_with_predecessor
from jobs.tasks.task import Task
from jobs.use_case import UseCase


class Shadow:
    """Scores of the champion, and of the one before it where they are asked for, since the promotion of the champion.

    Args:
        rows: of the history.
        task: of its labels.
    """

    def __init__(self, rows: int, task: Task, use_case: UseCase, models: Models) -> None:
        self._use_case, self._models = use_case, models
        shape = (rows, len(task.classes)) if task.classes else rows
        self._present, self._former_scores = np.zeros(shape), np.full(shape, np.nan)
        self._since: datetime | None = None
        self.former: int | None = None
        """The version that would be restored; None: the champion is the first, or was restored itself."""

    def follow(self, former: int | None, since: datetime) -> None:
        """Another champion decides from `since` on."""
        self.former, self._since = former, since
        self._former_scores[:] = np.nan

    def score(self, rows: slice, scores: Floats) -> None:
        """The champion's scores of the rows of a day."""
        self._present[rows] = scores

    def look(self, history: History, delay: Delay, as_of: datetime) -> PredecessorComparison:
        """Whether the former champion, if there is one, would have been better, by what is known at `as_of`."""
        assert self.former is not None and self._since is not None
        model = self._models.model(self.former)

        def former_scores(chosen: Bools) -> Floats:
            # Most promotions are followed by another before so many labels are mature that this is asked.
            scored = ~np.isnan(surest(self._former_scores))
            new = chosen & ~scored
            self._former_scores[new] = model.predict(history.features[new])
            return self._former_scores[chosen]

        succession = Succession(self._present.__getitem__, former_scores, self._since)
        return compare_with_predecessor(history, self._use_case, succession, delay, as_of)

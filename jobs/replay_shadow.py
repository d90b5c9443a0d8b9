"""The champion's predecessor in a replay: it scores every day in its shadow, and may turn out to be better."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from jobs.hindsight import Hindsight, hindsight
from jobs.history import History
from jobs.label_delay import Delay
from jobs.metrics import Floats
from jobs.replay_models import Models
from jobs.use_case import UseCase


class Shadow:
    """Scores of the champion and of the one before it, since the promotion of the champion.

    Args:
        rows: of the history.
    """

    def __init__(self, rows: int, use_case: UseCase, models: Models) -> None:
        self._use_case, self._models = use_case, models
        self._present, self._theirs = np.zeros(rows), np.zeros(rows)
        self._since: datetime | None = None
        self.former: int | None = None
        """Who would be restored; None: the champion is the first, or was restored itself."""

    def follow(self, former: int | None, since: datetime) -> None:
        """Another champion decides from `since` on."""
        self.former, self._since = former, since

    def score(self, rows: slice, features: Any, scores: Floats) -> None:
        """A day: the champion gave `scores`."""
        self._present[rows] = scores
        if self.former is not None:
            self._theirs[rows] = self._models.model(self.former).predict(features)

    def look(self, history: History, delay: Delay, as_of: datetime) -> Hindsight:
        """Whether the former champion, if there is one, would have been better, by what is known at `as_of`."""
        assert self.former is not None and self._since is not None
        return hindsight(
            history, self._use_case, self._present.__getitem__, self._theirs.__getitem__, delay, self._since, as_of
        )

"""The champion's predecessor in a replay: it scores every day in its shadow, and may turn out to be better."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.backtesting.replay_models import Models
from jobs.datasets.history import History
from jobs.ground_truth.label_delay import Delay
from jobs.retraining.predecessor import Hindsight, hindsight
from jobs.use_case import UseCase


class Shadow:
    """Scores of the champion, and of the one before it where they are asked for, since the promotion of the champion.

    Args:
        rows: of the history.
    """

    def __init__(self, rows: int, use_case: UseCase, models: Models) -> None:
        self._use_case, self._models = use_case, models
        self._present, self._theirs = np.zeros(rows), np.full(rows, np.nan)
        self._since: datetime | None = None
        self.former: int | None = None
        """Who would be restored; None: the champion is the first, or was restored itself."""

    def follow(self, former: int | None, since: datetime) -> None:
        """Another champion decides from `since` on."""
        self.former, self._since = former, since
        self._theirs[:] = np.nan

    def score(self, rows: slice, scores: Floats) -> None:
        """A day: the champion gave `scores`."""
        self._present[rows] = scores

    def look(self, history: History, delay: Delay, as_of: datetime) -> Hindsight:
        """Whether the former champion, if there is one, would have been better, by what is known at `as_of`."""
        assert self.former is not None and self._since is not None
        model = self._models.model(self.former)

        def theirs(chosen: Bools) -> Floats:
            # Most promotions are followed by another before so many labels are mature that this is asked.
            new = chosen & np.isnan(self._theirs)
            self._theirs[new] = model.predict(history.features[new])
            return self._theirs[chosen]

        return hindsight(history, self._use_case, self._present.__getitem__, theirs, delay, self._since, as_of)

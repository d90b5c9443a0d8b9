"""What a model in service makes of one row of features, and what answers while it fails."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pybreaker

from jobs.decisions.fallback import Fallback
from jobs.decisions.feature_row import FeatureRow, Row
from jobs.decisions.model_inputs import ModelInputs
from jobs.decisions.outcome import Outcome, Policy
from jobs.decisions.scores import Scored
from jobs.error_messages import in_words
from jobs.errors import EvergreenError, Invalid
from serving.live_models.live_model import LiveModel

FAILURES, PAUSE_SECONDS = 5, 5.0
"""After so many failures one after another a model is not asked for so long."""


class Scorer:
    """One model, whose inputs are known to be among the features."""

    def __init__(self, model: LiveModel, rows: FeatureRow, fallback: Fallback) -> None:
        """Raises Invalid if the model reads a feature that the decision service cannot compute."""
        self.model = model
        self._inputs, self._policy = ModelInputs.of(model.manifest, rows), Policy(model.manifest)
        self._bundle, self.fallback = model.bundle, fallback
        # A value that the model cannot take is the client's: it keeps nobody else from the model.
        self._breaker = pybreaker.CircuitBreaker(fail_max=FAILURES, reset_timeout=PAUSE_SECONDS, exclude=[Invalid])

    def __call__(self, rows: Sequence[Row]) -> list[Scored]:
        """What the model makes of rows; where it fails at some of them, of each alone."""
        began = time.perf_counter()
        try:
            outcomes = self._breaker.call(self._outcomes, rows)
        except pybreaker.CircuitBreakerError:
            return [self.fallback.of_row(row, "the model failed before and is left alone for a while") for row in rows]
        except Exception as error:  # whatever is wrong with a model, there is an answer
            if len(rows) > 1:
                return [scored for row in rows for scored in self([row])]
            told = str(error) if isinstance(error, EvergreenError) else in_words(error)
            return [self.fallback.of_row(row, f"the model failed: {told}") for row in rows]
        each = max(1, round((time.perf_counter() - began) * 1e6 / len(rows)))
        return [Scored(outcome, self.model.version, self._bundle, scoring=each) for outcome in outcomes]

    @property
    def breaker(self) -> str:
        """`closed` while the model is asked, else `open` or `half-open`."""
        return str(self._breaker.current_state)

    def scores(self, rows: Sequence[Row]) -> list[float]:
        """The score of each of some rows; of classes that of the likeliest."""
        return [outcome.score or 0.0 for outcome in self._outcomes(rows)]

    def _outcomes(self, rows: Sequence[Row]) -> list[Outcome]:
        scores = self.model.run_each([self._inputs.feeds(row) for row in rows])
        return [self._policy.outcome(scores[place : place + 1]) for place in range(len(rows))]

"""What follows from a model's score for one event: a decision, a prediction, the ends of an interval, by task."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from jobs.problem import Verdict
from jobs.registry.bundle import Manifest
from jobs.tasks.intervals import Interval


class Outcome(msgspec.Struct, omit_defaults=True, frozen=True):
    """What was decided about an event."""

    score: float | None
    """Float32: the probability of yes, or of the likeliest class, or the predicted number; None: no model answered."""
    decision: Verdict | None = None
    """Of a yes-or-no question."""
    prediction: str | None = None
    """The likeliest class."""
    probabilities: dict[str, float] | None = None
    lower: float | None = None
    upper: float | None = None
    """Ends of the interval around a predicted number."""


class Policy:
    """The thresholds, classes and interval of one model."""

    def __init__(self, manifest: Manifest) -> None:
        self._task, self._classes = manifest.learned.name, manifest.learned.classes
        self._review = np.float32(manifest.threshold)
        self._block = None if manifest.block is None else np.float32(manifest.block)
        self._interval = Interval.of_stored(manifest.interval)

    def outcome(self, scores: np.ndarray[Any, Any]) -> Outcome:
        """scores: float32, [1] or [1, classes], as the graph gives them for one event."""
        if self._task == "multiclass":
            of_classes = scores[0]
            best = int(of_classes.argmax())
            named = dict(zip(self._classes, of_classes.tolist(), strict=True))
            return Outcome(float(of_classes[best]), prediction=self._classes[best], probabilities=named)
        score = scores[0]
        if self._task == "regression":
            ends = self._interval.ends(scores.astype(np.float64)) if self._interval is not None else (None, None)
            lower, upper = (None if end is None else float(np.float32(end[0])) for end in ends)
            return Outcome(float(score), lower=lower, upper=upper)
        return Outcome(float(score), self._verdict(score))

    def _verdict(self, score: np.float32) -> Verdict:
        if self._block is not None and score >= self._block:
            return "block"
        return "review" if score >= self._review else "approve"

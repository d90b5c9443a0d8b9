"""What decides about rows of features: a model, or what answers in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from jobs.decisions.feature_row import Row
from jobs.decisions.outcome import Outcome
from jobs.rollout_strategy import CHAMPION


class Scored(NamedTuple):
    """What a model made of a row of features."""

    outcome: Outcome
    model_version: str | None
    bundle: str | None
    fallback: str | None = None
    reason: str | None = None
    arm: str = CHAMPION
    propensity: float = 1.0
    scoring: int = 0
    """Microseconds that the model took."""


class Baseline(Protocol):
    """What decides without a model."""

    def of_row(self, row: Row, reason: str) -> Scored: ...


class Score(Protocol):
    """A model, or what answers in its place: it never raises."""

    @property
    def fallback(self) -> Baseline: ...

    def __call__(self, rows: Sequence[Row]) -> list[Scored]: ...

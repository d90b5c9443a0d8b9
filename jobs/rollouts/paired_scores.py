"""For each event that takes part in a rollout, what the champion and an arm made of it.

One of them answered, the other scored in its shadow; where a shadow was dropped, one side is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jobs.arrays import Bools, Floats, Ints


class Made(NamedTuple):
    """What a model made of an event."""

    score: float | None
    alerts: bool
    blocks: bool
    probabilities: Mapping[str, float] | None
    """Of the classes, where there are some."""
    microseconds: int
    """0: it scored several events at once, which says nothing of one."""
    failed: bool


@dataclass(frozen=True, eq=False)
class OfModel:
    """One model's side; every array holds a value per event."""

    known: Bools
    """Whether the log says what the model did."""
    failed: Bools
    scores: Floats
    """NaN without one."""
    alerts: Bools
    """Whether it would not approve."""
    blocks: Bools
    """Whether it would block, after which nobody sees how the event turns out."""
    microseconds: Floats
    """NaN where it failed, or scored several events at once."""
    probabilities: Any = None
    """Of tasks with classes: class -> probability, or None without a score."""

    @classmethod
    def of(cls, made: Sequence[Made | None]) -> OfModel:
        """Of each event; None: it is not known."""
        scores = [np.nan if one is None or one.score is None else one.score for one in made]
        times = [np.nan if one is None or one.failed else one.microseconds or np.nan for one in made]
        return cls(
            np.array([one is not None for one in made], np.bool_),
            np.array([one is not None and one.failed for one in made], np.bool_),
            np.array(scores, np.float64),
            np.array([one is not None and one.alerts for one in made], np.bool_),
            np.array([one is not None and one.blocks for one in made], np.bool_),
            np.array(times, np.float64),
            np.array([None if one is None else one.probabilities for one in made], object),
        )

    def joined(self, later: OfModel) -> OfModel:
        """With what it made of later events."""
        both: Any = zip(vars(self).values(), vars(later).values(), strict=True)
        return OfModel(*(np.concatenate(columns) for columns in both))


@dataclass(frozen=True, eq=False)
class PairedScores:
    """Events of a rollout in the order in which they were decided, as the champion and one arm saw them."""

    ids: list[Any]
    stamps: Ints
    """When they were decided, microseconds since 1970."""
    answered: Bools
    """Whether it was the arm's turn to answer."""
    propensities: Floats
    """The chance by which it was the arm's turn."""
    champion: OfModel
    arm: OfModel

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def both(self) -> Bools:
        """Where both gave a score."""
        scored: Bools = np.isfinite(self.champion.scores) & np.isfinite(self.arm.scores)
        return scored

    def joined(self, later: PairedScores) -> PairedScores:
        """With later events."""
        return PairedScores(
            self.ids + later.ids,
            np.concatenate([self.stamps, later.stamps]),
            np.concatenate([self.answered, later.answered]),
            np.concatenate([self.propensities, later.propensities]),
            self.champion.joined(later.champion),
            self.arm.joined(later.arm),
        )

"""Events of a rollout without shadows: each was scored by one model alone, and arms are compared by their own events.

What the decisions of an arm earn is a mean over its events, each for 1 / chance of the arm (Hajek 1971). That says far
less than pairs of the same events do, and nothing of the order of scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.stats.confidence_sequences import ConfidenceSequence, Looking, of_difference

if TYPE_CHECKING:
    from jobs.problem import Review
    from jobs.rollouts.labelled_pairs import KnownOutcomes
    from jobs.rollouts.paired_scores import PairedScores


@dataclass(frozen=True, eq=False)
class LabelledArms:
    """Events that champion or arm answered and whose label is mature; in the order of decisions."""

    labels: Bools
    alerts: Bools
    """Whether whoever answered did not approve."""
    amounts: Floats
    clusters: Any
    """The entity of each event."""
    of_arm: Floats
    """How many events each one of the arm stands for; 0: the champion answered it."""
    of_champion: Floats
    cost: float
    """Of looking at an alert, in the money of amounts."""

    @property
    def earned(self) -> Floats:
        """What the decision about each event earns: the amount of a fraud that is stopped, less the cost."""
        earned: Floats = self.alerts * (np.where(self.labels, self.amounts, 0.0) - self.cost)
        return earned

    @property
    def sides(self) -> tuple[tuple[Bools, Floats], tuple[Bools, Floats]]:
        """Alerts and weights of the champion, and of the arm."""
        return (self.alerts, self.of_champion), (self.alerts, self.of_arm)

    def money(self, looking: Looking) -> ConfidenceSequence:
        """Around what the arm earns an event more."""
        return of_difference(self.earned, self.of_arm, self.of_champion, looking, self.clusters)

    def gain(self) -> tuple[float, float]:
        """Mean gain of an event over the champion, and its standard error."""
        (mean, error), (other, its_error) = (self._mean(weights) for weights in (self.of_arm, self.of_champion))
        return mean - other, float(np.hypot(error, its_error))

    def _mean(self, weights: Floats) -> tuple[float, float]:
        if (weights > 0).sum() < 2:
            return 0.0, 1.0  # nothing is known: any arm may be best
        mean = float(np.average(self.earned, weights=weights))
        return mean, float(np.sqrt((weights**2 * (self.earned - mean) ** 2).sum()) / weights.sum())


def labelled_arms(pairs: PairedScores, known: KnownOutcomes, review: Review) -> LabelledArms:
    """known: of the same events, in the same order."""
    of_arm = pairs.answered & np.isfinite(pairs.arm.scores)
    of_champion = ~pairs.answered & np.isfinite(pairs.champion.scores)
    take = known.is_mature & (of_arm | of_champion)
    alerts = np.where(pairs.answered, pairs.arm.alerts, pairs.champion.alerts)
    return LabelledArms(
        known.labels[take], alerts[take], known.amounts[take], known.clusters[take],
        _weights(of_arm, pairs.propensities)[take], _weights(of_champion, 1 - pairs.propensities)[take], review.cost,
    )  # fmt: skip


def _weights(answered: Bools, chances: Floats) -> Floats:
    return np.divide(1.0, chances, out=np.zeros(len(chances)), where=answered & (chances > 0))

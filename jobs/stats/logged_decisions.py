"""Decisions of a log, seen from another policy: what each earned, and how many of the other's it stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import Floats, Ints, codes
from jobs.errors import Invalid
from jobs.stats.running_sums import finite

THIN = 0.1
"""Share of the rows below which their effective number is told."""
HEAVY = 0.05
"""Share of all weight above which a single row is told."""
UNSUPPORTED = 0.01
"""Share of the target's decisions without a chance in the log, above which it is told."""


@dataclass(frozen=True, eq=False)
class RewardModel:
    """What a model expects of each row; it must not have learned from these rows."""

    logged: Floats
    """Reward of what was done."""
    target: Floats
    """Mean reward of what the target would do."""


@dataclass(frozen=True, eq=False)
class LoggedDecisions:
    """Rows of a log; every array holds a value per row."""

    rewards: Floats
    weights: Floats
    """The target's chance of what was done, over the chance that it had; 0 where the target never does it."""
    clusters: Ints
    """Rows of one cluster share their noise; numbers from 0."""
    model: RewardModel | None
    unsupported: float
    """Share of the target's decisions that had no chance in the log."""

    @classmethod
    def of(
        cls,
        rewards: ArrayLike,
        weights: ArrayLike,
        clusters: ArrayLike | None = None,
        model: RewardModel | None = None,
        unsupported: float = 0.0,
    ) -> LoggedDecisions:
        """Checked.

        Args:
            weights: see `weights_of`.
            clusters: any values; None: each row is its own.

        Raises:
            ValueError: no rows, arrays of other lengths, rewards or weights that are not finite, negative weights.
        """
        earned, chosen = finite("rewards", rewards), finite("weights", weights, 0.0)
        rows = len(earned)
        expected = [] if model is None else [finite("reward model", each) for each in (model.logged, model.target)]
        if not rows or {len(chosen), *map(len, expected)} != {rows}:
            raise Invalid(
                f"log: expected a weight for each of some rewards, found {rows} rewards, {len(chosen)} weights"
            )
        of_rows = np.arange(rows) if clusters is None else codes("clusters", clusters, rows)[1]
        return cls(earned, chosen, of_rows, model, unsupported)

    @property
    def effective(self) -> float:
        """How many rows of equal weight would tell as much: (sum of weights)^2 / sum of squares (Kish, Survey Sampling,
        1965, section 11.7)."""
        squares = float(self.weights @ self.weights)
        return float(self.weights.sum() ** 2 / squares) if squares else 0.0

    def warnings(self) -> tuple[str, ...]:
        """Sentences about what makes estimates from this log doubtful."""
        rows, total = len(self.weights), float(self.weights.sum())
        told = []
        if self.unsupported > UNSUPPORTED:
            told.append(
                f"{self.unsupported:.1%} of the target's decisions had no chance in the log: only a reward model says "
                "anything about them"
            )
        if self.effective < THIN * rows:
            told.append(f"{rows:,} rows tell as much as {self.effective:,.0f} of equal weight")
        if total and self.weights.max() > HEAVY * total:
            told.append(f"one row has {self.weights.max() / total:.0%} of all weight")
        error = self.weights.std() / rows**0.5
        if abs(self.weights.mean() + self.unsupported - 1) > max(4 * error, 1e-9):
            told.append(
                f"weights have a mean of {self.weights.mean():.3f} where {1 - self.unsupported:.3f} is expected: "
                "logged propensities are not those that were drawn with"
            )
        return tuple(told)


def weights_of(targets: ArrayLike, propensities: ArrayLike) -> Floats:
    """The weight of each row.

    Args:
        targets: the target policy's chance of what was done.
        propensities: the chance that it had in the log.

    Raises:
        ValueError: chances outside [0, 1], or something that was done without a chance.
    """
    wanted, had = finite("target chances", targets, 0.0, 1.0), finite("propensities", propensities, 0.0, 1.0)
    if wanted.shape != had.shape or not had.all():
        raise Invalid(
            f"propensities: expected {len(wanted)} above 0, found {len(had)} with {int((had == 0).sum())} of 0; "
            "what was done had a chance"
        )
    return wanted / had

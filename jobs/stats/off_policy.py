"""What a policy would earn a decision, estimated from the log of another one, with intervals.

ips: mean of weight times reward (Horvitz & Thompson, JASA 47, 1952). No bias, most variance.
self_normalised: the same over the sum of weights (Swaminathan & Joachims, NeurIPS 2015). Little bias, less variance.
doubly_robust: what a reward model expects of the target, corrected by weighted residuals of what was done (Dudik,
    Langford & Li, ICML 2011). No bias if propensities or the model are right; little variance if the model is good.
switch: the same, trusting the model alone where weights are large (Wang, Agarwal & Dudik, ICML 2017). Where, is chosen
    by the least estimated squared error; the interval is wider by the estimated bias.

How metrics that are no means are estimated is in `jobs.stats.weighted_metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jobs.arrays import Floats
from jobs.stats.logged_decisions import LoggedDecisions, RewardModel
from jobs.stats.studentised_bootstrap import ratio_interval

NAMES = ("ips", "self_normalised", "doubly_robust", "switch")
SHARES = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995)
"""Of the weights that count, below one of the thresholds that `switch` chooses from."""


@dataclass(frozen=True)
class Estimate:
    """Mean reward of a policy, in the unit of rewards."""

    estimator: str
    value: float
    lower: float
    upper: float
    """Ends are infinite where too few rows make up the variance to say anything."""

    def scaled(self, by: float) -> Estimate:
        """In another unit; `by` is above 0."""
        return Estimate(self.estimator, self.value * by, self.lower * by, self.upper * by)


def estimates(log: LoggedDecisions, level: float = 0.95, seed: int = 0) -> tuple[Estimate, ...]:
    """By every estimator that the log allows: the last two need a reward model."""
    weighted, once = log.weights * log.rewards, np.ones(len(log.rewards))
    ips, self_normalised, doubly_robust, _ = NAMES
    by = [_estimate(ips, log, (weighted, once), level, seed)]
    by.append(_estimate(self_normalised, log, (weighted, log.weights), level, seed))
    if log.model is not None:
        by.append(_estimate(doubly_robust, log, (_corrected(log, log.model, np.inf), once), level, seed))
        by.append(_switched(log, log.model, level, seed))
    return tuple(by)


def _estimate(name: str, log: LoggedDecisions, parts: tuple[Floats, Floats], level: float, seed: int) -> Estimate:
    above, below = parts
    total = float(below.sum())
    value = float(above.sum()) / total if total else np.nan
    return Estimate(name, value, *ratio_interval(above, below, log.clusters, level, seed))


def _corrected(log: LoggedDecisions, model: RewardModel, limit: float) -> Floats:
    """What each row says of the target's reward; rows of a weight above the limit correct nothing."""
    trusted = np.where(log.weights <= limit, log.weights, 0.0)
    says: Floats = model.target + trusted * (log.rewards - model.logged)
    return says


def _switched(log: LoggedDecisions, model: RewardModel, level: float, seed: int) -> Estimate:
    whole, once = _corrected(log, model, np.inf), np.ones(len(log.rewards))
    counting = log.weights[log.weights > 0]
    limits = [*np.quantile(counting, SHARES), np.inf] if len(counting) else [np.inf]
    rows = [_corrected(log, model, limit) for limit in limits]
    biases = [abs(float(np.mean(each - whole))) for each in rows]
    best = int(np.argmin([_variance(each, log) + bias**2 for each, bias in zip(rows, biases, strict=True)]))
    found = _estimate(NAMES[-1], log, (rows[best], once), level, seed)
    return Estimate(found.estimator, found.value, found.lower - biases[best], found.upper + biases[best])


def _variance(rows: Floats, log: LoggedDecisions) -> float:
    """Of the mean of rows in clusters."""
    sums = np.bincount(log.clusters, rows - rows.mean())
    return float(sums @ sums) / len(rows) ** 2

"""How much features help: trees learned with and without them, judged on later rows of two periods by one bootstrap.

By the objective of the task, as in the gate; the difference of two lists of features is the mean over both periods, and
it is beyond noise where the lower end of a paired bootstrap of blocks is above zero (`jobs.stats.paired_bootstrap`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from jobs.arrays import Float32s, Floats
from jobs.feature_search.search_rows import Period, SearchRows
from jobs.models.boosted import objective_of
from jobs.objective import AVERAGE_PRECISION
from jobs.stats import paired_bootstrap
from jobs.stats.paired_bootstrap import Resampled
from jobs.tasks.task import RowValues, Scores, Task

TREES = {
    "learning_rate": 0.08,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
ROUNDS = 120
SEEDS = (0, 1)
"""Margins of as many trainings are averaged: what differs between seeds is no help of a feature."""
RESAMPLES = 200
LEVEL = 0.95
"""One-sided confidence that a difference is above zero, as of the gate, shared among all that a round compares."""


@dataclass(frozen=True)
class Difference:
    """What one list of features gains on another in the objective, on a scale where more is better."""

    by_period: tuple[float, float]
    lower: float
    """Of the mean over the periods."""

    @property
    def mean(self) -> float:
        return sum(self.by_period) / len(self.by_period)

    @property
    def is_beyond_noise(self) -> bool:
        return self.lower > 0 and min(self.by_period) > 0


@dataclass(frozen=True, eq=False)
class Fitted:
    """What trees made of a list of features: in each period, one ranking of the judged rows, and gains."""

    rankings: tuple[Resampled, ...]
    gains: Floats
    """Share of each feature in the trees' gain, mean over periods and seeds."""
    seed_variance: float
    """Of the objective of one training, between seeds; mean over periods."""


@dataclass(eq=False)
class Judge:
    """Trains trees on lists of features, each list once, and judges them by the objective of the task."""

    rows: SearchRows
    columns: Mapping[str, Float32s]
    _trials: dict[frozenset[str], Fitted] = field(default_factory=dict)

    @cached_property
    def blocks(self) -> int:
        return int(self.rows.blocks.max()) + 1

    @cached_property
    def task(self) -> Task:
        """The task of the rows. Which rows a capacity reaches is not known where negatives stand for others: average
        precision is measured instead."""
        task = self.rows.task
        return replace(task, objective=AVERAGE_PRECISION) if task.objective.name == "recall_at_capacity" else task

    def quality(self, names: Sequence[str]) -> tuple[float, ...]:
        """The objective in each period."""
        rankings = self.trial(names).rankings
        return tuple(float(paired_bootstrap.observed([ranking], self.blocks)[0]) for ranking in rankings)

    def difference(self, names: Sequence[str], less: Sequence[str], compared: int = 1) -> Difference:
        """What `names` bring beyond the features `less`; compared: how many differences share the level."""
        both = [ranking for one in (names, less) for ranking in self.trial(one).rankings]
        drawn = paired_bootstrap.resampled(both, self.blocks, RESAMPLES, seed=0)
        values = np.vstack([paired_bootstrap.observed(both, self.blocks), drawn])
        mine, theirs = np.split(values, 2, axis=1)
        by_period = mine - theirs if self.task.greater_is_better else theirs - mine
        level = 1 - (1 - LEVEL) / compared
        lower, _ = paired_bootstrap.normal_interval(by_period.mean(axis=1), level, self._training_noise)
        return Difference((float(by_period[0, 0]), float(by_period[0, 1])), lower)

    @property
    def _training_noise(self) -> float:
        """Standard deviation of a difference between trainings that differ in nothing but seeds, by all so far."""
        variance = np.mean([trial.seed_variance for trial in self._trials.values()])
        return float(np.sqrt(2 * variance / (len(SEEDS) * len(self.rows.periods))))

    def trial(self, names: Sequence[str]) -> Fitted:
        key = frozenset(names)
        if key not in self._trials:
            self._trials[key] = self._tried(sorted(key))
        return self._trials[key]

    def gains(self, names: Sequence[str]) -> dict[str, float]:
        """Share of each of the features in the gain of trees that see all of them."""
        return dict(zip(sorted(frozenset(names)), self.trial(names).gains.tolist(), strict=True))

    def _tried(self, names: Sequence[str]) -> Fitted:
        features = np.stack([self.columns[name] for name in names], axis=1)
        with ThreadPoolExecutor(len(self.rows.periods)) as pool:
            found = list(pool.map(lambda period: self._learned(features, period, names), self.rows.periods))
        rankings, gains, variances = zip(*found, strict=True)
        return Fitted(rankings, np.mean(gains, axis=0), float(np.mean(variances)))

    def _learned(self, features: Float32s, period: Period, names: Sequence[str]) -> tuple[Resampled, Floats, float]:
        """What is judged of the mean over seeds, the features' shares, the variance between seeds."""
        import lightgbm

        data = lightgbm.Dataset(
            features[period.train], period.train_labels, weight=self.rows.weights[period.train], params=TREES,
            categorical_feature=[n for n, name in enumerate(names) if name in self.rows.categories],
            free_raw_data=False,
        )  # fmt: skip
        fixed, valid = {**TREES, **objective_of(self.task)}, features[period.valid]
        boosters = [lightgbm.train({**fixed, "seed": seed}, data, ROUNDS) for seed in SEEDS]
        scores = [np.asarray(booster.predict(valid, num_threads=1), np.float64) for booster in boosters]
        gains = np.mean([booster.feature_importance("gain") for booster in boosters], axis=0)
        together, *each = (self._judged(period, one) for one in [self.task.mean(scores), *scores])
        by_seed = paired_bootstrap.observed(each, self.blocks)
        return together, gains / max(gains.sum(), 1e-300), float(by_seed.var(ddof=1))

    def _judged(self, period: Period, scores: Scores) -> Resampled:
        every = [np.ones(len(period.valid), dtype=bool)]
        blocks, weights = self.rows.blocks[period.valid], self.rows.weights[period.valid]
        return self.task.resampled(period.valid_labels, scores, blocks, every, RowValues(weights=weights))

"""A classifier two-sample test over all features at once: can a model tell a day's rows from those of the weeks before?

It sees what no histogram of one feature shows, such as two features whose correlation changes (Lopez-Paz & Oquab,
Revisiting Classifier Two-Sample Tests, ICLR 2017). Single features are judged in `jobs.drift.detector`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from jobs.arrays import Floats
from jobs.errors import Invalid
from jobs.stats.metrics import auc_roc

RowsByDay = Mapping[date, Floats]
"""A bounded random sample of each day's rows (`sample`), float [rows, features], NaN is missing."""

ROWS = 2000
"""Largest number of rows of a sample: AUC has a standard error below 0.01, and a fit takes a fraction of a second."""
WEEKS = 4
FEWEST_DAYS, ENOUGH_DAYS = 14, 28
FOLDS = 3
ALARM_DEVIATIONS = 4.0
"""Deviations of the AUC at which a day is no longer taken for stable: Student's t with 13 degrees of freedom, those of
FEWEST_DAYS, exceeds it once in 1,300 days."""
TRAINING = {"objective": "binary", "num_leaves": 8, "learning_rate": 0.1, "min_data_in_leaf": 30}
ROUNDS = 40
"""Number of trees. Small trees, few of them, are enough to decide whether samples differ."""


@dataclass(frozen=True)
class Null:
    """Distribution of the AUC of days of a stable period: above 0.5 where days usually differ, e.g. in who pays."""

    location: float
    scale: float
    days: int


@dataclass(frozen=True)
class TwoSample:
    """Result of the test of one day."""

    day: date
    auc: float
    score: float
    """Evidence on a scale where 1 is the line of alarm."""
    named: tuple[str, ...]
    """Features with the largest gains, the largest first, up to nine tenths of all gain; none without an alarm."""

    @property
    def alarm(self) -> bool:
        return self.score >= 1


def sample(values: Floats, seed: int) -> Floats:
    """At most ROWS rows of a day, drawn without replacement, in random order: a part of them is a sample, too."""
    return values[np.random.default_rng(seed).permutation(len(values))[:ROWS]]


def null(stable: RowsByDay, seed: int) -> Null:
    """The distribution of the AUC of the days of a stable period.

    Raises:
        ValueError: fewer than FEWEST_DAYS days have a day to compare with.
    """
    before, after = (
        [(stable[d], then) for d in stable if (then := _others(stable, d, s)) is not None] for s in (-1, 1)
    )
    # The first weeks have no weeks before them; a stable period looks the same backwards.
    pairs = before if len(before) >= ENOUGH_DAYS else before + after
    if len(pairs) < FEWEST_DAYS:
        raise Invalid(f"stable days: expected {FEWEST_DAYS} with {WEEKS} weeks around, found {len(pairs)}; wait")
    aucs = np.array([separate(now, then, seed + n)[0] for n, (now, then) in enumerate(pairs)])
    middle = float(np.median(aucs))
    spread = max(float(np.median(np.abs(aucs - middle))) / 0.6745, float(np.quantile(aucs, 0.9) - middle) / 1.2816)
    sizes = [(len(now), len(then)) for now, then in pairs]
    return Null(middle, max(spread, float(np.median([_deviation(*size) for size in sizes]))), len(pairs))


def two_sample_test(null: Null, rows: RowsByDay, day: date, features: Sequence[str], seed: int) -> TwoSample:
    """Compare `day` with the same weekdays of the WEEKS weeks before, all in `rows`.

    Raises:
        ValueError: a day is missing.
    """
    then = _others(rows, day, -1) if day in rows else None
    if then is None:
        raise Invalid(f"rows: expected {day} and the {WEEKS} same weekdays before it; sample them too")
    now = rows[day]
    auc, gains = separate(now, then, seed)
    # A smaller sample than the stable days' is noisier, and its AUC nearer one half.
    scale = max(null.scale, _deviation(len(now), len(then)))
    score = max(0.0, (auc - max(null.location, 0.5)) / (ALARM_DEVIATIONS * scale))
    return TwoSample(day, auc, score, _worst(gains, features) if score >= 1 else ())


def separate(now: Floats, then: Floats, seed: int) -> tuple[float, Floats]:
    """Cross-fitted AUC of a classifier that separates `now` from `then`, and the features' gains, shape (features,).

    Every row is scored by a model that was fitted without it.

    Raises:
        ValueError: fewer rows than folds.
    """
    import lightgbm

    if min(len(now), len(then)) < FOLDS:
        raise Invalid(f"rows: expected at least {FOLDS} on either side, found {len(now)} and {len(then)}")
    values = np.concatenate([now, then]).astype(np.float64)
    labels = np.repeat([1, 0], [len(now), len(then)])
    fold = np.concatenate([np.random.default_rng(seed).permutation(n) % FOLDS for n in (len(now), len(then))])
    scores, gains = np.zeros(len(values)), np.zeros(values.shape[1])
    fixed = {"seed": seed, "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1}
    for n in range(FOLDS):
        data = lightgbm.Dataset(values[fold != n], labels[fold != n], params={"verbosity": -1, "max_bin": 63})
        booster = lightgbm.train({**TRAINING, **fixed}, data, ROUNDS)
        scores[fold == n] = booster.predict(values[fold == n], num_threads=1)
        gains += booster.feature_importance("gain")
    return auc_roc(labels, scores), gains


def _others(rows: RowsByDay, day: date, step: int) -> Floats | None:
    """Rows of the same weekday of the weeks before (or, with step 1, after), as many from each."""
    days = [day + timedelta(weeks=step * week) for week in range(1, WEEKS + 1)]
    if any(other not in rows for other in days):
        return None
    return np.concatenate([rows[other][: max(1, ROWS // WEEKS)] for other in days])


def _deviation(now: int, then: int) -> float:
    """Standard deviation of the AUC of random scores (Mann & Whitney, Annals of Mathematical Statistics 18, 1947)."""
    return float(((now + then + 1) / (12 * now * then)) ** 0.5)


def _worst(gains: Floats, features: Sequence[str]) -> tuple[str, ...]:
    order = np.argsort(-gains)
    before = np.cumsum(gains[order]) - gains[order]
    return tuple(features[n] for n in order[before < 0.9 * gains.sum()])

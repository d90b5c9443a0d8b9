"""Performance before the truth is in: average precision, AUC and precision among alerts that a day is expected to have.

Confidence-based: calibrated scores are chances, and chances of labels say what a ranking is worth (Garg et al., ICLR
2022, and Guillory et al., ICCV 2021, compare such estimators for accuracy). Right under covariate shift as far as a
score means the same chance before and after; wrong under concept drift, which is tested in
`jobs.ground_truth.concept_drift` and `jobs.ground_truth.calibration_drift`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import Floats, starts_of_runs
from jobs.ground_truth.drift_windows import DriftTest
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.times import ages

HALF_LIFE = timedelta(days=14)
SMALLEST_SHARE = 0.25
"""Share of an event's truth from which on it is calibrated with: too little is known of younger ones."""
POSITIVES_TO_TRUST = 30
"""Smallest number of known positives with which estimates are trusted."""
DRAWS = 200
"""Number of draws of the labels of a day: the error of the mean is a fourteenth of the deviation that is shown."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Chance that a row of some score is ever reported as positive: a function that does not fall."""

    scores: Floats
    chances: Floats
    positives: int
    """Number of known positives that it was learned from."""

    def chance(self, scores: ArrayLike) -> Floats:
        """Chances, in the shape of `scores`; linear between the learned scores, constant beyond them."""
        return np.interp(np.asarray(scores, dtype=np.float64), self.scores, self.chances)


@dataclass(frozen=True)
class Expected:
    """Expected value and standard deviation of a metric over the labels that a day may turn out to have."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Estimate:
    """Metrics that one day is expected to have."""

    day: int
    """Days since 1970, UTC."""
    rows: int
    positives: int
    """Positives that are known."""
    expected_positives: float
    """Positives that are known, and those expected to come."""
    metrics: Mapping[str, Expected]
    """average_precision, auc_roc and precision_at_K; empty if no positive is to be expected."""
    trusted: bool
    """Whether neither concept nor calibration drift alarms, and there were enough positives to calibrate with."""


def calibrate(labelled: LabelledScores, half_life: timedelta = HALF_LIFE) -> Calibration:
    """Isotonic regression of labels on scores (Zadrozny & Elkan, KDD 2002), with labels as far as they are in.

    An event of age a shows its label with chance F(a) x its chance: dividing its label by F(a), with F(a) as weight,
    leaves the expectation right, so that young days count as far as they are known (inverse probability weighting,
    Horvitz & Thompson, 1952). Recent events weigh more.

    Args:
        labelled: rows of one model, best of the last 6 weeks, none of which it was trained on.
        half_life: age of an event at which it weighs half as much as a new one.
    """
    from sklearn.isotonic import IsotonicRegression

    age, share = ages(labelled.times, labelled.reported_until), labelled.shares
    is_used = (age >= 0) & (share >= SMALLEST_SHARE)
    reported = labelled.reported[is_used]
    if not reported.any():
        return Calibration(np.zeros(1), np.zeros(1), 0)
    weights = share[is_used] * 0.5 ** (age[is_used] / (half_life / timedelta(days=1)))
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(labelled.scores[is_used], reported / share[is_used], weights)
    return Calibration(fitted.X_thresholds_, fitted.y_thresholds_, int(reported.sum()))


def estimate(
    labelled: LabelledScores,
    calibration: Calibration,
    capacity: int,
    drifts: Sequence[DriftTest] = (),
    seed: int = 0,
) -> tuple[Estimate, ...]:
    """Estimates of the days of these rows, by day.

    Known positives are positive. Of the others the chance is that of an event that no report has come about yet:
    p (1 - F) / (1 - p F), by Bayes. Labels are drawn independently with these chances; that frauds of one campaign are
    found or missed together makes days differ more than the deviations say.

    Args:
        labelled: rows of the model that was calibrated.
        capacity: K of precision_at_K.
        drifts: tests of which an alarm takes the trust from the estimates.
    """
    is_reported, share, chance = labelled.reported, labelled.shares, calibration.chance(labelled.scores)
    chance = np.where(is_reported, 1.0, chance * (1 - share) / np.maximum(1 - chance * share, 1e-12))
    trusted = calibration.positives >= POSITIVES_TO_TRUST and not any(drift.alarm for drift in drifts)
    return tuple(
        Estimate(
            int(one),
            int(rows.sum()),
            int(is_reported[rows].sum()),
            float(chance[rows].sum()),
            expected(labelled.scores[rows], chance[rows], capacity, seed + int(one)),
            trusted,
        )
        for one in np.unique(labelled.days)
        for rows in (labelled.days == one,)
    )


def expected(scores: Floats, chances: Floats, capacity: int, seed: int, draws: int = DRAWS) -> Mapping[str, Expected]:
    """Metrics of a ranking whose labels are independent with these chances, as `jobs.stats.metrics` defines them.

    Draws without both classes are left out, as the metrics are undefined there.
    """
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(starts_of_runs(scores[order]))
    labels = np.random.default_rng(seed).random((draws, len(order)), dtype=np.float32) < chances[order]
    hits = np.add.reduceat(labels, starts, axis=1, dtype=np.int32) if len(order) else np.zeros((draws, 0))
    positives = hits.sum(axis=1)
    mixed = (positives > 0) & (positives < len(order))
    if not mixed.any():
        return {}
    hits, positives = hits[mixed], positives[mixed].astype(np.float64)
    sizes = np.diff(starts, append=len(order))
    ends, caught = np.cumsum(sizes), np.cumsum(hits, axis=1)
    # A positive of a run is above all negatives of later runs, and level with those of its own.
    beaten = (len(order) - ends) - (positives[:, None] - caught) + (sizes - hits) / 2
    reviewed = np.clip((capacity - (ends - sizes)) / sizes, 0, 1)
    drawn = {
        "average_precision": (hits * caught / ends).sum(axis=1) / positives,
        "auc_roc": (hits * beaten).sum(axis=1) / (positives * (len(order) - positives)),
        f"precision_at_{capacity}": hits @ reviewed / max(min(capacity, len(order)), 1),
    }
    return {name: Expected(float(values.mean()), float(values.std())) for name, values in drawn.items()}

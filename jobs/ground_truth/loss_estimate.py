"""Loss of a day before its labels are in, where the objective is a mean over rows: of numbers and of classes.

Direct loss estimation: what a row will cost is learned from what rows cost about which the model was as unsure
(Guillory et al., ICCV 2021, learn accuracy from confidence). Right under covariate shift as far as a model that is as
unsure errs as much as before; wrong under concept drift, which is tested in `jobs.ground_truth.concept_drift`. Labels
of the day itself that are known already are not used: those that come first may be those that are easy to predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.ground_truth.drift_windows import DriftTest, maturity_of
from jobs.ground_truth.performance import ScoredEvents
from jobs.ground_truth.performance_estimate import HALF_LIFE, Estimate, Expected
from jobs.times import ages

LABELS_TO_TRUST = 200
"""Smallest number of labels with which estimates are trusted."""
FEWEST_DAYS = 7
"""With fewer mature days their differences are taken to be those of independent rows."""


@dataclass(frozen=True, eq=False)
class LossCalibration:
    """Loss of a row about which a model is so unsure: a function that does not fall."""

    doubts: Floats
    losses: Floats
    labels: int
    """Number of labels that it was learned from."""
    of_rows: float = 0.0
    """Variance of a row's loss around what is expected of it."""
    of_days: float = 0.0
    """Mean square of what a day's loss was off by."""

    def loss(self, doubts: Floats) -> Floats:
        """Expected losses; linear between the learned doubts, constant beyond them."""
        return np.interp(doubts, self.doubts, self.losses)


def calibrate_losses(
    scored: ScoredEvents, label_maturity: timedelta, half_life: timedelta = HALF_LIFE
) -> LossCalibration:
    """Isotonic regression of losses on doubts (`Task.doubts`), on mature rows with labels. Recent ones weigh more.

    Args:
        scored: rows of one model, best of the last 6 weeks, none of which it was trained on.
        label_maturity: age at which an event without a label has the declared one.
    """
    from sklearn.isotonic import IsotonicRegression

    rows = _mature(scored, label_maturity)
    if not len(rows):
        return LossCalibration(np.zeros(1), np.zeros(1), 0)
    assert rows.values is not None
    labels = rows.task.settled(rows.values, rows.task.unlabelled(rows.unlabelled))
    losses, doubts, weights = rows.task.losses(labels, rows.scores), _doubts(rows), _weights(rows)
    recent = weights * 0.5 ** (ages(rows.times, rows.reported_until) / (half_life / timedelta(days=1)))
    fitted = IsotonicRegression(y_min=0).fit(doubts, losses, recent)
    off = losses - np.interp(doubts, fitted.X_thresholds_, fitted.y_thresholds_)
    _, day = np.unique(rows.days, return_inverse=True)
    by_day = np.bincount(day, off * weights) / np.bincount(day, weights)
    return LossCalibration(
        fitted.X_thresholds_,
        fitted.y_thresholds_,
        len(rows),
        float(np.average(off**2, weights=weights)),
        float(np.mean(by_day**2)) if len(by_day) >= FEWEST_DAYS else 0.0,
    )


def estimate_losses(
    scored: ScoredEvents, calibration: LossCalibration, drifts: Sequence[DriftTest] = ()
) -> tuple[Estimate, ...]:
    """Estimates of the objective of the days of these rows, by day. `Estimate.positives` counts known labels, and
    `expected_positives` all rows.

    Args:
        scored: rows of the model that was calibrated.
        drifts: tests of which an alarm takes the trust from the estimates.
    """
    trusted = calibration.labels >= LABELS_TO_TRUST and not any(drift.alarm for drift in drifts)
    losses, weights, reported = calibration.loss(_doubts(scored)), _weights(scored), scored.reported

    def of(day: int, rows: Bools) -> Estimate:
        share = weights[rows] / weights[rows].sum()
        variance = max(calibration.of_days, calibration.of_rows * float(share @ share))
        found = Expected(float(losses[rows] @ share), variance**0.5)
        known: dict[str, Expected] = {scored.task.objective.name: found} if calibration.labels else {}
        return Estimate(day, int(rows.sum()), int(reported[rows].sum()), float(rows.sum()), known, trusted)

    counts = weights > 0
    return tuple(of(int(day), counts & (scored.days == day)) for day in np.unique(scored.days[counts]))


def _mature(scored: ScoredEvents, label_maturity: timedelta) -> ScoredEvents:
    """Rows that are old enough for their labels to be known, and that have one."""
    silence_counts = scored.task.unlabelled(scored.unlabelled) is not None
    bound = maturity_of(scored.delay)
    if silence_counts:
        bound = max(bound, label_maturity // timedelta(microseconds=1))
    old = scored.times <= scored.reported_until - bound
    return scored.rows(old & (silence_counts | scored.reported) & (_weights(scored) > 0))


def _doubts(scored: ScoredEvents) -> Floats:
    ends = None if scored.lower is None or scored.upper is None else (scored.lower, scored.upper)
    return scored.task.doubts(scored.scores, ends)


def _weights(scored: ScoredEvents) -> Floats:
    return np.ones(len(scored)) if scored.weights is None else np.nan_to_num(scored.weights)

"""Calibration drift: does a score still mean the chance that it used to mean?

Estimates before labels (`jobs.ground_truth.performance_estimate`) assume that it does; this module tests it on the
first reports of recent events. However the payments change, as many positives are to be expected as their chances add
up to; fewer among high scores, or more among low ones, is a change of what is positive.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.ground_truth.drift_windows import (
    FEWEST_POSITIVES,
    REFERENCE_DAYS,
    DriftTest,
    ExpectedPositives,
    combined,
    maturity_of,
    p_values_of,
)
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.stats import overdispersion
from jobs.times import MICROSECONDS_A_DAY, NEVER

WINDOWS = (3, 7, 14)
"""Days of events that are looked at: short ones see a change sooner, long ones a smaller one."""
ALARM = 1e-2
"""P-value of an alarm, larger than that of concept drift: an estimate that is wrongly called uncertain costs little."""
LARGEST_SHAPE = 44.0
"""Largest shape, 15% of deviation: chances are learned from the very events whose counts they are to explain, and these
moments share most of their days, so that they vary less than what follows."""


def calibration_drift(labelled: LabelledScores, windows: Sequence[int] = WINDOWS, alarm: float = ALARM) -> DriftTest:
    """Whether recent events of the same score are positive as often as events of the reference were.

    Chances come from the mature events of the reference (isotonic regression of labels on scores). Rows are split
    where half of the positives that the chances add up to lie above. In each half the positives known of the last days
    are compared with sum of chance x F(age), as a negative binomial whose rate and shape are those of the same numbers
    at past moments (see `jobs.ground_truth.label_drift`). Two-sided; p-values are combined by Bonferroni.

    Args:
        labelled: rows of one model, as of `jobs.ground_truth.concept_drift.concept_drift`. Reports that come later than
            its delay says look like drift, too: until labels are mature the two cannot be distinguished.
        windows: days of events that are looked at.
        alarm: p-value at which it alarms.
    """
    now, mature_at = labelled.reported_until, labelled.reported_until - maturity_of(labelled.delay)
    order = np.argsort(labelled.times, kind="stable")
    order = order[labelled.times[order] > mature_at - REFERENCE_DAYS * MICROSECONDS_A_DAY]
    times, scores, reported = labelled.times[order], labelled.scores[order], labelled.reported[order]
    mature = times <= mature_at
    if (reported & mature).sum() < FEWEST_POSITIVES:
        return combined({}, alarm)
    known_at, chances = np.where(reported, labelled.known_at[order], NEVER), _chances(scores, reported, mature)
    halves = [
        ExpectedPositives(times[half], known_at[half], labelled.delay, chances[half])
        for half in _halves(chances, mature)
    ]

    def p_value(moments: Sequence[int], days: int) -> float:
        return min(1.0, len(halves) * min(_p_value(half, moments, days) for half in halves))

    return combined(p_values_of(int(times.min()), now, labelled.delay, windows, p_value), alarm)


def _p_value(half: ExpectedPositives, moments: Sequence[int], days: int) -> float:
    """Chance of as unusual a number before the first of these moments, by the others."""
    reported, expected = half.counts(moments, days)
    rate = overdispersion.learn_rate(reported[1:], expected[1:])
    return replace(rate, shape=min(rate.shape, LARGEST_SHAPE)).two_sided(int(reported[0]), float(expected[0]))


def _chances(scores: Floats, reported: Bools, mature: Bools) -> Floats:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores[mature], reported[mature])
    chances: Floats = fitted.predict(scores)
    return chances


def _halves(chances: Floats, mature: Bools) -> tuple[Bools, Bools]:
    """Rows of high chances and of low ones, with as many positives to be expected of the reference in each."""
    order = np.sort(chances[mature])[::-1]
    level = order[np.searchsorted(np.cumsum(order), order.sum() / 2)]
    return chances >= level, chances < level

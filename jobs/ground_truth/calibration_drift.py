"""Calibration drift: does a score still mean the chance that it used to mean?

What estimates before labels rest on (`jobs.ground_truth.performance_estimate`), tested on the first reports of recent
events. Whatever becomes of the payments, as many positives as the chances add up to are to be expected among them;
fewer among high scores, or more among low ones, is a change of what is positive.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from jobs.arrays import Bools, Floats
from jobs.ground_truth.concept_drift import (
    LEAST_MOMENTS,
    LEAST_POSITIVES,
    REFERENCE_DAYS,
    Concept,
    concluded,
    maturity_of,
    moments,
)
from jobs.ground_truth.label_delay import Delay
from jobs.ground_truth.reports import heard_until
from jobs.stats import overdispersion
from jobs.times import MICROSECONDS_A_DAY, Times, ages

WINDOWS = (3, 7, 14)
"""Days of events that are looked at: short ones see a change sooner, long ones a smaller one."""
ALARM = 1e-2
"""Weaker than where a training is at stake: an estimate that is called uncertain on a quiet evening costs little."""
STEADIEST = 44.0
"""Largest shape, 15% of deviation: chances are learned from the very events whose counts they are to explain, and these
moments share most of their days, so that they vary less than what follows."""


def calibration_drift(
    times: Times,
    scores: Floats,
    known_at: Times,
    positive: Bools,
    delay: Delay,
    as_of: datetime,
    windows: Sequence[int] = WINDOWS,
    alarm: float = ALARM,
) -> Concept:
    """Whether recent events of the same score are positive as often as events of the reference were.

    Chances come from the mature events of the reference (isotonic regression of labels on scores). Rows are split
    where half of the positives that the chances add up to lie above. In each half the positives known of the last days
    are compared with sum of chance x F(age), as a negative binomial whose rate and shape are those of the same numbers
    at past moments (see `jobs.ground_truth.concept_drift.label_drift`). Two-sided; p-values are combined by Bonferroni.

    Args:
        times, scores, known_at, positive: one value per event, of one model, as of
            `jobs.ground_truth.concept_drift.concept_drift`.
        delay: says which days are mature, and so belong to the reference. Reports that come later than it says look
            like drift, too: until labels are mature the two cannot be told apart.
        windows: days of events that are looked at.
        alarm: p-value at which it alarms.
    """
    now = heard_until(known_at, as_of)
    order = np.argsort(times, kind="stable")
    order = order[times[order] > now - maturity_of(delay) - REFERENCE_DAYS * MICROSECONDS_A_DAY]
    times, scores, known_at, positive = times[order], scores[order], known_at[order], positive[order]
    mature, known = times <= now - maturity_of(delay), np.where(positive, known_at, now + 1)
    reported = known <= now
    if (reported & mature).sum() < LEAST_POSITIVES:
        return concluded({}, alarm)
    chances = _chances(scores, reported, mature)
    halves = [(times[half], chances[half], known[half]) for half in _halves(chances, mature)]
    found = {}
    for days in windows:
        past = list(moments(int(times.min()), now, delay, days))
        if len(past) >= LEAST_MOMENTS:
            tested = [_test(*half, delay, (now, *past), days) for half in halves]
            found[days] = min(1.0, len(tested) * min(tested))
    return concluded(found, alarm)


def _test(event: Times, chance: Floats, known: Times, delay: Delay, at: Sequence[int], days: int) -> float:
    """Chance of as unusual a number before the first of these moments, by the others."""
    of, exposure = np.array([_seen(event, chance, known, delay, moment, days) for moment in at]).T
    rate = overdispersion.learn(of[1:], exposure[1:])
    return replace(rate, shape=min(rate.shape, STEADIEST)).two_sided(int(of[0]), float(exposure[0]))


def _chances(scores: Floats, positive: Bools, mature: Bools) -> Floats:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores[mature], positive[mature])
    found: Floats = fitted.predict(scores)
    return found


def _halves(chances: Floats, mature: Bools) -> tuple[Bools, Bools]:
    """Rows of high chances and of low ones, with as many positives to be expected of the reference in each."""
    order = np.sort(chances[mature])[::-1]
    level = order[np.searchsorted(np.cumsum(order), order.sum() / 2)]
    return chances >= level, chances < level


def _seen(event: Times, chance: Floats, known: Times, delay: Delay, moment: int, days: int) -> tuple[int, float]:
    """Positives of the `days` before a moment that were known at it, and how many were to be expected."""
    first, last = np.searchsorted(event, [moment - days * MICROSECONDS_A_DAY, moment], side="right")
    share = delay.share(ages(event[first:last], moment))
    return int((known[first:last] <= moment).sum()), float(chance[first:last] @ share)

"""Concept drift, as early as labels can show it: do the first reports of recent events hit rows that scored low?

What may be done about it is not decided here. Drift that payments themselves show needs no labels, nor this module.
"""

from collections.abc import Sequence

import numpy as np

from jobs.arrays import Bools, Floats, Ints
from jobs.ground_truth.drift_windows import FEWEST_POSITIVES, DriftTest, combined, maturity_of, p_values_of
from jobs.ground_truth.labelled_scores import LabelledScores
from jobs.stats import overdispersion
from jobs.times import MICROSECONDS_A_DAY, Times

WINDOWS = (3, 5, 7)
"""Days of events that are looked at: short ones see a change sooner, long ones a smaller one."""
ALARM = 1e-3
"""P-value of an alarm: a test a day must raise less than one false alarm in 120 days, and days are not independent."""
LOW_SHARE = 0.05
"""Share of the reference's positives that count as scored low."""


def concept_drift(labelled: LabelledScores, windows: Sequence[int] = WINDOWS, alarm: float = ALARM) -> DriftTest:
    """Whether the positives of the latest days score lower, among the rows of their day, than positives used to.

    A positive is low if its percentile among the scores of its day is below the lowest twentieth of the reference's
    positives. Percentiles do not change when all scores shift with the payments. The number of low ones among the
    positives known of the last days is compared with the same number at each past moment of the reference: events of
    the same ages, with reports as quick. Frauds come in campaigns, so that the number is beta-binomial (see
    `jobs.stats.overdispersion`), with a correlation learned at these moments. One-sided: positives that score higher
    are no harm. P-values of the windows are combined by Bonferroni.

    Args:
        labelled: rows of the last 60 mature days and of all days since, none of which the model was trained on. They
            may be of several models, as long as each day was scored by one.
        windows: days of events that are looked at.
        alarm: p-value at which it alarms.
    """
    now, times = labelled.reported_until, labelled.times
    positives = np.flatnonzero(labelled.reported & (times <= now))
    if not len(positives):
        return combined({}, alarm)
    place, event = percentiles(times, labelled.scores, positives), times[positives]
    mature = event <= now - maturity_of(labelled.delay)
    if mature.sum() < FEWEST_POSITIVES:
        return combined({}, alarm)
    low, known_at = place < np.quantile(place[mature], LOW_SHARE), labelled.known_at[positives]

    def p_value(moments: Sequence[int], days: int) -> float:
        of, hits = np.array([_reported(event, known_at, low, moment, days) for moment in moments]).T
        return overdispersion.learn_proportion(hits[1:], of[1:]).at_least(int(hits[0]), int(of[0]))

    return combined(p_values_of(int(times.min()), now, labelled.delay, windows, p_value), alarm)


def percentiles(times: Times, scores: Floats, rows: Ints) -> Floats:
    """Mid-rank of the scores of these rows among all rows of their day, between 0 and 1; shape (len(rows),)."""
    day = times // MICROSECONDS_A_DAY
    place = np.empty(len(rows))
    for one in np.unique(day[rows]):
        mine, ranked = day[rows] == one, np.sort(scores[day == one])
        values = scores[rows[mine]]
        below = np.searchsorted(ranked, values, side="left") + np.searchsorted(ranked, values, side="right")
        place[mine] = below / (2 * len(ranked))
    return place


def _reported(event: Times, known_at: Times, low: Bools, moment: int, days: int) -> tuple[int, int]:
    """Positives of the `days` before a moment that were known at it, and how many of these are low."""
    reported = (event > moment - days * MICROSECONDS_A_DAY) & (event <= moment) & (known_at <= moment)
    return int(reported.sum()), int(low[reported].sum())


NOT_JUDGED = combined({}, ALARM)
"""Of decisions that there is too little to compare with."""

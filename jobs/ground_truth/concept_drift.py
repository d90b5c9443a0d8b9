"""Concept drift, as early as labels can show it: do the first reports of recent events hit rows that scored low, or, of
numbers and classes, lie farther from their predictions than they used to?

What may be done about it is not decided here. Drift that events themselves show needs no labels, nor this module.
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
"""Share of the reference's positives that count as scored low, or of its losses that count as high."""
FEWEST_LABELLED = 200
"""A smaller reference, of which ten losses are high, is not compared with."""
SMALLEST_CORRELATION = 0.004
"""Of high losses counted together: rows come in no campaigns, as positives do, but days differ. However many rows there
are, it takes nearly twice as many high losses to alarm."""
ROWS_PER_BIN, MOST_BINS = 300, 10
"""With fewer rows a bin's high losses are chance."""


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
    low = place < np.quantile(place[mature], LOW_SHARE)
    return _more_hits(labelled, positives, low, windows, alarm, overdispersion.SMALLEST_CORRELATION)


def loss_drift(
    labelled: LabelledScores, losses: Floats, windows: Sequence[int] = WINDOWS, alarm: float = ALARM
) -> DriftTest:
    """Whether labels of the latest days cost their predictions more than labels of such predictions used to.

    A loss is high if it is above the highest twentieth of the mature losses of like scores (bins of their quantiles):
    that there are more rows of a kind which always erred more is no change of what labels follow from. How many are
    high is tested as in `concept_drift`; one-sided.

    Args:
        labelled: as of `concept_drift`; `positive` says that there is a label. Scores are one number a row: the
            prediction, or the probability of the likeliest class.
        losses: of each row by the objective, shape (rows,); of rows without a label any number.
        windows: days of events that are looked at.
        alarm: p-value at which it alarms.
    """
    now, times = labelled.reported_until, labelled.times
    known = np.flatnonzero(labelled.reported & (times <= now))
    mature = times[known] <= now - maturity_of(labelled.delay)
    if mature.sum() < FEWEST_LABELLED:
        return combined({}, alarm)
    high = _high(losses[known], labelled.scores[known], mature)
    return _more_hits(labelled, known, high, windows, alarm, SMALLEST_CORRELATION)


def _high(losses: Floats, scores: Floats, mature: Bools) -> Bools:
    """Losses above the highest twentieth of the mature ones of like scores."""
    bins = int(np.clip(mature.sum() // ROWS_PER_BIN, 1, MOST_BINS))
    edges = np.unique(np.quantile(scores[mature], np.linspace(0, 1, bins + 1)[1:-1]))
    place, high = np.searchsorted(edges, scores, side="right"), np.zeros(len(losses), np.bool_)
    for one in np.unique(place[mature]):
        rows = place == one
        usual = losses[rows & mature]
        level = np.quantile(usual, 1 - LOW_SHARE)
        # Of losses with few values, such as costs, the highest may be more than a twentieth.
        above = (usual > level).mean() >= LOW_SHARE / 2 or level == usual.min()
        high[rows] = losses[rows] > level if above else losses[rows] >= level
    return high


def _more_hits(
    labelled: LabelledScores, rows: Ints, is_hit: Bools, windows: Sequence[int], alarm: float, correlation: float
) -> DriftTest:
    """Whether more of these rows are hits in the last days than at each past moment of the reference."""
    event, known_at = labelled.times[rows], labelled.known_at[rows]

    def p_value(moments: Sequence[int], days: int) -> float:
        of, hits = np.array([_reported(event, known_at, is_hit, moment, days) for moment in moments]).T
        return overdispersion.learn_proportion(hits[1:], of[1:], correlation).at_least(int(hits[0]), int(of[0]))

    first, now = int(labelled.times.min()), labelled.reported_until
    return combined(p_values_of(first, now, labelled.delay, windows, p_value), alarm)


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


def _reported(event: Times, known_at: Times, is_hit: Bools, moment: int, days: int) -> tuple[int, int]:
    """Rows of the `days` before a moment that were known at it, and how many of these are hits."""
    reported = (event > moment - days * MICROSECONDS_A_DAY) & (event <= moment) & (known_at <= moment)
    return int(reported.sum()), int(is_hit[reported].sum())


NOT_JUDGED = combined({}, ALARM)
"""Of decisions that there is too little to compare with."""

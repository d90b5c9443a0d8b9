"""Concept drift, as early as labels can show it: do the first reports of recent events hit rows that scored low?

What may be done about it is not decided here. Drift that payments themselves show needs no labels, nor this module.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log

import numpy as np

from jobs.arrays import Bools, Floats, Ints
from jobs.ground_truth.label_delay import Delay
from jobs.ground_truth.label_maturity import MATURE
from jobs.ground_truth.reports import heard_until
from jobs.stats import overdispersion
from jobs.times import MICROSECONDS_A_DAY, Times, ages

WINDOWS = (3, 5, 7)
"""Days of events that are looked at: short ones see a change sooner, long ones a smaller one."""
ALARM = 1e-3
"""A test a day is to cry wolf less than once in 120 days, and days are not independent."""
REFERENCE_DAYS = 60
LEAST_MOMENTS, LEAST_POSITIVES = 14, 50
"""With a smaller reference nothing is said."""
LOW = 0.05
"""Share of the reference's positives that count as scored low."""


@dataclass(frozen=True)
class Concept:
    """Evidence for a change of what is positive."""

    p_value: float
    """Chance of evidence as strong without a change; 1 where there is too little to compare with."""
    score: float
    """Evidence on a scale where 1 is the line of alarm: the p-value's logarithm by that of the line."""
    alarm: bool
    judged: bool
    """Whether there was a reference to compare with."""
    windows: Mapping[int, float]
    """Days of events -> p-value of that window alone."""


def concept_drift(
    times: Times,
    scores: Floats,
    known_at: Times,
    positive: Bools,
    delay: Delay,
    as_of: datetime,
    windows: Sequence[int] = WINDOWS,
    alarm: float = ALARM,
) -> Concept:
    """Whether the positives of the latest days score lower, among the rows of their day, than positives used to.

    A positive is low if its percentile among the scores of its day is below the lowest twentieth of the reference's
    positives. Percentiles do not change when all scores shift with the payments. The number of low ones among the
    positives known of the last days is compared with the same number at each past moment of the reference: events of
    the same ages, with reports as quick. Frauds come in campaigns, so that the number is beta-binomial (see
    `jobs.stats.overdispersion`), with a correlation learned at these moments. One-sided: positives that score higher
    are no harm. P-values of the windows are combined by Bonferroni.

    Args:
        times, scores, known_at, positive: one value per event, of one model: scores of another are not comparable, and
            neither are those of rows it was trained on. Rows of the last 60 mature days and of all days since.
        delay: says which days are mature, and so belong to the reference.
    """
    now = heard_until(known_at, as_of)
    mine = np.flatnonzero(positive & (known_at <= now) & (times <= now))
    if not len(mine):
        return concluded({}, alarm)
    place, event, known = percentiles(times, scores, mine), times[mine], known_at[mine]
    mature = event <= now - maturity_of(delay)
    if mature.sum() < LEAST_POSITIVES:
        return concluded({}, alarm)
    low = place < np.quantile(place[mature], LOW)
    found = {}
    for days in windows:
        past = list(moments(int(times.min()), now, delay, days))
        if len(past) >= LEAST_MOMENTS:
            of, hits = np.array([_seen(event, known, low, moment, days) for moment in (now, *past)]).T
            usual = overdispersion.learn_proportion(hits[1:], of[1:])
            found[days] = usual.at_least(int(hits[0]), int(of[0]))
    return concluded(found, alarm)


def label_drift(
    times: Times,
    known_at: Times,
    positive: Bools,
    delay: Delay,
    as_of: datetime,
    windows: Sequence[int] = WINDOWS,
    alarm: float = ALARM,
) -> Concept:
    """Whether more, or fewer, positives of the latest days are known than prevalence and the delay lead to expect.

    Expected of a window of events is rate x sum of F(age) over its rows; the number is negative-binomial around it,
    with rate and shape of the same numbers at past moments (see `concept_drift`). Two-sided. A new delay of reports
    shows here as well: until labels are mature the two cannot be told apart.
    """
    now = heard_until(known_at, as_of)
    event = np.sort(times)
    known, when = (array[positive & (known_at <= now)] for array in (known_at, times))
    every = np.ones(len(known), dtype=bool)
    found = {}
    for days in windows:
        past = list(moments(int(event[0]), now, delay, days)) if len(event) else []
        if len(past) >= LEAST_MOMENTS:
            exposure = np.array([_exposure(event, delay, moment, days) for moment in (now, *past)])
            of = np.array([_seen(when, known, every, moment, days)[0] for moment in (now, *past)])
            if of[1:].sum() >= LEAST_POSITIVES:
                usual = overdispersion.learn(of[1:], exposure[1:])
                found[days] = usual.two_sided(int(of[0]), float(exposure[0]))
    return concluded(found, alarm)


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


def maturity_of(delay: Delay) -> int:
    return int(delay.bound(MATURE) * MICROSECONDS_A_DAY)


def moments(first: int, now: int, delay: Delay, days: int) -> Iterator[int]:
    """Moments of the past, a day apart, at which a window of `days` held mature events only."""
    latest = -(-maturity_of(delay) // MICROSECONDS_A_DAY)
    for back in range(latest, latest + REFERENCE_DAYS):
        if now - (back + days) * MICROSECONDS_A_DAY >= first:
            yield now - back * MICROSECONDS_A_DAY


def _seen(event: Times, known: Times, low: Bools, moment: int, days: int) -> tuple[int, int]:
    """Positives of the `days` before a moment that were known at it, and how many of these are low."""
    seen = (event > moment - days * MICROSECONDS_A_DAY) & (event <= moment) & (known <= moment)
    return int(seen.sum()), int(low[seen].sum())


def _exposure(event: Times, delay: Delay, moment: int, days: int) -> float:
    first, last = np.searchsorted(event, [moment - days * MICROSECONDS_A_DAY, moment], side="right")
    return float(delay.share(ages(event[first:last], moment)).sum())


def concluded(found: Mapping[int, float], alarm: float) -> Concept:
    p_value = min([1.0, *(len(found) * p for p in found.values())])
    return Concept(p_value, abs(log(max(p_value, 1e-300)) / log(alarm)), p_value <= alarm, bool(found), found)

"""Whether decisions got worse: average precision of the latest mature days against that of the weeks before them.

Slower than every other test, as it waits for mature labels, and the only one that sees harm whatever caused it.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from jobs.arrays import Bools, Floats, ends_of_runs
from jobs.stats import metrics

RECENT_DAYS, REFERENCE_DAYS, FEWEST_DAYS = 14, 28, 14
"""Two weeks: a single campaign of fraud can spoil one, and is no reason to alarm."""
NOISE_DAYS = 56
"""Days before the recent ones that their noise is taken from: four weeks alike by chance must not make the next one
look certain."""
LAGS = 7
"""Days at most between two that are taken to be alike: frauds come in campaigns."""
ALIKE = 2.0
"""So many times the variance of days on their own has a mean of days at least: eight weeks are too few to tell."""
ALARM = 2e-4
"""Chance of an alarm on an evening without a change; evenings a day apart share all recent days but one."""
LEAST = 0.05
"""A smaller drop of average precision is no reason to alarm, however certain."""


def drop(values: Sequence[float]) -> float | None:
    """Evidence for a drop on a scale where 1 is the line of alarm; None if there are too few days to say.

    The mean of the recent days less that of the reference, by the standard deviation that a mean has where days
    near each other are alike (Newey & West, Econometrica 55, 1987), on Student's scale of as many days.

    Args:
        values: average precision of mature days as of all their reports (`complete`), oldest first; NaN where a day has
            none.
    """
    known = np.asarray(values, dtype=np.float64)
    recent, past = known[-RECENT_DAYS:], known[-RECENT_DAYS - NOISE_DAYS : -RECENT_DAYS]
    before = past[-REFERENCE_DAYS:]
    recent, before, past = (days[~np.isnan(days)] for days in (recent, before, past))
    if len(recent) < RECENT_DAYS - 2 or len(before) < FEWEST_DAYS:
        return None
    lost = float(before.mean() - recent.mean())
    deviation = (_variance(past) * (1 / len(recent) + 1 / len(before))) ** 0.5
    certain = lost / max(deviation, 1e-9) / _quantile(ALARM, len(past) - 1)
    return float(max(0.0, min(certain, lost / LEAST)))


def complete(labels: Bools, scores: Floats, share: float) -> float:
    """Average precision that is to be expected once all positives are known, of which a share F is.

    The positives above a known one are known with chance F each, and it is itself: the precision there is F times what
    it will be, and (1 - F) / rank. Left as it is, days would look the worse the younger they are.

    Args:
        labels, scores: shape (rows,), with at least one positive that is known.
        share: F, above 0.
    """
    order = np.argsort(-scores, kind="stable")
    ends = ends_of_runs(scores[order])
    rank = ends[np.searchsorted(ends, np.flatnonzero(labels[order]), side="right")]
    alone = float(np.mean(1 / rank))
    return (metrics.average_precision(labels, scores) - (1 - share) * alone) / share


def _quantile(chance: float, freedom: int) -> float:
    """What Student's t is above with this chance (Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.5)."""
    z = NormalDist().inv_cdf(1 - chance)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _variance(values: Floats) -> float:
    """Of a day, as it counts in a mean of some, by Bartlett's weights."""
    centred = values - values.mean()
    weights = [1 - lag / (LAGS + 1) for lag in range(1, LAGS + 1)]
    alike = sum(weight * float(centred[n:] @ centred[:-n]) for n, weight in enumerate(weights, start=1))
    alone = float(centred @ centred)
    return max(ALIKE * alone, alone + 2 * alike) / (len(values) - 1)

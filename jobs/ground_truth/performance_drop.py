"""Drop of performance: average precision of the latest mature days against that of the weeks before them.

Slower than every other test, as it waits for mature labels, and the only one that sees harm of every cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jobs.arrays import Bools, Floats, ends_of_runs
from jobs.stats import metrics

RECENT_DAYS, REFERENCE_DAYS, FEWEST_DAYS = 14, 28, 14
"""Two weeks: a single campaign of fraud can spoil one, and is no reason to alarm."""
NOISE_DAYS = 56
"""Days before the recent ones that their noise is taken from: four weeks alike by chance must not make the next one
look certain."""
LAGS = 7
"""Largest distance in days of two that are taken to be alike: frauds come in campaigns."""
SMALLEST_INFLATION = 2.0
"""Smallest factor by which days that are alike widen the variance of their mean: eight weeks are too few to tell."""
ALARM = 2e-4
"""Chance of an alarm on an evening without a change. Evenings a day apart share all recent days but one."""
SMALLEST_DROP = 0.05
"""A smaller drop of average precision is no reason to alarm, however certain."""


SMALLEST_SHARE = 0.1
"""The same of a loss, as a share of what it was."""


def drop(values: Sequence[float], smallest: float | None = SMALLEST_DROP) -> float | None:
    """Evidence for a drop on a scale where 1 is the line of alarm; None if there are too few days to judge.

    The mean of the reference less that of the recent days is divided by the standard deviation that a mean has where
    days near each other are alike (Newey & West, Econometrica 55, 1987), and by the quantile of Student's t with as
    many degrees of freedom as there are days of noise, less 1.

    Args:
        values: average precision of mature days as of all their reports (`complete`), or another objective of which
            more is better, oldest first; NaN where a day has none.
        smallest: a smaller drop is no reason to alarm; None: one of `SMALLEST_SHARE` of what it was.
    """
    found = compared(values[-RECENT_DAYS - NOISE_DAYS : -RECENT_DAYS], values[-RECENT_DAYS:], smallest)
    return None if found is None else found.score


class Drop(NamedTuple):
    """Recent days against those before them."""

    before: float
    """Mean of the reference."""
    recent: float
    score: float
    """Evidence for a drop; 1 is the line of alarm."""


def compared(
    past: Sequence[float], latest: Sequence[float], smallest: float | None, chance: float = ALARM
) -> Drop | None:
    """The drop from `past`, of which the last `REFERENCE_DAYS` are the reference and all tell the noise, to `latest`.

    As `drop` says; None if there are too few days to judge.
    """
    series, recent = np.asarray(past, dtype=np.float64), np.asarray(latest, dtype=np.float64)
    before = series[-REFERENCE_DAYS:]
    recent, before, series = (days[~np.isnan(days)] for days in (recent, before, series))
    if len(recent) < RECENT_DAYS - 2 or len(before) < FEWEST_DAYS:
        return None
    from scipy.stats import t as student

    lost = float(before.mean() - recent.mean())
    deviation = (_variance(series) * (1 / len(recent) + 1 / len(before))) ** 0.5
    certain = lost / max(deviation, 1e-9) / float(student.isf(chance, len(series) - 1))
    least = least_drop(float(before.mean()), smallest)
    score = float(max(0.0, min(certain, lost / max(least, 1e-300))))
    return Drop(float(before.mean()), float(recent.mean()), score)


def least_drop(before: float, smallest: float | None) -> float:
    """The smallest drop that is a reason to alarm: the one declared, or `SMALLEST_SHARE` of what it was."""
    return SMALLEST_SHARE * abs(before) if smallest is None else smallest


def complete(labels: Bools, scores: Floats, share: float) -> float:
    """Average precision that is to be expected once all positives are known, of which a share F is.

    The positives above a known one are known with chance F each, and the known one itself is: the precision there is F
    times what it will be, plus (1 - F) / rank. Without this correction younger days would look worse.

    Args:
        labels, scores: shape (rows,), with at least one positive that is known.
        share: F, above 0.
    """
    order = np.argsort(-scores, kind="stable")
    ends = ends_of_runs(scores[order])
    rank = ends[np.searchsorted(ends, np.flatnonzero(labels[order]), side="right")]
    alone = float(np.mean(1 / rank))
    return (metrics.average_precision(labels, scores) - (1 - share) * alone) / share


def _variance(values: Floats) -> float:
    """Variance of a day, as it counts in a mean of several, with Bartlett's weights."""
    centred = values - values.mean()
    weights = [1 - lag / (LAGS + 1) for lag in range(1, LAGS + 1)]
    alike = sum(weight * float(centred[n:] @ centred[:-n]) for n, weight in enumerate(weights, start=1))
    alone = float(centred @ centred)
    return max(SMALLEST_INFLATION * alone, alone + 2 * alike) / (len(values) - 1)

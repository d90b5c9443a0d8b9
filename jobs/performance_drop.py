"""Whether decisions got worse: average precision of the latest mature days against that of the weeks before them.

Slower than every other test, as it waits for mature labels, and the only one that sees harm whatever caused it.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

RECENT_DAYS, REFERENCE_DAYS, FEWEST_DAYS = 7, 28, 14
ALARM = 2e-4
"""Chance of an alarm on an evening without a change; evenings a day apart share six of seven days."""
LEAST = 0.05
"""A smaller drop of average precision is no reason to alarm, however certain."""


def drop(values: Sequence[float]) -> float | None:
    """Evidence for a drop on a scale where 1 is the line of alarm; None if there are too few days to say.

    Welch's statistic of the recent days against the reference, days taken as independent (Welch, Biometrika 34, 1947).

    Args:
        values: average precision of mature days, oldest first; NaN where a day has none.
    """
    known = np.asarray(values, dtype=np.float64)
    recent, before = known[-RECENT_DAYS:], known[-RECENT_DAYS - REFERENCE_DAYS : -RECENT_DAYS]
    recent, before = recent[~np.isnan(recent)], before[~np.isnan(before)]
    if len(recent) < RECENT_DAYS - 2 or len(before) < FEWEST_DAYS:
        return None
    lost = float(before.mean() - recent.mean())
    # A week of like days by chance must not make the drop look certain: both periods have the noise of the longer one.
    deviation = float(before.std(ddof=1)) * (1 / len(recent) + 1 / len(before)) ** 0.5
    certain = lost / max(deviation, 1e-9) / NormalDist().inv_cdf(1 - ALARM)
    return float(max(0.0, min(certain, lost / LEAST)))

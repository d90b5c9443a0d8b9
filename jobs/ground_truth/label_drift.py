"""Label drift: are there more positives than there used to be, or fewer, as early as reports can show it?

Whether positives score as they used to is tested in `jobs.ground_truth.concept_drift`.
"""

from collections.abc import Sequence

import numpy as np

from jobs.ground_truth.concept_drift import ALARM, WINDOWS
from jobs.ground_truth.drift_windows import FEWEST_POSITIVES, DriftTest, ExpectedPositives, combined, p_values_of
from jobs.ground_truth.labelled_scores import LabelledEvents
from jobs.stats import overdispersion
from jobs.times import NEVER


def label_drift(events: LabelledEvents, windows: Sequence[int] = WINDOWS, alarm: float = ALARM) -> DriftTest:
    """Whether more, or fewer, positives of the latest days are known than prevalence and the delay lead to expect.

    Expected of a window of events is rate x sum of F(age) over its rows; the number is negative-binomial around it,
    with rate and shape of the same numbers at past moments. Two-sided. A new delay of reports shows here as well: until
    labels are mature the two cannot be distinguished.
    """
    if not len(events):
        return combined({}, alarm)
    order = np.argsort(events.times, kind="stable")
    known_at = np.where(events.reported, events.known_at, NEVER)
    counted = ExpectedPositives(events.times[order], known_at[order], events.delay)

    def p_value(moments: Sequence[int], days: int) -> float | None:
        reported, expected = counted.counts(moments, days)
        if reported[1:].sum() < FEWEST_POSITIVES:
            return None
        return overdispersion.learn_rate(reported[1:], expected[1:]).two_sided(int(reported[0]), float(expected[0]))

    first = int(counted.times[0])
    return combined(p_values_of(first, events.reported_until, events.delay, windows, p_value), alarm)

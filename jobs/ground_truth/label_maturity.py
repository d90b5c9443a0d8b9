"""Label maturity: the share of each day's truth that is in, and the positives still to come.

Metrics of a day that is not mature are provisional (`jobs.ground_truth.performance`).
"""

from dataclasses import dataclass

import numpy as np

from jobs.arrays import Bools, Floats, Ints
from jobs.ground_truth.labelled_scores import LabelledEvents
from jobs.stats.overdispersion import learn_rate
from jobs.times import microseconds

MATURE = 0.9
"""Share of a day's truth from which on it is judged."""


@dataclass(frozen=True, eq=False)
class Maturity:
    """Label maturity of event days; every array has one value per day that has events, by day."""

    days: Ints
    """Days since 1970, UTC."""
    rows: Ints
    positives: Ints
    """Known by now."""
    share: Floats
    """Label maturity: expected share of the day's reports that are in."""
    to_come: Floats
    """Expected positives that will still be reported."""
    deviation: Floats
    """Standard deviation of the number of those."""

    def mature(self, smallest_share: float = MATURE) -> Bools:
        """Whether each day has at least this share of its truth."""
        mature: Bools = self.share >= smallest_share
        return mature


def maturity(events: LabelledEvents) -> Maturity:
    """Label maturity of each event day at `events.as_of`; later events are left out, as are reports known later.

    A day's share is the mean of F(age) over its events, at the age that reporting has reached. What is to come follows
    from the positives of all days: see `jobs.stats.overdispersion.CountRate.to_come`.
    """
    happened = events.times <= microseconds(events.as_of)
    days, place = np.unique(events.days[happened], return_inverse=True)
    rows = np.bincount(place, minlength=len(days))
    positives = np.bincount(place, weights=events.reported[happened], minlength=len(days)).astype(np.intp)
    shares = np.bincount(place, weights=events.shares[happened], minlength=len(days)) / np.maximum(rows, 1)
    rate = learn_rate(positives, rows * shares)
    to_come, deviation = rate.to_come(positives, rows * shares, rows * (1 - shares))
    return Maturity(days, rows, positives, shares, to_come, deviation)

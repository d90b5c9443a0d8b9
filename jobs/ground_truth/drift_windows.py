"""What tests of label and concept drift share: windows of recent events, and the past moments they are compared with.

Every test counts something in the last days, and compares it with the same count at moments of the past: events of the
same ages, with reports as quick. What is counted belongs to `jobs.ground_truth.concept_drift`,
`jobs.ground_truth.label_drift` and `jobs.ground_truth.calibration_drift`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from jobs.arrays import Floats, Ints
from jobs.ground_truth.label_delay import Delay
from jobs.ground_truth.label_maturity import MATURE
from jobs.times import MICROSECONDS_A_DAY, Times, ages

REFERENCE_DAYS = 60
"""Days of mature events that are compared with."""
FEWEST_MOMENTS, FEWEST_POSITIVES = 14, 50
"""A smaller reference is not compared with."""


@dataclass(frozen=True)
class DriftTest:
    """Evidence for a change of what labels follow from."""

    p_value: float
    """Chance of evidence as strong without a change; 1 where there is too little to compare with."""
    score: float
    """Evidence on a scale where 1 is the line of alarm: the p-value's logarithm by that of the line."""
    alarm: bool
    judged: bool
    """Whether there was a reference to compare with."""
    windows: Mapping[int, float]
    """Days of events -> p-value of that window alone."""


def combined(p_values: Mapping[int, float], alarm: float) -> DriftTest:
    """The test of all windows together, by Bonferroni. Without windows nothing was judged."""
    p_value = min([1.0, *(len(p_values) * p for p in p_values.values())])
    score = abs(log(max(p_value, 1e-300)) / log(alarm))
    return DriftTest(p_value, score, p_value <= alarm, bool(p_values), p_values)


def p_values_of(
    first: int, now: int, delay: Delay, windows: Sequence[int], p_value: Callable[[Sequence[int], int], float | None]
) -> Mapping[int, float]:
    """P-values by window, of the windows with enough moments of the past to compare with.

    Args:
        first, now: moments of the earliest event and of the latest report that count, microseconds UTC.
        windows: days of events that are looked at.
        p_value: of moments, the present one first, and of a window's days; None where the window cannot be judged.
    """
    judged: dict[int, float] = {}
    for days in windows:
        past = list(past_moments(first, now, delay, days))
        if len(past) >= FEWEST_MOMENTS and (one := p_value((now, *past), days)) is not None:
            judged[days] = one
    return judged


def past_moments(first: int, now: int, delay: Delay, days: int) -> Iterator[int]:
    """Moments of the past, a day apart, at which a window of `days` held mature events only."""
    latest = -(-maturity_of(delay) // MICROSECONDS_A_DAY)
    for back in range(latest, latest + REFERENCE_DAYS):
        if now - (back + days) * MICROSECONDS_A_DAY >= first:
            yield now - back * MICROSECONDS_A_DAY


def maturity_of(delay: Delay) -> int:
    """Age in microseconds from which on events are mature."""
    return int(delay.bound(MATURE) * MICROSECONDS_A_DAY)


@dataclass(frozen=True, eq=False)
class ExpectedPositives:
    """Events sorted by time, and how many positives are to be expected of them; every array holds one value each."""

    times: Times
    known_at: Times
    """Moments at which positives were reported; later than every moment asked about for all other events."""
    delay: Delay
    chances: Floats | None = None
    """Chances to be positive; None: all alike, so that what is expected is in rows."""

    def counts(self, moments: Sequence[int], days: int) -> tuple[Ints, Floats]:
        """Positives of the `days` before each moment that were known at it, and how many were to be expected: the sum
        of chance x F(age); both of shape (moments,)."""
        reported, expected = zip(*(self._counted(moment, days) for moment in moments), strict=True)
        return np.array(reported), np.array(expected)

    def _counted(self, moment: int, days: int) -> tuple[int, float]:
        first, last = np.searchsorted(self.times, [moment - days * MICROSECONDS_A_DAY, moment], side="right")
        share = self.delay.shares_of_falling(ages(self.times[first:last], moment))
        expected = share.sum() if self.chances is None else self.chances[first:last] @ share
        return int((self.known_at[first:last] <= moment).sum()), float(expected)

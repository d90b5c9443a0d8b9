"""How long the truth takes: the distribution of the delay from an event to its report, learned from those known so far.

Reports are truncated on the right: of an event three days old only a delay of up to three days can have been seen, so
that the share of fast reports among those known is too large. The reverse-time product-limit estimator corrects this
exactly (Lynden-Bell, MNRAS 155, 1971; Woodroofe, Annals of Statistics 13, 1985; for reporting delays Lagakos, Barraj &
De Gruttola, Biometrika 75, 1988). The share of events that are
never reported cannot be seen in reports, and is not estimated.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import Floats
from jobs.errors import Invalid
from jobs.ground_truth.reports import reported_until
from jobs.times import MICROSECONDS_A_DAY, Times

EXPECTED_SHARE = 0.9
"""Share of reports that is expected within the declared maturity of labels, before any were seen."""
PRIOR_REPORTS = 10.0
"""Weight of that expectation, in reports."""
_PRIOR_SPREAD = 1.0
"""Standard deviation of the expected delay's logarithm: reporting delays are skewed, and about lognormal."""
_PRIOR_POINTS = 200


@dataclass(frozen=True, eq=False)
class Delay:
    """A distribution function F over ages; a step function that jumps at `ages` to `shares`."""

    ages: Floats
    """Days, increasing."""
    shares: Floats
    """P(report known within that age | the event is ever reported), increasing to 1."""
    reports: int
    """Number of seen reports it was learned from; 0: it is the declared one."""

    def share(self, age_days: ArrayLike) -> Floats:
        """F at each age, in the shape of `age_days`; 0 before the first report and for ages below 0."""
        place = np.searchsorted(self.ages, np.asarray(age_days, dtype=np.float64), side="right")
        shares: Floats = np.concatenate([[0.0], self.shares])[place]
        return shares

    def shares_of_falling(self, age_days: Floats) -> Floats:
        """`share` of ages that do not rise, such as those of events sorted by time: F's steps are looked up among the
        ages, of which there are many more."""
        ends = np.searchsorted(age_days[::-1], self.ages, side="left")
        rising = np.repeat(np.concatenate([[0.0], self.shares]), np.diff(ends, prepend=0, append=len(age_days)))
        return np.ascontiguousarray(rising[::-1])

    def bound(self, share: float) -> float:
        """The smallest age in days with F(age) >= share. Raises ValueError for a share outside (0, 1]."""
        if not 0 < share <= 1:
            raise Invalid(f"share: expected a number in (0, 1], found {share}")
        return float(self.ages[np.searchsorted(self.shares, share - 1e-12)])


def learn_delay(
    times: Times,
    known_at: Times,
    as_of: datetime,
    maturity: timedelta,
    half_life: timedelta | None = None,
    prior_reports: float = PRIOR_REPORTS,
) -> Delay:
    """The delay of the reports known at `as_of`, in O(n log n).

    The declared maturity enters as `prior_reports` seen reports without truncation, lognormal with 90% below it. They
    are all there is without reports, and with few they keep the estimator from collapsing where one event is at risk
    (Lagakos et al., section 3, on the instability of the tail). Ages older than every event seen rest on them alone.

    Args:
        times, known_at: event and report of each reported event, shape (reports,), microseconds UTC; reports and events
            later than `as_of` are left out, reports before their event count as immediate.
        half_life: age of an event at which its report weighs half as much as a new one's; None: all weigh the same.
            Weights depend on events, not on reports, so that they cannot favour fast ones.

    Raises:
        ValueError: a maturity or a prior weight that is not above 0, or arrays of different lengths.
    """
    if maturity <= timedelta(0) or prior_reports <= 0:
        raise Invalid(f"expected a maturity and a prior weight above 0, found {maturity} and {prior_reports}")
    until = reported_until(known_at, as_of)
    is_seen = (known_at <= until) & (times <= until)
    oldest = (until - times[is_seen]) / MICROSECONDS_A_DAY
    delays = np.maximum(known_at[is_seen] - times[is_seen], 0) / MICROSECONDS_A_DAY
    weights = np.ones(len(delays)) if half_life is None else 0.5 ** (oldest / (half_life / timedelta(days=1)))
    prior = _expected(maturity)
    ages, shares = product_limit(
        np.concatenate([delays, prior]),
        np.concatenate([oldest, np.full(len(prior), np.inf)]),
        np.concatenate([weights, np.full(len(prior), prior_reports / len(prior))]),
    )
    return Delay(ages, shares, len(delays))


def product_limit(delays: Floats, oldest: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Distinct delays and F at each: the product over larger delays x of 1 - (weight at x) / (weight at risk at x).

    A report is at risk at x if it was seen with a delay of x or less and could have been seen with x: delay <= x <=
    oldest (Lagakos et al. 1988, equation 2.3, here with weights).

    Args:
        delays: shape (reports,).
        oldest: the largest delay that could have been seen of each report, never below its delay.
        weights: above 0.
    """
    ages, place = np.unique(delays, return_inverse=True)
    at_age = np.bincount(place, weights=weights)
    weight_gone = np.bincount(np.searchsorted(ages, oldest, side="right"), weights=weights, minlength=len(ages) + 1)[
        :-1
    ]
    at_risk = np.cumsum(at_age) - np.cumsum(weight_gone)
    # A difference of sums may be off in its last digits; where one report alone is at risk this must be 0.
    staying = np.clip(1 - at_age / np.maximum(at_risk, at_age), 0, 1)
    return ages, np.append(np.cumprod(staying[:0:-1])[::-1], 1.0)


def _expected(maturity: timedelta) -> Floats:
    normal = NormalDist()
    levels = (np.arange(_PRIOR_POINTS) + 0.5) / _PRIOR_POINTS
    above = np.array([normal.inv_cdf(level) for level in levels]) - normal.inv_cdf(EXPECTED_SHARE)
    days: Floats = maturity / timedelta(days=1) * np.exp(_PRIOR_SPREAD * above)
    return days

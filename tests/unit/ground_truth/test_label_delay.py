"""The delay of reports: the product-limit estimator against its definition, and against delays that are known."""

from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.arrays import Floats
from jobs.ground_truth import label_delay
from jobs.ground_truth.label_delay import Delay, learn_delay
from jobs.ground_truth.reports import labels, reported_until
from jobs.times import MICROSECONDS_A_DAY as DAY
from jobs.times import NEVER, Times, microseconds

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
NOW = microseconds(AS_OF)
MATURITY = timedelta(days=14)

OBSERVED = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 3)).map(lambda r: (r[0], r[0] + r[1], r[2])),
    min_size=1,
    max_size=12,
)
"""delay, oldest delay that could have been seen, weight"""


def lognormal(count: int, seed: int, median: float = 4.0, days: int = 60) -> tuple[Times, Times]:
    generator = np.random.default_rng(seed)
    times = NOW - (generator.random(count) * days * DAY).astype(np.int64)
    return times, times + (median * np.exp(0.9 * generator.standard_normal(count)) * DAY).astype(np.int64)


def truth(age: Floats, median: float = 4.0) -> Floats:
    return np.array([NormalDist().cdf(np.log(a / median) / 0.9) for a in age])


@given(OBSERVED)
def test_the_product_limit_is_its_definition(rows: list[tuple[int, int, int]]) -> None:
    delays, oldest, weights = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    ages, shares = label_delay.product_limit(delays, oldest, weights)
    for age, share in zip(ages, shares, strict=True):
        expected = 1.0
        for larger in sorted(set(delays[delays > age])):
            at_risk = sum(w for d, o, w in rows if d <= larger <= o)
            expected *= 1 - sum(w for d, _, w in rows if d == larger) / at_risk
        assert share == pytest.approx(expected)


@given(OBSERVED)
def test_without_truncation_it_is_the_share_of_delays(rows: list[tuple[int, int, int]]) -> None:
    delays, _, weights = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    ages, shares = label_delay.product_limit(delays, np.full(len(rows), np.inf), weights)
    assert shares == pytest.approx([weights[delays <= age].sum() / weights.sum() for age in ages])


@given(st.lists(st.integers(-2, 9), max_size=9), st.lists(st.integers(-3, 10), max_size=20))
def test_shares_of_falling_ages_are_those_of_each(knots: list[int], days: list[int]) -> None:
    at = np.unique(np.array(knots, dtype=np.float64)) if knots else np.array([1.0])
    delay = Delay(at, np.linspace(0.3, 1, len(at)), 0)
    falling = np.sort(np.array(days, dtype=np.float64))[::-1]
    assert np.array_equal(delay.shares_of_falling(falling), delay.share(falling))


def test_it_finds_the_distribution_behind_truncated_reports_where_counting_does_not() -> None:
    age = np.array([1.0, 2, 4, 8])
    found, counted = [], []
    for seed in range(20):
        # Most events are young, as after a fast growth: what was seen of them was fast.
        times, known_at = lognormal(3_000, seed, days=20)
        found.append(learn_delay(times, known_at, AS_OF, MATURITY).share(age))
        delays = (known_at - times)[known_at <= NOW] / DAY
        counted.append([(delays <= a).mean() for a in age])
    assert np.mean(found, axis=0) == pytest.approx(truth(age), abs=0.03)
    assert np.abs(np.mean(counted, axis=0) - truth(age)).max() > 0.1


def test_many_reports_give_the_known_lognormal() -> None:
    age = np.linspace(0.5, 30, 40)
    times, known_at = lognormal(20_000, seed=1, days=120)
    assert np.abs(learn_delay(times, known_at, AS_OF, MATURITY).share(age) - truth(age)).max() < 0.02


def test_recent_events_weigh_more_with_a_half_life() -> None:
    old, recent = lognormal(3_000, seed=2, median=2.0, days=60), lognormal(3_000, seed=3, median=8.0, days=30)
    shift = 60 * DAY
    times = np.concatenate([old[0] - shift, recent[0]])
    known_at = np.concatenate([old[1] - shift, recent[1]])
    age, new = np.array([4.0]), truth(np.array([4.0]), 8.0)
    plain = learn_delay(times, known_at, AS_OF, MATURITY).share(age)
    weighted = learn_delay(times, known_at, AS_OF, MATURITY, half_life=timedelta(days=10)).share(age)
    assert abs(weighted - new)[0] < 0.07 < 0.2 < abs(plain - new)[0]


def test_without_reports_it_is_what_was_declared() -> None:
    nothing = np.array([], dtype=np.int64)
    delay = learn_delay(nothing, nothing, AS_OF, MATURITY)
    assert delay.reports == 0
    assert delay.share([14.0])[0] == pytest.approx(0.9, abs=0.01)
    assert delay.bound(0.9) == pytest.approx(14, rel=0.03)
    assert delay.share([-1.0, 0.0]).tolist() == [0, 0]


@pytest.mark.parametrize("oldest_days", [0.1, 3, 100])
def test_a_single_report_moves_what_was_declared_but_little(oldest_days: float) -> None:
    times = np.array([NOW - int(oldest_days * DAY)])
    one, none = learn_delay(times, times + 1000, AS_OF, MATURITY), learn_delay(times[:0], times[:0], AS_OF, MATURITY)
    age = np.linspace(0, 60, 100)
    assert np.abs(one.share(age) - none.share(age)).max() < 0.1


@given(st.lists(st.tuples(st.integers(-40, 5), st.integers(-3, 60)), max_size=30), st.floats(0.01, 1))
def test_it_is_a_distribution_and_the_bound_its_inverse(rows: list[tuple[int, int]], share: float) -> None:
    times = np.array([NOW + day * DAY for day, _ in rows], dtype=np.int64)
    known_at = times + np.array([delay * DAY for _, delay in rows], dtype=np.int64)
    delay = learn_delay(times, known_at, AS_OF, MATURITY)
    assert (np.diff(delay.shares) >= -1e-12).all()
    assert delay.shares[-1] == 1
    assert (delay.shares >= 0).all()
    bound = delay.bound(share)
    assert delay.share([bound])[0] >= share - 1e-9
    assert bound == delay.ages[0] or delay.share([bound * (1 - 1e-12)])[0] < share


def test_what_was_unknown_then_changes_nothing() -> None:
    times, known_at = lognormal(500, seed=4)
    earlier = AS_OF - timedelta(days=10)
    then = known_at <= microseconds(earlier)
    all_reports, seen = (
        learn_delay(times, known_at, earlier, MATURITY),
        learn_delay(times[then], known_at[then], earlier, MATURITY),
    )
    assert np.array_equal(all_reports.shares, seen.shares)


def test_unusable_declarations_are_refused() -> None:
    nothing = np.array([], dtype=np.int64)
    with pytest.raises(ValueError, match="expected a maturity and a prior weight above 0"):
        learn_delay(nothing, nothing, AS_OF, timedelta(0))
    with pytest.raises(ValueError, match="share: expected a number in"):
        Delay(np.array([1.0]), np.array([1.0]), 0).bound(0)


def test_a_silence_stops_the_clock_of_reports_and_a_pause_does_not() -> None:
    hourly = NOW - 30 * DAY + np.arange(20 * 24) * (DAY // 24)
    assert reported_until(hourly, AS_OF) == hourly[-1]
    assert reported_until(hourly, AS_OF - timedelta(days=9.9)) == microseconds(AS_OF - timedelta(days=9.9))
    assert reported_until(hourly[:0], AS_OF) == NOW
    assert reported_until(np.array([NOW - 5 * DAY]), AS_OF) == NOW


def test_an_outage_of_reports_does_not_look_like_slow_reports() -> None:
    times, known_at = lognormal(10_000, seed=5, days=90)
    outage = known_at <= NOW - 7 * DAY
    age = np.linspace(1, 20, 20)
    assert np.abs(learn_delay(times[outage], known_at[outage], AS_OF, MATURITY).share(age) - truth(age)).max() < 0.03


def test_the_report_that_holds_counts_since_its_verdict_was_first_given() -> None:
    at = NOW - np.array([9, 7, 5, 3, 2, 1, -1]) * DAY
    events = np.array([1, 1, 2, 2, 7, 3, 3])
    positive = np.array([True, True, True, False, True, False, True])
    found = labels([1, 2, 3, 4], events, at, positive, AS_OF)
    assert found.positive.tolist() == [True, False, False, False]
    assert found.known_at.tolist() == [at[0], at[3], at[5], NEVER]
    assert found.unknown_events == 1


REPORTS = st.lists(st.tuples(st.integers(1, 4), st.integers(-3, 3), st.booleans(), st.integers(0, 3)), max_size=10)
"""event, hour it was reported in around the moment, verdict, hours until it was superseded (0: never)"""


@given(REPORTS)
def test_what_holds_is_what_the_reports_say_one_by_one(reports: list[tuple[int, int, bool, int]]) -> None:
    hour = DAY // 24
    at = np.array([NOW + hours * hour for _, hours, _, _ in reports], np.int64)
    until = np.array([NOW + (a + after) * hour if after else NEVER for _, a, _, after in reports], np.int64)
    events, positive = [r[0] for r in reports], np.array([r[2] for r in reports], bool)
    found = labels([3, 1, 2], events, at, positive, AS_OF, until)
    verdicts: dict[int, tuple[bool, int]] = {}
    for event in {*events}:
        known = [n for n in np.argsort(at, kind="stable") if events[n] == event and at[n] <= NOW]
        if holding := [n for n in known if until[n] > NOW]:
            verdict = bool(positive[holding[-1]])
            verdicts[event] = verdict, min(int(at[n]) for n in known if positive[n] == verdict)
    expected = [verdicts.get(event, (False, NEVER)) for event in (3, 1, 2)]
    assert list(zip(found.positive.tolist(), found.known_at.tolist(), strict=True)) == expected
    assert found.unknown_events == (4 in verdicts)


def test_a_withdrawn_report_holds_until_it_is_superseded() -> None:
    at, until = np.array([NOW - 5 * DAY]), np.array([NOW - 2 * DAY])
    for day, holds in ((3, True), (2, False), (0, False), (6, False)):
        moment = AS_OF - timedelta(days=day)
        assert labels([1], [1], at, np.array([True]), moment, until).positive[0] == holds


def test_events_may_be_named_by_texts_and_must_be_distinct() -> None:
    at = np.array([NOW])
    assert labels(["a", "b"], ["b"], at, np.array([True]), AS_OF).positive.tolist() == [False, True]
    assert labels(["a"], [], at[:0], np.array([], dtype=bool), AS_OF).known_at.tolist() == [NEVER]
    with pytest.raises(ValueError, match="ids: expected distinct events, found 1 in 2 rows"):
        labels([1, 1], [1], at, np.array([True]), AS_OF)

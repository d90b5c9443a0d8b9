"""Label maturity per day and the positives to come, against simulated reports; hostile reports."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.arrays import Bools
from jobs.ground_truth.label_delay import learn_delay
from jobs.ground_truth.label_maturity import Maturity, maturity
from jobs.ground_truth.labelled_scores import LabelledEvents
from jobs.times import MICROSECONDS_A_DAY as DAY
from jobs.times import NEVER, Times, microseconds

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
NOW = microseconds(AS_OF)
DECLARED = timedelta(days=14)
ROWS_A_DAY = 200


def world(seed: int, days: int = 60, rate: float = 0.1, shape: float | None = None) -> tuple[Times, Times, Bools]:
    """Events at even times, positive at a rate that varies from day to day like a gamma variable of this shape."""
    generator = np.random.default_rng(seed)
    times = NOW - days * DAY + np.arange(days * ROWS_A_DAY) * (DAY // ROWS_A_DAY)
    of_day = np.ones(days) if shape is None else generator.gamma(shape, 1 / shape, days)
    positive = generator.random(len(times)) < np.repeat(rate * of_day, ROWS_A_DAY)
    delays = 4 * np.exp(0.9 * generator.standard_normal(len(times))) * DAY
    return times, np.where(positive, times + delays.astype(np.int64), NEVER), positive


def measured(times: Times, known_at: Times, positive: Bools, as_of: datetime = AS_OF) -> Maturity:
    reported = known_at < NEVER
    delay = learn_delay(times[reported], known_at[reported], as_of, DECLARED)
    return maturity(LabelledEvents(times=times, known_at=known_at, positive=positive, delay=delay, as_of=as_of))


def later(times: Times, known_at: Times) -> np.ndarray:
    """Positives per day that come after NOW."""
    return np.bincount((times - times.min()) // DAY, weights=(known_at > NOW) & (known_at < NEVER))


@pytest.mark.parametrize("shape", [None, 4.0])
def test_the_truth_lies_within_two_deviations_of_what_is_expected_as_often_as_it_should(shape: float | None) -> None:
    inside, error = [], []
    for seed in range(40):
        times, known_at, positive = world(seed, shape=shape)
        found = measured(times, known_at, positive)
        off = later(times, known_at) - found.to_come
        young = found.share < 0.9
        inside += list(np.abs(off[young]) <= 2 * found.deviation[young] + 0.5)
        error.append(off[young].sum() / found.to_come[young].sum())
    assert 0.9 < np.mean(inside) < 0.995
    assert abs(np.mean(error)) < 0.03


def test_the_share_of_a_day_is_that_of_its_reports_that_are_in() -> None:
    in_by_now, share = [], []
    for seed in range(40):
        times, known_at, positive = world(seed)
        found = measured(times, known_at, positive)
        in_by_now.append(found.positives / np.maximum(found.positives + later(times, known_at), 1))
        share.append(found.share)
    assert np.abs(np.mean(share, axis=0) - np.mean(in_by_now, axis=0)).max() < 0.06
    assert (np.diff(np.mean(share, axis=0)) <= 0).all()
    assert (found.mature() == (found.share >= 0.9)).all()


def test_campaigns_widen_what_may_come() -> None:
    steady, campaigns = measured(*world(1)), measured(*world(1, shape=3.0))
    assert campaigns.deviation[-1] > 1.5 * steady.deviation[-1]


def test_labels_do_not_ripen_while_no_report_comes_in() -> None:
    times, known_at, positive = world(2)
    outage = np.where(known_at > NOW - 7 * DAY, NEVER, known_at)
    fresh, found = measured(times, known_at, positive), measured(times, outage, positive)
    assert found.share[-7:] == pytest.approx(np.zeros(7), abs=0.01)
    assert found.share[:-7] == pytest.approx(fresh.share[7:], abs=0.05)
    assert found.to_come[-7:] == pytest.approx(np.full(7, 20), rel=0.2)


def test_a_month_of_reports_at_once_leaves_numbers_that_make_sense() -> None:
    times, known_at, positive = world(3)
    burst = np.where((known_at > NOW - 30 * DAY) & (known_at <= NOW), NOW - 1, known_at)
    found = measured(times, burst, positive)
    assert ((found.share >= 0) & (found.share <= 1)).all()
    assert np.isfinite(found.to_come).all()
    assert found.share[0] > 0.9
    assert found.share[-1] < 0.3


def test_no_reports_at_all_give_the_declared_maturity_and_nothing_to_come() -> None:
    times, known_at, _ = world(4)
    found = measured(times, np.full(len(times), NEVER), np.zeros(len(known_at), dtype=bool))
    assert found.share[-14] == pytest.approx(0.9, abs=0.03)
    assert found.to_come.tolist() == [0] * 60


def test_there_may_be_no_events() -> None:
    nothing = np.array([], dtype=np.int64)
    found = measured(nothing, nothing, np.array([], dtype=bool))
    assert len(found.days) == len(found.share) == 0


@given(st.lists(st.tuples(st.integers(-30, 3), st.integers(-2, 40), st.booleans()), max_size=25))
@example([(1, -1, False), (-12, -2, False), (-13, -2, False)]).via("a report of today about an event of tomorrow")
def test_what_is_known_later_changes_nothing(rows: list[tuple[int, int, bool]]) -> None:
    times = np.array([NOW + day * DAY for day, _, _ in rows], dtype=np.int64)
    known_at = times + np.array([delay * DAY for _, delay, _ in rows], dtype=np.int64)
    # A clock may be ahead, but no report of what has not happened has come yet.
    known_at = np.where(times > NOW, np.maximum(times, known_at), known_at)
    positive = np.array([p for *_, p in rows], dtype=bool)
    found = measured(times, known_at, positive)
    past = times <= NOW
    then = np.where(known_at <= NOW, known_at, NEVER)
    hidden = measured(times[past], then[past], positive[past] & (then[past] < NEVER))
    for name in ("days", "rows", "positives", "share", "to_come", "deviation"):
        assert np.array_equal(getattr(found, name), getattr(hidden, name))
    assert found.rows.sum() == past.sum()

"""The queue of a day: within capacity, nobody twice, highest risk first, doubts next, the rest by an exact lot."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.actions.review_sampling import Shares, live_room, ordered, queue

TODAY = date(2026, 5, 1)


@with_examples(200)
@given(
    seed=st.integers(0, 999),
    count=st.integers(0, 80),
    capacity=st.integers(0, 40),
    uncertainty=st.floats(0, 0.5),
    random=st.floats(0, 0.5),
    most=st.integers(1, 4),
)
def test_capacity_holds_and_nobody_is_asked_twice(
    seed: int, count: int, capacity: int, uncertainty: float, random: float, most: int
) -> None:
    rng = np.random.default_rng(seed)
    scores, cards, known = rng.random(count).round(2), rng.integers(0, 10, count), rng.random(count) < 0.2
    asked: dict[str, Any] = {"amounts": rng.random(count), "entities": cards, "reviewed": known.copy(), "seed": seed}
    shares = Shares(uncertainty, random, most)
    found = queue(scores, 0.5, capacity, TODAY, shares=shares, **asked)
    assert len(found) == min(capacity, (~known).sum()) == len(found.reasons) == len(found.propensities)
    assert len(set(found.rows.tolist())) == len(found) and not known[found.rows].any()
    np.testing.assert_array_equal(asked["reviewed"], known)
    chosen = [row for row, reason in zip(found.rows, found.reasons, strict=True) if reason != "random"]
    assert max(Counter(cards[chosen].tolist()).values(), default=0) <= most
    again = queue(scores, 0.5, capacity, TODAY, shares=shares, **asked)
    np.testing.assert_array_equal(found.rows, again.rows)


@given(capacity=st.integers(0, 200), taken=st.integers(0, 300), uncertainty=st.floats(0, 0.5), random=st.floats(0, 0.5))
def test_what_was_reviewed_before_takes_the_place_of_what_is_picked_by_value(
    capacity: int, taken: int, uncertainty: float, random: float
) -> None:
    whole, rest = Shares(uncertainty, random).parted(capacity), Shares(uncertainty, random, taken=taken)
    parts = rest.parted(capacity)
    assert sum(whole) == capacity and sum(parts) == max(0, capacity - taken) and min(parts) >= 0
    assert parts[1:] == whole[1:] if taken <= whole[0] else parts[0] == 0
    found = queue(np.linspace(0, 1, 400), 0.5, capacity, TODAY, shares=rest)
    assert len(found) == sum(parts) and Counter(found.reasons)["risk"] == parts[0]


def test_live_reviews_leave_room_for_doubts_and_lots_of_the_night() -> None:
    assert live_room(100) == 75 and live_room(0) == 0


def test_the_highest_expected_loss_comes_first_and_then_the_nearest_to_the_threshold() -> None:
    scores = np.array([0.9, 0.9, 0.5, 0.1, 0.55, 0.0, 0.52])
    amounts = np.array([10.0, 500.0, 20.0, 4000.0, 1.0, 1.0, 1.0])
    found = queue(scores, 0.5, 4, TODAY, amounts=amounts, shares=Shares(0.5, 0.0))
    assert found.rows.tolist() == [1, 3, 2, 6]
    assert found.reasons == ("risk", "risk", "uncertainty", "uncertainty")
    assert queue(scores, 0.5, 2, TODAY, shares=Shares(0.0, 0.0)).rows.tolist() == [0, 1]


def test_one_card_does_not_fill_the_queue() -> None:
    scores = np.array([0.9] * 10 + [0.3, 0.2])
    cards = ["stolen"] * 10 + ["a", "b"]
    found = queue(scores, 0.5, 4, TODAY, entities=cards, shares=Shares(0.0, 0.0, per_entity=2))
    assert found.rows.tolist() == [0, 1, 10, 11]


@pytest.mark.parametrize("capacity", [10, 20])
def test_the_chance_of_the_drawn_is_the_share_of_days_on_which_they_are_drawn(capacity: int) -> None:
    rng = np.random.default_rng(0)
    scores, cards = rng.random(60), rng.integers(0, 6, 60)
    days, shares = 3000, Shares(0.1, 0.4, per_entity=2)
    counts = np.zeros(60)
    found = [
        queue(scores, 0.5, capacity, TODAY + timedelta(days=n), entities=cards, shares=shares) for n in range(days)
    ]
    for one in found:
        counts[one.rows] += 1
    sure = [row for row, reason in zip(found[0].rows, found[0].reasons, strict=True) if reason != "random"]
    chance = found[0].propensities[-1]
    assert found[0].reasons[-1] == "random" and 0 < chance < 1
    assert (counts[sure] == days).all() and (found[0].propensities[: len(sure)] == 1).all()
    by_lot = np.delete(counts, sure) / days
    # Sixty events: 4.5 deviations are passed once in 2,000 runs of a right implementation.
    assert (np.abs(by_lot - chance) < 4.5 * np.sqrt(chance * (1 - chance) / days)).all()


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a capacity"):
        queue(np.ones(3), 0.5, -1, TODAY)
    with pytest.raises(ValueError, match="review shares"):
        Shares(0.8, 0.3)


def test_numbers_are_asked_about_for_the_declared_reason_first() -> None:
    values, doubts = np.array([3.0, 9.0, 1.0, 7.0, 2.0]), np.array([0.1, 0.2, 0.9, 0.3, 0.4])
    found = ordered(("largest", values), doubts, 3, TODAY, shares=Shares(0.34, 0.0))
    assert found.rows.tolist() == [1, 3, 2] and found.reasons == ("largest", "largest", "uncertainty")
    with pytest.raises(ValueError, match="finite scores"):
        ordered(("largest", values), np.full(5, np.nan), 3, TODAY)

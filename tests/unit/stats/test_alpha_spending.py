"""Many looks at one question: together they spend what is allowed, and no more."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.stats.alpha_spending import Look, following, ordinary


def taken(alpha: float, doubts: list[bool]) -> list[Look]:
    looks: list[Look] = []
    for doubted in doubts:
        looks.append(following(looks[-1] if looks else None, alpha, doubted))
    return looks


@given(st.floats(1e-4, 0.5), st.integers(1, 400))
def test_what_is_spent_is_the_sum_of_what_each_look_may_err_and_stays_within_alpha(alpha: float, looks: int) -> None:
    each = [1 - ordinary(number, alpha).level for number in range(1, looks + 1)]
    assert ordinary(looks, alpha).spent == pytest.approx(sum(each)) and sum(each) < alpha
    assert all(later < earlier for earlier, later in pairwise(each))


@given(st.floats(1e-4, 0.5), st.lists(st.booleans(), min_size=1, max_size=200))
def test_looks_in_doubt_come_out_of_the_same_allowance(alpha: float, doubts: list[bool]) -> None:
    looks = taken(alpha, doubts)
    spent = sum(1 - look.level for look in looks)
    assert spent <= alpha * (1 + 1e-9) and looks[-1].spent == pytest.approx(spent)
    assert [look.number for look in looks] == list(range(1, len(doubts) + 1))
    assert all(0.5 < look.level < 1 for look in looks)


def test_without_doubts_each_look_follows_from_the_last_as_from_its_number() -> None:
    for look in taken(0.05, [False] * 50):
        assert look.level == pytest.approx(ordinary(look.number, 0.05).level)
        assert look.spent == pytest.approx(ordinary(look.number, 0.05).spent)


def test_a_look_in_doubt_asks_for_less() -> None:
    calm = taken(0.05, [False] * 3)
    assert following(calm[-1], 0.05, True).level < following(calm[-1], 0.05).level


def test_contenders_share_a_look() -> None:
    look = ordinary(1, 0.05)
    assert 1 - look.shared(5).level == pytest.approx((1 - look.level) / 5) and look.shared(5).spent == look.spent


def test_a_year_of_looks_spends_nearly_all_and_leaves_something_for_the_next() -> None:
    assert 0.045 < ordinary(365, 0.05).spent < 0.05
    assert 0.5 < ordinary(365, 0.05).level < ordinary(366, 0.05).level < 1


@pytest.mark.parametrize(("number", "alpha"), [(0, 0.05), (1, 0.0), (1, 1.0), (1, float("nan"))])
def test_a_look_that_cannot_be_is_refused(number: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="look: expected a number from 1 on"):
        ordinary(number, alpha)

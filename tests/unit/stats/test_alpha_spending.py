"""Many looks at one question: together they spend what is allowed, and no more."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.stats.alpha_spending import Look


@given(st.floats(1e-4, 0.5), st.integers(1, 400))
def test_what_is_spent_is_the_sum_of_what_each_look_may_err_and_stays_within_alpha(alpha: float, looks: int) -> None:
    each = [1 - Look(number, alpha).level for number in range(1, looks + 1)]
    assert Look(looks, alpha).spent == pytest.approx(sum(each)) and sum(each) < alpha
    assert all(later < earlier for earlier, later in pairwise(each))


def test_a_year_of_looks_spends_nearly_all_and_leaves_something_for_the_next() -> None:
    assert 0.045 < Look(365, 0.05).spent < 0.05
    assert 0.5 < Look(365, 0.05).level < Look(366, 0.05).level < 1


@pytest.mark.parametrize(("number", "alpha"), [(0, 0.05), (1, 0.0), (1, 1.0), (1, float("nan"))])
def test_a_look_that_cannot_be_is_refused(number: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="look: expected a number from 1 on"):
        Look(number, alpha)

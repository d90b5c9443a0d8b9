"""Conditions on facts: of many values at once as of each alone."""

from __future__ import annotations

from typing import get_args

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jobs.conditions import Comparison as How
from jobs.conditions import Condition
from jobs.online.column_type import ColumnType
from jobs.online.selections import Comparison

COMPARISONS = st.sampled_from(get_args(How)).filter(lambda how: how != "in")
NUMBERS = st.one_of(st.floats(allow_nan=False), st.integers(-5, 5).map(float), st.sampled_from([2.0**53, 0.5]))
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5) | st.integers(2**53 - 2, 2**53 + 2)


@given(COMPARISONS, NUMBERS | INTEGERS, st.lists(st.none() | NUMBERS))
def test_many_doubles_meet_what_each_meets(how: How, bound: float, values: list[float | None]) -> None:
    one = Comparison(Condition("amount", how, bound), ColumnType("float64"))
    held = np.array([np.nan if value is None else value for value in values], np.float64)
    valid = np.array([value is not None for value in values], bool)
    assert one.meet(held, valid).tolist() == [one.meets(value) for value in values]


@given(COMPARISONS, INTEGERS, st.lists(st.none() | INTEGERS))
def test_many_integers_meet_what_each_meets(how: How, bound: int, values: list[int | None]) -> None:
    one = Comparison(Condition("number", how, bound), ColumnType("int64"))
    held = np.array([0 if value is None else value for value in values], np.int64)
    valid = np.array([value is not None for value in values], bool)
    assert one.meet(held, valid).tolist() == [one.meets(value) for value in values]

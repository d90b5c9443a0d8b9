"""Features that only a request can tell: of one event and of arrays they have the same bits, and those of the views."""

from collections.abc import Callable
from math import nan
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.use_cases import request_features

pytestmark = pytest.mark.embedded

times = st.one_of(st.integers(-(2**55), 2**55), st.integers(0, 100_000).map(lambda hour: hour * 1_800_000_000))
numbers = st.one_of(st.floats(allow_nan=True), st.sampled_from([0.0, -0.0, nan, 1e9, 0.01, 5e-324]))


def check(function: Callable[..., dict[str, Any]], rows: list[tuple[Any, ...]]) -> None:
    columns = function(*(np.array(column) for column in zip(*rows, strict=True)))
    for place, row in enumerate(rows):
        for name, value in function(*row).items():
            other = columns[name][place].item()
            assert type(value) is type(other) and repr(value) == repr(other), f"{name} of {row}"


@given(st.lists(st.tuples(times), min_size=1, max_size=20))
@with_examples(60)
def test_a_moment_alone_and_among_others_has_the_same_features(rows: list[tuple[int]]) -> None:
    check(request_features.payment_time, rows)


@given(st.lists(st.tuples(*[numbers] * 5), min_size=1, max_size=20))
@with_examples(60)
def test_an_amount_alone_and_among_others_has_the_same_features(rows: list[tuple[float, ...]]) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        check(request_features.payment_amount, rows)


@given(st.lists(st.tuples(*[numbers] * 4), min_size=1, max_size=20))
@with_examples(30)
def test_a_line_alone_and_among_others_has_the_same_features(rows: list[tuple[float, ...]]) -> None:
    check(request_features.line_ratios, rows)


@given(st.lists(times.filter(lambda at: abs(at) < 2**52), min_size=1, max_size=20))
@with_examples(60)
def test_the_time_of_a_payment_is_what_a_calendar_says(moments: list[int]) -> None:
    """By pandas' own calendar, operation by operation as models were trained with."""
    at = pd.Series(pd.to_datetime(moments, unit="us", utc=True))
    hour = at.dt.hour + at.dt.minute / 60 + at.dt.second / 3600
    found = request_features.payment_time(np.array(moments))
    assert found["hour_of_day"].tolist() == hour.tolist()
    assert found["is_night"].tolist() == (hour < 6).astype("int64").tolist()
    assert found["is_weekend"].tolist() == (at.dt.dayofweek >= 5).astype("int64").tolist()

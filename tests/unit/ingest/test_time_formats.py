"""Times that are numbers: each is that moment to the microsecond, whatever type and unit it comes in."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.ingest.declared_formats import EPOCH_UNITS
from jobs.ingest.time_formats import since_1970

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = st.sampled_from(sorted(EPOCH_UNITS))
NANOSECONDS = st.integers(-(2**62), 2**62)


def moment(nanoseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)


@given(NANOSECONDS, UNITS)
def test_integers_decimals_and_text_are_cut_off_exactly(nanoseconds: int, unit: str) -> None:
    count, rest = divmod(nanoseconds, EPOCH_UNITS[unit])
    exact = Decimal(nanoseconds) / EPOCH_UNITS[unit]
    for value in (exact, f"{exact:f}"):
        assert since_1970(pl.Series([value]), unit).to_list() == [moment(nanoseconds)]
    for whole in (count, str(count)):
        assert since_1970(pl.Series([whole]), unit).to_list() == [moment(nanoseconds - rest)]


@given(st.integers(0, 2**51), st.sampled_from(["s", "ms", "us"]))
def test_a_double_is_the_nearest_microsecond(microseconds: int, unit: str) -> None:
    value = microseconds * 1000 / EPOCH_UNITS[unit]
    for written in (value, f"{value:.17E}"):
        assert since_1970(pl.Series([written]), unit).to_list() == [EPOCH + timedelta(microseconds=microseconds)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, "x", "1e", "0x1", "9" * 20, "1e99", 2**63])
def test_what_is_no_time_is_null(value: object) -> None:
    assert since_1970(pl.Series([value]), "s").to_list() == [None]

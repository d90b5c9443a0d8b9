"""Feast's values of whole columns: as Feast's own function makes them one by one, and integers exactly."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from feast import ValueType
from feast.type_map import python_values_to_proto_values
from hypothesis import given
from hypothesis import strategies as st

from jobs.feature_store.exact_integers import proto_values

KINDS = [
    pytest.param(pa.int32(), ValueType.INT32, st.integers(-(2**31), 2**31 - 1), id="int32 as INT32"),
    pytest.param(pa.int32(), ValueType.INT64, st.integers(-(2**31), 2**31 - 1), id="int32 as INT64"),
    pytest.param(pa.int64(), ValueType.INT64, st.integers(-(2**63), 2**63 - 1), id="int64 as INT64"),
    pytest.param(pa.float32(), ValueType.FLOAT, st.floats(width=32), id="float32 as FLOAT"),
    pytest.param(pa.float64(), ValueType.DOUBLE, st.floats(), id="float64 as DOUBLE"),
]


@pytest.mark.parametrize(("stored", "declared", "numbers"), KINDS)
@given(data=st.data())
def test_numbers_become_what_feast_makes_of_each(
    stored: pa.DataType, declared: ValueType, numbers: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(st.none() | numbers, min_size=1, max_size=8))
    batch = pa.record_batch({"amount": pa.array(drawn, stored)})
    expected = [python_values_to_proto_values([number], declared)[0] for number in batch["amount"].to_pylist()]
    made = proto_values(batch, [("amount", declared)])["amount"]
    assert [value.SerializeToString() for value in made] == [value.SerializeToString() for value in expected]


def test_a_number_that_is_missing_has_no_value() -> None:
    batch = pa.record_batch({"amount": pa.array([1.5, None, math.nan])})
    made = proto_values(batch, [("amount", ValueType.DOUBLE)])["amount"]
    assert [value.WhichOneof("val") for value in made] == ["double_val", None, None]

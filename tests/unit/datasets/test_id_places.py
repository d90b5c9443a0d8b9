"""Ids are found where a search one by one finds them, in any order and of any type."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from jobs.datasets.id_places import places

integers = st.tuples(st.just(pa.int64()), st.lists(st.integers(-3, 9) | st.just(2**60), unique=True))
texts = st.tuples(st.just(pa.string()), st.lists(st.sampled_from("abcdef"), unique=True))


@given(integers | texts, st.booleans(), st.data())
def test_every_id_is_found_at_its_place(held: tuple[pa.DataType, list[Any]], rising: bool, data: st.DataObject) -> None:
    kind, ids = held[0], sorted(held[1]) if rising else held[1]
    others = st.integers(-4, 10) if kind == pa.int64() else st.sampled_from("afz")
    wanted = data.draw(st.lists((st.sampled_from(ids) | others) if ids else others))
    found = places(pa.chunked_array([pa.array(wanted, kind)]), pa.chunked_array([pa.array(ids, kind)]))
    assert found.to_pylist() == [ids.index(one) if one in ids else None for one in wanted]


def test_nothing_is_not_an_id() -> None:
    found = places(
        pa.chunked_array([pa.array([2, None], pa.int64())]), pa.chunked_array([pa.array([1, 2], pa.int64())])
    )
    assert found.to_pylist() == [1, None]

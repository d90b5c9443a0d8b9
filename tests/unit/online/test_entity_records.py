"""Which records are about an entity: all of them, in order, in little memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.online.entity_records import EntityRecords

pytestmark = pytest.mark.embedded
ENTITIES = st.tuples(st.integers(0, 2), st.tuples(st.integers(0, 5)))


@given(st.lists(ENTITIES, max_size=200), st.integers(0, 250))
@with_examples(100)
def test_records_of_an_entity_come_back_in_order(entities: list[tuple[int, tuple[int]]], before: int) -> None:
    records = EntityRecords()
    for start, entity in enumerate(entities, 1):
        records.add(entity, start)
    assert len(records) == len(entities)
    for entity in {*entities, (9, (9,))}:
        starts = [start for start, other in enumerate(entities, 1) if other == entity]
        assert records.starts(entity) == starts
        assert records.starts(entity, before) == [start for start in starts if start < before]


def test_a_record_of_a_new_entity_takes_few_bytes() -> None:
    count, records = 50_000, EntityRecords()
    tracemalloc.start()
    for number in range(count):
        records.add((2, (number, 3 * number)), 24 + 300 * number)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 46 * count

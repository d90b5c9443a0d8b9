"""Kernels run bucket by bucket: every fact reaches the kernel once, with all others of its entity, as rows are read."""

import os
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs.features import entity_buckets

SCHEMA = pa.schema([("entity", pa.string()), ("value", pa.int64())])
ENTITIES = [None if n % 7 == 0 else f"e{n % 5}" for n in range(100)]
FACTS = pa.table({"entity": ENTITIES, "value": range(100)}, schema=SCHEMA)


def same(facts: pa.Table) -> pa.Table:
    return facts.cast(SCHEMA)


@pytest.mark.parametrize("buckets", [1, 3, 500])
def test_every_fact_comes_back_once(buckets: int) -> None:
    rows = entity_buckets.results(same, FACTS, ("entity",), buckets, SCHEMA).read_all()
    assert rows.sort_by("value").to_pydict() == FACTS.to_pydict()


@pytest.mark.parametrize("buckets", [1, 3, 500])
def test_all_facts_of_an_entity_reach_the_kernel_together_and_in_order(buckets: int) -> None:
    def counted(facts: pa.Table) -> pa.Table:
        together = facts.group_by("entity").aggregate([("value", "list")])
        assert all(values == sorted(values) for values in together["value_list"].to_pylist())
        return facts.group_by("entity").aggregate([("value", "count")]).rename_columns(SCHEMA.names).cast(SCHEMA)

    rows = entity_buckets.results(counted, FACTS, ("entity",), buckets, SCHEMA).read_all().to_pydict()
    counts = dict(zip(rows["entity"], rows["value"], strict=True))
    assert len(rows["entity"]) == len(counts)
    assert counts == {entity: ENTITIES.count(entity) for entity in ENTITIES}


@pytest.mark.parametrize("step", [1, 256, 65_536])
@pytest.mark.parametrize("most", [3_000, 200_000])
def test_buckets_hold_about_as_many_facts_each(most: int, step: int) -> None:
    # More than 65,536 different numbers, and fewer; next to each other, and far apart.
    entities = np.random.default_rng(0).integers(0, most, 100_000) * step
    facts, sizes, different = pa.table({"entity": entities}), [], []

    def noted(facts: pa.Table) -> pa.Table:
        sizes.append(facts.num_rows)
        different.append(len(facts["entity"].unique()))
        return facts

    entity_buckets.results(noted, facts, ("entity",), 20, facts.schema).read_all()
    assert (sum(sizes), sum(different)) == (100_000, len(np.unique(entities)))
    assert len(sizes) == 20 and max(sizes) < 1.2 * min(sizes)


def _with_schema(facts: pa.Table, schema: pa.Schema) -> pa.Table:
    return facts.cast(schema)


def test_facts_come_entity_by_entity() -> None:
    for entities in (np.random.default_rng(0).integers(-1_000, 1_000, 10_000), np.arange(10_000) % 7):
        for column in (pa.array(entities), pa.array(entities).cast(pa.string())):
            facts = pa.table({"entity": column, "value": range(10_000)})
            kernel = partial(_with_schema, schema=facts.schema)
            reader = entity_buckets.results(kernel, facts, ("entity",), 5, facts.schema)
            rows = reader.read_all()
            runs = pc.run_end_encode(rows["entity"].combine_chunks()).values
            assert len(runs) == len(np.unique(entities))


def test_without_facts_there_are_no_rows() -> None:
    rows = entity_buckets.results(same, FACTS.slice(0, 0), ("entity",), 4, SCHEMA).read_all()
    assert rows.num_rows == 0 and rows.schema == SCHEMA


def test_an_error_of_the_kernel_is_raised_with_its_message() -> None:
    def refuses(facts: pa.Table) -> pa.Table:
        raise ValueError("expected finite numbers, found NaN")

    with pytest.raises(ValueError, match="expected finite numbers, found NaN"):
        entity_buckets.results(refuses, FACTS, ("entity",), 4, SCHEMA).read_all()


def test_only_a_few_buckets_are_computed_before_their_rows_are_read() -> None:
    buckets, computed = 60 + 2 * (os.cpu_count() or 1), []
    facts = pa.table({"entity": [f"e{n}" for n in range(5000)], "value": range(5000)}, schema=SCHEMA)

    def noted(facts: pa.Table) -> pa.Table:
        computed.append(facts.num_rows)
        return facts.cast(SCHEMA)

    reader = entity_buckets.results(noted, facts, ("entity",), buckets, SCHEMA)
    assert not computed
    reader.read_next_batch()
    assert len(computed) <= 1 + (os.cpu_count() or 1) + 1
    reader.read_all()
    assert sum(computed) == 5000


@pytest.mark.parametrize("known", ["as it happened", "later", "never superseded"])
def test_times_reach_the_kernel_as_they_are_whether_they_are_copied_or_not(known: str) -> None:
    kind = pa.timestamp("us", "UTC")
    happened = np.random.default_rng(0).integers(0, 10**15, 1_000)
    later = happened + (np.arange(1_000) == 997) * (known == "later")
    superseded = pa.nulls(1_000, kind) if known == "never superseded" else pa.array([None, *later[1:].tolist()], kind)
    facts = pa.table(
        {
            "happened": pa.array(happened, kind),
            "entity": np.arange(1_000) % 9,
            "known": pa.array(later, kind),
            "superseded": superseded,
        }
    )
    kernel = partial(_with_schema, schema=facts.schema)
    rows = entity_buckets.results(kernel, facts, ("entity",), 5, facts.schema).read_all()
    order = [("entity", "ascending"), ("happened", "ascending")]
    assert rows.sort_by(order).equals(facts.sort_by(order))

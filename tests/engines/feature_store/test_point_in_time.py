"""The point-in-time join inside the engine: hostile data, empty sides, key types, on both engines."""

from __future__ import annotations

import importlib.util
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from jobs.feature_store.point_in_time import Exchange, point_in_time_join
from jobs.feature_store.point_in_time_kernel import JoinRules
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import ROOT

spec = importlib.util.spec_from_file_location("hostile_data", ROOT / "bench" / "hostile_data.py")
assert spec and spec.loader
hostile = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hostile)

START = datetime(2026, 3, 1, tzinfo=UTC)


def joined(lakehouse: Lakehouse, entities: pa.Table, features: pa.Table, **options: Any) -> pa.Table:
    settings: dict[str, Any] = {
        "keys": ["one", "two"], "event_timestamp": "event_timestamp", "feature_timestamp": "event",
        "created_timestamp": "created", "columns": ["x", "y"],
    }  # fmt: skip
    left, right = (frame(lakehouse, table) for table in (entities, features))
    reading = {name: options.pop(name, None) for name in ("bounds", "files")}
    exchange = Exchange(lakehouse.kernel, buckets=5)
    return point_in_time_join(left, right, JoinRules(**(settings | options)), exchange=exchange, **reading).toArrow()


def frame(lakehouse: Lakehouse, table: pa.Table) -> DataFrame:
    rows = table if table.num_rows else []
    return lakehouse.spark.createDataFrame(rows, from_arrow_schema(table.schema))


def counted(rows: list[dict[str, Any]]) -> Counter[tuple[tuple[str, str], ...]]:
    return Counter(
        tuple(sorted((k, repr(v.astimezone(UTC) if isinstance(v, datetime) else v)) for k, v in row.items()))
        for row in rows
    )


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("ttl", [None, hostile.TTL])
def test_no_row_of_hostile_data_is_wrong(lakehouse: Lakehouse, seed: int, ttl: timedelta | None) -> None:
    rng = random.Random(seed)
    known = hostile.features(rng)
    asked = hostile.entities(rng, known, 600) + [{"one": 1, "two": "a", "event_timestamp": None, "note": "no time"}] * 2
    expected = [row | dict.fromkeys(["x", "y"]) for row in asked[-2:]]
    expected += hostile.answers(asked[:-2], known, ttl, created=True)
    found = joined(
        lakehouse,
        pa.Table.from_pylist(asked, schema=hostile.ENTITY_SCHEMA),
        pa.Table.from_pylist(known, schema=hostile.FEATURE_SCHEMA),
        ttl=ttl,
    )
    assert found.column_names == ["one", "two", "event_timestamp", "note", "x", "y"]
    assert counted(found.to_pylist()) == counted(expected)


@pytest.mark.parametrize("asked", [0, 600])
def test_no_row_is_wrong_where_the_task_reads_the_data_files_itself(lakehouse: Lakehouse, asked: int) -> None:
    rng = random.Random(4)
    known = hostile.features(rng)
    rows = hostile.entities(rng, known, 600)[:asked]
    features = pa.Table.from_pylist(known, schema=hostile.FEATURE_SCHEMA)
    table = f"point_in_time.asked_by_{asked}"
    for part in (features.slice(0, 100), features.slice(100)):
        write_deltalake(lakehouse.path(table), part, mode="append")
    files = lakehouse.data_files(table)
    assert (files is None) == (lakehouse.settings.spark_remote is not None)
    assert files is None or files.num_rows == len(known)
    found = joined(
        lakehouse, pa.Table.from_pylist(rows, schema=hostile.ENTITY_SCHEMA), features, ttl=hostile.TTL, files=files
    )
    assert counted(found.to_pylist()) == counted(hostile.answers(rows, known, hostile.TTL, created=True))


@pytest.mark.embedded
@pytest.mark.parametrize("ttl", [None, hostile.TTL])
def test_no_row_is_wrong_where_only_files_of_the_asked_times_are_read(
    lakehouse: Lakehouse, ttl: timedelta | None
) -> None:
    rng = random.Random(5)
    known = sorted((row for row in hostile.features(rng) if row["event"]), key=lambda row: row["event"])
    rows = sorted(hostile.entities(rng, known, 600), key=lambda row: row["event_timestamp"])[300:340]
    features = pa.Table.from_pylist(known, schema=hostile.FEATURE_SCHEMA)
    for first in range(0, features.num_rows, 50):
        write_deltalake(lakehouse.path("point_in_time.by_time"), features.slice(first, 50), mode="append")
    files = lakehouse.data_files("point_in_time.by_time")
    bounds = (rows[0]["event_timestamp"], rows[-1]["event_timestamp"])
    assert files and files.between("event", bounds[0] - hostile.TTL, bounds[1]).num_rows < len(known)
    found = joined(
        lakehouse,
        pa.Table.from_pylist(rows, schema=hostile.ENTITY_SCHEMA),
        features,
        ttl=ttl,
        files=files,
        bounds=bounds,
    )
    assert counted(found.to_pylist()) == counted(hostile.answers(rows, known, ttl, created=True))


@pytest.mark.parametrize(("asked", "known"), [(0, 0), (0, 3), (3, 0)])
def test_an_empty_side_is_no_error(lakehouse: Lakehouse, asked: int, known: int) -> None:
    rng = random.Random(3)
    features = hostile.features(rng)
    entities = hostile.entities(rng, features, 3)
    found = joined(
        lakehouse,
        pa.Table.from_pylist(entities[:asked], schema=hostile.ENTITY_SCHEMA),
        pa.Table.from_pylist(features[:known], schema=hostile.FEATURE_SCHEMA),
    )
    assert found.num_rows == asked


def test_keys_of_other_widths_meet_in_one_bucket(lakehouse: Lakehouse) -> None:
    entities = pa.table({"one": pa.array(range(50), pa.int32()), "event_timestamp": [START] * 50})
    features = pa.table({"one": pa.array(range(50), pa.int64()), "event": [START] * 50, "x": list(range(50))})
    found = joined(lakehouse, entities, features, keys=["one"], columns=["x"], created_timestamp=None)
    assert found["x"].to_pylist() == found["one"].to_pylist()


def test_without_keys_everything_is_one_entity(lakehouse: Lakehouse) -> None:
    entities = pa.table({"event_timestamp": [START, START + timedelta(hours=2)]})
    features = pa.table({"event": [START + timedelta(hours=1)], "x": [5]})
    found = joined(lakehouse, entities, features, keys=[], columns=["x"], created_timestamp=None)
    assert sorted(found["x"].to_pylist(), key=str) == [5, None]


def test_what_cannot_be_joined_is_said_before_anything_runs(lakehouse: Lakehouse) -> None:
    entities = pa.table({"one": ["1"], "event_timestamp": [START], "y": [1]})
    features = pa.table({"one": [1], "event": [START], "x": [5], "y": [1]})
    options: dict[str, Any] = {"keys": ["one"], "created_timestamp": None}
    with pytest.raises(ValueError, match="key column one: expected one type on both sides, found string"):
        joined(lakehouse, entities, features, columns=["x"], **options)
    with pytest.raises(ValueError, match=r"found \['y'\]: rename them"):
        joined(lakehouse, entities, features, columns=["y"], **options)
    with pytest.raises(ValueError, match=r"expected the feature table to have \['z'\]"):
        joined(lakehouse, entities, features, columns=["z"], **options)

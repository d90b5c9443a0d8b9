"""The guarded online stores: any order of batches ends in the newest row per key. SQLite, and a real Redis."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64, Int64, String
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.loopback import free_port, listens

START = datetime(2026, 3, 1, tzinfo=UTC)
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
stats = FeatureView(
    name="stats",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=[Field(name="driver_id", dtype=Int64), Field(name="trips", dtype=Float64), Field(name="note", dtype=String)],
    source=FileSource(name="unused", path="unused.parquet", timestamp_field="event_timestamp"),
)
Written = tuple[int, int, int | None, float]  # driver, minute of the event, minute it was created, value


@pytest.fixture(scope="module")
def redis_address() -> Iterator[str]:
    """A real Redis of its own on a free loopback port."""
    binary = shutil.which("redis-server")
    assert binary, "redis-server is missing: apt-get install redis-server"
    port = free_port()
    arguments = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    for _ in range(100):
        if listens(port):
            break
        time.sleep(0.05)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.servers)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    options: dict[str, Any] = {
        "type": "jobs.feature_store.online_store.LakehouseSqliteOnlineStore",
        "path": str(tmp_path / "o.db"),
    }
    if request.param == "redis":
        address = request.getfixturevalue("redis_address")
        options = {"type": "jobs.feature_store.online_store.LakehouseRedisOnlineStore", "connection_string": address}
    return new_store(options, tmp_path)


def new_store(options: dict[str, Any], folder: Path, project: str | None = None) -> FeatureStore:
    config = RepoConfig(
        project=project or f"p{uuid4().hex}", provider="local", registry=str(folder / "registry.db"),
        repo_path=folder, online_store=options, offline_store={"type": "file"}, entity_key_serialization_version=3,
    )  # fmt: skip
    store = FeatureStore(config=config)
    store._get_provider().online_store.update(config, [], [stats], [], [driver], partial=False)
    return store


def write(store: FeatureStore, batch: list[Written]) -> None:
    rows = [
        (
            EntityKey(join_keys=["driver_id"], entity_values=[Value(int64_val=key)]),
            {"trips": Value(double_val=value), "note": Value(string_val=f"{event} {created}")},
            START + timedelta(microseconds=event),
            None if created is None else START + timedelta(microseconds=created),
        )
        for key, event, created, value in batch
    ]
    store._get_provider().online_store.online_write_batch(store.config, stats, rows, None)


def read(store: FeatureStore, key: int) -> tuple[float, str] | None:
    entity = EntityKey(join_keys=["driver_id"], entity_values=[Value(int64_val=key)])
    [(_, values)] = store._get_provider().online_store.online_read(store.config, stats, [entity], ["trips", "note"])
    return (
        (values["trips"].double_val, values["note"].string_val)
        if values and values["trips"].WhichOneof("val")
        else None
    )


def unique(rows: list[Written]) -> list[Written]:
    """One value per (key, event, created): for the same version there is nothing to choose."""
    return [(*times, index / 2) for index, times in enumerate(sorted({row[:3] for row in rows}, key=str))]


written = st.tuples(st.integers(1, 3), st.integers(0, 3), st.one_of(st.none(), st.integers(0, 3)), st.just(0.0))
lots = st.lists(written, min_size=1, max_size=15).map(unique)


@with_examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lots, st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_of_batches_ends_in_the_newest_row_per_key(
    store: FeatureStore, tmp_path: Path, rows: list[Written], rng: random.Random, size: int
) -> None:
    fresh = new_store(store.config.online_store.model_dump(), tmp_path)
    order = rows + rng.sample(rows, len(rows) // 2)  # some are written twice
    rng.shuffle(order)
    for start in range(0, len(order), size):
        write(fresh, order[start : start + size])
    for key in {row[0] for row in rows}:
        newest = max((row for row in rows if row[0] == key), key=lambda r: (r[1], -1 if r[2] is None else r[2]))
        assert read(fresh, key) == (newest[3], f"{newest[1]} {newest[2]}")


def test_a_correction_of_the_same_event_is_applied_and_a_backfill_is_not(store: FeatureStore) -> None:
    write(store, [(1, 10, 10, 1.0)])
    write(store, [(1, 10, 20, 2.0)])
    write(store, [(1, 9, 30, 3.0)])
    assert read(store, 1) == (2.0, "10 20")
    write(store, [(1, 10, 20, 4.0)])  # the same version, computed anew
    assert read(store, 1) == (4.0, "10 20")


def test_each_pair_of_keys_has_a_row_of_its_own(store: FeatureStore, tmp_path: Path) -> None:
    depot = Entity(name="depot", join_keys=["depot_id"], value_type=ValueType.INT64)
    visits = FeatureView(
        name="visits",
        entities=[driver, depot],
        schema=[Field(name=name, dtype=Int64) for name in ("driver_id", "depot_id", "seen")],
        source=FileSource(name="visited", path="unused.parquet", timestamp_field="event_timestamp"),
    )
    online = store._get_provider().online_store
    online.update(store.config, [], [visits], [], [driver, depot], partial=False)
    # Joined as texts, the first two would be one.
    pairs = [(1, 23), (12, 3), (3, 12)]
    keys = [
        EntityKey(join_keys=["driver_id", "depot_id"], entity_values=[Value(int64_val=key) for key in pair])
        for pair in [*pairs, (23, 1)]
    ]
    rows = [(key, {"seen": Value(int64_val=number)}, START, START) for number, key in enumerate(keys[:3])]
    online.online_write_batch(store.config, visits, [*rows, (keys[0], {"seen": Value(int64_val=9)}, START, None)], None)
    read_back = online.online_read(store.config, visits, keys, ["seen"])
    found = [
        values["seen"].int64_val if values and values["seen"].WhichOneof("val") else None for _, values in read_back
    ]
    assert found == [0, 1, 2, None]


def test_a_microsecond_decides(store: FeatureStore) -> None:
    write(store, [(1, 1_000_001, 1_000_001, 2.0)])
    write(store, [(1, 1_000_000, 1_000_000, 1.0)])
    assert read(store, 1) == (2.0, "1000001 1000001")


def test_writers_at_once_do_not_undo_each_other(store: FeatureStore, tmp_path: Path) -> None:
    options = store.config.online_store.model_dump()
    rows: list[Written] = [(key, event, event, float(event)) for key in range(20) for event in range(30)]
    random.Random(5).shuffle(rows)

    def one_writer(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        own = new_store(options, folder, store.config.project)
        for start in range(number * 10, len(rows), 40):
            write(own, rows[start : start + 10])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one_writer, range(4)))
    assert [read(store, key) for key in range(20)] == [(29.0, "29 29")] * 20


def test_a_view_that_was_dropped_starts_anew(store: FeatureStore) -> None:
    write(store, [(1, 10, 10, 1.0)])
    online = store._get_provider().online_store
    online.update(store.config, [stats], [], [], [], partial=False)
    online.update(store.config, [], [stats], [], [driver], partial=False)
    assert read(store, 1) is None
    write(store, [(1, 5, 5, 5.0)])
    assert read(store, 1) == (5.0, "5 5")


def test_a_store_that_feast_made_itself_keeps_its_rows(tmp_path: Path) -> None:
    own = {"type": "sqlite", "path": str(tmp_path / "o.db")}
    before = new_store(own, tmp_path)
    write(before, [(1, 10, 10, 1.0), (2, 20, 20, 2.0)])
    guarded = own | {"type": "jobs.feature_store.online_store.LakehouseSqliteOnlineStore"}
    after = new_store(guarded, tmp_path, before.config.project)
    assert [read(after, key) for key in (1, 2)] == [(1.0, "10 10"), (2.0, "20 20")]
    write(after, [(1, 30, 30, 3.0)])
    # Each reads what the other wrote.
    assert [read(store, 1) for store in (before, after)] == [(3.0, "30 30")] * 2

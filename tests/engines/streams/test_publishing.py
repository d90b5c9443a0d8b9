"""Features of events as they come, in the online store: what Feast reads is the newest row of each entity."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.utils import _convert_arrow_to_proto
from worlds.draws import drawn
from worlds.marts import update_windows
from worlds.redis_server import RedisServer
from worlds.streamed_runs import opened
from worlds.streamed_world import World, busy_days

from jobs.feature_store.online_rows import batches_of
from jobs.feature_store.online_writes import Encoder, rows_of
from jobs.feature_store.store import open_store
from jobs.lakehouse.tables import Lakehouse
from jobs.secret import Url
from jobs.settings import Settings
from jobs.streams import publishing, starting
from jobs.streams.publishing import Publisher
from jobs.streams.stream import Stream
from jobs.use_cases.fraud import FRAUD

pytestmark = pytest.mark.embedded
CUSTOMERS = FRAUD.windows[0]
PATIENCE = 60.0


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server
    with warnings.catch_warnings():  # Feast closes no connection: no later test is to be blamed for it
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def world_at(lakehouse: Lakehouse, home: Path, store: Url | None) -> World:
    """A world whose home, with an online store of its own, has window tables, and its topics full."""
    world = World(
        Settings(home=home, online_store_url=store, warehouse_url=lakehouse.settings.warehouse), drawn("published")
    )
    world.history(60)
    update_windows(lakehouse, world.now)
    busy_days(world, 40)
    return world


def publishing_stream(world: World) -> Stream:
    one = opened(world)
    one.publish = Publisher(world.lakehouse, FRAUD)
    starting.start_features(one)
    return one


def until(one: Stream, error: str) -> None:
    """Steps until that is what the store says; nothing comes meanwhile."""
    before = time.monotonic()
    while one.publish_error != error:
        assert time.monotonic() - before < PATIENCE, one.publish_error
        one.step(0.05)


def newest(world: World) -> dict[int, dict[str, Any]]:
    """Of each customer the newest streamed row."""
    rows = world.lakehouse.to_arrow(FRAUD.stream_table(CUSTOMERS)).sort_by("event_timestamp").to_pylist()
    return {row["customer_id"]: row for row in rows}


def assert_published(world: World) -> None:
    expected = newest(world)
    store = open_store(world.lakehouse, FRAUD)
    features = [f"{CUSTOMERS.name}:{name}" for name in CUSTOMERS.names]
    found = store.get_online_features(features, [{"customer_id": each} for each in expected]).to_dict()
    for name in CUSTOMERS.names:
        assert found[name] == [row[name] for row in expected.values()], name


def test_feast_reads_the_newest_row_of_each_entity(lakehouse: Lakehouse, tmp_path: Path) -> None:
    world = world_at(lakehouse, tmp_path, None)
    one = publishing_stream(world)
    while one.step(0):
        pass
    one.commit()
    until(one, "")
    one.close()
    assert_published(world)


def test_rows_are_what_feast_makes_of_them(lakehouse: Lakehouse, tmp_path: Path) -> None:
    world = world_at(lakehouse, tmp_path, None)
    one = opened(world)
    while one.step(0):
        pass
    one.commit()
    one.close()
    store = open_store(world.lakehouse, FRAUD)
    for windows in FRAUD.windows:
        table, view = world.lakehouse.to_arrow(FRAUD.stream_table(windows)), store.get_feature_view(windows.name)
        keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
        its = _convert_arrow_to_proto(table.combine_chunks(), view, keys)
        [expected] = batches_of(view, its, EntityKey.SerializeToString)
        made = Encoder(view, windows, EntityKey.SerializeToString).batch(rows_of(table, windows))
        assert made == expected


@pytest.mark.servers
def test_a_store_that_is_down_holds_nothing_up_and_has_everything_afterwards(
    lakehouse: Lakehouse, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 0.0)
    world = world_at(lakehouse, tmp_path, Url(redis.url))
    one = publishing_stream(world)
    assert one.step(0)
    redis.kill()
    while one.step(0):
        one.commit()
    assert "online store:" in one.publish_error
    redis.start()
    until(one, "")
    one.close()
    assert_published(world)

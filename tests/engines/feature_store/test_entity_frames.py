"""Integers and times on their way through Feast: exact beside a null, wherever they go, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.data_source import PushMode, PushSource
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.table_format import DeltaFormat
from feast.types import Int64

from jobs.errors import EvergreenError, Invalid
from jobs.feature_store.offline_store import use_lakehouse
from jobs.lakehouse.tables import Lakehouse

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
BIG = 2**53 + 1
"""The first integer that a double rounds."""
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
LAST = pa.table({
    "driver_id": pa.array([1, 2, BIG - 1, BIG]), "event_timestamp": pa.array([START] * 4, TIME),
    "last": pa.array([BIG, None, 10, 20]),
})  # fmt: skip


@pytest.fixture
def store(lakehouse: Lakehouse, tmp_path: Path) -> FeatureStore:
    """A Feast repo with one view of integers, on the plug-ins."""
    options: dict[str, Any] = {
        "type": "jobs.feature_store.offline_store.LakehouseOfflineStore", "home": str(lakehouse.settings.home),
        "warehouse": lakehouse.warehouse,
    }  # fmt: skip
    if lakehouse.settings.spark_remote:
        options["spark_remote"] = lakehouse.settings.spark_remote.reveal()
    online = {
        "type": "jobs.feature_store.online_store.LakehouseSqliteOnlineStore", "path": str(tmp_path / "online.db"),
    }  # fmt: skip
    config = RepoConfig(
        project="taxi", provider="local", registry=str(tmp_path / "registry.db"), repo_path=tmp_path,
        online_store=online, offline_store=options, entity_key_serialization_version=3,
    )  # fmt: skip
    if lakehouse.settings.spark_remote:
        use_lakehouse(config, lakehouse)
    store = FeatureStore(config=config)
    store.apply([driver, view(source(lakehouse, LAST))])
    return store


def source(lakehouse: Lakehouse, rows: pa.Table, name: str = "last") -> SparkSource:
    path = lakehouse.path(f"taxi.{name}")
    lakehouse.spark.createDataFrame(rows).write.format("delta").mode("overwrite").save(path)
    return SparkSource(name=name, path=path, table_format=DeltaFormat(), timestamp_field="event_timestamp")


def view(origin: Any, name: str = "last_trip") -> FeatureView:
    return FeatureView(
        name=name, entities=[driver], ttl=9 * DAY, schema=[Field(name="last", dtype=Int64)], source=origin
    )


def asked(store: FeatureStore, keys: Any, times: Any = None) -> Any:
    frame = pd.DataFrame({"driver_id": keys, "event_timestamp": [START] * len(keys) if times is None else times})
    return store.get_historical_features(entity_df=frame, features=["last_trip:last"])


def online(store: FeatureStore, keys: list[int], name: str = "last_trip") -> list[int | None]:
    rows = [{"driver_id": key} for key in keys]
    values: list[int | None] = store.get_online_features([f"{name}:last"], rows).to_dict()["last"]
    return values


def test_an_integer_is_the_same_beside_a_null_wherever_it_comes_out(store: FeatureStore) -> None:
    job = asked(store, [1, 2])
    assert job.to_arrow()["last"].to_pylist() == [BIG, None]
    frame = job.to_df()
    assert (frame["last"][0], pd.isna(frame["last"][1])) == (BIG, True)
    store.materialize(START - DAY, START + DAY)
    assert online(store, [1, 2, BIG - 1, BIG]) == [BIG, None, 10, 20]


@pytest.mark.embedded
def test_a_pushed_integer_is_the_same_beside_a_null_or_refused(store: FeatureStore) -> None:
    batch = store.get_feature_view("last_trip").batch_source
    pushed = PushSource(name="pushed", batch_source=batch)
    store.apply([pushed, view(pushed, "pushed_trip")])
    rows = pd.DataFrame({"driver_id": [1, 2], "event_timestamp": [START] * 2})
    store.push("pushed", rows.assign(last=pd.Series([BIG, pd.NA], dtype="Int64")), to=PushMode.ONLINE)
    assert online(store, [1, 2], "pushed_trip") == [BIG, None]
    with pytest.raises(Invalid, match=r"last: expected exact integers, found 9007199254740992.0 of type double"):
        store.push("pushed", rows.assign(last=[float(BIG), float("nan")]), to=PushMode.ONLINE)
    with pytest.raises(EvergreenError, match=r"offline store: expected rows to be read.*push with PushMode.ONLINE"):
        store.push("pushed", rows.assign(last=[1, 2]), to=PushMode.OFFLINE)


KEYS: dict[str, Any] = {
    "integers": [BIG, BIG - 1],
    "unsigned": np.array([BIG, BIG - 1], np.uint64),
    "objects": pd.Series([BIG, BIG - 1], dtype=object),
    "pandas' own": pd.array([BIG, BIG - 1], "Int64"),
    "decimals": [Decimal(BIG), Decimal(BIG - 1)],
}


@pytest.mark.embedded
def test_keys_are_exact_in_every_type_that_holds_them(store: FeatureStore) -> None:
    for name, keys in KEYS.items():
        assert asked(store, keys).to_arrow()["last"].to_pylist() == [20, 10], name
    for name in ("objects", "pandas' own"):
        keys = pd.concat([pd.Series(KEYS[name]), pd.Series([None], dtype=pd.Series(KEYS[name]).dtype)])
        assert asked(store, keys).to_arrow()["last"].to_pylist() == [20, 10, None], name
    assert asked(store, [1.0, float("nan")]).to_arrow()["last"].to_pylist() == [BIG, None]
    table = pa.table({"driver_id": pa.array([BIG], pa.uint64()), "event_timestamp": pa.array([START], TIME)})
    found = store.get_historical_features(entity_df=table, features=["last_trip:last"]).to_arrow()
    assert found["last"].to_pylist() == [20]


@pytest.mark.embedded
def test_keys_that_are_not_exact_or_of_another_kind_are_refused_by_name(store: FeatureStore) -> None:
    for keys, message in [
        ([BIG, None], r"expected exact integers in driver_id, found 9007199254740992.0 of type double"),
        (np.array([2.0**24], np.float32), r"expected exact integers in driver_id, found 16777216.0 of type float"),
        ([1.5, 2.0], r"expected integers of 64 bits in driver_id, found values of type double that are none"),
        (np.array([2**63], np.uint64), r"expected integers of 64 bits in driver_id, found values of type uint64"),
        ([Decimal("1.5")], r"expected integers of 64 bits in driver_id, found values of type decimal"),
        (["1"], r"expected join key driver_id of type bigint as in the feature tables, found string"),
        ([True], r"expected join key driver_id of type bigint as in the feature tables, found boolean"),
    ]:
        with pytest.raises(Invalid, match=message):
            asked(store, keys)
    query = "select 1D as driver_id, timestamp'2026-03-01' as event_timestamp"
    with pytest.raises(Invalid, match=r"join key driver_id of type bigint .*, found double"):
        store.get_historical_features(entity_df=query, features=["last_trip:last"])


SECONDS = int(START.timestamp())
NO_TIMES: list[Any] = [
    [SECONDS], [float(SECONDS)], [None, SECONDS], ["2026-03-01", SECONDS], [str(SECONDS)], ["2026"], ["nonsense"],
    ["01/02/2026"], [True],
]  # fmt: skip


@pytest.mark.embedded
def test_a_number_is_no_time(store: FeatureStore) -> None:
    ways: list[Callable[[], Any]] = [
        lambda: store.get_historical_features(
            pa.table({"driver_id": [1], "event_timestamp": [SECONDS]}), features=["last_trip:last"]
        ),
        lambda: store.get_historical_features(
            f"select 1L as driver_id, {SECONDS}L as event_timestamp", features=["last_trip:last"]
        ),
        *(lambda times=times: asked(store, [1] * len(times), times) for times in NO_TIMES),
    ]
    for ask in ways:
        with pytest.raises(Invalid, match=r"entity rows: expected event_timestamp to hold times, found"):
            ask()


@pytest.mark.embedded
def test_a_moment_may_be_text_a_date_or_missing(store: FeatureStore) -> None:
    times = ["2026-03-01", "20260301", "2026-03-01T02:00:00+02:00", START.date(), START, None, pd.NaT]
    assert asked(store, [BIG] * 7, times).to_arrow()["last"].to_pylist() == [20] * 5 + [None] * 2
    query = "select 1L as driver_id, date'2026-03-01' as event_timestamp"
    found = store.get_historical_features(entity_df=query, features=["last_trip:last"]).to_arrow()
    assert found["last"].to_pylist() == [BIG]
    table = pa.table({"driver_id": [BIG], "event_timestamp": [date(2026, 3, 1)]})
    found = store.get_historical_features(entity_df=table, features=["last_trip:last"]).to_arrow()
    assert found["last"].to_pylist() == [20]


@pytest.mark.embedded
def test_a_source_whose_times_are_numbers_is_refused(lakehouse: Lakehouse, store: FeatureStore) -> None:
    seconds = LAST.set_column(1, "event_timestamp", pa.array([SECONDS] * 4))
    store.apply([view(source(lakehouse, seconds, "seconds"), "counted")])
    with pytest.raises(Invalid, match="data source seconds: expected event_timestamp to hold times, found bigint"):
        store.get_historical_features(
            pd.DataFrame({"driver_id": [1], "event_timestamp": [START]}), features=["counted:last"]
        ).to_arrow()
    with pytest.raises(Invalid, match="data source seconds: expected event_timestamp to hold times, found bigint"):
        store.materialize(START - DAY, START + DAY, feature_views=["counted"])

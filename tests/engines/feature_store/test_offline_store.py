"""The Feast plug-in from a Feast repo of its own: sources, entity frames, names, times, on both engines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, RepoConfig, RequestSource, ValueType
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SavedDatasetSparkStorage, SparkSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.table_format import DeltaFormat
from feast.types import Float64, Int64, String

from jobs.feature_store.offline_store import use_lakehouse
from jobs.lakehouse.tables import Lakehouse
from jobs.models.features import FeatureRows, value_shown, values_of
from jobs.models.tables import features_of

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")


def rows(*values: tuple[int | None, datetime, datetime, float]) -> pa.Table:
    """(driver, event, created, trips) as a feature table."""
    names = ["driver_id", "event_timestamp", "created", "trips"]
    columns = dict(zip(names, zip(*values, strict=True), strict=True))
    schema = pa.schema({"driver_id": pa.int64(), "event_timestamp": TIME, "created": TIME, "trips": pa.float64()})
    return pa.table({name: list(column) for name, column in columns.items()}, schema=schema)


HISTORY = rows(
    (1, START, START, 1.0),
    (1, START, START + 2 * DAY, 1.5),  # a correction, known two days later
    (1, START + DAY, START + DAY + HOUR, 2.0),
    (2, START, START, 9.0),
    (None, START, START, 5.0),
)
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
Repo = Callable[..., FeatureStore]


@pytest.fixture
def store(lakehouse: Lakehouse, tmp_path: Path) -> FeatureStore:
    """A Feast repo on the plug-in, which knows nothing of Evergreen's own feature repo."""
    remote = lakehouse.settings.spark_remote
    options: dict[str, str | None] = {
        "type": "jobs.feature_store.offline_store.LakehouseOfflineStore",
        "home": str(lakehouse.settings.home),
        "warehouse": lakehouse.warehouse,
        "spark_remote": remote.reveal() if remote else None,
    }
    config = RepoConfig(
        project="taxi", provider="local", registry=str(tmp_path / "registry.db"), repo_path=tmp_path,
        online_store={"type": "sqlite", "path": str(tmp_path / "online.db")}, offline_store=options,
        entity_key_serialization_version=3,
    )  # fmt: skip
    if lakehouse.settings.spark_remote:  # where every lakehouse has a session of its own, with its own views
        use_lakehouse(config, lakehouse)
    return FeatureStore(config=config)


def delta(lakehouse: Lakehouse, name: str, table: pa.Table) -> str:
    path = lakehouse.path(f"taxi.{name}")
    lakehouse.spark.createDataFrame(table).write.format("delta").mode("overwrite").save(path)
    return path


def view(location: str, name: str = "stats", ttl: timedelta = 10 * DAY, **source: Any) -> FeatureView:
    options: dict[str, Any] = {"path": location, "table_format": DeltaFormat(), "created_timestamp_column": "created"}
    origin = SparkSource(name=f"{name}_source", timestamp_field="event_timestamp", **(options | source))
    return FeatureView(
        name=name, entities=[driver], ttl=ttl, schema=[Field(name="trips", dtype=Float64)], source=origin
    )


def asked(*questions: tuple[int | None, datetime]) -> pd.DataFrame:
    return pd.DataFrame({"driver_id": [q[0] for q in questions], "event_timestamp": [q[1] for q in questions]})


QUESTIONS = asked(
    (1, START + 2 * DAY),
    (1, START),
    (2, START + 11 * DAY),
    (1, START),
    (None, START + DAY),
    (1, START + DAY + HOUR / 2),
    (3, START + DAY),
)
ANSWERS = [2.0, 1.0, None, 1.0, None, 1.0, None]


def trips(table: pa.Table, name: str = "trips") -> list[float | None]:
    return table[name].to_pylist()


def test_rows_of_a_pandas_frame_come_back_in_their_order(lakehouse: Lakehouse, store: FeatureStore) -> None:
    store.apply([driver, view(delta(lakehouse, "stats", HISTORY))])
    found = store.get_historical_features(entity_df=QUESTIONS, features=["stats:trips"]).to_arrow()
    assert trips(found) == ANSWERS
    assert found.column_names == ["driver_id", "event_timestamp", "trips"]


@pytest.mark.embedded
def test_what_was_not_known_may_be_used_if_the_repo_says_so(lakehouse: Lakehouse, store: FeatureStore) -> None:
    store.config.offline_store.filter_by_created_timestamp = False
    store.apply([driver, view(delta(lakehouse, "stats", HISTORY))])
    found = store.get_historical_features(entity_df=QUESTIONS, features=["stats:trips"]).to_arrow()
    assert trips(found) == [2.0, 1.5, None, 1.5, None, 2.0, None]


@pytest.mark.parametrize("kind", ["query", "table", "path"])
def test_every_kind_of_spark_source_can_be_read(lakehouse: Lakehouse, store: FeatureStore, kind: str) -> None:
    path = delta(lakehouse, "stats", HISTORY)
    source: dict[str, Any] = {}
    if kind == "query":
        source = {"path": None, "table_format": None, "query": f"select * from delta.`{path}`"}
    if kind == "table":
        lakehouse.spark.read.format("delta").load(path).createOrReplaceTempView("taxi_stats")
        source = {"path": None, "table_format": None, "table": "taxi_stats"}
    store.apply([driver, view(path, **source)])
    found = store.get_historical_features(entity_df=QUESTIONS, features=["stats:trips"]).to_arrow()
    assert trips(found) == ANSWERS


def test_entity_rows_may_be_a_query(lakehouse: Lakehouse, store: FeatureStore) -> None:
    store.apply([driver, view(delta(lakehouse, "stats", HISTORY))])
    query = "select 1L as driver_id, timestamp'2026-03-03 00:00:00+00:00' as event_timestamp, 'x' as note"
    job = store.get_historical_features(entity_df=query, features=["stats:trips"])
    assert job.to_df().to_dict("records")[0] | {"event_timestamp": None} == {
        "driver_id": 1, "event_timestamp": None, "note": "x", "trips": 2.0,
    }  # fmt: skip


def test_without_entity_rows_every_key_of_the_window_is_answered(lakehouse: Lakehouse, store: FeatureStore) -> None:
    store.apply([driver, view(delta(lakehouse, "stats", HISTORY))])
    found = store.get_historical_features(
        entity_df=None, features=["stats:trips"], start_date=START, end_date=START + 2 * DAY
    ).to_arrow()
    assert sorted(zip(found["driver_id"].to_pylist(), trips(found), strict=True), key=str) == [
        (1, 2.0), (2, 9.0), (None, None),
    ]  # fmt: skip


def test_views_keep_their_own_ttl_names_and_key_aliases(lakehouse: Lakehouse, store: FeatureStore) -> None:
    path = delta(lakehouse, "stats", HISTORY)
    short = view(path, "short", ttl=HOUR)
    service = FeatureService(
        name="both", features=[view(path), short.with_join_key_map({"driver_id": "other_id"}).with_name("other")]
    )
    store.apply([driver, view(path), short, service])
    frame = asked((1, START + 2 * DAY), (2, START)).assign(other_id=[2, 2])
    found = store.get_historical_features(entity_df=frame, features=service, full_feature_names=True).to_arrow()
    assert trips(found, "stats__trips") == [2.0, 9.0]
    assert trips(found, "other__trips") == [None, 9.0]


def test_columns_of_the_source_may_have_other_names(lakehouse: Lakehouse, store: FeatureStore) -> None:
    path = delta(lakehouse, "stats", HISTORY.rename_columns(["drv", "at", "made", "n"]))
    names = {"drv": "driver_id", "at": "event_timestamp", "made": "created", "n": "trips"}
    store.apply([driver, view(path, field_mapping=names)])
    found = store.get_historical_features(entity_df=QUESTIONS, features=["stats:trips"]).to_arrow()
    assert trips(found) == ANSWERS
    store.materialize(START - DAY, START + 3 * DAY)
    online = store.get_online_features(["stats:trips"], [{"driver_id": 1}]).to_dict()
    assert online["trips"] == [2.0]


@pytest.mark.embedded
def test_a_view_without_entities_answers_every_row(lakehouse: Lakehouse, store: FeatureStore) -> None:
    everyone = view(delta(lakehouse, "stats", HISTORY), "everyone")
    everyone = FeatureView(
        name="everyone", entities=[], ttl=DAY, source=everyone.batch_source, schema=everyone.features
    )
    store.apply([everyone])
    found = store.get_historical_features(entity_df=QUESTIONS.head(2), features=["everyone:trips"]).to_arrow()
    assert trips(found) == [2.0, 9.0]


def test_on_demand_features_are_the_same_in_the_client_and_in_the_engine(
    lakehouse: Lakehouse, store: FeatureStore
) -> None:
    # Of its own in each test: Feast's decorator makes a function one of `__main__`, whose source is another file.
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"double": inputs["trips"] * 2 + inputs["bonus"], "unasked": inputs["trips"]})

    stats = view(delta(lakehouse, "stats", HISTORY))
    request = RequestSource(name="bonus", schema=[Field(name="bonus", dtype=Int64)])
    schema = [Field(name="double", dtype=Float64), Field(name="unasked", dtype=Float64)]
    demand = on_demand_feature_view(sources=[stats, request], schema=schema, mode="pandas")(doubled)
    store.apply([driver, stats, request, demand])
    job = store.get_historical_features(
        entity_df=QUESTIONS.assign(bonus=100), features=["stats:trips", "doubled:double"]
    )
    expected = [None if answer is None else answer * 2 + 100 for answer in ANSWERS]
    found = job.to_arrow()
    assert [None if pd.isna(x) else x for x in trips(found, "double")] == expected
    frame = job.to_spark_df()  # type: ignore[attr-defined]
    assert frame.columns == ["driver_id", "event_timestamp", "bonus", "trips", "double"]
    engine = frame.toArrow()
    assert sorted(map(str, trips(engine, "double"))) == sorted(map(str, trips(found, "double")))


def test_a_result_can_be_kept_as_a_saved_dataset(lakehouse: Lakehouse, store: FeatureStore) -> None:
    store.apply([driver, view(delta(lakehouse, "stats", HISTORY))])
    job = store.get_historical_features(entity_df=QUESTIONS, features=["stats:trips"])
    storage = SavedDatasetSparkStorage(path=lakehouse.path("taxi.saved"), table_format=DeltaFormat())
    job.persist(storage)
    kept = lakehouse.to_arrow("taxi.saved")
    assert sorted(map(str, trips(kept))) == sorted(map(str, ANSWERS))


@pytest.mark.embedded
def test_what_is_wrong_with_a_request_is_said(lakehouse: Lakehouse, store: FeatureStore) -> None:
    path = delta(lakehouse, "stats", HISTORY)
    absent = FeatureView(
        name="absent", entities=[driver], ttl=DAY, source=view(path, "absent").batch_source,
        schema=[Field(name="nowhere", dtype=Float64)],
    )  # fmt: skip
    store.apply([driver, view(path), absent])
    with pytest.raises(ValueError, match=r"expected join keys \['driver_id'\] in the entity rows"):
        store.get_historical_features(entity_df=QUESTIONS.drop(columns="driver_id"), features=["stats:trips"])
    with pytest.raises(ValueError, match=r"found \['trips'\] among the entity columns"):
        store.get_historical_features(entity_df=QUESTIONS.assign(trips=0), features=["stats:trips"])
    with pytest.raises(ValueError, match=r"expected its source absent_source to have \['nowhere'\]"):
        store.get_historical_features(entity_df=QUESTIONS, features=["absent:nowhere"]).to_arrow()


def online(store: FeatureStore, key: int) -> float | None:
    return store.get_online_features(["stats:trips"], [{"driver_id": key}]).to_dict()["trips"][0]


def test_materialising_uses_what_was_known_then_and_picks_up_late_corrections(
    lakehouse: Lakehouse, store: FeatureStore
) -> None:
    late = rows((2, START, START, 9.0), (2, START, START + 2 * DAY, 9.5), (2, START - DAY, START + 2 * DAY, 7.0))
    store.config.materialization_config.pull_latest_features = True
    store.apply([driver, view(delta(lakehouse, "stats", late))])
    store.materialize(START - 5 * DAY, START + DAY)
    assert online(store, 2) == 9.0
    store.materialize(START + DAY, START + 3 * DAY)
    assert online(store, 2) == 9.5


KINDS = pa.table(
    {
        "driver_id": [1, 1, 2], "event_timestamp": [START, START + DAY, START],
        "created": [START, START + DAY + HOUR, START], "region": ["north", "süd, \"west\"", None],
        "words": ["[0.5,-2.0]", "[1e-7,3.0]", None], "note": ["Late again.", "", "on time"],
    },
    schema=pa.schema({
        "driver_id": pa.int64(), "event_timestamp": TIME, "created": TIME, "region": pa.string(), "words": pa.string(),
        "note": pa.string(),
    }),
)  # fmt: skip
KIND_NAMES = ("region", "words[0]", "words[1]", "note[words]")


def shown(rows: FeatureRows) -> list[list[str]]:
    return [[str(value_shown(rows, row, column)) for column in range(len(KIND_NAMES))] for row in range(len(rows))]


def test_categories_vectors_and_texts_are_the_same_features_joined_and_online(
    lakehouse: Lakehouse, store: FeatureStore
) -> None:
    """Until the second row of the first driver is known the first one holds; nothing is known of a third driver."""
    schema = [Field(name=name, dtype=String) for name in ("region", "words", "note")]
    kinds = FeatureView(
        name="kinds", entities=[driver], ttl=10 * DAY, schema=schema,
        source=view(delta(lakehouse, "kinds", KINDS), "kinds").batch_source,
    )  # fmt: skip
    store.config.materialization_config.pull_latest_features = True
    store.apply([driver, kinds])
    names = [f"kinds:{field.name}" for field in schema]
    questions = asked((1, START + DAY), (1, START + 2 * DAY), (2, START + DAY), (3, START + DAY))
    joined = store.get_historical_features(entity_df=questions, features=names).to_arrow()
    expected = ["north", 'süd, "west"', None, None]
    assert joined["region"].to_pylist() == expected and joined["note"].to_pylist()[0] == "Late again."
    features = features_of(joined, KIND_NAMES)
    vectors = [[0.5, -2.0], [1e-7, 3.0], [np.nan] * 2, [np.nan] * 2]
    np.testing.assert_array_equal(values_of(features)[:, 1:3], np.array(vectors, np.float32))
    for until, rows in ((START + DAY, [0, 2, 3]), (START + 2 * DAY, [1, 2, 3])):
        store.materialize(START - DAY, until)
        served = store.get_online_features(names, [{"driver_id": n} for n in (1, 2, 3)]).to_dict()
        texts = pa.table({field.name: pa.array(served[field.name], pa.string()) for field in schema})
        assert shown(features_of(texts, KIND_NAMES)) == shown(features[rows])

"""What an event brings to its row, by the kinds of its columns: ages of moments, categories as texts, vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from worlds.marts import EVENT_SCHEMA, LABEL_SCHEMA, TIME, Row, built_or_copied, put, update_windows

from jobs.datasets import event_rows, history, training_set
from jobs.datasets.training_rows import feature_names, read
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.models.features import texts_of, value_shown, values_of
from jobs.use_case import Column, problem_of
from jobs.use_cases.fraud import FRAUD

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
AS_OF = START + 40 * DAY
SCHEMA = EVENT_SCHEMA.append(pa.field("opened_at", TIME)).append(pa.field("born_on", pa.date32()))
SCHEMA = (
    SCHEMA.append(pa.field("branch", pa.int64()))
    .append(pa.field("words", pa.string()))
    .append(pa.field("note", pa.string()))
)
KINDS = replace(
    FRAUD,
    computed=(
        *FRAUD.computed,
        Column("branch", "category"),
        Column("opened_at", "timestamp"),
        Column("words", "vector", length=2),
        Column("note", "text"),
    ),
    problem=replace(problem_of(FRAUD), inputs=("tx_amount", "opened_at", "born_on", "branch", "words", "note")),
)
OPENED: list[datetime | None] = [
    START - 36 * timedelta(hours=1), START, None, START + timedelta(seconds=1), datetime(1700, 1, 1, tzinfo=UTC),
]  # fmt: skip
DAYS_OLD = [1.5, 0.0, None, None, (START - datetime(1700, 1, 1, tzinfo=UTC)) / DAY]


def payment(number: int, **more: Any) -> Row:
    row = {"transaction_id": number, "tx_datetime": START, "customer_id": number, "terminal_id": 0, "tx_amount": 1.0}
    row |= {"known_at": START, "version": 1, "superseded_at": None, "loaded_in": 1, "opened_at": OPENED[number]}
    row |= {"born_on": date(2026, 3, 1), "branch": number % 2 if number != 4 else None}
    row |= {"words": f"[0.5,{number}.0]" if number != 1 else None, "note": f"Note {number}."}
    return row | {"first_event_date": START.date(), "event_date": START.date()} | more


@pytest.fixture
def marts(lakehouse: Lakehouse, built_marts: Path) -> Iterator[Lakehouse]:
    built_or_copied(lakehouse, built_marts, put_marts)
    yield lakehouse


def put_marts(lakehouse: Lakehouse) -> None:
    """Payments of one moment; of the first a later version was opened earlier."""
    later = payment(0, opened_at=START - 90 * DAY, version=2, known_at=START + DAY)
    events = [payment(0, superseded_at=START + DAY), later, *(payment(n) for n in range(1, 5))]
    put(lakehouse, FRAUD.events, events, SCHEMA)
    report = {"is_fraud": True, "known_at": START + DAY, "superseded_at": None, "loaded_in": 1}
    about = {name: later[name] for name in ("transaction_id", "customer_id", "terminal_id", "tx_datetime")}
    put(lakehouse, FRAUD.labels, [about | report | {"event_date": START.date()}], LABEL_SCHEMA)
    update_windows(lakehouse, AS_OF)


def test_a_moment_is_an_age_as_known_at_the_event_and_a_code_is_a_text(marts: Lakehouse) -> None:
    for table, build in ((FRAUD.training_set, training_set.build), (history.table(FRAUD), history.build)):
        build(marts, KINDS, AS_OF)
        rows = sorted(marts.to_arrow(table).to_pylist(), key=lambda row: row["transaction_id"])
        assert [row["opened_at_age"] for row in rows] == DAYS_OLD, "a later moment is not known yet"
        assert [row["born_on_age"] for row in rows] == [0.5] * 5
        assert [row["branch"] for row in rows] == ["0", "1", "0", "1", None]
        assert [row["words"] for row in rows] == ["[0.5,0.0]", None, "[0.5,2.0]", "[0.5,3.0]", "[0.5,4.0]"]
    version, state = marts.version(FRAUD.training_set), marts.state(FRAUD.training_set)
    assert version is not None
    names = feature_names(marts, KINDS, version, state["features"])
    assert names[:6] == ("tx_amount", "opened_at_age", "born_on_age", "branch", "words[0]", "words[1]")
    assert names[6] == "note[words]"
    features = read(marts, KINDS, version, names).examples.features
    assert (
        [*texts_of(features)] == [3, 6]
        and value_shown(features, 2, 6) == "Note 2."
        and value_shown(features, 1, 3) == "1"
    )
    assert values_of(features)[:2, 1].tolist() == [1.5, 0.0]
    np.testing.assert_array_equal(values_of(features)[:3, 4:6], [[0.5, 0.0], [np.nan] * 2, [0.5, 2.0]])
    assert history.read(marts, KINDS).names == names


FEATURES = """
from datetime import timedelta
from feast import FeatureService, FeatureView, Field
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import String, UnixTimestamp
from jobs.feature_store.views import entity, feature_view, tags
from jobs.use_cases.fraud import CUSTOMER_WINDOWS, FRAUD, TERMINAL_WINDOWS

customer, terminal = (entity(FRAUD, key, key) for key in ("customer_id", "terminal_id"))
of_customer = feature_view(FRAUD, CUSTOMER_WINDOWS, customer, timedelta(days=60))
of_terminal = feature_view(FRAUD, TERMINAL_WINDOWS, terminal, timedelta(days=60))
table = "fraud.customer_profiles"
profiles = FeatureView(
    name="profiles", entities=[customer], ttl=timedelta(days=900), tags=tags(FRAUD),
    schema=[Field(name="region", dtype=String), Field(name="member_since", dtype=UnixTimestamp)],
    source=SparkSource(
        name=table, table=table, timestamp_field="since", created_timestamp_column="known_at"
    ),
)
fraud = FeatureService(name="fraud", features=[of_customer, of_terminal, profiles], tags=tags(FRAUD))
"""


def test_a_feature_view_serves_categories_and_moments_as_ages(marts: Lakehouse, tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "fraud_features.py").write_text(FEATURES)
    since = START - 200 * DAY
    later = START + DAY
    profiles: list[Row] = [
        {"customer_id": 0, "region": "north", "member_since": START - 10 * DAY, "since": since},
        {"customer_id": 1, "region": None, "member_since": START + DAY, "since": since},
        {"customer_id": 0, "region": "south", "member_since": START - 99 * DAY, "since": later},
    ]
    kinds = pa.schema(
        {"customer_id": pa.int64(), "region": pa.string(), "member_since": TIME, "since": TIME, "known_at": TIME}
    )
    table = pa.Table.from_pylist([{**row, "known_at": row["since"]} for row in profiles], schema=kinds)
    marts.write("fraud.customer_profiles", table, mode="overwrite", schema=kinds)
    own = attach(replace(marts.settings, feature_repo=tmp_path / "repo"))
    training_set.build(own, KINDS, AS_OF)
    rows = sorted(own.to_arrow(FRAUD.training_set).to_pylist(), key=lambda row: row["transaction_id"])[:3]
    assert [(row["region"], row["member_since_age"]) for row in rows] == [("north", 10.0), (None, None), (None, None)]
    version, state = own.version(FRAUD.training_set), own.state(FRAUD.training_set)
    assert version is not None
    assert {"region", "member_since_age"} <= set(feature_names(own, KINDS, version, state["features"]))


@pytest.mark.embedded
def test_another_choice_of_moments_builds_the_rows_anew(marts: Lakehouse) -> None:
    training_set.build(marts, replace(KINDS, problem=problem_of(FRAUD)), AS_OF)
    assert "opened_at_age" not in marts.schema(FRAUD.training_set).names
    assert training_set.build(marts, KINDS, AS_OF)["built"]
    assert "opened_at_age" in marts.schema(FRAUD.training_set).names
    assert not training_set.build(marts, KINDS, AS_OF)["built"]


@pytest.mark.embedded
def test_a_column_that_bears_the_name_of_an_age_is_refused(marts: Lakehouse) -> None:
    events = marts.read(FRAUD.events).selectExpr("*", "3.0D as opened_at_age")
    with pytest.raises(ValueError, match=r"expected no columns \['opened_at_age'\], which are the ages of inputs"):
        event_rows.columns(KINDS, events)

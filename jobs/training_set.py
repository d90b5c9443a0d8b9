"""The training set: labelled entity rows of a window ending at `as_of`, with the features known at each row's time.

Rows come from the marts, features through Feast; nothing passes through the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs import pins
from jobs.lakehouse import Lakehouse, keeping
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def build(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> dict[str, Any]:
    """Write the training set as of `as_of` (an aware datetime), unless the one there was made from the very same.

    Returns:
        `version` (of the table), `built` (whether anything was written), `rows` if so, and the recorded state:
        `versions` of the tables read, `feature_service`, `declarations`, `as_of`.

    Raises:
        ValueError: a table that it is built from does not exist.
    """
    from jobs.feature_store import declarations_hash

    table = use_case.training_set
    with lakehouse.lock(table):
        versions = _versions(lakehouse, use_case)
        state = {
            "versions": versions,
            "feature_service": use_case.feature_service,
            "declarations": declarations_hash(lakehouse.settings, use_case),
            "as_of": as_of.astimezone(UTC).isoformat(),
        }
        if lakehouse.state(table) == state:
            return {"version": lakehouse.version(table), "built": False, **state}
        rows = _labelled(lakehouse, use_case, versions, as_of)
        frame = _with_features(lakehouse, use_case, versions, rows)
        schema = _schema(frame)
        _make_room(lakehouse, table, schema)
        count = rows.count()
        version = lakehouse.write(table, frame, mode="overwrite", schema=schema, rows=count, state=state)
        pins.pin(lakehouse.settings, {**versions, table: version}, by=f"{table}@{version}")
        return {"version": version, "built": True, "rows": count, **state}


def _versions(lakehouse: Lakehouse, use_case: UseCase) -> dict[str, int]:
    tables = [use_case.events, use_case.labels, *(use_case.window_table(windows) for windows in use_case.windows)]
    found = lakehouse.versions(tables)
    if missing := [table for table, version in found.items() if version is None]:
        raise ValueError(
            f"{use_case.training_set}: expected the tables {missing}, found none; run what builds them first"
        )
    return {table: version for table, version in found.items() if version is not None}


def _labelled(lakehouse: Lakehouse, use_case: UseCase, versions: Mapping[str, int], as_of: datetime) -> DataFrame:
    """One row per labelled event: id, entities, event time, values of its first version, target.

    Positive: a positive label is known at `as_of`. Negative: a negative one is, or none at all although the event is
    older than the label maturity. Everything else is not known yet and left out.
    """
    from jobs.point_in_time import literal

    moment = literal(as_of)
    name, time, label = use_case.event_id, use_case.event_timestamp, use_case.label
    events = lakehouse.read(use_case.events, versions[use_case.events]).where(f"known_at <= {moment}")
    # What an online decision would have seen of the event itself: its first version.
    first = events.groupBy(name).agg({"known_at": "min"}).toDF(name, "first_known_at")
    events = events.join(first, name).where(f"known_at = first_known_at and `{time}` <= {moment}")
    events = events.where(f"`{time}` > {literal(as_of - use_case.training_window)}")
    labels = lakehouse.read(use_case.labels, versions[use_case.labels]).where(
        f"known_at <= {moment} and (superseded_at is null or superseded_at > {moment})"
    )
    labels = labels.selectExpr(f"`{name}`", f"`{label}` as known_label")
    mature = f"`{time}` <= {literal(as_of - use_case.label_maturity)}"
    target = f"coalesce(known_label, case when {mature} then false end)"
    values = [column for column in events.columns if column not in _BOOKKEEPING]
    columns = [*(f"`{value}`" for value in values), f"{target} as `{label}`"]
    if sum(kind.startswith("timestamp") for column, kind in events.dtypes if column in values) > 1:
        # Of several times Feast takes the one of this name.
        columns.append(f"`{time}` as event_timestamp")
    return events.join(labels, name, "left").selectExpr(*columns).where(f"`{label}` is not null")


_BOOKKEEPING = frozenset(
    {
        "known_at", "superseded_at", "first_known_at", "version", "loaded_in", "changed_in", "event_date",
        "first_event_date",
    }
)  # fmt: skip


def _with_features(lakehouse: Lakehouse, use_case: UseCase, versions: Mapping[str, int], rows: DataFrame) -> DataFrame:
    from jobs.feature_store import open_store

    store = open_store(lakehouse, use_case, versions)
    service = store.get_feature_service(use_case.feature_service)
    frame: DataFrame = store.get_historical_features(entity_df=rows, features=service).to_spark_df()  # type: ignore
    # Without the casts a string is "string collate UTF8_BINARY" in Spark 4.2's Delta log, which delta-rs cannot read.
    return frame.selectExpr(*(f"cast(`{f.name}` as {f.dataType.simpleString()}) as `{f.name}`" for f in frame.schema))


def _schema(frame: DataFrame) -> pa.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(frame.schema, timezone="UTC")


def _make_room(lakehouse: Lakehouse, table: str, schema: pa.Schema) -> None:
    """Give an existing table with other columns the new ones, empty; its history keeps the old."""
    if not lakehouse.exists(table) or set(_names(lakehouse.schema(table))) == set(_names(schema)):
        return
    from deltalake import write_deltalake

    # With an empty state: a run that is killed here must not find the old one and take the table for built.
    write_deltalake(
        lakehouse.path(table),
        schema.empty_table(),
        mode="overwrite",
        schema_mode="overwrite",
        commit_properties=keeping({}),
    )


def _names(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(f.name, str(f.type).removeprefix("large_").replace("string_view", "string")) for f in schema]

"""The training set: labelled entity rows of a window ending at `as_of`, with the features known at each row's time.

Rows come from the marts, features through Feast; nothing passes through the client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs import pins
from jobs.lakehouse import PARTITION, Lakehouse, of_days
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore
    from pyspark.sql import DataFrame


def build(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime) -> dict[str, Any]:
    """Write the training set as of `as_of` (an aware datetime); the cost follows what changed since the last one.

    Daily partitions of which no input changed are kept: features of a row are what was known at its own time, and do
    not depend on `as_of`. A change of declarations, or an earlier `as_of`, builds all of it anew.

    Returns:
        `version` (of the table), `built` (whether anything was written), if so `rows_written` and `days_written`, and
        the recorded state: `versions` of the tables read, `feature_service`, `features` (names of its columns here),
        `declarations`, `as_of`.

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
        last = lakehouse.state(table)
        if last and last == {**state, "features": last.get("features")}:
            return {"version": lakehouse.version(table), "built": False, **last}
        done = _write(lakehouse, use_case, state, last, as_of)
        pins.pin(lakehouse.settings, {**versions, table: done["version"]}, by=f"{table}@{done['version']}")
        return {"built": True, **state, **done}


def _write(
    lakehouse: Lakehouse, use_case: UseCase, state: Mapping[str, Any], last: Mapping[str, Any], as_of: datetime
) -> dict[str, Any]:
    from jobs.feature_store import open_store

    table, versions = use_case.training_set, state["versions"]
    store = open_store(lakehouse, use_case, versions)
    days = stale_days(lakehouse, use_case, store, state, last)
    rows = _labelled(lakehouse, use_case, versions, as_of, days)
    frame = _with_features(store, use_case, rows)
    state = {**state, "features": _feature_names(store, use_case)}
    schema = _schema(frame)
    if _make_room(lakehouse, table, schema):
        return _write(lakehouse, use_case, state, {}, as_of)
    count, start = rows.count(), (as_of - use_case.training_window).date()
    replaced = None
    if days is not None:
        replaced = f"{of_days(days)} or {PARTITION} < date '{start}'"
    version = lakehouse.write(
        table,
        frame.repartition(PARTITION),
        mode="overwrite",
        schema=schema,
        rows=count,
        replace_where=replaced,
        partition_by=[PARTITION],
        state=state,
    )
    days_written = "all" if days is None else len(days)
    return {**state, "version": version, "rows_written": count, "days_written": days_written}


def stale_days(
    lakehouse: Lakehouse, use_case: UseCase, store: FeatureStore, state: Mapping[str, Any], last: Mapping[str, Any]
) -> list[date] | None:
    """Days of the window of which a row may differ from the training set that `last` describes; None: any may.

    A row depends on its event and label (of the same day), on when they became known or mature, and on features of up
    to the feature view's ttl before.
    """
    same = ("feature_service", "declarations")
    if not last or any(last.get(name) != state[name] for name in same):
        return None
    then, now = datetime.fromisoformat(last["as_of"]), datetime.fromisoformat(state["as_of"])
    changed = {
        table: lakehouse.changed_days(table, last["versions"][table], version) if table in last["versions"] else None
        for table, version in state["versions"].items()
    }
    if now < then or None in changed.values():
        return None
    start, end = (now - use_case.training_window).date(), now.date()
    spans = [
        (then.date(), end),  # new events
        (start, start),  # the first day of the window may be cut
        ((then - use_case.label_maturity).date(), (now - use_case.label_maturity).date()),  # matured
    ]
    views = {use_case.window_table(w): store.get_feature_view(w.name) for w in use_case.windows}
    for table, days in changed.items():
        ttl = (views[table].ttl or use_case.training_window) if table in views else timedelta(0)
        spans += [(day, day + ttl) for day in days or ()]
    spans += [(day, day) for day in _known_since(lakehouse, use_case, state["versions"], then, now)]
    all_days = (start + timedelta(days=n) for n in range((end - start).days + 1))
    return [day for day in all_days if any(first <= day <= last for first, last in spans)]


def _marts(lakehouse: Lakehouse, use_case: UseCase, versions: Mapping[str, int]) -> list[DataFrame]:
    """Events and labels, at the versions recorded."""
    return [lakehouse.read(table, versions[table]) for table in (use_case.events, use_case.labels)]


def _known_since(
    lakehouse: Lakehouse, use_case: UseCase, versions: Mapping[str, int], then: datetime, now: datetime
) -> list[date]:
    """Days of events and labels that were in the tables already, but became known only between two moments."""
    from jobs.point_in_time import literal

    between = [f"({name} > {literal(then)} and {name} <= {literal(now)})" for name in ("known_at", "superseded_at")]
    events, labels = (m.where(" or ".join(between)).select(PARTITION) for m in _marts(lakehouse, use_case, versions))
    return [row[0] for row in events.union(labels).distinct().collect() if row[0] is not None]


def _versions(lakehouse: Lakehouse, use_case: UseCase) -> dict[str, int]:
    tables = [use_case.events, use_case.labels, *(use_case.window_table(windows) for windows in use_case.windows)]
    found = lakehouse.versions(tables)
    if missing := [table for table, version in found.items() if version is None]:
        raise ValueError(
            f"{use_case.training_set}: expected the tables {missing}, found none; run what builds them first"
        )
    return {table: version for table, version in found.items() if version is not None}


def _labelled(
    lakehouse: Lakehouse, use_case: UseCase, versions: Mapping[str, int], as_of: datetime, days: Sequence[date] | None
) -> DataFrame:
    """One row per labelled event (of some days, or of all): id, entities, time, values of its first version, target.

    Positive: a positive label is known at `as_of`. Negative: a negative one is, or none at all although the event is
    older than the label maturity. Everything else is not known yet and left out.
    """
    from jobs.point_in_time import literal

    moment = literal(as_of)
    name, time, label = use_case.event_id, use_case.event_timestamp, use_case.label
    events, labels = _marts(lakehouse, use_case, versions)
    # What an online decision would have seen of the event itself: its first version.
    events = events.where(f"version = 1 and known_at <= {moment} and `{time}` <= {moment}")
    events = events.where(f"`{time}` > {literal(as_of - use_case.training_window)}")
    if days is not None:
        events, labels = (frame.where(of_days(days)) for frame in (events, labels))
    labels = labels.where(f"known_at <= {moment} and (superseded_at is null or superseded_at > {moment})")
    labels = labels.selectExpr(f"`{name}`", f"`{label}` as known_label")
    mature = f"`{time}` <= {literal(as_of - use_case.label_maturity)}"
    target = f"coalesce(known_label, case when {mature} then false end)"
    values = [column for column in events.columns if column not in _BOOKKEEPING]
    columns = [*(f"`{value}`" for value in values), f"{target} as `{label}`", PARTITION]
    if sum(kind.startswith("timestamp") for column, kind in events.dtypes if column in values) > 1:
        # Of several times Feast takes the one of this name.
        columns.append(f"`{time}` as event_timestamp")
    return events.join(labels, name, "left").selectExpr(*columns).where(f"`{label}` is not null")


_BOOKKEEPING = frozenset(
    {
        "known_at", "superseded_at", "version", "loaded_in", "changed_in", "event_date",
        "first_event_date",
    }
)  # fmt: skip


def _with_features(store: FeatureStore, use_case: UseCase, rows: DataFrame) -> DataFrame:
    service = store.get_feature_service(use_case.feature_service)
    frame: DataFrame = store.get_historical_features(entity_df=rows, features=service).to_spark_df()  # type: ignore
    # Without the casts a string is "string collate UTF8_BINARY" in Spark 4.2's Delta log, which delta-rs cannot read.
    return frame.selectExpr(*(f"cast(`{f.name}` as {f.dataType.simpleString()}) as `{f.name}`" for f in frame.schema))


def _feature_names(store: FeatureStore, use_case: UseCase) -> list[str]:
    projections = store.get_feature_service(use_case.feature_service).feature_view_projections
    return [feature.name for projection in projections for feature in projection.features]


def _schema(frame: DataFrame) -> pa.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(frame.schema, timezone="UTC")


def _make_room(lakehouse: Lakehouse, table: str, schema: pa.Schema) -> bool:
    """Give an existing table with other columns the new ones, empty. Says whether it did."""
    if not lakehouse.exists(table) or set(_names(lakehouse.schema(table))) == set(_names(schema)):
        return False
    lakehouse.reshape(table, schema, partition_by=[PARTITION])
    return True


def _names(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(f.name, str(f.type).removeprefix("large_").replace("string_view", "string")) for f in schema]

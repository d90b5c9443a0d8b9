"""The training set: labelled entity rows of a window ending at `as_of`, with the features known at each row's time.

Rows come from the marts, features through Feast (`jobs.datasets.event_rows`); nothing passes through the client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.datasets import event_rows
from jobs.datasets.event_rows import InputVersions
from jobs.datasets.gone_events import GoneEvents
from jobs.feature_store.point_in_time import literal
from jobs.lakehouse import sql_text
from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.ledger import pins
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
    table = use_case.training_set
    with lakehouse.lock(table):
        inputs = event_rows.inputs(lakehouse, use_case, [use_case.events, use_case.labels], as_of, table)
        state, last = inputs.state(), lakehouse.state(table)
        if "features" in last and last == {**state, "features": last["features"]}:
            done = {"version": lakehouse.version(table), "built": False, **last}
        else:
            done = {"built": True, **state, **_write(lakehouse, use_case, inputs, last)}
        # Also of one that is there: what wrote it may have been killed before it was pinned.
        pins.pin(lakehouse.settings, {**inputs.versions, table: done["version"]}, by=f"{table}@{done['version']}")
        return done


def _write(lakehouse: Lakehouse, use_case: UseCase, inputs: InputVersions, last: Mapping[str, Any]) -> dict[str, Any]:
    from jobs.feature_store.store import open_store

    table = use_case.training_set
    store = open_store(lakehouse, use_case, inputs.versions)
    days = stale_days(lakehouse, use_case, store, inputs, last)
    rows = _labelled(lakehouse, use_case, inputs, days)
    frame = _with_features(lakehouse, use_case, store, inputs, rows, days)
    schema, state = event_rows.schema(frame), {**inputs.state(), "features": event_rows.feature_names(store, use_case)}
    if _make_room(lakehouse, table, schema):
        return _write(lakehouse, use_case, inputs, {})
    count, start = rows.count(), (inputs.as_of - use_case.training_window).date()
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


def _with_features(
    lakehouse: Lakehouse,
    use_case: UseCase,
    store: FeatureStore,
    inputs: InputVersions,
    rows: DataFrame,
    days: Sequence[date] | None,
) -> DataFrame:
    """`rows` with their features: from the history, if it was built from the same inputs, else joined anew."""
    from jobs.datasets import history

    state = lakehouse.state(history.table(use_case))
    names = state.pop("features", None)
    if state != inputs.state():
        return event_rows.with_features(store, use_case, rows)
    stored_features: DataFrame = lakehouse.read(history.table(use_case), lakehouse.version(history.table(use_case)))
    stored_features = stored_features if days is None else stored_features.where(of_days(days))
    return rows.join(stored_features.select(use_case.event_id, *names), use_case.event_id, "left")


def stale_days(
    lakehouse: Lakehouse, use_case: UseCase, store: FeatureStore, inputs: InputVersions, last: Mapping[str, Any]
) -> list[date] | None:
    """Days of the window of which a row may differ from the training set that `last` describes; None: any may.

    Besides the days of `event_rows.reached`, a row depends on its label, and on when that became known or mature.
    """
    if not last or inputs.as_of < datetime.fromisoformat(last["as_of"]):
        return None
    reached = event_rows.reached(lakehouse, use_case, store, last, inputs)
    if reached is None:
        return None
    then, now = datetime.fromisoformat(last["as_of"]), inputs.as_of
    start, end = (now - use_case.training_window).date(), now.date()
    spans = [
        *reached,
        (then.date(), end),  # new events
        (start, start),  # the first day of the window may be cut
        ((then - use_case.label_maturity).date(), (now - use_case.label_maturity).date()),  # matured
    ]
    all_days = (start + timedelta(days=n) for n in range((end - start).days + 1))
    return [day for day in all_days if any(first <= day <= last for first, last in spans)]


def _labelled(lakehouse: Lakehouse, use_case: UseCase, inputs: InputVersions, days: Sequence[date] | None) -> DataFrame:
    """One row per labelled event (of some days, or of all): id, entities, time, values of its first version, target.

    An event that is gone at `as_of` (`jobs.datasets.gone_events`) is left out.
    A label is what is known at `as_of`, or if nothing is although the event is older than the label maturity, what the
    task has for such events: negative, or `Problem.unlabelled`. Everything else is not known yet and left out.
    """
    moment, as_of = literal(inputs.as_of), inputs.as_of
    name, time, label = use_case.event_id, use_case.event_timestamp, use_case.label
    events = event_rows.known(lakehouse, use_case, inputs.versions, as_of, days)
    events = events.where(f"`{time}` > {literal(as_of - use_case.training_window)}")
    gone = GoneEvents.of(lakehouse, use_case, inputs.versions[use_case.events])
    events = event_rows.without(lakehouse, use_case, events, gone.at(as_of))
    labels: DataFrame = lakehouse.read(use_case.labels, inputs.versions[use_case.labels])
    if days is not None:
        labels = labels.where(of_days(days))
    labels = labels.where(f"known_at <= {moment} and (superseded_at is null or superseded_at > {moment})")
    labels = labels.selectExpr(f"`{name}`", f"`{label}` as known_label")
    mature = f"`{time}` <= {literal(as_of - use_case.label_maturity)}"
    unlabelled = _unlabelled(use_case)
    known = "cast(known_label as string)" if unlabelled and unlabelled.startswith("'") else "known_label"
    target = known if unlabelled is None else f"coalesce({known}, case when {mature} then {unlabelled} end)"
    expressions = event_rows.columns(use_case, events, f"{target} as `{label}`")
    return events.join(labels, name, "left").selectExpr(*expressions).where(f"`{label}` is not null")


def _unlabelled(use_case: UseCase) -> str | None:
    """SQL: label of a mature event without one; None: it has none."""
    problem = use_case.problem
    declared = None if problem is None else problem.unlabelled
    if problem is None or problem.task == "binary":
        return "false"
    if declared is None:
        return None
    return sql_text.literal(declared if isinstance(declared, str) else float(declared))


def _make_room(lakehouse: Lakehouse, table: str, schema: pa.Schema) -> bool:
    """Give an existing table with other columns the new ones, empty. Returns whether it did."""
    if not lakehouse.exists(table) or set(_names(lakehouse.schema(table))) == set(_names(schema)):
        return False
    lakehouse.reshape(table, schema, partition_by=[PARTITION])
    return True


def _names(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(f.name, str(f.type).removeprefix("large_").replace("string_view", "string")) for f in schema]

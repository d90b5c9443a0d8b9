"""Events as an online decision would have seen them, with the features known at each one's own time.

The training set and nightly scoring both start here, so that a row is trained on as it was scored. Labels, targets and
what is done with the rows belong to those two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.datasets import ages
from jobs.datasets.gone_events import GoneEvents
from jobs.errors import Invalid
from jobs.feature_store import served_views, view_changes
from jobs.feature_store.point_in_time import literal
from jobs.feature_store.served_views import ServedView
from jobs.features import fact_frames, stamps
from jobs.features.clock import DECIDED_AT
from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.use_case import UseCase, age_name

if TYPE_CHECKING:
    import polars as pl
    from feast import FeatureStore, Field
    from pyspark.sql import DataFrame

BOOKKEEPING = frozenset(
    {"known_at", "superseded_at", DECIDED_AT, "version", "loaded_in", "changed_in", "event_date", "first_event_date"}
)


@dataclass(frozen=True)
class InputVersions:
    """What rows were made from: enough to tell later which of them would come out different."""

    versions: Mapping[str, int]
    """Delta version of every table read."""
    declarations: str
    feature_service: str
    as_of: datetime

    def state(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "versions": dict(self.versions),
            "feature_service": self.feature_service,
            "declarations": self.declarations,
            "as_of": self.as_of.astimezone(UTC).isoformat(),
        }


def inputs(
    lakehouse: Lakehouse, use_case: UseCase, tables: Sequence[str], as_of: datetime, target: str
) -> InputVersions:
    """The inputs as they are now: `tables`, the window tables and those of all other views of the feature service, for
    a table `target` at `as_of`.

    Raises ValueError if a table does not exist.
    """
    from jobs.feature_store.store import declarations_hash

    others = [view.table for view in served_views.beside_windows(lakehouse, use_case)]
    read = [*tables, *(use_case.window_table(windows) for windows in use_case.windows), *others]
    latest = lakehouse.versions(list(dict.fromkeys(read)))
    if missing := [table for table, version in latest.items() if version is None]:
        raise Invalid(f"{target}: expected the tables {missing}, found none; run what builds them first")
    versions = {table: version for table, version in latest.items() if version is not None}
    declarations = declarations_hash(lakehouse.settings, use_case)
    if use_case.problem is not None and use_case.problem.unlabelled is not None:
        # Rows are other ones by another label of events without one.
        declarations += f" unlabelled {use_case.problem.unlabelled!r}"
    if moments := _moments(use_case, lakehouse.schema(use_case.events, versions[use_case.events])):
        declarations += f" ages {', '.join(moments)}"
    return InputVersions(versions, declarations, use_case.feature_service, as_of)


def known(
    lakehouse: Lakehouse, use_case: UseCase, versions: Mapping[str, int], as_of: datetime, days: Sequence[date] | None
) -> DataFrame:
    """The first versions of the events (of some days, or of all) that were over and known at `as_of`.

    Where window features know of decisions, with `decided_at`: the moment that features of an event are of.
    """
    time, moment = use_case.event_timestamp, literal(as_of)
    events: Any = lakehouse.read(use_case.events, versions[use_case.events]).where("version = 1")
    events = events if days is None else events.where(of_days(days))
    for table in [use_case.window_table(windows) for windows in use_case.windows[:1]]:
        events = stamps.as_computed(lakehouse, (table, versions[table]), events, use_case.event_id)
    known: DataFrame = events.where(f"known_at <= {moment} and `{time}` <= {moment}")
    return known


def without(lakehouse: Lakehouse, use_case: UseCase, events: DataFrame, ids: pl.Series) -> DataFrame:
    """The events but those of these ids."""
    if ids.is_empty():
        return events
    left_out = lakehouse.spark.createDataFrame(pa.table({use_case.event_id: ids.to_arrow()}))
    return events.join(left_out, use_case.event_id, "left_anti")


def columns(use_case: UseCase, events: DataFrame, *more: str) -> list[str]:
    """SQL: what a row bears of its event (id, entities, time, values), ages of inputs that are moments, `more`, its
    day, and `event_timestamp`, the moment that its features are of, if that may not be its only time.

    Raises ValueError if the events have a column of the name of an age.
    """
    values = [column for column in events.columns if column not in BOOKKEEPING]
    aged = {age_name(column): column for column in _moments(use_case, schema(events))}
    if clashing := sorted(aged.keys() & set(values)):
        raise Invalid(f"{use_case.events}: expected no columns {clashing}, which are the ages of inputs; rename them")
    of_event = [_value(use_case, column, kind) for column, kind in events.dtypes if column in values]
    of_age = [f"{ages.expression(column, use_case.event_timestamp)} as `{name}`" for name, column in aged.items()]
    expressions = [*of_event, *of_age, *more, PARTITION]
    times = sum(kind.startswith("timestamp") for column, kind in events.dtypes if column in values)
    if times > 1 or DECIDED_AT in events.columns:
        # Of several times Feast takes the one of this name.
        expressions.append(f"{fact_frames.moment(events, use_case.event_timestamp)} as event_timestamp")
    return expressions


def with_features(store: FeatureStore, use_case: UseCase, rows: DataFrame) -> DataFrame:
    """`rows` with every feature of the use case's service, as known at each row's own time; of a moment, its age."""
    service = store.get_feature_service(use_case.feature_service)
    frame: DataFrame = store.get_historical_features(entity_df=rows, features=service).to_spark_df()  # type: ignore
    # Without the casts a string is "string collate UTF8_BINARY" in Spark 4.2's Delta log, which delta-rs cannot read.
    moments = _served_moments(store, use_case)
    return frame.selectExpr(
        *(
            f"{ages.expression(f.name, use_case.event_timestamp)} as `{age_name(f.name)}`"
            if f.name in moments
            else f"cast(`{f.name}` as {f.dataType.simpleString()}) as `{f.name}`"
            for f in frame.schema
        )
    )


def feature_names(store: FeatureStore, use_case: UseCase) -> list[str]:
    """Names of the columns that `with_features` adds."""
    moments = _served_moments(store, use_case)
    return [age_name(f.name) if f.name in moments else f.name for f in _served(store, use_case)]


def _served(store: FeatureStore, use_case: UseCase) -> list[Field]:
    projections = store.get_feature_service(use_case.feature_service).feature_view_projections
    return [feature for projection in projections for feature in projection.features]


def _served_moments(store: FeatureStore, use_case: UseCase) -> set[str]:
    from feast.types import UnixTimestamp

    return {feature.name for feature in _served(store, use_case) if feature.dtype == UnixTimestamp}


def _value(use_case: UseCase, column: str, kind: str) -> str:
    """SQL: a column of the events; a declared category, a vector and a text as text, whatever it is there."""
    is_text = use_case.kinds.get(column) in ("category", "vector", "text") and not kind.startswith("string")
    return f"cast(`{column}` as string) as `{column}`" if is_text and column not in use_case.entities else f"`{column}`"


def _moments(use_case: UseCase, events: pa.Schema) -> list[str]:
    """Inputs that are moments."""
    return [
        name
        for name in dict.fromkeys(use_case.inputs)
        if name in events.names and ages.is_moment(events.field(name).type)
    ]


def schema(frame: DataFrame) -> pa.Schema:
    """The Arrow schema of a frame of the engine, times in UTC."""
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(frame.schema, timezone="UTC")


Spans = list[tuple[date, date]]


def reached(
    lakehouse: Lakehouse, use_case: UseCase, store: FeatureStore, last: Mapping[str, Any], now: InputVersions
) -> Spans | None:
    """Spans of days on which events or features may differ from what they were for the inputs `last` (`state()`).

    A row depends on its event (of the same day), on when that became known, and on features of up to the feature
    view's ttl before, or of the row of another view that held at its moment. None: any day may differ.
    """
    same = ("feature_service", "declarations")
    if not last or any(last.get(name) != now.state()[name] for name in same):
        return None
    changed: dict[str, set[date]] = {}
    others = served_views.beside_windows(lakehouse, use_case)
    for table, version in now.versions.items():
        if table in (view.table for view in others):
            continue
        before = last["versions"].get(table)
        days = set() if before == version else before is not None and lakehouse.changed_days(table, before, version)
        if not isinstance(days, set):
            return None
        changed[table] = days
    views = {use_case.window_table(w): store.get_feature_view(w.name) for w in use_case.windows}
    spans = _of_others(lakehouse, use_case, others, last, now)
    if spans is None:
        return None
    for table, days in changed.items():
        ttl = (views[table].ttl or use_case.training_window) if table in views else timedelta(0)
        spans += [(day, day + ttl) for day in days]
    if changed[use_case.events]:
        moved = GoneEvents.of(lakehouse, use_case, now.versions[use_case.events]).moved_days
        spans += [(day, day) for day in moved]
    then = datetime.fromisoformat(last["as_of"])
    marts = [table for table in (use_case.events, use_case.labels) if table in now.versions]
    return spans + _known_between(lakehouse, marts, now.versions, *sorted((then, now.as_of)))


def _of_others(
    lakehouse: Lakehouse,
    use_case: UseCase,
    views: Sequence[ServedView],
    last: Mapping[str, Any],
    now: InputVersions,
) -> Spans | None:
    """Days of the events to which changed rows of these views are, or were, the answer; None: any day may be."""
    latest = max(now.as_of, datetime.fromisoformat(last["as_of"]))
    events, days = None, set[date | None]()
    for view in views:
        before, version = last["versions"].get(view.table), now.versions[view.table]
        if before == version:
            continue
        changes = None if before is None else view_changes.changed(lakehouse, view, before, version)
        if changes is None or not view.keys:
            return None
        if changes.is_empty():
            continue
        events = known(lakehouse, use_case, now.versions, latest, None) if events is None else events
        days |= _days_of(lakehouse, events, fact_frames.moment(events, use_case.event_timestamp), changes)
    return [(day, day) for day in days if day is not None]


def _days_of(lakehouse: Lakehouse, events: DataFrame, moment: str, changes: pl.DataFrame) -> set[date | None]:
    """Days of the events of some keys, at moments within a span of each."""
    since, until = view_changes.SINCE, view_changes.UNTIL
    keys = [name for name in changes.columns if name not in (since, until)]
    spans = lakehouse.spark.createDataFrame(changes.to_arrow())
    of_keys = events.selectExpr(*(f"`{key}`" for key in keys), f"{moment} as moment", PARTITION).join(spans, keys)
    reached = of_keys.where(f"moment >= `{since}` and (`{until}` is null or moment < `{until}`)")
    return {row[0] for row in reached.select(PARTITION).distinct().collect()}


def _known_between(
    lakehouse: Lakehouse, tables: Sequence[str], versions: Mapping[str, int], then: datetime, now: datetime
) -> Spans:
    """Days of events and labels that were in the tables already, but became known only between two moments."""
    between = [f"({name} > {literal(then)} and {name} <= {literal(now)})" for name in ("known_at", "superseded_at")]
    days: set[date | None] = set()
    if now > then:
        for table in tables:
            changed_days = (
                lakehouse.read(table, versions[table]).where(" or ".join(between)).select(PARTITION).distinct()
            )
            days |= {row[0] for row in changed_days.collect()}
    return [(day, day) for day in days if day is not None]

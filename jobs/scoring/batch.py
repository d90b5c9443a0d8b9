"""Nightly batch predictions: the events of some days, scored in the engine by the champion of each night.

Features are those of each event's own time, from the code that makes the training set (`jobs.datasets.event_rows`).
Results go to the prediction log (`jobs.scoring.prediction_log`); pushing them to a database is `jobs.scoring.publish`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

from jobs.datasets import event_rows
from jobs.datasets.event_rows import InputVersions
from jobs.datasets.gone_events import GoneEvents
from jobs.errors import Invalid
from jobs.feature_store.point_in_time import literal
from jobs.lakehouse import engine
from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.registry.bundle import GRAPH, NUMBER, Bundle
from jobs.rollout_strategy import CHAMPION
from jobs.scoring import prediction_log
from jobs.scoring.decided_columns import DecidedColumns
from jobs.scoring.prediction_log import NIGHTLY
from jobs.scoring.scoring_kernel import scorer
from jobs.tasks.intervals import Interval
from jobs.times import end_of
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from feast import FeatureStore
    from pyspark.sql import DataFrame

ROWS_AT_ONCE = 5_000_000
"""Rows of a commit: what the engine writes it holds until the commit, so a long backfill takes several."""
VersionedBundle = tuple[int, Bundle]
ChampionAt = Callable[[datetime], VersionedBundle | None]
"""Version and bundle of the model in production at a moment; None: there was none yet."""
_CASTS = {
    "float": ("boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "decimal"),
    "string": ("string", "varchar", "char"),
}
"""Type of the engine that a feature is scored as -> how those begin that are cast to it."""


@dataclass(frozen=True)
class Scored:
    """What became of the days asked for."""

    version: int | None
    """Delta version of the log, if there is one."""
    models: Mapping[date, int] = field(default_factory=dict)
    """Model version of each day that has one."""
    rows: Mapping[date, int] = field(default_factory=dict)
    """Rows of the days that were written."""
    without_champion: tuple[date, ...] = ()
    """No model was in production that night: not scored."""


def nights(days: Sequence[date], as_of: datetime) -> dict[date, datetime]:
    """The night of each day: the midnight that ends it, or `as_of`, if that comes before."""
    ends = {day: end_of(day) for day in days}
    return {day: min(end, as_of) for day, end in ends.items()}


def score_days(
    lakehouse: Lakehouse, use_case: UseCase, days: Sequence[date], as_of: datetime, champion_at: ChampionAt
) -> Scored:
    """Bring the log's nightly rows of `days` to what was known at `as_of`, whole days at a time.

    Days whose events, features and model are those they were scored with are left alone, so that a second time writes
    nothing. The model of a day is `champion_at` its night, also in a backfill.

    Raises:
        ValueError: a table or feature is missing, or a feature is not a finite number.
    """
    from jobs.feature_store.store import open_store

    table = prediction_log.table(use_case)
    champions = {day: champion_at(night) for day, night in nights(days, as_of).items()}
    models = {day: model for day, model in champions.items() if model is not None}
    without = tuple(day for day, model in champions.items() if model is None)
    versions = {day: version for day, (version, _) in models.items()}
    with lakehouse.lock(table):
        now = event_rows.inputs(lakehouse, use_case, [use_case.events], as_of, table)
        store = open_store(lakehouse, use_case, now.versions)
        recorded = _recorded(lakehouse, table, list(models))
        stale = _stale(lakehouse, use_case, store, models, recorded, now)
        rows = _counts(_targets(lakehouse, use_case, stale, now)) if stale else {}
        stale = [day for day in stale if day in rows or day in recorded]
        if not stale:
            return Scored(lakehouse.version(table), versions, {}, without)
        for group in _groups(stale, rows):
            counted = sum(rows.get(day, 0) for day in group)
            version = _write(lakehouse, use_case, store, {day: models[day] for day in group}, now, counted)
    return Scored(version, versions, {day: rows.get(day, 0) for day in stale}, without)


def _groups(days: Sequence[date], rows: Mapping[date, int]) -> list[list[date]]:
    """Days that are committed together, in order: as many as have few enough rows, but at least one."""
    groups: list[list[date]] = []
    row_count = 0
    for day in days:
        row_count += rows.get(day, 0)
        if not groups or row_count > ROWS_AT_ONCE:
            groups.append([])
            row_count = rows.get(day, 0)
        groups[-1].append(day)
    return groups


def _recorded(lakehouse: Lakehouse, table: str, days: Sequence[date]) -> dict[date, set[tuple[str, str]]]:
    """Bundle and feature versions of each day's nightly rows."""
    if not days or not lakehouse.exists(table):
        return {}
    mine = lakehouse.read(table).where(f"{of_days(days)} and origin = '{NIGHTLY}'")
    recorded: dict[date, set[tuple[str, str]]] = {}
    for day, sha256, versions in mine.select(PARTITION, "bundle_sha256", "feature_versions").distinct().collect():
        recorded.setdefault(day, set()).add((sha256, versions))
    return recorded


def _stale(
    lakehouse: Lakehouse,
    use_case: UseCase,
    store: FeatureStore,
    models: Mapping[date, VersionedBundle],
    recorded: Mapping[date, set[tuple[str, str]]],
    now: InputVersions,
) -> list[date]:
    """Days of which a row may differ from the log's."""
    made_from = {versions for pairs in recorded.values() for _, versions in pairs}
    reached = {text: event_rows.reached(lakehouse, use_case, store, json.loads(text), now) for text in made_from}

    def holds(day: date) -> bool:
        if len(recorded.get(day, ())) != 1:
            return False
        [(sha256, text)] = recorded[day]
        spans = reached[text]
        same_events = spans is not None and not any(first <= day <= last for first, last in spans)
        return same_events and sha256 == models[day][1].sha256 and not _cut(day, json.loads(text), now)

    return [day for day in models if not holds(day)]


def _cut(day: date, last: Mapping[str, str], now: InputVersions) -> bool:
    """Whether the day was not over at one of two moments, which then saw different parts of it."""
    end = end_of(day)
    then = datetime.fromisoformat(last["as_of"])
    return min(then, end) != min(now.as_of, end)


def _targets(lakehouse: Lakehouse, use_case: UseCase, days: Sequence[date], now: InputVersions) -> DataFrame:
    """The events of some days that were known, and not gone by the night of their day: what was decided stays."""
    events = event_rows.known(lakehouse, use_case, now.versions, now.as_of, days)
    gone = GoneEvents.of(lakehouse, use_case, now.versions[use_case.events])
    return event_rows.without(lakehouse, use_case, events, gone.at_nights(nights(days, now.as_of)))


def _counts(events: DataFrame) -> dict[date, int]:
    return dict(events.groupBy(PARTITION).count().collect())


def _write(
    lakehouse: Lakehouse,
    use_case: UseCase,
    store: FeatureStore,
    models: Mapping[date, VersionedBundle],
    now: InputVersions,
    rows: int,
) -> int:
    table = prediction_log.table(use_case)
    by_model: dict[str, list[date]] = {}
    for day, (_, bundle) in models.items():
        by_model.setdefault(bundle.sha256, []).append(day)
    frames = [
        _scored(lakehouse, use_case, store, models[days[0]], days, now)  # one frame per model
        for days in by_model.values()
    ]
    features = dict(column for _, bundle in models.values() for column in bundle.manifest.columns.items())
    types = {f.name: f.type for f in event_rows.schema(frames[0])}
    schema = prediction_log.make_room(lakehouse, table, prediction_log.schema(use_case, types, features))
    together = reduce(lambda some, more: some.unionByName(more), [_padded(frame, schema) for frame in frames])
    return lakehouse.write(
        table,
        writable(lakehouse, together, schema),
        mode="overwrite",
        schema=schema,
        rows=rows,
        replace_where=f"{of_days(list(models))} and origin = '{NIGHTLY}'",
        partition_by=[PARTITION],
        state=now.state(),
    )


def _scored(
    lakehouse: Lakehouse,
    use_case: UseCase,
    store: FeatureStore,
    model: VersionedBundle,
    days: Sequence[date],
    now: InputVersions,
) -> DataFrame:
    events = _targets(lakehouse, use_case, days, now)
    frame = event_rows.with_features(store, use_case, events.selectExpr(*event_rows.columns(use_case, events)))
    columns = [*prediction_log.event_columns(use_case), PARTITION]
    decided = {
        "scored_at": literal(now.as_of),
        "model_version": str(model[0]),
        "bundle_sha256": f"'{model[1].sha256}'",
        "feature_versions": f"'{prediction_log.feature_versions(now.state())}'",
        "arm": f"'{CHAMPION}'",
        "propensity": "1.0D",
        "origin": f"'{NIGHTLY}'",
    }
    columns += [name for name in model[1].manifest.columns if name not in columns]
    return score_frame(lakehouse, frame, model[1], columns).selectExpr(
        "*", *(f"{v} as {n}" for n, v in decided.items())
    )


def score_frame(lakehouse: Lakehouse, frame: DataFrame, bundle: Bundle, columns: Sequence[str]) -> DataFrame:
    """The `columns` (features among them as float32 or texts), `score` and `decision` of every row of `frame`.

    The graph's bytes, hashed again, travel with the kernel.

    Raises:
        ValueError: a feature is missing or of another type. In the engine: one is infinite.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    declared, kinds = bundle.manifest.columns, dict(frame.dtypes)
    if missing := [name for name in declared if name not in kinds]:
        raise Invalid(f"features {missing}: expected columns of {sorted(kinds)}; declare them, or retrain without")
    types = {name: "float" if kind == NUMBER else "string" for name, kind in declared.items()}
    if wrong := {name: kinds[name] for name, type_ in types.items() if not kinds[name].startswith(_CASTS[type_])}:
        raise Invalid(
            f"features {wrong}: expected booleans or numbers, and texts for categories and vectors, found other types; "
            "encode them in a feature definition, or retrain"
        )
    others = [f"`{name}`" for name in columns if name not in types]
    inputs = frame.selectExpr(*others, *(f"cast(`{name}` as {type_}) as `{name}`" for name, type_ in types.items()))
    arriving = event_rows.schema(inputs)
    manifest = bundle.manifest
    interval = Interval.of_stored(manifest.interval)
    decided = DecidedColumns(manifest.learned.name, manifest.threshold, manifest.learned.classes, interval)
    outputs = pa.schema([*(arriving.field(name) for name in columns), *decided.fields])
    kernel = scorer(bundle.read(GRAPH), manifest.files[GRAPH], manifest.names, manifest.threshold, columns, decided)
    return inputs.mapInArrow(lakehouse.kernel(kernel), from_arrow_schema(outputs))


def writable(lakehouse: Lakehouse, frame: DataFrame, schema: pa.Schema) -> DataFrame | pa.RecordBatchReader:
    """Scored rows as `Lakehouse.write` takes them fastest.

    On a cluster a day's rows come together, or every worker holds a file of every day. Rows of the embedded engine are
    written in this process while the engine scores the next.
    """
    if lakehouse.settings.spark_remote:
        return frame.repartition(PARTITION)
    return engine.rows(frame, schema)


def _padded(frame: DataFrame, schema: pa.Schema) -> DataFrame:
    """The columns of the log, in its order; features of other models are null."""
    from pyspark.sql.pandas.types import from_arrow_schema

    existing = set(frame.columns)
    kinds = [(f.name, f.dataType.simpleString()) for f in from_arrow_schema(schema)]
    return frame.selectExpr(*(f"cast({f'`{n}`' if n in existing else 'null'} as {kind}) as `{n}`" for n, kind in kinds))

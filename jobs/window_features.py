"""Window features over tables: run the kernel in the engine, and keep a feature table up to date at the cost of change.

What is computed is declared in `jobs.windows`, how in `jobs.window_kernel`; no rule about time is repeated here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.lakehouse import Lakehouse
from jobs.window_kernel import compute
from jobs.windows import WindowFeatures

if TYPE_CHECKING:
    from pyspark.sql.connect.column import Column
    from pyspark.sql.connect.dataframe import DataFrame

# Large enough that a call's fixed cost does not show, small enough that its arrays stay in a core's cache.
ROWS_PER_BUCKET = 50_000
MOST_BUCKETS = 4096
# Marks the labels' columns where events and labels travel in one table.
LABEL = "label__"


@dataclass(frozen=True)
class Result:
    """What an update did: rows and days written (none if nothing was new) and the table's Delta version."""

    rows_written: int
    days: tuple[date, ...]
    version: int


def run(
    lakehouse: Lakehouse,
    features: WindowFeatures,
    events: "DataFrame",
    labels: "DataFrame | None" = None,
    *,
    buckets: int | None = None,
) -> "DataFrame":
    """The features of every target event, computed by the engine bucket by bucket; columns as `features.schema`.

    events: id, entity, event timestamp, known_at, superseded_at, value columns, and which rows are targets: a boolean
    `is_target`, or `version` (targets are the first versions), or neither (every row is a target).
    labels: entity, event timestamp, known_at, superseded_at, value columns.
    """
    from pyspark.sql.connect import functions as F
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

    if features.reads_labels and labels is None:
        raise ValueError(f"{features.name} has aggregates of labels: pass the labels' table too")
    buckets = buckets or _buckets(events.count())
    if "is_target" not in events.columns:
        events = events.withColumn("is_target", F.col("version") == 1 if "version" in events.columns else F.lit(True))
    facts = _facts(features, events, labels)
    types = to_arrow_schema(facts.schema, timezone="UTC")
    schema = features.schema(types.field(features.id).type, types.field(features.entity).type)
    bucket = F.pmod(F.hash(F.col(features.entity)), F.lit(buckets))
    kernel = lakehouse.kernel(_kernel(features, schema))
    return facts.withColumn("bucket", bucket).groupBy("bucket").applyInArrow(kernel, from_arrow_schema(schema))


def _facts(features: WindowFeatures, events: "DataFrame", labels: "DataFrame | None") -> "DataFrame":
    """Events, and below them labels with `is_target` null.

    A union and not a cogroup, which on Sail 0.7.2 refuses every null value ("unmasked nulls for non-nullable").
    """
    from pyspark.sql.connect import functions as F

    fact = (features.entity, features.event_timestamp, "known_at", "superseded_at")
    events = events.select(features.id, *fact, *features.event_columns, "is_target")
    if labels is None or not features.reads_labels:
        return events
    labels = _needed(features, labels)
    mine, theirs = {LABEL + name: labels.schema[name].dataType for name in features.label_columns}, events.schema
    events = events.select("*", *[F.lit(None).cast(kind).alias(name) for name, kind in mine.items()])
    missing = [F.lit(None).cast(field.dataType).alias(field.name) for field in theirs if field.name not in fact]
    named = [F.col(name).alias(LABEL + name) for name in features.label_columns]
    return events.unionByName(labels.select(*fact, *missing, *named))


def _kernel(features: WindowFeatures, schema: pa.Schema) -> Callable[[pa.Table], pa.Table]:
    def kernel(facts: pa.Table) -> pa.Table:
        if not features.reads_labels:
            return compute(features, facts).cast(schema)
        is_event = facts.column("is_target").is_valid()
        events, labels = facts.filter(is_event), facts.filter(pc.invert(is_event))
        labels = labels.drop_columns([name for name in features.event_columns if name in labels.column_names])
        labels = labels.rename_columns([name.removeprefix(LABEL) for name in labels.column_names])
        return compute(features, events, labels).cast(schema)

    return kernel


def _buckets(rows: int) -> int:
    return max(2, min(MOST_BUCKETS, -(-rows // ROWS_PER_BUCKET)))


def _needed(features: WindowFeatures, labels: "DataFrame") -> "DataFrame":
    """Labels that some aggregate counts: usually the rare positive ones."""
    from pyspark.sql.connect import functions as F

    chosen = []
    for aggregate in features.aggregates:
        where = (aggregate.column, True) if aggregate.function == "rate" else aggregate.where
        if aggregate.of == "labels" and where is None:
            return labels
        if aggregate.of == "labels" and where is not None:
            chosen.append(F.col(str(where[0])) == F.lit(where[1]))
    return labels.where(reduce(or_, chosen))


def update(
    lakehouse: Lakehouse,
    features: WindowFeatures,
    *,
    events_table: str,
    labels_table: str | None,
    target: str,
    as_of: datetime,
    buckets: int | None = None,
) -> Result:
    """Bring `target` up to what was known at `as_of`; the cost follows what is new since the last update.

    Input tables also bear event_date (partition; of events the date of the event), `version` (events) and `loaded_in`
    (raised on every row that a load brought or changed). Days with targets that new or changed facts may reach are
    computed anew, whole, and replace the old ones in one commit, which also holds the new watermark. A changed
    declaration computes everything anew. An `as_of` before the last one adds only what was loaded since: values do
    not depend on `as_of`, only which rows there are.
    """
    with lakehouse.lock(target):
        return _Update(lakehouse, features, events_table, labels_table, target, as_of, buckets).result()


class _Update:
    def __init__(
        self,
        lakehouse: Lakehouse,
        features: WindowFeatures,
        events_table: str,
        labels_table: str | None,
        target: str,
        as_of: datetime,
        buckets: int | None,
    ) -> None:
        if as_of.tzinfo is None:
            raise ValueError(f"as_of: expected a time with a zone, found {as_of}; add tzinfo=UTC")
        self.lakehouse, self.features, self.target, self.buckets = lakehouse, features, target, buckets
        self.tables = {"events": events_table}
        if features.reads_labels:
            if labels_table is None:
                raise ValueError(f"{features.name} has aggregates of labels: pass labels_table")
            self.tables["labels"] = labels_table
        self.version = lakehouse.version(target)
        self.state = {} if self.version is None else lakehouse.state(target)
        self.fresh = self.state.get("fingerprint") != features.fingerprint
        self.seen_as_of = None if self.fresh else datetime.fromisoformat(self.state["as_of"])
        self.as_of = as_of if self.seen_as_of is None else max(as_of, self.seen_as_of)
        self.versions = lakehouse.versions(list(self.tables.values()))
        self.frames: dict[str, DataFrame] = {}

    def result(self) -> Result:
        if self.version is not None and not self.fresh and not self._moved():
            return Result(0, (), self.version)
        self.frames = {kind: self.lakehouse.read(table, self.versions[table]) for kind, table in self.tables.items()}
        days = None if self.fresh else self._affected()
        if days is not None and not days and self.version is not None:
            return Result(0, (), self.version)
        return self._write(days)

    def _moved(self) -> bool:
        for kind, table in self.tables.items():
            seen = self.state["inputs"].get(kind, {})
            known_until = datetime.fromisoformat(seen["known_until"]) if seen.get("known_until") else self.as_of
            waiting = known_until > self.seen_as_of and self.as_of > self.seen_as_of
            if seen.get("table") != table or seen.get("version") != self.versions[table] or waiting:
                return True
        return False

    def _visible(self, kind: str) -> "DataFrame":
        return self.frames[kind].where(self._arrived() <= _instant(self.as_of))

    def _arrived(self) -> "Column":
        from pyspark.sql.connect import functions as F

        return F.greatest(F.col("known_at"), F.col(self.features.event_timestamp))

    def _changed(self, kind: str) -> "DataFrame":
        """Facts that the last update did not see: loaded since, or known only since."""
        from pyspark.sql.connect import functions as F

        seen = self.state["inputs"].get(kind, {}).get("loaded_in", -1)
        new = (F.col("loaded_in") > F.lit(seen)) | (self._arrived() > _instant(self.seen_as_of))
        return self._visible(kind).where(new)

    def _affected(self) -> tuple[date, ...]:
        """Days with a target that a changed fact may reach, or that is itself new, moved or withdrawn."""
        from pyspark.sql.connect import functions as F

        entity, when = self.features.entity, F.col(self.features.event_timestamp)
        end = when + _interval(self.features.history)
        spans = reduce(
            lambda one, other: one.unionByName(other),
            [
                self._changed(kind)
                .where(F.col(entity).isNotNull() & (self._arrived() < end))
                .select(entity, self._arrived().alias("start"), end.alias("end"))
                for kind in self.tables
            ],
        )
        spans = spans.groupBy(F.col(entity).alias("reached")).agg(
            F.min("start").alias("start"), F.max("end").alias("end")
        )
        targets = self._visible("events").where(F.col("version") == 1)
        reached = targets.join(
            spans, (F.col(entity) == F.col("reached")) & (when >= F.col("start")) & (when < F.col("end")), "left_semi"
        )
        changed = self._changed("events")
        # A version that became known before the one we took for the first: the day of that one changes too.
        moved = (
            changed.where(F.col("superseded_at").isNotNull()).select(F.col(self.features.id).alias("moved")).distinct()
        )
        moved = self.frames["events"].join(moved, F.col(self.features.id) == F.col("moved"), "left_semi")
        days = reduce(lambda a, b: a.union(b), [frame.select("event_date") for frame in (reached, changed, moved)])
        return tuple(sorted(row.event_date for row in days.distinct().collect()))

    def _write(self, days: tuple[date, ...] | None) -> Result:
        from pyspark.sql.connect import functions as F

        events, labels = self._visible("events"), self._visible("labels") if "labels" in self.frames else None
        is_target = F.col("version") == 1
        if days is not None:
            first = days[0] - self.features.history - timedelta(days=1)
            events = events.where(F.col("event_date").between(F.lit(first), F.lit(days[-1])))
            is_target &= F.col("event_date").isin(list(days))
            if labels is not None:
                # Not by event_date: a corrected payment may have moved away from its label's partition.
                start = datetime(first.year, first.month, first.day, tzinfo=UTC)
                labels = labels.where(F.col(self.features.event_timestamp) >= _instant(start))
        events = events.withColumn("is_target", is_target)
        counted = events.agg(F.count("*").alias("facts"), F.count_if("is_target").alias("targets")).first()
        buckets = self.buckets or _buckets(counted.facts)
        rows = run(self.lakehouse, self.features, events, labels, buckets=buckets)
        version = self.lakehouse.write(
            self.target,
            # One file per day: without it every bucket would bring a file for every day.
            rows.repartition("event_date"),
            mode="overwrite",
            schema=self._schema(rows),
            rows=counted.targets,
            replace_where=None if days is None else _in(days),
            partition_by=["event_date"],
            state=self._watermark(),
        )
        written = days if days is not None else tuple(self._days())
        return Result(counted.targets, written, version)

    def _schema(self, rows: "DataFrame") -> pa.Schema:
        from pyspark.sql.pandas.types import to_arrow_schema

        types = to_arrow_schema(rows.schema, timezone="UTC")
        return self.features.schema(types.field(self.features.id).type, types.field(self.features.entity).type)

    def _days(self) -> list[date]:
        from pyspark.sql.connect import functions as F

        targets = self._visible("events").where(F.col("version") == 1)
        return sorted(row.event_date for row in targets.select("event_date").distinct().collect())

    def _watermark(self) -> dict[str, Any]:
        from pyspark.sql.connect import functions as F

        inputs = {}
        for kind, table in self.tables.items():
            last = (
                self.frames[kind]
                .agg(F.max("loaded_in").alias("loaded_in"), F.max(self._arrived()).alias("until"))
                .first()
            )
            until = None if last.until is None else last.until.replace(tzinfo=last.until.tzinfo or UTC).isoformat()
            inputs[kind] = {
                "table": table,
                "version": self.versions[table],
                "loaded_in": last.loaded_in if last.loaded_in is not None else -1,
                "known_until": until,
            }
        return {"fingerprint": self.features.fingerprint, "as_of": self.as_of.isoformat(), "inputs": inputs}


def _instant(moment: datetime | None) -> "Column":
    from pyspark.sql.connect import functions as F

    assert moment is not None
    return F.timestamp_micros(F.lit(int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))))


def _interval(length: timedelta) -> "Column":
    from pyspark.sql.connect import functions as F

    return F.lit(length)


def _in(days: Sequence[date]) -> str:
    return f"event_date in ({', '.join(f'''date '{day}' ''' for day in days)})"

"""Window features over tables: run the kernel in the engine, and keep a feature table up to date at the cost of change.

What is computed is declared in `jobs.windows`, how in `jobs.features.window_kernel`; no rule of either is repeated
here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from jobs.errors import Invalid
from jobs.features import entity_buckets, fact_frames
from jobs.features.arrivals import Arrivals
from jobs.features.clock import DECIDED_AT
from jobs.features.fact_frames import EPOCH, LABEL, Frame, arrived, micros
from jobs.features.stamps import Stamps
from jobs.features.window_kernel import compute
from jobs.lakehouse.file_statistics import ROUNDED
from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.windows import WindowFeatures

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Large enough that a call's fixed cost does not show, small enough that its arrays stay in a core's cache.
ROWS_PER_BUCKET = 50_000
MOST_BUCKETS = 4096
MICROSECOND = timedelta(microseconds=1)


def run(
    lakehouse: Lakehouse,
    features: WindowFeatures,
    events: Frame,
    labels: Frame | None = None,
    *,
    buckets: int | None = None,
) -> "DataFrame | pa.RecordBatchReader":
    """The features of every target event, computed bucket by bucket; columns as `features.schema`.

    On a cluster its workers compute them; next to the embedded engine this process does, as the rows are read.

    events: id, entity, event timestamp, known_at, superseded_at, value columns, `decided_at` if any were decided at
    another moment, and which rows are targets: a boolean `is_target`, or `version` (targets are the first versions),
    or neither (every row is a target).
    labels: id, entity, event timestamp, known_at, superseded_at, value columns; of the same kind of frame as events.
    buckets: groups the entities are hashed into (default by the number of facts); one entity is in one bucket.
    """
    if features.reads_labels and labels is None:
        raise Invalid(f"{features.name} has aggregates of labels: pass the labels' table too")
    names = fact_frames.names(events)
    if "is_target" not in names:
        events = fact_frames.marked(events, "version = 1" if "version" in names else "true")
    facts = fact_frames.together(features, events, labels)
    if isinstance(facts, pl.LazyFrame):
        return _in_process(features, facts.collect(), buckets)
    if not lakehouse.settings.spark_remote:
        return _in_process(features, pl.DataFrame(facts.toArrow()), buckets)
    return _on_workers(lakehouse, features, facts, buckets or _buckets(facts.count()))


def _in_process(features: WindowFeatures, facts: pl.DataFrame, buckets: int | None) -> pa.RecordBatchReader:
    types = facts.select(features.id, *features.keys).head(0).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    schema = features.schema(*(pa.string() if pa.types.is_large_string(kind) else kind for kind in types.types))
    kernel = _kernel(features, schema)
    return entity_buckets.results(kernel, facts, features.keys, buckets or _buckets(facts.height), schema)


def _on_workers(lakehouse: Lakehouse, features: WindowFeatures, facts: "DataFrame", buckets: int) -> "DataFrame":
    from pyspark.sql.connect.functions import expr
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = _schema(features, facts)
    keys = ", ".join(f"`{key}`" for key in features.keys)
    grouped = facts.withColumn("bucket", expr(f"pmod(hash({keys}), {buckets})")).groupBy("bucket")
    columns = from_arrow_schema(schema)
    # Without the casts a string is "string collate UTF8_BINARY" in Spark 4.2's Delta log, which delta-rs cannot read.
    plain = [f"cast(`{column.name}` as {column.dataType.simpleString()}) as `{column.name}`" for column in columns]
    return grouped.applyInArrow(lakehouse.kernel(_kernel(features, schema)), columns).selectExpr(*plain)


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


def _schema(features: WindowFeatures, frame: "DataFrame") -> pa.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema

    types = to_arrow_schema(frame.select(features.id, *features.keys).schema, timezone="UTC")
    return features.schema(*types.types)


@dataclass(frozen=True)
class Result:
    """What an update did: rows and days written (none if nothing was new) and the table's Delta version."""

    rows_written: int
    days: tuple[date, ...]
    version: int


def update(
    lakehouse: Lakehouse,
    features: WindowFeatures,
    events_table: str,
    labels_table: str | None,
    target: str,
    as_of: datetime,
    *,
    decisions: str | None = None,
    arrivals: str | None = None,
    buckets: int | None = None,
) -> Result:
    """Bring `target` up to what was known at `as_of`; the cost follows what is new since the last update.

    Input tables also bear event_date (partition; of an event the date of the event), `version` (events) and
    `loaded_in` (raised on every row that a load brought or changed). Days with targets that new or changed facts may
    reach are computed anew, whole, and replace the old ones in one commit, which also holds the new watermark. A
    changed declaration computes everything anew. An `as_of` before the last one adds only what was loaded since:
    values do not depend on `as_of`, only which rows there are. `decisions`: the prediction log, whose online rows say
    when events were decided (`jobs.features.stamps`); a stamp that comes after its event changes that event.
    `arrivals`: the raw table of events, whose rows that came over a topic were decided then (`jobs.features.arrivals`).

    Raises ValueError for an `as_of` without a zone, and for missing labels.
    """
    if as_of.tzinfo is None:
        raise Invalid(f"as_of: expected a time with a zone, found {as_of}; add tzinfo=UTC")
    if features.reads_labels and labels_table is None:
        raise Invalid(f"{features.name} has aggregates of labels: pass labels_table")
    tables = {"events": events_table} | ({"labels": labels_table} if features.reads_labels and labels_table else {})
    with lakehouse.lock(target):
        version, state = lakehouse.version(target), lakehouse.state(target)
        fresh = version is None or state.get("fingerprint") != features.fingerprint or state.get("tables") != tables
        if not fresh:
            as_of = max(as_of, datetime.fromisoformat(state["as_of"]))
        versions = {kind: lakehouse.version(table) for kind, table in tables.items()}
        stamps = Stamps.of(lakehouse, decisions, features.id, as_of)
        came = Arrivals.of(lakehouse, arrivals, features.id)
        inputs = _Inputs(lakehouse, features, tables, versions, as_of, {} if fresh else state, target, stamps, came)
        days = None if fresh else inputs.affected()
        if days is not None and not days and version is not None:
            return Result(0, (), version)
        return _replace(inputs, target, days, buckets)


def computed(
    lakehouse: Lakehouse,
    features: WindowFeatures,
    tables: Mapping[str, str | None],
    days: tuple[date, ...],
    as_of: datetime,
) -> pa.Table:
    """What `update` computes of the targets of some days, from nothing; no table is written.

    tables: `events`, `labels`, `decisions` and `arrivals`, as `update` takes them.
    """
    read = {kind: name for kind in ("events", "labels") if (name := tables.get(kind)) is not None}
    if not features.reads_labels:
        read.pop("labels", None)
    versions = {kind: lakehouse.version(name) for kind, name in read.items()}
    stamps = Stamps.of(lakehouse, tables.get("decisions"), features.id, as_of)
    came = Arrivals.of(lakehouse, tables.get("arrivals"), features.id)
    events, labels = _Inputs(lakehouse, features, read, versions, as_of, {}, "", stamps, came).around(days)
    rows = run(lakehouse, features, fact_frames.held(features, events), labels)
    return rows.read_all() if isinstance(rows, pa.RecordBatchReader) else rows.toArrow()


def _replace(inputs: "_Inputs", target: str, days: tuple[date, ...] | None, buckets: int | None) -> Result:
    """Compute the targets of some days (None: of all) and put them in the place of the old ones."""
    events, labels = inputs.around(days)
    events = fact_frames.held(inputs.features, events)
    facts, targets = fact_frames.counted(events)
    rows = run(inputs.lakehouse, inputs.features, events, labels, buckets=buckets or _buckets(facts))
    schema = rows.schema if isinstance(rows, pa.RecordBatchReader) else _schema(inputs.features, rows)
    if inputs.lakehouse.exists(target) and inputs.lakehouse.schema(target).names != schema.names:
        inputs.lakehouse.reshape(target, schema)
    version = inputs.lakehouse.write(
        target,
        # One file per day: else every worker would bring a file for every day.
        rows if isinstance(rows, pa.RecordBatchReader) else rows.repartition(PARTITION),
        mode="overwrite",
        schema=schema,
        rows=targets,
        replace_where=None if days is None else of_days(days),
        partition_by=[PARTITION],
        state=inputs.watermark(),
    )
    return Result(targets, fact_frames.target_days(events) if days is None else days, version)


@dataclass(frozen=True)
class _Inputs:
    """Events and labels as one update sees them: at fixed versions, known by `as_of`; `state`: what was seen before."""

    lakehouse: Lakehouse
    features: WindowFeatures
    tables: dict[str, str]
    versions: dict[str, int | None]
    as_of: datetime
    state: dict[str, Any]
    target: str
    stamps: Stamps | None
    arrivals: Arrivals | None

    def affected(self) -> tuple[date, ...]:
        """Days with a target that a changed fact may reach, or that is itself new, moved or withdrawn."""
        from pyspark.sql.connect.functions import expr

        if not self._may_have_changed():
            return ()
        name, keys, events = self.features.event_timestamp, self.features.keys, self._frame("events")
        changes = [self._reached(self._changed(kind), arrived(name)) for kind in self.tables]
        own = [self._changed("events")]
        if (stamps := self._unseen_stamps) is not None:
            # Until now such an event was known, and decided, at other times: at its event time at the earliest.
            own.append(self._stamped_anew(stamps))
            changes.append(self._reached(own[-1], f"unix_micros(`{name}`)"))
        if "labels" in self.tables:
            # SQL may have a label where the last version of its event is, known or not yet: before the event moved, its
            # label was counted at the old place, from its own known_at on, which may be before that of the event.
            versions = self._loaded("events").where("version > 1 or superseded_at is not null")
            changes.append(self._reached(versions, f"unix_micros(`{name}`)"))
        together = reduce(lambda some, more: some.unionByName(more), changes)
        earliest = together.selectExpr("min(start)").collect()[0][0]
        if earliest is None:
            return ()
        spans = together.where("start < `end`").groupBy(*(f"reached_{place}" for place in range(len(keys))))
        reached = spans.agg(expr("min(start)").alias("start"), expr("max(`end`)").alias("end"))
        day, moment = (EPOCH + earliest * MICROSECOND).date(), f"unix_micros({fact_frames.moment(events, name)})"
        later = f"{PARTITION} >= date '{day}'"
        if DECIDED_AT in events.columns:
            # An event of an earlier day may have been decided later.
            later = f"({later} or {moment} >= {earliest})"
        targets = self._known(events).where(f"version = 1 and {later}")
        same = " and ".join(f"`{key}` = reached_{place}" for place, key in enumerate(keys))
        near = expr(f"{same} and {moment} >= start and {moment} < `end`")
        # A version that became known before the one we took for the first: that one is no target any more.
        displaced = own[0].where("superseded_at is not null").selectExpr(f"`{self.features.id}` as displaced")
        moved = self._read("events").join(displaced, expr(f"`{self.features.id}` = displaced"), "left_semi")
        return fact_frames.days(targets.join(reached, near, "left_semi"), *own, moved)

    def _reached(self, changed: "DataFrame", start: str) -> "DataFrame":
        """The entity of each changed fact, and the time in which its targets may have changed; start: SQL."""
        end = f"unix_micros(`{self.features.event_timestamp}`) + {self.features.history // MICROSECOND}"
        reached = [f"`{key}` as reached_{place}" for place, key in enumerate(self.features.keys)]
        return changed.selectExpr(*reached, f"{start} as start", f"{end} as `end`")

    def around(self, days: tuple[date, ...] | None) -> tuple[Frame, Frame | None]:
        """Events, with `is_target`, and labels from which the targets of these days (None: of all) are computed."""
        time, frames = self.features.event_timestamp, self._frames()
        events, labels = (
            fact_frames.known(frames[kind], time, self.as_of) if kind in frames else None
            for kind in ("events", "labels")
        )
        assert events is not None
        if days is None:
            return fact_frames.marked(events, "version = 1"), labels
        first, last = self._span(events, days)
        if labels is not None:
            # Not by the partition: a corrected event may have moved away from its label's.
            labels = fact_frames.since(labels, time, first)
        return fact_frames.marked(fact_frames.between(events, first, last), f"version = 1 and {of_days(days)}"), labels

    def _span(self, events: Frame, days: tuple[date, ...]) -> tuple[date, date]:
        """First and last day of the events that the targets of these days may count."""
        before = self.features.history + timedelta(days=1)
        first, last = days[0] - before, days[-1]
        decided = fact_frames.decision_days(fact_frames.between(events, first, last))
        return (first, last) if decided is None else (min(first, decided[0] - before), max(last, decided[1]))

    def _frames(self) -> dict[str, Frame]:
        """The inputs as this process reads them; as the engine does, if it must for one of them."""
        scans = {kind: self.lakehouse.scan(table, self.versions[kind]) for kind, table in self.tables.items()}
        read: dict[str, Frame] = {kind: rows for kind, rows in scans.items() if rows is not None}
        if len(read) < len(scans):
            return {kind: self._frame(kind) for kind in self.tables}
        return {**read, "events": self._timed(read["events"])}

    def _timed(self, events: Frame) -> Frame:
        """Versions of events, with `decided_at` if any was decided at another moment than its own."""
        for moments in (self.arrivals, self.stamps):
            events = events if moments is None else moments.on(events)
        return events

    def watermark(self) -> dict[str, Any]:
        seen = {}
        times = ("known_at", self.features.event_timestamp)
        for kind, table in self.tables.items():
            # From the statistics in the Delta log where they are there: the greatest of greatest() is one of the two.
            loaded, *until = self.lakehouse.maxima(table, ("loaded_in", *times), self.versions[kind])
            until = [micros(time) + ROUNDED // MICROSECOND for time in until if time is not None]
            seen[kind] = {"version": self.versions[kind], "loaded_in": loaded, "known_until": max(until, default=None)}
        if self.stamps is not None:
            seen["events"] |= {"stamps": self.stamps.version}
        if self.arrivals is not None:
            seen["events"] |= {"arrivals": self.arrivals.version}
        fixed = {"fingerprint": self.features.fingerprint, "tables": self.tables, "as_of": self.as_of.isoformat()}
        return fixed | {"seen": seen}

    def _may_have_changed(self) -> bool:
        """Whether, by the versions alone, an input may hold a fact that the last update did not see."""
        before, now = (micros(moment) for moment in (datetime.fromisoformat(self.state["as_of"]), self.as_of))
        return self._unseen_stamps is not None or any(
            self.state["seen"][kind]["version"] != version
            or (now > before and (self.state["seen"][kind]["known_until"] or before) > before)
            for kind, version in self.versions.items()
        )

    @cached_property
    def _unseen_stamps(self) -> Stamps | None:
        """Stamps that the last update may not have seen: by their version, or as they were not known yet."""
        if self.stamps is None:
            return None
        if self.stamps.has_since(datetime.fromisoformat(self.state["as_of"])):
            return self.stamps
        seen = self.state["seen"]["events"].get("stamps")
        return None if seen == self.stamps.version else self.stamps.since(seen)

    def _stamped_anew(self, stamps: Stamps) -> "DataFrame":
        """Events whose features are not those of these stamps."""
        from pyspark.sql.connect.functions import expr

        id = self.features.id
        events = self._read("events")
        came: Any = events if self.arrivals is None else self.arrivals.on(events)
        decided = self._known(stamps.on(came)).where(f"version = 1 and {DECIDED_AT} is not null")
        made = self.lakehouse.read(self.target).selectExpr(f"`{id}` as made", "unix_micros(event_timestamp) as at")
        return decided.join(made, expr(f"`{id}` = made and unix_micros({DECIDED_AT}) = at"), "left_anti")

    def _read(self, kind: str) -> "DataFrame":
        return self.lakehouse.read(self.tables[kind], self.versions[kind])

    def _frame(self, kind: str) -> "DataFrame":
        rows = self._read(kind)
        if kind != "events":
            return rows
        timed = self._timed(rows)
        assert not isinstance(timed, pl.LazyFrame)
        return timed

    def _known(self, rows: Frame) -> "DataFrame":
        known = fact_frames.known(rows, self.features.event_timestamp, self.as_of)
        assert not isinstance(known, pl.LazyFrame)
        return known

    def _changed(self, kind: str) -> "DataFrame":
        """Facts that the last update did not see: loaded since, or known only since."""
        time, before = self.features.event_timestamp, micros(datetime.fromisoformat(self.state["as_of"]))
        if (self.state["seen"][kind]["known_until"] or before) > before:
            return self._known(self._frame(kind)).where(f"{self._is_loaded(kind)} or {arrived(time)} > {before}")
        # All that was there is seen: what is new was loaded since.
        return self._known(self._loaded(kind))

    def _loaded(self, kind: str) -> "DataFrame":
        """Facts that a load brought or changed since the last update, known or not; only new files are read."""
        days = self.lakehouse.changed_days(self.tables[kind], self.state["seen"][kind]["version"], self.versions[kind])
        loaded = self._frame(kind).where(self._is_loaded(kind))
        return loaded if days is None else loaded.where(of_days(sorted(days)))

    def _is_loaded(self, kind: str) -> str:
        loaded_in = self.state["seen"][kind]["loaded_in"]
        return f"loaded_in > {-1 if loaded_in is None else loaded_in}"

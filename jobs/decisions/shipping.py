"""Decisions on their way from the log to the Delta prediction log: in batches, in the log's order, each once.

How far the log was shipped is kept in a small file. A death between a commit and that file ships nothing twice, since
what is there already is known by its stamp.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from jobs.decisions import log_contents, shadow_shipping, verdict_shipping
from jobs.decisions.base_tables import feature_row
from jobs.decisions.event_schema import EventSchema
from jobs.decisions.feature_row import FeatureRow
from jobs.decisions.log_contents import BASE, DECISION, EVENT, SHADOW, Base, Decided, EventCame, Shadow
from jobs.decisions.opened import last_base, log_of, shipped_file, trim_store, was_served
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.online.log_records import Log, Record
from jobs.registry.bundle import CATEGORY, NUMBER
from jobs.scoring import prediction_log
from jobs.scoring.prediction_log import AGAIN, OF_SERVICE, ONLINE
from jobs.state_files import read_memory, replace_json
from jobs.use_case import UseCase, problem_of

BATCH_ROWS = 50_000
"""Rows of a commit."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS = ("string", "category", "vector", "text")


@dataclass(frozen=True)
class Shipped:
    """What became of the log."""

    rows: int
    """Rows that were written now."""
    version: int | None
    """Delta version of the prediction log, if there is one."""
    last: datetime | None = None
    """The moment of the latest decision that was ever shipped."""
    decisions: int = 0
    """Decisions in the log."""
    waiting: int = 0
    """Events that came and that nobody has decided yet."""
    fallbacks: Mapping[str, int] | None = None
    """Of the rows written now, those that a fallback decided, by its name."""
    verdicts: int = 0
    """Verdicts of reviewers that were written now, to a table of their own."""


def ship(lakehouse: Lakehouse, use_case: UseCase) -> Shipped:
    """Bring every decision that the log holds into the prediction log; a second time writes nothing."""
    if not was_served(lakehouse.settings, use_case):
        return Shipped(0, None)
    with lakehouse.lock(prediction_log.table(use_case)), log_of(lakehouse.settings, use_case) as log:
        shipment = _Shipment(lakehouse, use_case, log)
        shipped = shipment.all()
        trim_store(lakehouse.settings, log, use_case, shipment.position)
        return shipped


class _Shipment:
    def __init__(self, lakehouse: Lakehouse, use_case: UseCase, log: Log) -> None:
        self.lakehouse, self.use_case, self.log = lakehouse, use_case, log
        self.table = prediction_log.table(use_case)
        self.memory = shipped_file(lakehouse.settings, use_case)
        self.rows = self.position = self.verdicts = 0
        self.fallbacks: dict[str, int] = {}

    def all(self) -> Shipped:
        known = read_memory(self.memory, lambda found: (int(found["position"]), int(found["last"])))
        self.position, last = known or (0, 0)
        base, _ = last_base(self.log)
        for batch in _batches(self.log, self.position):
            decided = [record for record in batch if record.id.startswith(f"{DECISION}/")]
            shadows = [record for record in batch if record.id.startswith(f"{SHADOW}/")]
            based = [record for record in batch if record.id.startswith(f"{BASE}/")]
            if based or base is None:
                base = log_contents.decode_as(based[-1].content, Base) if based else base
            judged = verdict_shipping.of(batch)
            if decided and base is not None:
                contents = [log_contents.decode_as(record.content, Decided) for record in decided]
                self._write(contents, base)
                last = max(last, *(each.decided_at for each in contents))
            if shadows and base is not None:
                self._write_shadows([log_contents.decode_as(record.content, Shadow) for record in shadows], base)
            if judged and base is not None:
                self.verdicts += verdict_shipping.write(self.lakehouse, self.use_case, judged, self._id_type(base))
            self.position = batch[-1].end
            replace_json(self.memory, {"position": self.position, "last": last})
        events = sum(record.id.startswith(f"{EVENT}/") for record in self.log.records())
        decisions = sum(record.id.startswith(f"{DECISION}/") for record in self.log.records())
        version = self.lakehouse.version(self.table)
        moment = _EPOCH + timedelta(microseconds=last) if last else None
        return Shipped(self.rows, version, moment, decisions, events - decisions, self.fallbacks, self.verdicts)

    def _write(self, decided: Sequence[Decided], base: Base) -> None:
        rows = feature_row(self.lakehouse, self.use_case, base.tables)
        events = self.lakehouse.schema(self.use_case.events, base.tables[self.use_case.events])
        schema = EventSchema.of(self.use_case, events)
        table = _table(self.use_case, rows, schema, base, [(each, self._came(each)) for each in decided])
        wanted = prediction_log.make_room(self.lakehouse, self.table, table.schema)
        table = self._new(_padded(table, wanted))
        if not table.num_rows:
            return
        state = self.lakehouse.state(self.table) if self.lakehouse.exists(self.table) else {}
        self.lakehouse.write(
            self.table, table.to_reader(), mode="append", schema=wanted, rows=table.num_rows,
            partition_by=[PARTITION], state=state,
        )  # fmt: skip
        self.rows += table.num_rows
        for name in filter(None, table.column("fallback").to_pylist()):
            self.fallbacks[name] = self.fallbacks.get(name, 0) + 1

    def _write_shadows(self, shadows: Sequence[Shadow], base: Base) -> None:
        shadow_shipping.write(self.lakehouse, self.use_case, shadows, self._id_type(base))

    def _id_type(self, base: Base) -> pa.DataType:
        events = self.lakehouse.schema(self.use_case.events, base.tables[self.use_case.events])
        return events.field(self.use_case.event_id).type

    def _came(self, decided: Decided) -> EventCame:
        record = self.log.get(log_contents.name(EVENT, decided.id))
        assert record is not None, "a decision stands behind its event"
        return log_contents.decode_as(record.content, EventCame)

    def _new(self, table: pa.Table) -> pa.Table:
        """The rows that are not there yet, by their stamps."""
        if not self.lakehouse.exists(self.table):
            return table
        days = pc.unique(table.column(PARTITION)).to_pylist()
        there = self.lakehouse.to_arrow(
            self.table, columns=["scored_at"], filters=[(PARTITION, "in", days), ("origin", "in", OF_SERVICE)]
        )
        known = pc.is_in(table.column("scored_at"), value_set=there.column("scored_at").combine_chunks())
        return table.filter(pc.invert(known))


def _batches(log: Log, start: int) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in log.records(start):
        batch.append(record)
        if len(batch) >= 2 * BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _table(
    use_case: UseCase, rows: FeatureRow, schema: EventSchema, base: Base, decided: Sequence[tuple[Decided, EventCame]]
) -> pa.Table:
    """Rows of the prediction log."""
    columns: dict[str, list[Any]] = {}
    own = prediction_log.decided(use_case)
    kinds = _feature_kinds(use_case, rows)
    versions = prediction_log.feature_versions({"versions": base.tables, "declarations": base.declarations})
    threshold = problem_of(use_case).threshold
    # What was computed is of the declarations of then.
    names = [*rows.names[: rows.first_computed], *base.features]
    for each, came in decided:
        happened = came.time(each.decided_at)
        row = rows.restored(schema.complete(came.values), happened, each.features)
        values = dict(zip(names, row, strict=False)) | {use_case.event_id: each.id}
        values |= _decided_values(each, happened, versions, threshold)
        for name in dict.fromkeys([*prediction_log.event_columns(use_case), *own, *kinds]):
            columns.setdefault(name, []).append(_stored(values.get(name), kinds.get(name)))
    types = {name: _event_type(rows, name) for name in prediction_log.event_columns(use_case)}
    wanted = prediction_log.schema(use_case, types, kinds)
    return pa.table([_array(columns[field.name], field.type) for field in wanted], schema=wanted)


def _decided_values(each: Decided, happened: int, versions: str, threshold: float) -> dict[str, Any]:
    outcome = each.outcome
    is_yes = None if outcome.decision is None else outcome.decision != "approve"
    return {
        "scored_at": each.decided_at, "score": outcome.score, "decision": is_yes, "verdict": outcome.decision,
        "model_version": None if each.model_version is None else int(each.model_version),
        "bundle_sha256": each.bundle, "feature_versions": versions, "arm": each.arm, "propensity": each.propensity,
        "origin": AGAIN if each.was_known else ONLINE, "latency": each.latency, "fallback": each.fallback,
        PARTITION: happened // 86_400_000_000,
        "prediction": outcome.prediction, "lower": outcome.lower, "upper": outcome.upper,
        "probabilities": None if outcome.probabilities is None else msgspec.json.encode(outcome.probabilities).decode(),
    }  # fmt: skip


def _feature_kinds(use_case: UseCase, rows: FeatureRow) -> dict[str, str]:
    """Features of the rows, whatever model reads them: name -> as `Manifest.columns` says it."""
    taken = {*prediction_log.event_columns(use_case)}
    inputs = [name for name in use_case.inputs if name not in taken and use_case.kinds.get(name) != "timestamp"]
    kinds = {name: CATEGORY if use_case.kinds.get(name) in _TEXTS else NUMBER for name in inputs}
    columns = [column for profile in use_case.profiles for column in use_case.profile_columns(profile)]
    texts = [column.name for column in columns if column.kind in _TEXTS]
    return kinds | dict.fromkeys(rows.computed, NUMBER) | dict.fromkeys(texts, CATEGORY)


def _event_type(rows: FeatureRow, name: str) -> pa.DataType:
    if name == rows.use_case.event_timestamp:
        return prediction_log.TIME
    return {"int64": pa.int64(), "string": pa.string(), "float64": pa.float64(), "bool": pa.bool_()}[
        rows.events[name].kind
    ]


def _stored(value: Any, kind: str | None) -> Any:
    if isinstance(value, list):
        return msgspec.json.encode(value).decode()
    return float(value) if isinstance(value, bool) and kind == NUMBER else value


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    if pa.types.is_date(kind):
        return pa.array([_numbered(day) for day in values], kind)
    if pa.types.is_float32(kind):
        return pa.array([None if value is None else float(value) for value in values], pa.float64()).cast(
            kind, safe=False
        )
    return pa.array(values, kind)


def _numbered(day: int) -> date:
    """A day by its number from 1970; one that no calendar has is the last or first that there is."""
    try:
        return _EPOCH.date() + timedelta(days=day)
    except OverflowError:
        return date.max if day > 0 else date.min


def _padded(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with all columns of a schema, in its order; what only other models have is null."""
    columns = [
        table.column(f.name).cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)

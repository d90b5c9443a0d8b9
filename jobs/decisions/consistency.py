"""Whether what was decided is what the batch kernel makes of the same facts, in every cell.

The facts are those that decisions stood on: tables at the versions of the base, then the log, each record known from
its stamp on. A difference is a fault: in the evaluator, in the state of a worker, or in a log that was altered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.decisions import base_tables, log_contents
from jobs.decisions.base_tables import Tables
from jobs.decisions.event_schema import EventSchema
from jobs.decisions.feature_row import FeatureRow, ProfileColumns
from jobs.decisions.log_before import Absorbed, LogBefore
from jobs.decisions.log_contents import (
    Base,
    Decided,
    EventCame,
    Explored,
    FactCame,
    LabelCame,
    ProfileCame,
    Reviewed,
    Shadow,
    VersionCame,
    of_facts,
)
from jobs.feature_store.point_in_time_kernel import JoinRules, join
from jobs.features.clock import filled
from jobs.features.window_kernel import compute
from jobs.lakehouse.tables import Lakehouse
from jobs.online.log_records import Record
from jobs.times import MICROSECONDS_A_DAY
from jobs.windows import FACT_ID

_INSTANT = pa.timestamp("us", "UTC")
MOST_SHOWN = 20


@dataclass(frozen=True)
class Difference:
    """A cell that is not what the batch kernel has."""

    id: Any
    feature: str
    decided: Any
    recomputed: Any


@dataclass
class Comparison:
    """All decisions that stand on one base, compared."""

    decisions: int = 0
    cells: int = 0
    different: int = 0
    examples: list[Difference] = field(default_factory=list)
    undecided: int = 0
    """Events without a decision: their worker died, and nobody asked again yet."""
    stale: int = 0
    """Decisions by old state or by tables alone, which say so, and which no record of facts can be held against."""


@dataclass
class _Told:
    """The facts of the log as rows of tables, and what was decided."""

    schema: EventSchema
    facts: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """By kind."""
    decided: list[Decided] = field(default_factory=list)
    replaced: dict[str, dict[Any, int]] = field(default_factory=lambda: defaultdict(dict))
    """By kind, when the version that tables have of a fact was superseded."""
    profiles: dict[str, list[tuple[int, ProfileCame]]] = field(default_factory=dict)
    """By source, with their stamps."""
    _last: dict[tuple[str, Any], dict[str, Any]] = field(default_factory=dict)

    def take(self, record: Record, absorbed: Absorbed) -> None:
        content = log_contents.decode(record.content)
        stamp = record.stamp
        if isinstance(content, Decided):
            self.decided.append(content)
        elif isinstance(content, ProfileCame):
            self.profiles.setdefault(content.source, []).append((stamp, content))
        elif isinstance(content, Base | Shadow | Explored | Reviewed) or absorbed.has(stamp, content):
            return
        elif isinstance(content, EventCame):
            self._event(content, content.time(stamp), stamp, decided_at=stamp, is_target=True)
        elif isinstance(content, VersionCame):
            self._event(content, content.happened, stamp, decided_at=None, is_target=False)
        elif isinstance(content, LabelCame):
            row = {**content.entities, **content.values, self.schema.id: content.id, self.schema.time: content.happened}
            self._put("labels", content.id, row | {"known_at": stamp}, stamp)
        elif isinstance(content, FactCame):
            row = {**content.values, FACT_ID: content.id, self.schema.time: content.happened}
            self._put(log_contents.subject(content), content.id, row | {"known_at": stamp}, stamp)
        else:
            self._supersede(content.of, content.id, stamp)

    def _event(self, content: EventCame | VersionCame, happened: int, stamp: int, **more: Any) -> None:
        row = self.schema.columns(content)
        row |= {self.schema.id: content.id, self.schema.time: happened, "known_at": stamp, **more}
        self._put("events", content.id, row, stamp)

    def _put(self, of: str, id: Any, row: dict[str, Any], stamp: int) -> None:
        self._supersede(of, id, stamp)
        row["superseded_at"] = None
        self.facts[of].append(row)
        self._last[of, id] = row

    def _supersede(self, of: str, id: Any, stamp: int) -> None:
        last = self._last.pop((of, id), None)
        if last is not None:
            last["superseded_at"] = stamp
        else:
            self.replaced[of].setdefault(id, stamp)

    def on(self, table: pa.Table, of: str, id: str) -> pa.Table:
        """A table with the rows of the log below its own."""
        return _together(table, self.facts[of], self.replaced[of], id)


def compare(lakehouse: Lakehouse, rows: FeatureRow, base: Base, records: Iterable[Record]) -> Comparison:
    """Compare every decision that the records hold and that was made on `base`.

    Args:
        records: the whole log.
    """
    use_case = rows.use_case
    schema = EventSchema.of(use_case, lakehouse.schema(use_case.events, base.tables[use_case.events]))
    told, kept = _Told(schema), list(records)
    before = LogBefore.of(kept, rows)
    tables = base_tables.tables(lakehouse, rows, base.tables, base.moment, before)
    for record in kept:
        told.take(record, tables.absorbed)
    based = max(record.stamp for record in kept if record.id.startswith(f"{log_contents.BASE}/"))
    events = sum(record.id.startswith(f"{log_contents.EVENT}/") for record in kept)
    on_base = [each for each in told.decided if each.decided_at > based]
    decided = [each for each in on_base if not each.staleness]
    found = Comparison(len(decided), undecided=events - len(told.decided), stale=len(on_base) - len(decided))
    if decided:
        others = {name: told.on(table, of_facts(name), FACT_ID) for name, table in tables.others.items()}
        profiles = {
            each.table: _with_told(each, tables.profiles[each.table], told.profiles.get(each.source, []), base.moment)
            for each in rows.profiles
        }
        both = replace(
            tables, events=told.on(tables.events, "events", schema.id),
            labels=told.on(tables.labels, "labels", schema.id), profiles=profiles, others=others,
        )  # fmt: skip
        _compare(found, rows, base, decided, recomputed(rows, both))
    return found


def _together(table: pa.Table, rows: list[dict[str, Any]], replaced: Mapping[Any, int], id: str) -> pa.Table:
    table = base_tables.ended(table, id, replaced)
    if "is_target" in table.column_names:
        # What was decided here is the target; tables may have the same event as one.
        again = pc.is_in(
            table.column(id),
            value_set=pa.array([row[id] for row in rows if row["is_target"]], table.schema.field(id).type),
        )
        is_target = pc.and_(table.column("is_target"), pc.invert(again))
        table = table.set_column(table.column_names.index("is_target"), "is_target", is_target)
    columns = {}
    for name in table.column_names:
        kind = table.schema.field(name).type
        values = [row.get(name) for row in rows]
        column = pa.array(values, pa.int64()).cast(_INSTANT) if pa.types.is_timestamp(kind) else pa.array(values, kind)
        columns[name] = column.cast(kind)
    return pa.concat_tables([table, pa.table(columns, schema=table.schema)])


def recomputed(rows: FeatureRow, tables: Tables) -> dict[Any, dict[str, Any]]:
    """What was computed, by id and name, of every event that was decided here."""
    use_case, events = rows.use_case, tables.events
    targets = events.filter(pa.array(events.column("decided_at").is_valid().to_numpy()))
    found: dict[Any, dict[str, Any]] = {id: {} for id in targets.column(use_case.event_id).to_pylist()}
    columns: dict[str, Any] = {name: targets.column(name) for name in targets.column_names}
    order = targets.column(use_case.event_id).to_pylist()
    for plan in rows.plans:
        labels = tables.labels if plan.features.reads_labels else None
        facts = None if plan.features.facts is None else tables.others[plan.features.facts]
        table = compute(plan.features, events, labels, facts)
        place = {id: row for row, id in enumerate(table.column(use_case.event_id).to_pylist())}
        taken = table.take(pa.array([place[id] for id in order], pa.int64()))
        columns |= {name: taken.column(name) for name in plan.features.names}
    for profile in rows.profiles:
        columns |= _joined(profile, targets, tables.profiles[profile.table])
    columns |= _ages(rows, columns, rows.ages_of_profiles)
    _add_functions(rows, columns)
    for name in rows.computed:
        for id, value in zip(order, columns[name].to_pylist(), strict=True):
            found[id][name] = value
    return found


def _with_told(
    profile: ProfileColumns, table: pa.Table, told: Sequence[tuple[int, ProfileCame]], moment: int
) -> pa.Table:
    """The rows of a profile and those that the log told after a moment, which are known from their stamps on.

    A version that was told when one of the same event time and known later was there already is never the answer.
    """
    new = [(stamp, came) for stamp, came in told if stamp > moment]
    if not new:
        return table
    columns: dict[str, list[Any]] = {name: [came.values.get(name) for _, came in new] for name in profile.types}
    columns |= {profile.key: [came.key for _, came in new], profile.event: [came.happened for _, came in new]}
    columns |= {"known_at": [max(stamp, came.known) for stamp, came in new], "superseded_at": [None] * len(new)}
    rows = pa.table({name: _typed(columns[name], table.schema.field(name).type) for name in table.column_names})
    known_first = pa.array([came.known for _, came in new], pa.int64()).cast(_INSTANT)
    both = pa.concat_tables([
        table.append_column("order", table.column("known_at").cast(_INSTANT)), rows.append_column("order", known_first),
    ])  # fmt: skip
    both = both.sort_by([("known_at", "ascending"), ("order", "ascending")])
    last: dict[tuple[Any, Any], Any] = {}
    kept = []
    for place, key, event, order in _rows(both, profile.key, profile.event, "order"):
        if last.get((key, event), order) <= order:
            last[key, event] = order
            kept.append(place)
    return both.take(pa.array(kept, pa.int64())).drop_columns(["order"])


def _rows(table: pa.Table, *names: str) -> Iterable[tuple[Any, ...]]:
    return zip(range(len(table)), *(table.column(name).to_pylist() for name in names), strict=True)


def _typed(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values as the log has them, moments in microseconds since 1970, in the type of a table."""
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(_INSTANT).cast(kind)
    return pa.array(values, kind)


def _joined(profile: ProfileColumns, targets: pa.Table, table: pa.Table) -> dict[str, Any]:
    """The columns of a profile as the point-in-time join finds them."""
    known = pa.table({"key": table.column(profile.key), "event": table.column(profile.event)})
    known = known.append_column("known_at", table.column("known_at"))
    for name in profile.types:
        known = known.append_column(f"of {name}", table.column(name))
    asked = pa.table({"key": targets.column(profile.key), "moment": targets.column("decided_at")})
    rules = JoinRules(
        keys=["key"], feature_timestamp="event", created_timestamp="known_at", columns=known.column_names[3:],
        event_timestamp="moment",
    )  # fmt: skip
    found = join(asked, known, rules)
    return {name: found.column(f"of {name}") for name in profile.types}


def _add_functions(rows: FeatureRow, columns: dict[str, Any]) -> None:
    """What functions make of arrays, and the ages of moments."""
    for function in rows.use_case.request_features:
        made = function.function(*(_array(columns[name]) for name in function.inputs))
        columns |= {name: pa.array(made[name], from_pandas=True) for name in function.outputs}
    columns |= _ages(rows, columns, rows.ages)


def _ages(rows: FeatureRow, columns: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, Any]:
    """Days from moments to the events; null where a moment is missing or later."""
    time, found = columns[rows.use_case.event_timestamp].cast(_INSTANT).cast(pa.int64()), {}
    for name, source in wanted.items():
        moment = columns[source].cast(_INSTANT).cast(pa.int64())
        known = [at is not None and at <= event for at, event in zip(moment.to_pylist(), time.to_pylist(), strict=True)]
        ages = (filled(time, 0) - filled(moment, 0)) / MICROSECONDS_A_DAY
        found[name] = pa.array(ages, mask=~np.array(known, bool))
    return found


def _array(column: Any) -> np.ndarray[Any, Any]:
    if pa.types.is_temporal(column.type):
        return filled(column.cast(_INSTANT).cast(pa.int64()), 0)  # type: ignore[no-any-return]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array([*column.to_pylist(), None], dtype=object)[:-1]
    return filled(column.cast(pa.float64()), np.nan)  # type: ignore[no-any-return]


def _compare(
    found: Comparison, rows: FeatureRow, base: Base, decided: list[Decided], batch: dict[Any, dict[str, Any]]
) -> None:
    for one in (each for each in decided if each.features):
        for name, value in zip(base.features, one.features, strict=True):
            found.cells += 1
            its = batch.get(one.id, {}).get(name)
            if bits(value) != bits(its):
                found.different += 1
                if len(found.examples) < MOST_SHOWN:
                    found.examples.append(Difference(one.id, name, value, its))


def bits(value: Any) -> Any:
    """What two cells that are the same to the last bit have in common."""
    return float(value).hex() if isinstance(value, int | float) else value

"""The batch kernel on all facts of one entity: the slow path, right in every case, and the ratios of the past."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from jobs.arrays import Floats, Ints
from jobs.errors import Invalid
from jobs.features.clock import filled
from jobs.features.own_labels import known_after_events
from jobs.features.window_kernel import compute, with_ratios
from jobs.online.column_type import Kind
from jobs.online.evaluation import Value
from jobs.online.fact_lines import DECIDED, ID, TARGET, FactLines
from jobs.online.plan import Event, Plan
from jobs.times import NEVER

Find: TypeAlias = Callable[[], list[Value]]
"""What finds the features of an event, now or later, in any thread."""
_INSTANT = pa.timestamp("us", "UTC")
_TYPES = {"float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_(), "string": pa.string()}


def of_decided(plan: Plan, events: FactLines, labels: FactLines, id: Any) -> Find:
    """What finds the features of an event that was decided, of facts as they are now: later ones change nothing.

    Raises Invalid if there is no such event.
    """
    row = events.decided(id)
    if row is None:
        raise Invalid(f"event {id!r}: expected one that was decided here, found none")
    given, reports = columns(plan, events, labels)
    # Another target of the same id is a version that came by a file.
    is_target = events.flagged(TARGET)
    is_target[[line for line in np.flatnonzero(events.numbers(ID) == id) if line != row]] = False
    given["is_target"] = pa.array(is_target)

    def found() -> list[Value]:
        table = compute(plan.features, pa.table(given), reports).select([plan.features.id, *plan.features.names])
        at = table.column(plan.features.id).to_pylist().index(id)
        return [table.column(name)[at].as_py() for name in plan.features.names]

    return found


def of_nobody(plan: Plan, event: Event, moment: int) -> Find:
    """What finds the features of an event that is of no entity, as one of its keys is null."""
    lines = FactLines(plan.event_layout)
    lines.append(event.id, event.happened, moment, plan.checked("events", event), TARGET | DECIDED)
    given, reports = columns(plan, lines, FactLines(plan.label_layout))
    given |= dict.fromkeys(plan.features.keys, pa.nulls(1, pa.int64()))

    def found() -> list[Value]:
        table = compute(plan.features, pa.table(given), reports)
        return [table.column(name)[0].as_py() for name in plan.features.names]

    return found


def of_target(plan: Plan, facts: FactLines, moment: int) -> Find:
    """What finds the features of a target at a moment that is no fact itself, of facts as they are now."""
    counted, _ = columns(plan, facts, FactLines(plan.label_layout))
    time = pa.array([moment]).cast(_INSTANT)
    target: dict[str, Any] = dict.fromkeys((plan.features.id, *plan.features.keys), pa.array([0]))
    target |= {plan.features.event_timestamp: time, "known_at": time, "superseded_at": pa.nulls(1, _INSTANT)}
    target["is_target"] = pa.array([True])

    def found() -> list[Value]:
        table = compute(plan.features, pa.table(target), None, pa.table(counted).drop_columns(["is_target"]))
        return [table.column(name)[0].as_py() for name in plan.features.names]

    return found


def ratios(plan: Plan, events: FactLines, labels: FactLines) -> list[Floats]:
    """Of each ratio the values of all events, as far as they were known at the moment of each; null is NaN."""
    facts, reports = columns(plan, events, labels)
    given = pa.table(facts)
    reports = reports if reports is None else known_after_events(plan.counted, given, reports)
    names = [ratio.name for ratio in plan.features.ratios]
    table = with_ratios(plan.counted, given, reports)
    return [filled(table.column(name).cast(pa.float64()), np.nan) for name in names]


def columns(
    plan: Plan, events: FactLines, labels: FactLines, entities: tuple[Ints, Ints] | None = None
) -> tuple[dict[str, Any], pa.Table | None]:
    """The columns of the events, and the labels as a table if any are read.

    entities: the number of the entity of each event and of each label; None: all are of one.
    """
    made = {ratio.name for ratio in plan.features.ratios}
    of_events, of_labels = entities or (np.zeros(len(events), np.int64), np.zeros(len(labels), np.int64))
    given = _facts(plan, events, {name: type.kind for name, type in plan.events.items() if name not in made}, of_events)
    decided = events.flagged(DECIDED)
    given["decided_at"] = pa.array(events.times()[1], mask=~decided).cast(_INSTANT)
    given["is_target"] = pa.array(events.flagged(TARGET))
    if not plan.features.reads_labels:
        return given, None
    return given, pa.table(_facts(plan, labels, {name: type.kind for name, type in plan.labels.items()}, of_labels))


def _facts(plan: Plan, lines: FactLines, kinds: Mapping[str, Kind], entities: Ints) -> dict[str, Any]:
    happened, known = lines.times()
    gone = lines.gone()
    # Of several keys one says which entity it is.
    facts: dict[str, Any] = dict.fromkeys(plan.features.keys, pa.array(np.zeros(len(lines), np.int64)))
    facts |= {plan.features.keys[0]: pa.array(entities), plan.counted.id: _arrow(lines, ID, plan.id.kind)}
    facts |= {name: _arrow(lines, name, kind) for name, kind in kinds.items()}
    return facts | {
        plan.features.event_timestamp: pa.array(happened).cast(_INSTANT),
        "known_at": pa.array(known).cast(_INSTANT),
        "superseded_at": pa.array(gone, mask=gone == NEVER).cast(_INSTANT),
    }


def _arrow(lines: FactLines, name: str, kind: Kind) -> pa.Array:
    values = lines.numbers(name)
    return pa.array(values > 0 if kind == "bool" else values, _TYPES[kind], mask=~lines.valid(name))

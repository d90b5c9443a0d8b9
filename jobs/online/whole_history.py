"""The batch kernel on all facts of one entity: the slow path, right in every case, and the ratios of the past."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.arrays import Floats
from jobs.features.clock import filled
from jobs.features.own_labels import known_after_events
from jobs.features.window_kernel import compute, with_ratios
from jobs.online.column_type import Kind
from jobs.online.fact_lines import DECIDED, ID, TARGET, FactLines
from jobs.online.functions import Value
from jobs.online.plan import Plan
from jobs.times import NEVER

_INSTANT = pa.timestamp("us", "UTC")
_TYPES = {"float64": pa.float64(), "int64": pa.int64(), "bool": pa.bool_(), "string": pa.string()}


def last_decided(plan: Plan, events: FactLines, labels: FactLines) -> list[Value]:
    """The features of the event on the last line, which was decided when it became known."""
    given, reports = _tables(plan, events, labels)
    own = events.ids()[-1]
    found = compute(plan.features, given, reports).select([plan.features.id, *plan.features.names])
    row = found.column(plan.features.id).to_pylist().index(own)
    values: list[Value] = [found.column(name)[row].as_py() for name in plan.features.names]
    return values


def ratios(plan: Plan, events: FactLines, labels: FactLines) -> list[Floats]:
    """Of each ratio the values of all events, as far as they were known at the moment of each; null is NaN."""
    given, reports = _tables(plan, events, labels)
    reports = reports if reports is None else known_after_events(plan.features, given, reports)
    names = [ratio.name for ratio in plan.features.ratios]
    table = with_ratios(plan.features, given, reports)
    return [filled(table.column(name).cast(pa.float64()), np.nan) for name in names]


def _tables(plan: Plan, events: FactLines, labels: FactLines) -> tuple[pa.Table, pa.Table | None]:
    made = {ratio.name for ratio in plan.features.ratios}
    given = _facts(plan, events, {name: type.kind for name, type in plan.events.items() if name not in made})
    decided = events.flagged(DECIDED)
    given["decided_at"] = pa.array(events.times()[1], mask=~decided).cast(_INSTANT)
    given["is_target"] = pa.array(events.flagged(TARGET))
    reads_labels = plan.features.reads_labels
    return pa.table(given), pa.table(
        _facts(plan, labels, {name: type.kind for name, type in plan.labels.items()})
    ) if reads_labels else None


def _facts(plan: Plan, lines: FactLines, columns: Mapping[str, Kind]) -> dict[str, Any]:
    happened, known = lines.times()
    gone = lines.gone()
    one_entity = pa.array(np.zeros(len(lines), np.int64))
    facts = dict.fromkeys(plan.features.keys, one_entity) | {plan.features.id: _arrow(lines, ID, plan.id.kind)}
    facts |= {name: _arrow(lines, name, kind) for name, kind in columns.items()}
    return facts | {
        plan.features.event_timestamp: pa.array(happened).cast(_INSTANT),
        "known_at": pa.array(known).cast(_INSTANT),
        "superseded_at": pa.array(gone, mask=gone == NEVER).cast(_INSTANT),
    }


def _arrow(lines: FactLines, name: str, kind: Kind) -> pa.Array:
    values = lines.numbers(name)
    return pa.array(values > 0 if kind == "bool" else values, _TYPES[kind], mask=~lines.valid(name))

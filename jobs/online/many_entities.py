"""The batch kernel on the facts of many entities at once, which costs the least where many events come.

When that is so is `jobs.decisions.entity_states`' business.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.arrays import Bools, Ints
from jobs.features.clock import filled
from jobs.features.own_labels import known_after_events
from jobs.features.window_kernel import of_complete, with_ratios
from jobs.online import whole_history
from jobs.online.entity_facts import EntityFacts
from jobs.online.evaluation import Value
from jobs.online.fact_lines import DECIDED, ID, TARGET, FactLines
from jobs.online.plan import Plan


def of_followed(plan: Plan, entities: Sequence[EntityFacts], ids: Collection[Any]) -> dict[Any, list[Value]]:
    """The features of events that the entities followed, by id, whatever they followed since; ratios are known then."""
    events, labels = (
        FactLines.joined(layout, [entity.lines(of) for entity in entities])
        for of, layout in (("events", plan.event_layout), ("labels", plan.label_layout))
    )
    sizes, of_labels = (np.array([len(entity.lines(of)) for entity in entities]) for of in ("events", "labels"))
    numbers = np.arange(len(entities))
    numbered = np.repeat(numbers, sizes), np.repeat(numbers, of_labels)
    given, reports = whole_history.columns(plan, events, labels, numbered)
    named = np.fromiter((id in ids for id in events.numbers(ID).tolist()), bool, len(events))
    asked = named & events.flagged(DECIDED)
    table = pa.table(given | {"is_target": pa.array(events.flagged(TARGET) & (asked | ~named))})
    reports = reports if reports is None else known_after_events(plan.features, table, reports)
    table = with_ratios(plan.features, _with_targets(table, asked), reports)
    _keep_ratios(plan, entities, table, sizes)
    return _by_id(plan, of_complete(plan.features, table, reports))


def _with_targets(table: pa.Table, targets: Bools) -> pa.Table:
    return table.set_column(table.column_names.index("is_target"), "is_target", pa.array(targets))


def _keep_ratios(plan: Plan, entities: Sequence[EntityFacts], table: pa.Table, sizes: Ints) -> None:
    """Let each entity know the ratios of its events, as it does that is asked alone."""
    names = [ratio.name for ratio in plan.features.ratios]
    if not names:
        return
    ratios = [filled(table.column(name).cast(pa.float64()), np.nan) for name in names]
    ends = np.cumsum(sizes)
    for entity, start, end in zip(entities, (ends - sizes).tolist(), ends.tolist(), strict=True):
        entity.know_ratios([values[start:end] for values in ratios])


def _by_id(plan: Plan, table: pa.Table) -> dict[Any, list[Value]]:
    columns = [table.column(name).to_pylist() for name in plan.features.names]
    rows = map(list, zip(*columns, strict=True))
    return dict(zip(table.column(plan.features.id).to_pylist(), rows, strict=True))

"""Window features as tables, each kept up to date at the cost of what is new.

Which targets that is: see `jobs.features.reached_targets`; how they are computed: `jobs.features.window_runs`.
"""

from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import Any

import polars as pl
import pyarrow as pa

from jobs.errors import Invalid
from jobs.features import fact_frames, target_facts, update_inputs, window_runs
from jobs.features.reached_targets import Changes, Targets
from jobs.features.update_inputs import Inputs, Tables
from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.windows import FactMart, WindowFeatures

Rows = Any
"""What a run returned: a reader of Arrow, or a frame of the engine."""


@dataclass(frozen=True)
class Result:
    """What an update did: rows that it computed and their days (none if nothing was new), the table's Delta version."""

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
    facts: FactMart | None = None,
    decisions: str | None = None,
    arrivals: str | None = None,
    buckets: int | None = None,
) -> Result:
    """Bring `target` up to what was known at `as_of`; the cost follows what is new since the last update.

    Input tables also bear event_date (partition; of an event the date of the event), `version` (events) and
    `loaded_in` (raised on every row that a load brought or changed). Targets that new or changed facts may reach are
    computed anew, and come to the table or replace the old ones in one commit, which also holds the new watermark. On
    a cluster those are all targets of their days. A changed declaration computes everything anew. An `as_of` before
    the last one adds only what was loaded since: values do not depend on `as_of`, only which rows there are.
    `facts`: of features that count others than the events; their table bears what that of events does.
    `decisions`: the prediction log, whose online rows say when events were decided (`jobs.features.stamps`); a stamp
    that comes after its event changes that event. `arrivals`: the raw table of events, whose rows that came over a
    topic were decided then (`jobs.features.arrivals`).

    Raises ValueError for an `as_of` without a zone, and for missing labels.
    """
    if as_of.tzinfo is None:
        raise Invalid(f"as_of: expected a time with a zone, found {as_of}; add tzinfo=UTC")
    if features.reads_labels and labels_table is None:
        raise Invalid(f"{features.name} has aggregates of labels: pass labels_table")
    if features.facts is not None and facts is None:
        raise Invalid(f"{features.name} counts the facts {features.facts}: pass their table")
    tables = {"events": events_table, "labels": labels_table, "decisions": decisions, "arrivals": arrivals}
    with lakehouse.lock(target):
        version, state = lakehouse.version(target), lakehouse.state(target)
        made_from = update_inputs.made_from(lakehouse, features, update_inputs.facts_tables(features, tables, facts))
        if version is None or any(state.get(what, {}) != value for what, value in made_from.items()):
            return _write(Inputs.of(lakehouse, features, tables, as_of, facts), target, None, buckets)
        inputs = Inputs.of(lakehouse, features, tables, max(as_of, datetime.fromisoformat(state["as_of"])), facts)
        reached = Changes(inputs, target, state).reached()
        return _write(inputs, target, reached, buckets) if reached.days else Result(0, (), version)


def computed(
    lakehouse: Lakehouse,
    features: WindowFeatures,
    tables: Tables,
    days: tuple[date, ...],
    as_of: datetime,
    facts: FactMart | None = None,
) -> pa.Table:
    """What `update` computes of the targets of some days, from nothing; no table is written."""
    read = target_facts.facts_of(Inputs.of(lakehouse, features, tables, as_of, facts), Targets(days))
    rows = window_runs.run(lakehouse, features, read.events, read.labels, facts=read.facts)
    return rows.read_all() if isinstance(rows, pa.RecordBatchReader) else rows.toArrow()


def _write(inputs: Inputs, target: str, targets: Targets | None, buckets: int | None) -> Result:
    """Compute some targets (None: all) and put them into the table, in the place of the old ones."""
    lakehouse, features = inputs.lakehouse, inputs.features
    read = target_facts.facts_of(inputs, targets)
    facts, count = read.counted()
    buckets = buckets or window_runs.buckets_of(facts)
    rows = window_runs.run(lakehouse, features, read.events, read.labels, facts=read.facts, buckets=buckets)
    schema = rows.schema if isinstance(rows, pa.RecordBatchReader) else window_runs.schema_of(features, rows)
    if lakehouse.exists(target) and lakehouse.schema(target).names != schema.names:
        lakehouse.reshape(target, schema)
    kept = None if targets is None else _kept(lakehouse, target, targets, features.id)
    is_added = targets is not None and kept is None
    version = lakehouse.write(
        target,
        _together(kept, rows),
        mode="append" if is_added else "overwrite",
        schema=schema,
        rows=count + (0 if kept is None else kept.num_rows),
        replace_where=None if targets is None or is_added else of_days(targets.days),
        partition_by=[PARTITION],
        state=inputs.watermark(),
    )
    return Result(count, fact_frames.target_days(read.events) if targets is None else targets.days, version)


def _kept(lakehouse: Lakehouse, target: str, targets: Targets, id: str) -> pa.Table | None:
    """What stays of the days in which targets are replaced, as Delta replaces whole days; None if all are new."""
    schema = lakehouse.schema(target)
    if targets.ids is None:
        return schema.empty_table()
    stored = lakehouse.scan(target)
    assert stored is not None
    stored = stored.filter(pl.col(PARTITION).is_in(targets.days))
    replaced = pl.col(id).is_in(targets.ids.implode())
    if stored.select(replaced.any()).collect().item():
        return stored.filter(~replaced).select(schema.names).collect().to_arrow().cast(schema)
    return None


def _together(kept: pa.Table | None, rows: Rows) -> Rows:
    """Rows as they are written: one file per day."""
    if not isinstance(rows, pa.RecordBatchReader):
        # Else every worker would bring a file for every day.
        return rows.repartition(PARTITION)
    if kept is None or not kept.num_rows:
        return rows
    return pa.RecordBatchReader.from_batches(rows.schema, chain(kept.cast(rows.schema).to_batches(), rows))

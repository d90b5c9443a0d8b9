"""What tables know of events, labels and other facts, as arrays that all entities share: what every worker starts from.

An entity's facts are cut out of them when it is first asked for, so that a start takes as long as reading the tables.
What came in since belongs in `jobs.decisions.entity_states`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from heapq import merge
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from jobs.arrays import Bools, Ints
from jobs.decisions.entity_index import NO_ROWS, EntityIndex, Keys
from jobs.decisions.feature_row import FeatureRow
from jobs.decisions.log_before import Absorbed
from jobs.decisions.log_contents import counted, of_facts
from jobs.decisions.profiles import Profiles
from jobs.decisions.table_facts import Facts, Values
from jobs.features.clock import filled
from jobs.features.own_labels import known_after_events
from jobs.features.window_kernel import with_ratios
from jobs.online.fact_lines import ID, TARGET, FactLines
from jobs.online.plan import Event, Plan
from jobs.times import NEVER
from jobs.windows import FACT_ID


class Later(NamedTuple):
    """A fact that tables hold already, and that is known only from a moment on."""

    moment: int
    of: str
    fact: Event | None
    """None: the fact of this id turned out not to be, or to be another's."""
    id: Any
    is_target: bool = False


@dataclass(eq=False)
class BaseFacts:
    """Facts of tables as they were known at a moment, by entity of each of the window features."""

    rows: FeatureRow
    moment: int
    events: Facts
    labels: Facts
    absorbed: Absorbed = field(default_factory=Absorbed)
    profiles: Profiles = field(default_factory=Profiles)
    others: Mapping[str, Facts] = field(default_factory=dict)
    """Facts that are no events, by kind (`jobs.decisions.log_contents.of_facts`)."""
    _events_of: list[EntityIndex] = field(default_factory=list)
    """Of what each of the window features counts."""
    _labels_of: list[EntityIndex | None] = field(default_factory=list)
    """None: they read none."""
    _ratios: list[dict[str, Values]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        rows: FeatureRow,
        moment: int,
        events: pa.Table,
        labels: pa.Table,
        others: Mapping[str, pa.Table] | None = None,
    ) -> BaseFacts:
        """
        Args:
            events: id, keys, event time, `known_at`, `superseded_at`, `is_target`, `decided_at` (microseconds UTC),
                and the columns that windows read.
            labels: id, keys, event time, `known_at`, `superseded_at`, and the columns that windows read.
            others: by source, as `jobs.decisions.base_tables.read_facts` reads them.
        """
        use_case = rows.use_case
        named = use_case.event_id, use_case.event_timestamp
        events, labels = events.sort_by("known_at"), labels.sort_by("known_at")
        tables = {source: table.sort_by("known_at") for source, table in (others or {}).items()}
        facts = {
            of_facts(each.source): Facts.of((FACT_ID, use_case.event_timestamp), tables[each.source], each.types)
            for each in rows.facts
        }
        keys = {key: rows.events[key] for plan in rows.plans for key in plan.features.keys}
        reported = Facts.of(named, labels, {**rows.labels, **keys}, least_lag=1)
        made = cls(rows, moment, Facts.of(named, events, rows.events), reported, others=facts)
        for plan in rows.plans:
            table = events if plan.features.facts is None else tables[plan.features.facts]
            made._events_of.append(EntityIndex.of([table.column(key) for key in plan.features.keys]))
            reported_of = [labels.column(key) for key in plan.features.keys] if plan.features.reads_labels else None
            made._labels_of.append(None if reported_of is None else EntityIndex.of(reported_of))
            made._ratios.append(_ratios(plan, table, labels))
        return made

    def facts_of(self, number: int, key: Keys) -> tuple[FactLines, FactLines, list[Later]]:
        """What is counted of an entity of the window features `number`: events or other facts, and labels.

        With them what becomes known later, in order.
        """
        plan, of_labels = self.rows.plans[number], self._labels_of[number]
        events = self._events_of[number].rows(key)
        labels = NO_ROWS if of_labels is None else of_labels.rows(key)
        if not len(events) and not len(labels):
            return FactLines(plan.event_layout), FactLines(plan.label_layout), []
        of = counted(plan.features)
        there, coming = self._parted(of, events, plan)
        reported, to_report = self._parted("labels", labels, plan)
        return (
            self.kind(of).lines(plan.event_layout, there, self._ratios[number], self.moment),
            self.labels.lines(plan.label_layout, reported, {}, self.moment),
            sorted(coming + to_report, key=lambda each: (each.moment, each.fact is not None)),
        )

    def heard_of_last(self, most: int) -> Iterator[tuple[int, Keys]]:
        """Number of window features and key of entities of which was heard last, the latest first; so many of each."""
        merged = merge(*(self._last_of(number, most) for number in range(len(self._events_of))), reverse=True)
        return ((number, self._key_of(number, row)) for _, row, number in merged)

    def _last_of(self, number: int, most: int) -> Iterator[tuple[int, int, int]]:
        """Time of knowing, row and window features of the last facts of entities, the latest first."""
        rows = self._events_of[number].last_rows(most)
        known = self.kind(counted(self.rows.plans[number].features)).known(rows)
        return zip(known.tolist(), rows.tolist(), repeat(number), strict=False)

    def _key_of(self, number: int, row: int) -> Keys:
        plan = self.rows.plans[number]
        facts = self.kind(counted(plan.features))
        return tuple(facts.value(name, row) for name in plan.features.keys)

    def _parted(self, of: str, rows: Ints, plan: Plan) -> tuple[Ints, list[Later]]:
        """Rows that are known at the moment, and what becomes known later."""
        facts = self.kind(of)
        if facts.newest <= self.moment:
            return rows, []
        return rows[facts.known(rows) <= self.moment], self._later(of, rows, plan)

    def kind(self, of: str) -> Facts:
        """`events`, `labels`, or `of_facts` of a source."""
        return self.others.get(of, self.events if of == "events" else self.labels)

    def row_of(self, of: str, id: Any, moment: int) -> int | None:
        """The row of the version of a fact that holds at a moment; None if tables have none."""
        facts = self.kind(of)
        rows = np.array(facts.rows_of(id), np.int64)
        holding = (facts.known(rows) <= moment) & (moment < facts.gone(rows))
        return max(rows[holding].tolist(), default=None)

    def gone_events(self, moment: int) -> list[Any]:
        """Ids of events of which a version ended by a moment and none holds at it."""
        ended = [self.events.value(ID, row) for row, at in self.events.superseded.items() if at <= moment]
        return [id for id in dict.fromkeys(ended) if self.row_of("events", id, moment) is None]

    @cached_property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """Columns of the entity of each of the window features."""
        return tuple(plan.features.keys for plan in self.rows.plans)

    @cached_property
    def entity_columns(self) -> tuple[str, ...]:
        """Columns that name the entities of events and labels."""
        return self.columns_of("events")

    def columns_of(self, of: str) -> tuple[str, ...]:
        """Columns that name the entities of facts of a kind; those of labels are those of their events."""
        counting = self.rows.counting("events" if of == "labels" else of)
        counts = zip(self.rows.plans, counting, strict=True)
        return tuple(dict.fromkeys(key for plan, does in counts if does for key in plan.features.keys))

    def entities_of(self, of: str, row: int) -> dict[str, Any]:
        """The columns of the entities that a fact is of."""
        facts = self.kind(of)
        return {name: facts.value(name, row) for name in self.columns_of(of)}

    def _later(self, of: str, rows: Ints, plan: Plan) -> list[Later]:
        facts = self.kind(of)
        names = [name for name, _, _ in plan.given["labels" if of == "labels" else "events"]]
        found = []
        known, gone = facts.known(rows), facts.gone(rows)
        for row, moment in _pairs(rows, known, known > self.moment):
            is_target = bool(facts.flags[row] & TARGET)
            found.append(Later(moment, of, facts.event(row, names), facts.value(ID, row), is_target))
        ending = _pairs(rows, gone, (gone > self.moment) & (gone < NEVER))
        return found + [Later(moment, of, None, facts.value(ID, row)) for row, moment in ending]


def _pairs(rows: Ints, moments: Ints, chosen: Bools) -> Iterator[tuple[int, int]]:
    return zip(rows[chosen].tolist(), moments[chosen].tolist(), strict=True)


def _ratios(plan: Plan, events: pa.Table, labels: pa.Table) -> dict[str, Values]:
    features = plan.counted
    if not features.ratios:
        return {}
    if "is_target" not in events.column_names:
        events = events.append_column("is_target", pa.repeat(True, len(events)))
    reports = known_after_events(features, events, labels) if features.reads_labels else None
    table = with_ratios(features, events, reports)
    columns = {ratio.name: table.column(ratio.name).cast(pa.float64()) for ratio in features.ratios}
    return {name: filled(column, np.nan).copy() for name, column in columns.items()}

"""What tables know of events and labels, as arrays that all entities share: what every worker starts from.

An entity's facts are cut out of them when it is first asked for, so that a start takes as long as reading the tables.
What came in since belongs in `jobs.decisions.entity_states`.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from jobs.decisions.profiles import Profiles
from jobs.decisions.table_facts import Facts, Values
from jobs.features.clock import filled
from jobs.features.own_labels import known_after_events
from jobs.features.window_kernel import with_ratios
from jobs.online.fact_lines import ID, TARGET, FactLines
from jobs.online.plan import Event, Plan
from jobs.times import NEVER


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
    """Events and labels of tables as they were known at a moment, by entity of each of the window features."""

    rows: FeatureRow
    moment: int
    events: Facts
    labels: Facts
    absorbed: Absorbed = field(default_factory=Absorbed)
    profiles: Profiles = field(default_factory=Profiles)
    _events_of: list[EntityIndex] = field(default_factory=list)
    _labels_of: list[EntityIndex] = field(default_factory=list)
    _ratios: list[dict[str, Values]] = field(default_factory=list)

    @classmethod
    def of(cls, rows: FeatureRow, moment: int, events: pa.Table, labels: pa.Table) -> BaseFacts:
        """
        Args:
            events: id, keys, event time, `known_at`, `superseded_at`, `is_target`, `decided_at` (microseconds UTC),
                and the columns that windows read.
            labels: id, keys, event time, `known_at`, `superseded_at`, and the columns that windows read.
        """
        use_case = rows.use_case
        events, labels = events.sort_by("known_at"), labels.sort_by("known_at")
        keys = {key: rows.events[key] for plan in rows.plans for key in plan.features.keys}
        reported = Facts.of(use_case, labels, {**rows.labels, **keys}, least_lag=1)
        made = cls(rows, moment, Facts.of(use_case, events, rows.events), reported)
        for plan in rows.plans:
            made._events_of.append(EntityIndex.of([events.column(key) for key in plan.features.keys]))
            made._labels_of.append(EntityIndex.of([labels.column(key) for key in plan.features.keys]))
            made._ratios.append(_ratios(plan, events, labels))
        return made

    def facts_of(self, number: int, key: Keys) -> tuple[FactLines, FactLines, list[Later]]:
        """Events and labels of an entity of the window features `number`, and what becomes known later, in order."""
        plan = self.rows.plans[number]
        events = self._events_of[number].rows(key)
        labels = self._labels_of[number].rows(key) if plan.features.reads_labels else NO_ROWS
        if not len(events) and not len(labels):
            return FactLines(plan.event_layout), FactLines(plan.label_layout), []
        there, coming = self._parted("events", events, plan)
        reported, to_report = self._parted("labels", labels, plan)
        return (
            self.events.lines(plan.event_layout, there, self._ratios[number], self.moment),
            self.labels.lines(plan.label_layout, reported, {}, self.moment),
            sorted(coming + to_report, key=lambda each: (each.moment, each.fact is not None)),
        )

    def heard_of_last(self, most: int) -> Iterator[tuple[int, Keys]]:
        """Number of window features and key of entities of which was heard last, the latest first; so many of each."""
        rows = (index.last_rows(most).tolist() for index in self._events_of)
        merged = merge(*[zip(of_features, repeat(number)) for number, of_features in enumerate(rows)], reverse=True)
        return ((number, tuple(self.events.value(name, row) for name in self.keys[number])) for row, number in merged)

    def _parted(self, of: str, rows: Ints, plan: Plan) -> tuple[Ints, list[Later]]:
        """Rows that are known at the moment, and what becomes known later."""
        facts = self.kind(of)
        if facts.newest <= self.moment:
            return rows, []
        return rows[facts.known(rows) <= self.moment], self._later(of, rows, plan)

    def kind(self, of: str) -> Facts:
        """`events` or `labels`."""
        return self.events if of == "events" else self.labels

    def row_of(self, of: str, id: Any, moment: int) -> int | None:
        """The row of the version of an event, or a label, that holds at a moment; None if tables have none."""
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
        """Columns that name the entities of all window features."""
        return tuple(dict.fromkeys(key for plan in self.rows.plans for key in plan.features.keys))

    def entities_of(self, of: str, row: int) -> dict[str, Any]:
        """The columns of the entities that an event, or a label, is of."""
        facts = self.kind(of)
        return {name: facts.value(name, row) for name in self.entity_columns}

    def _later(self, of: str, rows: Ints, plan: Plan) -> list[Later]:
        facts = self.kind(of)
        names = [name for name, _, _ in plan.given[of]]
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
    features = plan.features
    if not features.ratios:
        return {}
    reports = known_after_events(features, events, labels) if features.reads_labels else None
    table = with_ratios(features, events, reports)
    columns = {ratio.name: table.column(ratio.name).cast(pa.float64()) for ratio in features.ratios}
    return {name: filled(column, np.nan).copy() for name, column in columns.items()}

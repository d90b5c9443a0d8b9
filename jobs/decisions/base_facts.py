"""What tables know of events and labels, as arrays that all entities share: what every worker starts from.

An entity's facts are cut out of them when it is first asked for, so that a start takes as long as reading the tables.
What came in since belongs in `jobs.decisions.entity_states`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.arrays import Bools, Ints
from jobs.decisions.entity_index import EntityIndex, Keys, numbered_texts
from jobs.decisions.feature_row import FeatureRow
from jobs.features.clock import filled
from jobs.features.own_labels import known_after_events
from jobs.features.window_kernel import with_ratios
from jobs.online.column_type import ColumnType
from jobs.online.fact_lines import DECIDED, ID, RATIOS, TARGET, FactLines, Layout
from jobs.online.plan import Event, Plan
from jobs.times import NEVER

Values = NDArray[Any]


class Later(NamedTuple):
    """A fact that tables hold already, and that is known only from a moment on."""

    moment: int
    of: str
    fact: Event | None
    """None: the fact of this id turned out not to be, or to be another's."""
    id: Any
    is_target: bool = False


@dataclass(frozen=True, eq=False)
class Facts:
    """All facts of one kind, one after another in the order in which they became known."""

    happened: Ints
    known: Ints
    gone: Ints
    """When each was superseded; NEVER of the others."""
    flags: NDArray[np.uint8]
    columns: Mapping[str, Values]
    """ID among them; texts are objects, null is None; numbers are anything at nulls."""
    valid: Mapping[str, Bools]
    """Of the columns with nulls."""
    booleans: frozenset[str] = frozenset()
    """Columns that hold 1 and 0 for yes and no."""

    def lines(self, layout: Layout, rows: Ints, ratios: Mapping[str, Values], moment: int) -> FactLines:
        """The facts of some rows, which are known at a moment, as an entity holds them."""
        known, gone = self.known[rows], self.gone[rows]
        columns: dict[str, Values] = {"happened": self.happened[rows], "known": known, "flags": self.flags[rows]}
        columns |= {"gone": np.where(gone <= moment, gone, NEVER)}
        if ratios:
            columns["flags"] = columns["flags"] | RATIOS
        for name in layout.kinds:
            columns[name] = (ratios[name] if name in ratios else self.columns[name])[rows]
        valid = {name: self.valid[name][rows] for name in layout.kinds if name in self.valid}
        return FactLines.of(layout, columns, valid)

    def event(self, row: int, names: Sequence[str]) -> Event:
        """One fact with some of its columns."""
        values = {name: self.value(name, row) for name in names}
        return Event(self.value(ID, row), int(self.happened[row]), values)

    def value(self, name: str, row: int) -> Any:
        """A column of one fact; None is a null."""
        if name in self.valid and not self.valid[name][row]:
            return None
        value = self.columns[name][row]
        if name in self.booleans:
            return bool(value)
        return value.item() if isinstance(value, np.generic) else value


@dataclass(eq=False)
class BaseFacts:
    """Events and labels of tables as they were known at a moment, by entity of each of the window features."""

    rows: FeatureRow
    moment: int
    events: Facts
    labels: Facts
    absorbed: frozenset[Any] = frozenset()
    """Ids of events that tables have and that were decided here before: the log's own records of them add nothing."""
    _events_of: list[EntityIndex] = field(default_factory=list)
    _labels_of: list[EntityIndex] = field(default_factory=list)
    _ratios: list[dict[str, Values]] = field(default_factory=list)
    _ids: dict[str, Ints] = field(default_factory=dict)
    """Rows of events and of labels in the order of their ids."""

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
        reported = _facts(use_case, labels, {**rows.labels, **keys})
        made = cls(rows, moment, _facts(use_case, events, rows.events), reported)
        made.labels.known[:] = np.maximum(made.labels.known, made.labels.happened + 1)
        for plan in rows.plans:
            made._events_of.append(EntityIndex.of([events.column(key) for key in plan.features.keys]))
            made._labels_of.append(EntityIndex.of([labels.column(key) for key in plan.features.keys]))
            made._ratios.append(_ratios(plan, events, labels))
        return made

    def facts_of(self, number: int, key: Keys) -> tuple[FactLines, FactLines, list[Later]]:
        """Events and labels of an entity of the window features `number`, and what becomes known later, in order."""
        plan = self.rows.plans[number]
        events, labels = self._events_of[number].rows(key), self._labels_of[number].rows(key)
        if not plan.features.reads_labels:
            labels = labels[:0]
        there = events[self.events.known[events] <= self.moment]
        reported = labels[self.labels.known[labels] <= self.moment]
        later = self._later("events", events, plan) + self._later("labels", labels, plan)
        return (
            self.events.lines(plan.event_layout, there, self._ratios[number], self.moment),
            self.labels.lines(plan.label_layout, reported, {}, self.moment),
            sorted(later, key=lambda each: (each.moment, each.fact is not None)),
        )

    def row_of(self, of: str, id: Any) -> int | None:
        """The row of the version of an event, or a label, that no other has replaced; None if tables have none."""
        facts = self.events if of == "events" else self.labels
        ids = facts.columns[ID]
        if of not in self._ids:
            self._ids[of] = np.argsort(ids, kind="stable")
        order = self._ids[of]
        first = int(np.searchsorted(ids, id, "left", sorter=order))
        rows = []
        while first < len(ids) and ids[order[first]] == id:
            rows.append(int(order[first]))
            first += 1
        return max(rows, key=lambda row: (int(facts.gone[row]), row), default=None)

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
        facts = self.events if of == "events" else self.labels
        return {name: facts.value(name, row) for name in self.entity_columns}

    def _later(self, of: str, rows: Ints, plan: Plan) -> list[Later]:
        facts = self.events if of == "events" else self.labels
        names = [name for name, _, _ in plan.given[of]]
        found = []
        for row in rows[facts.known[rows] > self.moment].tolist():
            is_target = bool(facts.flags[row] & TARGET)
            found.append(Later(int(facts.known[row]), of, facts.event(row, names), facts.value(ID, row), is_target))
        gone = facts.gone[rows]
        ending = rows[(gone > self.moment) & (gone < NEVER)].tolist()
        return found + [Later(int(facts.gone[row]), of, None, facts.value(ID, row)) for row in ending]


def _facts(use_case: Any, table: pa.Table, types: Mapping[str, ColumnType]) -> Facts:
    names = {ID: use_case.event_id} | {name: name for name in types if name in table.column_names}
    columns, valid = {}, {}
    for name, stored in names.items():
        column = table.column(stored)
        columns[name] = _values(column)
        if column.null_count:
            valid[name] = column.is_valid().to_numpy()
    flags = np.zeros(len(table), np.uint8)
    if "is_target" in table.column_names:
        flags |= np.where(table.column("is_target").to_numpy(), TARGET, 0).astype(np.uint8)
        flags |= np.where(table.column("decided_at").is_valid().to_numpy(), DECIDED, 0).astype(np.uint8)
    happened, known, gone = (
        filled(table.column(name).cast(pa.timestamp("us", "UTC")).cast(pa.int64()), NEVER).copy()
        for name in (use_case.event_timestamp, "known_at", "superseded_at")
    )
    booleans = frozenset(name for name, stored in names.items() if pa.types.is_boolean(table.schema.field(stored).type))
    return Facts(happened, known, gone, flags, columns, valid, booleans)


def _values(column: pa.ChunkedArray) -> Values:
    """Numbers as arrays; texts as objects, of which equal ones are one."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts, numbers = numbered_texts(column)
        # A null has the last place, which is -1.
        values: Values = np.array([*texts, None], dtype=object)[numbers]
        return values
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    if pa.types.is_decimal(column.type) or pa.types.is_float32(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_boolean(column.type):
        return filled(column.cast(pa.int8()), -1)  # type: ignore[no-any-return]
    return filled(column, 0)  # type: ignore[no-any-return]


def _ratios(plan: Plan, events: pa.Table, labels: pa.Table) -> dict[str, Values]:
    features = plan.features
    if not features.ratios:
        return {}
    reports = known_after_events(features, events, labels) if features.reads_labels else None
    table = with_ratios(features, events, reports)
    return {ratio.name: filled(table.column(ratio.name).cast(pa.float64()), np.nan) for ratio in features.ratios}

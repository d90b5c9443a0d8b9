"""What tables say last of the facts that loads have brought or changed, or that became known since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from jobs.decisions import base_tables
from jobs.decisions.feature_row import FactColumns, FeatureRow
from jobs.decisions.log_contents import of_facts
from jobs.decisions.table_facts import Facts, Named
from jobs.lakehouse.tables import Lakehouse
from jobs.online.fact_lines import ID
from jobs.windows import FACT_ID

LOADED_IN = "loaded_in"


class Word(NamedTuple):
    """The last version of an event, a label or another fact that was known at a moment."""

    id: Any
    moment: int
    """When it became known, or known to be wrong."""
    happened: int
    values: Mapping[str, Any] | None
    """Columns that decisions read, without id and time; None: it turned out not to be."""


@dataclass(frozen=True)
class Position:
    """How far tables were read."""

    versions: Mapping[str, int]
    """Delta version of each table."""
    loads: Mapping[str, int]
    """The last load of each table that was read."""
    moment: int
    """Microseconds since 1970: what became known later was not read."""

    @classmethod
    def at(cls, lakehouse: Lakehouse, versions: Mapping[str, int], moment: int) -> Position:
        """Everything in some versions of tables that was known at a moment."""
        loads = {}
        # Versions of profiles are found by what differs, whether they are numbered or not.
        for table in [each for each in versions if LOADED_IN in lakehouse.schema(each, versions[each]).names]:
            version = versions[table]
            last = pc.max(lakehouse.to_arrow(table, version, [LOADED_IN])[LOADED_IN]).as_py()
            loads[table] = -1 if last is None else last
        return cls(versions, loads, moment)


@dataclass(frozen=True)
class TableWords:
    """The words between two positions."""

    lakehouse: Lakehouse
    rows: FeatureRow
    before: Position
    now: Position

    def of(self, of: str) -> Iterator[Word]:
        """The last word of each event, or label, of which something new is said, in the order in which they were known.

        Those that no decision reaches any more are left out.
        """
        use_case = self.rows.use_case
        table = use_case.events if of == "events" else use_case.labels
        named, since = (use_case.event_id, use_case.event_timestamp), base_tables.reached(use_case, self.now.moment)
        ids = self._changed(table, named, since)
        if not ids:
            return
        also = [(use_case.event_id, "in", ids)]
        found = base_tables.read(self.lakehouse, self.rows, of, self.now.versions, since, also)
        keys = [key for windows in use_case.windows if windows.facts is None for key in windows.keys]
        labels = {**self.rows.labels} | {key: self.rows.events[key] for key in keys}
        types = self.rows.events if of == "events" else labels
        names = [name for name in types if name not in named]
        yield from self._words(Facts.of(named, found.sort_by("known_at"), types), names)

    def of_facts(self, facts: FactColumns) -> Iterator[Word]:
        """The same of facts that are no events."""
        since = base_tables.reached(self.rows.use_case, self.now.moment)
        ids = self._changed(facts.table, (facts.id, facts.event), since)
        if not ids:
            return
        versions, also = self.now.versions, [(facts.id, "in", ids)]
        found = base_tables.read_facts(self.lakehouse, self.rows, facts, versions, since, also)
        named = FACT_ID, self.rows.use_case.event_timestamp
        yield from self._words(
            Facts.of(named, found.sort_by("known_at"), facts.types), self.rows.columns(of_facts(facts.source))
        )

    def _words(self, facts: Facts, names: list[str]) -> Iterator[Word]:
        for row in _last_rows(facts, self.now.moment):
            yield _word(facts, row, names, self.now.moment)

    def _changed(self, table: str, named: Named, since: int) -> list[Any]:
        """Ids of rows that a later load brought or changed, or that became known, or known to be wrong, since."""
        (id, event_timestamp), version = named, self.now.versions[table]
        # After a table was made anew its loads are numbered from the beginning.
        seen = self.before.loads.get(table, -1)
        seen = seen if seen <= self.now.loads[table] else -1
        moment, first = (datetime.fromtimestamp(at // 1_000_000, UTC) for at in (self.before.moment, since))
        happened = (event_timestamp, ">=", first)
        changes = ((LOADED_IN, ">", seen), ("known_at", ">", moment), ("superseded_at", ">", moment))
        found = self.lakehouse.to_arrow(table, version, [id], [[happened, each] for each in changes])
        ids: list[Any] = pc.unique(found[id]).to_pylist()
        return ids


def _last_rows(facts: Facts, moment: int) -> list[int]:
    """Of each id the row that became known last, in the order in which they did."""
    last: dict[Any, int] = {}
    rows = np.arange(len(facts))
    for row in rows[facts.known(rows) <= moment].tolist():
        id = facts.value(ID, row)
        last.pop(id, None)
        last[id] = row
    return list(last.values())


def _word(facts: Facts, row: int, names: list[str], moment: int) -> Word:
    at = np.array([row])
    known, gone = int(facts.known(at)[0]), int(facts.gone(at)[0])
    if gone <= moment:
        return Word(facts.value(ID, row), gone, int(facts.happened[row]), None)
    values = {name: facts.value(name, row) for name in names}
    return Word(facts.value(ID, row), known, int(facts.happened[row]), values)

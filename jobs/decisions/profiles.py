"""What is known of entities besides their events: the rows of profiles, of which a moment says which one counts.

The rule is that of `jobs.profiles.ProfileFeatures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from jobs.decisions.entity_index import NO_ROWS, EntityIndex
from jobs.decisions.feature_row import FeatureRow, ProfileColumns
from jobs.decisions.log_contents import ProfileCame
from jobs.decisions.table_facts import Facts
from jobs.online.fact_lines import ID


@dataclass(frozen=True, eq=False)
class ProfileTable:
    """The versions of one profile that tables have, those that are known later too."""

    columns: ProfileColumns
    index: EntityIndex
    facts: Facts
    """In the order in which they became known."""

    @classmethod
    def of(cls, columns: ProfileColumns, table: pa.Table) -> ProfileTable:
        """table: as `jobs.decisions.base_tables.read_profiles` reads it."""
        table = table.sort_by("known_at")
        facts = Facts.of((columns.key, columns.event), table, columns.types)
        return cls(columns, EntityIndex.of([table.column(columns.key)]), facts)

    def last(self, key: Any, moment: int) -> tuple[int, int, int] | None:
        """Event time, time of knowing and row of what counts of an entity at a moment (microseconds since 1970)."""
        rows = NO_ROWS if key is None else self.index.rows((key,))
        if len(rows):
            rows = rows[(self.facts.known(rows) <= moment) & (self.facts.happened[rows] <= moment)]
        if not len(rows):
            return None
        happened = self.facts.happened[rows]
        # The later one in the table of equal ones became known later.
        last = rows[np.flatnonzero(happened == happened.max())[-1:]]
        return int(happened.max()), int(self.facts.known(last)[0]), int(last[0])

    def row(self, row: int) -> list[Any]:
        """The columns of a row."""
        return [self.facts.value(name, row) for name in self.columns.types]

    def came(self, row: int) -> ProfileCame:
        """A row as the log holds it."""
        at, source = np.array([row]), self.columns.source
        values = dict(zip(self.columns.types, self.row(row), strict=True))
        happened, known = int(self.facts.happened[row]), int(self.facts.known(at)[0])
        return ProfileCame(source, self.facts.value(ID, row), happened, known, values)


@dataclass(frozen=True, eq=False)
class Profiles:
    """All profiles of a use case."""

    tables: tuple[ProfileTable, ...] = ()

    @classmethod
    def of(cls, rows: FeatureRow, tables: Mapping[str, pa.Table]) -> Profiles:
        """tables: of each profile's table the rows."""
        return cls(tuple(ProfileTable.of(each, tables[each.table]) for each in rows.profiles))

    def values(self, event: Mapping[str, Any], moment: int) -> list[Any]:
        """What tables know at a moment of the entities that an event is of, in the order of `FeatureRow.profiles`."""
        return KnownProfiles(self, moment).values(event, moment)


class _Told(NamedTuple):
    """A version that the log brought; the last of those that are known counts."""

    happened: int
    known: int
    stamp: int
    values: list[Any]

    @property
    def since(self) -> int:
        """From when on it counts."""
        return max(self.happened, self.known, self.stamp)


@dataclass(eq=False)
class KnownProfiles:
    """What tables know, and what the log brought since their moment; what it brought before is in the tables."""

    base: Profiles
    moment: int
    seen: int = 0
    """How many facts of the store are folded, where a worker reads of entities alone."""
    _told: dict[tuple[str, Any], list[_Told]] = field(default_factory=dict)

    def add(self, stamp: int, came: ProfileCame) -> None:
        """Let a version be known from its stamp on."""
        if stamp > self.moment:
            for table in self.base.tables:
                if table.columns.source == came.source:
                    values = [came.values.get(name) for name in table.columns.types]
                    told = _Told(came.happened, came.known, stamp, values)
                    self._told.setdefault((came.source, came.key), []).append(told)

    def forget(self) -> None:
        """Begin anew with what tables know."""
        self._told, self.seen = {}, 0

    def values(self, event: Mapping[str, Any], moment: int) -> list[Any]:
        """What is known at a moment of the entities that an event is of, in the order of `FeatureRow.profiles`."""
        return [value for table in self.base.tables for value in self._of(table, event.get(table.columns.key), moment)]

    def _of(self, table: ProfileTable, key: Any, moment: int) -> list[Any]:
        source, held = table.columns.source, table.last(key, moment)
        told = [each for each in self._told.get((source, key), ()) if each.since <= moment]
        last = max(told, key=lambda each: each[:3], default=None)
        if last is not None and (held is None or held[:2] <= last[:2]):
            return last.values
        return [None] * len(table.columns.types) if held is None else table.row(held[2])

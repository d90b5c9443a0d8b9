"""What is known of entities besides their events: the rows of profiles, of which a moment says which one counts.

The rule is that of `jobs.profiles.ProfileFeatures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.decisions.entity_index import NO_ROWS, EntityIndex
from jobs.decisions.feature_row import FeatureRow, ProfileColumns
from jobs.decisions.table_facts import Facts
from jobs.use_case import UseCase


@dataclass(frozen=True, eq=False)
class ProfileTable:
    """The versions of one profile that tables have, those that are known later too."""

    columns: ProfileColumns
    index: EntityIndex
    facts: Facts
    """In the order in which they became known."""

    @classmethod
    def of(cls, use_case: UseCase, columns: ProfileColumns, table: pa.Table) -> ProfileTable:
        """table: as `jobs.decisions.base_tables.read_profiles` reads it."""
        table = table.sort_by("known_at")
        own = {use_case.event_id: table.column(columns.key), use_case.event_timestamp: table.column(columns.event)}
        own |= {name: table.column(name) for name in ("known_at", "superseded_at", *columns.types)}
        return cls(columns, EntityIndex.of([own[use_case.event_id]]), Facts.of(use_case, pa.table(own), columns.types))

    def values(self, key: Any, moment: int) -> list[Any]:
        """The columns of an entity as they were known at a moment (microseconds since 1970); None where none was."""
        rows = NO_ROWS if key is None else self.index.rows((key,))
        if len(rows):
            rows = rows[(self.facts.known(rows) <= moment) & (self.facts.happened[rows] <= moment)]
        if not len(rows):
            return [None] * len(self.columns.types)
        happened = self.facts.happened[rows]
        # The later one in the table of equal ones became known later.
        last = int(rows[np.flatnonzero(happened == happened.max())[-1]])
        return [self.facts.value(name, last) for name in self.columns.types]


@dataclass(frozen=True, eq=False)
class Profiles:
    """All profiles of a use case."""

    tables: tuple[ProfileTable, ...] = ()

    @classmethod
    def of(cls, rows: FeatureRow, tables: Mapping[str, pa.Table]) -> Profiles:
        """tables: of each profile's table the rows."""
        return cls(tuple(ProfileTable.of(rows.use_case, each, tables[each.table]) for each in rows.profiles))

    def values(self, event: Mapping[str, Any], moment: int) -> Sequence[Any]:
        """What is known at a moment of the entities that an event is of, in the order of `FeatureRow.profiles`."""
        return [value for table in self.tables for value in table.values(event.get(table.columns.key), moment)]

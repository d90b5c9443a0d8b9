"""The tables of a home as they would be after loads that are only tried: nothing is written, not even a folder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from jobs.lakehouse.tables import Lakehouse


@dataclass
class Rehearsal(Lakehouse):
    """A lakehouse that loads can read, with the rows that earlier tried loads would have appended."""

    appended: dict[str, pa.Table] = field(default_factory=dict)

    def append(self, table: str, rows: pa.Table) -> None:
        """Let later loads find `rows` in a table."""
        self.appended[table] = rows

    def exists(self, table: str) -> bool:
        return table in self.appended or super().exists(table)

    def schema(self, table: str, version: int | None = None) -> pa.Schema:
        return self.appended[table].schema if table in self.appended else super().schema(table, version)

    def state(self, table: str, version: int | None = None) -> dict[str, Any]:
        state = super().state(table, version)
        return {**state, "loaded_in": 1} if table in self.appended else state

    def to_arrow(
        self, table: str, version: int | None = None, columns: Sequence[str] | None = None, filters: Any = None
    ) -> pa.Table:
        if table not in self.appended:
            return super().to_arrow(table, version, columns, filters)
        rows = self.appended[table].select(columns or self.appended[table].column_names)
        if not super().exists(table):
            return rows
        stored = super().to_arrow(table, version, columns)
        return pa.concat_tables([stored, rows.cast(stored.schema)])

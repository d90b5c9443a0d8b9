"""Facts of one kind as arrays that all entities share, in as few bytes as they fit into.

Which of them an entity is made of belongs in `jobs.decisions.base_facts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.arrays import Bools, Ints
from jobs.decisions.entity_index import numbered_texts
from jobs.features.clock import filled
from jobs.online.column_type import ColumnType
from jobs.online.fact_lines import DECIDED, ID, RATIOS, TARGET, FactLines, Layout
from jobs.online.plan import Event
from jobs.times import NEVER

Values: TypeAlias = NDArray[Any]
Named: TypeAlias = tuple[str, str]
"""Names of the columns of ids and of event times."""
SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


@dataclass(frozen=True, eq=False)
class Facts:
    """All facts of one kind, one after another in the order in which they became known."""

    happened: Ints
    lags: NDArray[Any]
    """Microseconds from when each happened to when it became known."""
    superseded: Mapping[int, int]
    """When the few facts that a later version replaced were known to be wrong, by row."""
    flags: NDArray[np.uint8]
    columns: Mapping[str, Values]
    """ID among them; texts are objects, null is None; numbers are anything at nulls, integers take as
    few bytes as all of them fit into."""
    valid: Mapping[str, Bools]
    """Of the columns with nulls."""
    booleans: frozenset[str] = frozenset()
    """Columns that hold 1 and 0 for yes and no."""

    @classmethod
    def of(cls, named: Named, table: pa.Table, types: Mapping[str, ColumnType], least_lag: int | None = None) -> Facts:
        """
        Args:
            named: columns of ids and of event times.
            table: as `BaseFacts.of` takes it, in the order in which facts became known.
            types: of the columns to hold.
            least_lag: facts that are known earlier count from so many microseconds after they happened.
        """
        id, event_timestamp = named
        names = {ID: id} | {name: name for name in types if name in table.column_names}
        happened, known, gone = (
            filled(table.column(name).cast(pa.timestamp("us", "UTC")).cast(pa.int64()), NEVER).copy()
            for name in (event_timestamp, "known_at", "superseded_at")
        )
        lags = known - happened if least_lag is None else np.maximum(known - happened, least_lag)
        replaced = np.flatnonzero(gone < NEVER)
        return cls(
            happened,
            _compact(lags),
            dict(zip(replaced.tolist(), gone[replaced].tolist(), strict=True)),
            _flags(table),
            {
                name: happened if stored == event_timestamp else _compact(_values(table.column(stored)))
                for name, stored in names.items()
            },
            {name: table.column(at).is_valid().to_numpy() for name, at in names.items() if table.column(at).null_count},
            frozenset(name for name, stored in names.items() if pa.types.is_boolean(table.schema.field(stored).type)),
        )

    def lines(self, layout: Layout, rows: Ints, ratios: Mapping[str, Values], moment: int) -> FactLines:
        """The facts of some rows, which are known at a moment, as an entity holds them."""
        gone = self.gone(rows)
        columns: dict[str, Values] = {"happened": self.happened[rows], "flags": self.flags[rows]}
        columns |= {"known": self.known(rows), "gone": np.where(gone <= moment, gone, NEVER)}
        if ratios:
            columns["flags"] = columns["flags"] | RATIOS
        for name in layout.kinds:
            columns[name] = (ratios[name] if name in ratios else self.columns[name])[rows]
        valid = {name: self.valid[name][rows] for name in layout.kinds if name in self.valid}
        return FactLines.of(layout, columns, valid)

    def __len__(self) -> int:
        return len(self.happened)

    def known(self, rows: Ints) -> Ints:
        """When some facts became known."""
        known: Ints = self.happened[rows] + self.lags[rows]
        return known

    def gone(self, rows: Ints) -> Ints:
        """When some facts were superseded; NEVER of the others."""
        if not self.superseded:
            return np.full(len(rows), NEVER)
        return np.array([self.superseded.get(row, NEVER) for row in rows.tolist()], np.int64)

    @cached_property
    def newest(self) -> int:
        """When the last fact became known, or known to be wrong; the beginning of time if there are none."""
        last = int((self.happened + self.lags).max(initial=-(2**63)))
        return max([last, *self.superseded.values()])

    @cached_property
    def _by_id(self) -> NDArray[np.int32] | None:
        """Rows in the order of their ids; None: they are in it."""
        ids = self.columns[ID]
        if bool((ids[1:] >= ids[:-1]).all()):
            return None
        return np.argsort(ids, kind="stable").astype(np.int32)

    @cached_property
    def _numbered(self) -> tuple[int, int]:
        """The smallest and the largest id, where ids are numbers."""
        ids = self.columns[ID]
        return (int(ids.min()), int(ids.max())) if len(ids) else (0, -1)

    def rows_of(self, id: Any) -> list[int]:
        """The rows of all versions of a fact."""
        ids, order = self.columns[ID], self._by_id
        if ids.dtype != object:
            low, high = self._numbered
            if not low <= id <= high:
                return []
            # A number of another type would be compared with a copy of all ids.
            id = ids.dtype.type(id)
        first, last = (int(ids.searchsorted(id, side, order)) for side in SIDES)
        rows: list[int] = list(range(first, last)) if order is None else order[first:last].tolist()
        return rows

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


def _flags(table: pa.Table) -> NDArray[np.uint8]:
    flags = np.zeros(len(table), np.uint8)
    if "is_target" in table.column_names:
        flags |= np.where(table.column("is_target").to_numpy(), TARGET, 0).astype(np.uint8)
        flags |= np.where(table.column("decided_at").is_valid().to_numpy(), DECIDED, 0).astype(np.uint8)
    return flags


def _compact(values: Values) -> Values:
    """A copy, which holds nothing of Arrow's memory, of integers in as few bytes as all of them fit into."""
    if values.dtype != np.int64 or not len(values):
        return values.copy()
    low, high = int(values.min()), int(values.max())
    fitting = (
        kind for kind in (np.int8, np.int16, np.int32) if np.iinfo(kind).min <= low <= high <= np.iinfo(kind).max
    )
    return values.astype(next(fitting, np.int64))


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

"""A Delta table as a topic: the rows that each version added, as JSON, from the first one on.

Where files or commits of earlier versions are gone, the rows of the newest one come first, file by file. There is one
partition; an offset is the version and the row in it. Compaction brings no row; an update brings the rows of the files
that it rewrote, of which those that are known count once; a deletion brings none. A table that is made again is read
from its beginning.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from jobs.ingest import calendar, vectors
from jobs.ingest.delta_versions import VersionRows, added_rows, all_rows, holds_all, table_id
from jobs.ingest.registered_inputs import InputError
from jobs.lakehouse import table_log
from jobs.messages.message import Message
from jobs.messages.position import Position, PositionLost

LOOK_EVERY = 0.05
"""Seconds between looks for a further version."""
ROWS = 2**32
"""More rows than a version has: an offset is version x ROWS + row."""
_EXACT = 2**53
"""Below it floats hold every integer."""
_WHOLE = "whole"
"""The mark of a place among all rows of a version, not only those that it added."""


class DeltaTopic:
    """The rows of one table from a position on."""

    def __init__(self, folder: Path, position: Position) -> None:
        self._folder, self._topic, self._id = folder, position.topic, position.topic_id
        self._version, self._row = divmod(position.next.get(0, 0), ROWS)
        self._is_whole = position.marks.get(0) == _WHOLE
        self._values: list[bytes] | None = None
        """Rows of that version, once they are read."""
        self._look_at = 0.0
        self._seen = (0, 0)
        """What tells its log as it was looked at last."""

    def position(self) -> Position:
        """The place behind all rows that were handed out."""
        marks = {0: _WHOLE} if self._is_whole else {}
        return Position(self._topic, self._id, {0: self._version * ROWS + self._row}, marks)

    def lag(self) -> int:
        """Rows of the version that is read, and as many of each further one."""
        rows = len(self._values or ())
        return max(0, rows - self._row) + max(1, rows) * max(0, self._newest() - self._version)

    def unread(self, most: int) -> Iterator[list[Message]]:
        """The next rows, version by version. Raises PositionLost."""
        while most > 0 and self._read():
            rows = self._handed_out(most)
            most -= len(rows)
            yield rows

    def _handed_out(self, most: int) -> list[Message]:
        values = self._values or []
        first = self._version * ROWS + self._row
        part = values[self._row : self._row + most]
        self._row += len(part)
        if self._row >= len(values):
            self._version, self._row, self._values, self._is_whole = self._version + 1, 0, None, False
        return [Message(self._topic, 0, first + number, -1, None, value) for number, value in enumerate(part)]

    def _read(self) -> bool:
        """Whether there is a version at the place, with rows or without any."""
        if self._values is None and time.monotonic() >= self._look_at:
            try:
                found = self._found()
            except InputError as error:
                raise self._lost(str(error)) from error
            if found is None:
                self._look_at = time.monotonic() + LOOK_EVERY
            else:
                self._values = json_values(found.rows)
        return self._values is not None

    def _found(self) -> VersionRows | None:
        """The rows of the version at the place; None if there is none yet."""
        newest = self._newest()
        if newest == self._version - 1 and self._is_same():
            return None
        found = self._at_place() if newest >= self._version else None
        if found is not None and found.table_id == self._id:
            return found
        if (id := table_id(self._folder)) == self._id:
            raise self._lost(f"its log up to version {newest} without that one")
        self._id, self._row, self._is_whole = id, 0, not holds_all(self._folder)
        self._version = newest if self._is_whole else 0
        return self._at_place()

    def _is_same(self) -> bool:
        """Whether the table is still the one that was read, looked at again once something changed."""
        found = (self._folder / "_delta_log").stat()
        before, self._seen = self._seen, (found.st_ino, found.st_mtime_ns)
        return before == self._seen or table_id(self._folder) == self._id

    def _at_place(self) -> VersionRows | None:
        return all_rows(self._folder, self._version) if self._is_whole else added_rows(self._folder, self._version)

    def _newest(self) -> int:
        try:
            return table_log.newest(str(self._folder))
        except ValueError:  # it is being made
            return self._version - 1

    def _lost(self, found: str) -> PositionLost:
        return PositionLost(
            self._topic,
            f"{self._folder}: expected to go on at version {self._version} of a Delta table, found {found}; go on from "
            "what is there by `evergreen stream rewind --earliest`",
        )


def json_values(rows: pl.DataFrame) -> list[bytes]:
    """Rows as JSON objects, from whose texts and numbers `jobs.ingest` reads the same values."""
    texts = rows.select(_text(name, dtype) for name, dtype in rows.schema.items())
    return texts.write_ndjson().encode().splitlines()


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as JSON has it, or as text: JSON has no times, no NaN and no numbers of 32 bits."""
    column = pl.col(name)
    if dtype.is_integer() or dtype in (pl.Boolean, pl.String) or (dtype.is_nested() and not vectors.is_list(dtype)):
        return column
    if dtype == pl.Binary:
        return column.bin.encode("hex")
    if dtype.is_float():
        return _digits(column.cast(pl.Float64))
    return calendar.as_text(column, dtype).alias(name)


def _digits(number: pl.Expr) -> pl.Expr:
    """Numbers as text, whole ones without a point: libraries make floats of integers beside a missing one."""
    is_whole = (number == number.round()) & (number.abs() < _EXACT) & ((number != 0) | (1 / number > 0))
    return pl.when(is_whole).then(number.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(number.cast(pl.String))

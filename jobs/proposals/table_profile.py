"""What a file of unknown origin holds: its rows, and of each column what its values are.

Columns are read one at a time, by the reader of `jobs.ingest`, so that memory holds one whole column and samples of the
others. What a column is for: see `jobs.proposals.roles`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from jobs.display import listed
from jobs.ingest.registered_inputs import InputError
from jobs.proposals import file_columns
from jobs.proposals.column_words import speaks_of
from jobs.proposals.value_kinds import Guess, guess
from jobs.proposals.words import TIME

SAMPLED = 400_000
"""Rows of a sample, at most: by these columns are compared with each other."""
SHOWN = 3
DAY_SECONDS = 86_400
ELAPSED = Guess("timestamp", {"format": ["s"]}, "taken for seconds since the first row, which happened in 1970")


@dataclass(frozen=True, eq=False)
class ColumnProfile:
    """A column of the file."""

    name: str
    guess: Guess
    rows: int
    present: int
    """Rows with a value that could be read."""
    unread: int
    """Rows with a value that is none of the kind."""
    distinct: int
    sample: pl.Series
    """Values as a load has them, of the same rows as those of the other columns."""
    smallest: object = None
    largest: object = None
    is_sorted: bool = False
    negative: bool = False
    frequent: tuple[tuple[object, int], ...] = ()

    @property
    def kind(self) -> str | None:
        return self.guess.kind

    @property
    def filled(self) -> float:
        """Share of the rows that have a value."""
        return self.present / self.rows

    @property
    def unique(self) -> float:
        """Different values over values."""
        return self.distinct / self.present if self.present else 0.0

    @property
    def repeats(self) -> float:
        """Rows for each different value, on average."""
        return self.present / self.distinct if self.distinct else 0.0

    def seen(self) -> str:
        """What was seen, in words."""
        parts = [f"{self.distinct:,} different" if self.distinct > 1 else f"always {self.frequent[0][0]!r}"
                 if self.frequent else "no value"]  # fmt: skip
        if self.smallest is not None and self.kind in ("number", "integer", "timestamp"):
            parts.append(f"{_short(self.smallest)} to {_short(self.largest)}")
        elif self.frequent and 1 < self.distinct < self.present:
            parts.append("mostly " + ", ".join(f"{_short(value)} ({count / self.present:.1%})"
                                               for value, count in self.frequent[:SHOWN]))  # fmt: skip
        if self.present < self.rows:
            parts.append(f"{1 - self.filled:.1%} missing")
        if self.unread:
            parts.append(f"{self.unread:,} not read as {self.kind}")
        return "; ".join([*parts, *([self.guess.note] if self.guess.note else [])])


@dataclass(frozen=True, eq=False)
class TableProfile:
    """A file, or the files of a folder."""

    path: Path
    rows: int
    columns: tuple[ColumnProfile, ...]
    is_part: bool = False
    """Only the beginning and the end of a large text file were read."""
    encoding: str = ""
    """Of text files that are not in UTF-8."""

    def column(self, name: str) -> ColumnProfile:
        """The column of this name. Raises InputError if there is none."""
        alike = [c for c in self.columns if c.name == name] or [
            c for c in self.columns if c.name.casefold() == name.casefold()
        ]
        if len(alike) != 1:
            names = listed([c.name for c in self.columns])
            raise InputError(f"{self.path}: expected one column {name}, found {names}; name one of these")
        return alike[0]


def profile(path: Path) -> TableProfile:
    """What the file, folder or Delta table at `path` holds.

    Raises InputError if it cannot be read, has no rows, or has columns of one name.
    """
    files = file_columns.opened(path)
    if not len(files.values(files.names[0])):
        raise InputError(f"{path}: expected rows, found a header alone; deliver the file again")
    columns = tuple(_guessed(name, files.values(name)) for name in files.names)
    if not any(column.kind == "timestamp" for column in columns):
        columns = tuple(_column(c.name, files.values(c.name), ELAPSED) if _is_elapsed(c) else c for c in columns)
    return TableProfile(path, columns[0].rows, columns, files.is_part, files.encoding)


def _is_elapsed(column: ColumnProfile) -> bool:
    """Whether a column counts seconds from the first row on."""
    smallest, largest = column.smallest, column.largest
    if not (isinstance(smallest, int | float) and isinstance(largest, int | float) and column.is_sorted):
        return False
    return speaks_of(column.name, TIME) and smallest >= 0 and DAY_SECONDS / 24 <= largest < 3_650 * DAY_SECONDS


def _guessed(name: str, found: pl.Series) -> ColumnProfile:
    return _column(name, found, guess(name, found))


def _column(name: str, found: pl.Series, kind: Guess) -> ColumnProfile:
    if kind.kind is None:
        empty = pl.Series([None]).new_from_index(0, len(found))
        return ColumnProfile(name, kind, len(found), 0, 0, 0, empty.gather_every(_step(found)))
    values = kind.read(found)
    present = values.drop_nulls()
    none = set(kind.form().null)
    given = (
        found.drop_nulls().cast(pl.String).str.strip_chars().is_in(list(none)).not_().sum() if none else found.count()
    )
    ordered = kind.kind in ("number", "integer", "timestamp")
    return ColumnProfile(
        name, kind, len(values), len(present), max(0, int(given) - len(present)), present.n_unique(),
        values.gather_every(_step(values)), present.min() if ordered else None, present.max() if ordered else None,
        ordered and bool(present.is_sorted()), kind.kind in ("number", "integer") and bool((present < 0).any()),
        _frequent(present),
    )  # fmt: skip


def _step(values: pl.Series) -> int:
    return -(-len(values) // SAMPLED) or 1


def _frequent(values: pl.Series) -> tuple[tuple[object, int], ...]:
    counts = values.rename("value").value_counts().sort("count", "value", descending=[True, False]).head(10)
    return tuple(counts.iter_rows())


def _short(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 30 else f"{text[:27]}..."

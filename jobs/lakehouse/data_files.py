"""The data files of one version of a Delta table, read column by column where a kernel runs.

A kernel that needs all rows of a table reads them here itself: they pass through no exchange of an engine. Only tables
whose files hold exactly their rows and columns are read so; `data_files` returns None for all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa

if TYPE_CHECKING:
    from deltalake import DeltaTable

PLAIN_READER = 1
"""Delta's reader version without deletion vectors and renamed columns (protocol, "Reader Requirements")."""


@dataclass(frozen=True)
class DataFiles:
    """Rows of data files in one fixed order; each column is read when it is asked for, and not kept.

    Stands for a `pyarrow.Table` wherever only `num_rows`, `column_names`, `schema` and single columns are needed.
    """

    paths: tuple[str, ...]
    num_rows: int
    stored: pa.Schema
    columns: Mapping[str, str]
    """Name of each column -> its name in the files."""

    def renamed(self, columns: Mapping[str, str]) -> DataFiles | None:
        """The columns under other names (new -> old); None if the files lack one of them."""
        missing = [old for old in columns.values() if old not in self.columns]
        return None if missing else replace(self, columns={new: self.columns[old] for new, old in columns.items()})

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([self.stored.field(old).with_name(new) for new, old in self.columns.items()])

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        import polars as pl

        column = pl.read_parquet(list(self.paths), columns=[self.columns[name]], glob=False).to_arrow()[0]
        return column.cast(self.stored.field(self.columns[name]).type)


def data_files(delta: DeltaTable) -> DataFiles | None:
    """The files of a table on a local disk; None where its rows are more, or others, than what the files hold."""
    root = delta.table_uri.removeprefix("file://")
    metadata = delta.metadata()
    if "://" in root or delta.protocol().min_reader_version != PLAIN_READER:
        return None
    actions = pa.table(delta.get_add_actions(flatten=True))
    counts: Sequence[int | None] = actions["num_records"].to_pylist()
    if not counts or None in counts:
        return None
    folder = unquote(root).rstrip("/")
    paths = sorted(f"{folder}/{unquote(path)}" for path in actions["path"].to_pylist())
    fields = [f for f in pa.schema(delta.schema().to_arrow()) if f.name not in metadata.partition_columns]
    stored = pa.schema(fields)
    return DataFiles(tuple(paths), sum(n or 0 for n in counts), stored, {name: name for name in stored.names})

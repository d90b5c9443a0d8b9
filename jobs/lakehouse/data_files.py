"""The data files of one version of a Delta table, read by column where a kernel runs, or without an engine.

A kernel that needs all rows of a table reads them here itself: they pass through no exchange of an engine. Only tables
whose files hold exactly their rows and columns are read so; the functions return None for all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import fs

from jobs.lakehouse import table_log
from jobs.lakehouse.file_statistics import ROUNDED

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable
    from pyarrow.compute import Expression
    from pyarrow.dataset import Dataset

PLAIN_READER = 1
"""Delta's reader version without deletion vectors and renamed columns (protocol, "Reader Requirements")."""


@dataclass(frozen=True)
class TableFile:
    """One Parquet file of a table."""

    path: str
    num_rows: int
    spans: Mapping[str, tuple[datetime, datetime]]
    """Least and greatest value of each column of timestamps, as far as the table's log has them."""

    def may_hold(self, column: str, low: datetime | None, high: datetime) -> bool:
        """False if no value of the column can lie in [low, high]."""
        if column not in self.spans:
            return True
        least, greatest = self.spans[column]
        return least <= high and (low is None or low - greatest <= ROUNDED)


@dataclass(frozen=True)
class DataFiles:
    """Rows of data files in one fixed order; columns are read when they are asked for, and not kept.

    Stands for a `pyarrow.Table` wherever only `num_rows`, `column_names`, `schema` and some of its columns are needed.
    """

    files: tuple[TableFile, ...]
    stored: pa.Schema
    columns: Mapping[str, str]
    """Name of each column -> its name in the files."""

    def renamed(self, columns: Mapping[str, str]) -> DataFiles | None:
        """The columns under other names (new -> old); None if the files lack one of them."""
        missing = [old for old in columns.values() if old not in self.columns]
        return None if missing else replace(self, columns={new: self.columns[old] for new, old in columns.items()})

    def between(self, column: str, low: datetime | None, high: datetime) -> DataFiles:
        """The files that may hold a value of a column of timestamps in [low, high]; `low` None: no lower end."""
        stored = self.columns[column]
        return replace(self, files=tuple(file for file in self.files if file.may_hold(stored, low, high)))

    @property
    def num_rows(self) -> int:
        return sum(file.num_rows for file in self.files)

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([self.stored.field(old).with_name(new) for new, old in self.columns.items()])

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        return self.select([name])[name]

    def select(self, names: Sequence[str]) -> pa.Table:
        """Some columns, read at once: a file is opened once for all of them."""
        stored = pa.schema([self.stored.field(self.columns[name]) for name in names])
        if not self.files:
            return stored.empty_table().rename_columns(list(names))
        from pyarrow import dataset  # imports pandas

        # A file that is older than a column holds none of it, and Spark writes times in another unit: the schema rules.
        files = dataset.dataset([file.path for file in self.files], schema=self.stored, format="parquet")
        return files.to_table(columns=stored.names).rename_columns(list(names))


def data_files(delta: DeltaTable) -> DataFiles | None:
    """The files of a table on a local disk; None where its rows are more, or others, than what the files hold."""
    folder = _folder(delta)
    if folder is None:
        return None
    actions = pa.table(delta.get_add_actions(flatten=True))
    if not actions.num_rows or actions["num_records"].null_count:
        return None
    partitions = delta.metadata().partition_columns
    stored = pa.schema([f for f in table_log.schema(delta) if f.name not in partitions])
    files = [
        TableFile(_path(folder, action["path"]), action["num_records"], _spans(action, stored))
        for action in sorted(actions.to_pylist(), key=lambda action: str(action["path"]))
    ]
    return DataFiles(tuple(files), stored, {name: name for name in stored.names})


def scan(delta: DeltaTable) -> pl.LazyFrame | None:
    """All columns of a table on a local disk, read by Polars when they are asked for; None where it may not.

    A condition on the partition leaves files out unopened.
    """
    import polars as pl

    folder = _folder(delta)
    paths = [_path(folder or "", path) for path in sorted(pa.table(delta.get_add_actions())["path"].to_pylist())]
    # Polars takes "%20" in a path for a space, and "a=b" in the name of any folder for a partition.
    if folder is None or "=" in folder or any("%" in path for path in paths):
        return None
    schema, partitions = pl.Schema(delta.schema()), delta.metadata().partition_columns
    if not paths:
        return pl.LazyFrame(schema=schema)
    # Spark writes times in other units, or without a zone.
    times = pl.ScanCastOptions(datetime_cast=["nanosecond-downcast", "millisecond-upcast", "convert-timezone"])
    return pl.scan_parquet(
        paths, glob=False, schema=schema, missing_columns="insert", extra_columns="ignore", cast_options=times,
        hive_partitioning=bool(partitions), hive_schema={name: schema[name] for name in partitions} or None,
    )  # fmt: skip


def local_dataset(delta: DeltaTable) -> Dataset | None:
    """The rows of a table on a local disk, partition columns included; None where the files do not hold just its rows.

    Equals `DeltaTable.to_pyarrow_dataset`, which reads through a Python file handle per file and turns all statistics
    of the log into expressions: that takes longer than to read some columns of a day.
    """
    folder = _folder(delta)
    if folder is None:
        return None
    from pyarrow import dataset  # imports pandas

    schema, disk, form = table_log.schema(delta), fs.LocalFileSystem(), dataset.ParquetFileFormat()
    actions = pa.table(delta.get_add_actions(flatten=True))
    by = [schema.field(name) for name in delta.metadata().partition_columns]

    def partition(row: int) -> Expression:
        """What holds of all rows of a file."""
        every = dataset.scalar(True)
        for field in by:
            value, column = actions[f"partition.{field.name}"][row], dataset.field(field.name)
            every &= column == value.cast(field.type) if value.is_valid else column.is_null()
        return every

    fragments = [
        form.make_fragment(_path(folder, path), disk, partition(row))
        for row, path in enumerate(actions["path"].to_pylist())
    ]
    return dataset.FileSystemDataset(fragments, schema, form, disk)


def _folder(delta: DeltaTable) -> str | None:
    """Where the files of a table lie on a local disk; None if they lie elsewhere, or do not hold exactly its rows."""
    root = delta.table_uri.removeprefix("file://")
    if "://" in root or delta.protocol().min_reader_version != PLAIN_READER:
        return None
    return unquote(root).rstrip("/")


def _path(folder: str, path: str) -> str:
    return f"{folder}/{unquote(path)}"


def _spans(action: Mapping[str, Any], stored: pa.Schema) -> dict[str, tuple[datetime, datetime]]:
    ends = {
        field.name: (action.get(f"min.{field.name}"), action.get(f"max.{field.name}"))
        for field in stored
        if pa.types.is_timestamp(field.type)
    }
    return {name: (_utc(low), _utc(high)) for name, (low, high) in ends.items() if low and high}


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

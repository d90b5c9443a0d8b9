"""Which Delta tables exist, and with which columns, by their logs: for engine, dbt, delta-rs and commands alike.

A disk that was full, or a kill, leaves folders that were meant to become tables: they are no tables, and the next write
makes them one: a table is what has a commit. What it holds: see `jobs.lakehouse.tables`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import fs

if TYPE_CHECKING:
    from deltalake import DeltaTable

COMMIT = re.compile(r"\d{20}\.(json|checkpoint\.(.*\.)?parquet)")
"""Names of commits and checkpoints (Delta protocol, "Delta Log Entries", "Checkpoints")."""


def located(path: str) -> tuple[fs.FileSystem, str]:
    """The file system of a path or URL, and the path there."""
    if "://" in path:
        store, folder = fs.FileSystem.from_uri(path)
        return store, folder
    return fs.LocalFileSystem(), path


def exists(path: str) -> bool:
    """Whether the log of the table at a path or URL has a commit; an empty file is none."""
    store, folder = located(path)
    return any(entry.size for entry in _commits(store, folder))


def newest(path: str) -> int:
    """The newest version in the log of the table at a path or URL. Raises ValueError if there is none."""
    store, folder = located(path)
    return max(int(entry.base_name[:20]) for entry in _commits(store, folder) if entry.size)


def schema(delta: DeltaTable) -> pa.Schema:
    """The columns of a table, as Arrow has them."""
    return pa.schema(delta.schema().to_arrow())


def find_tables(warehouse: str) -> list[str]:
    """Names `schema.table` of all Delta tables two levels below `warehouse`."""
    return sorted(table for table, has_commits in _folders_of_tables(warehouse) if has_commits)


def find_unmade(warehouse: str, schema: str) -> set[str]:
    """Names `schema.table` of the folders of a schema that are no tables."""
    return {
        table
        for table, has_commits in _folders_of_tables(warehouse)
        if not has_commits and table.split(".")[0] == schema
    }


def _folders_of_tables(warehouse: str) -> Iterator[tuple[str, bool]]:
    store, root = located(warehouse)
    for schema in _folders(store, root):
        if not schema.base_name.startswith("_"):
            for table in _folders(store, schema.path):
                has_commits = any(entry.size for entry in _commits(store, table.path))
                yield f"{schema.base_name}.{table.base_name}", has_commits


def clear(path: str) -> None:
    """Take away what would keep a table that does not exist from being made: a commit of which nothing was written.

    Writers put a commit in its place whole, so no other writer's work can be meant.
    """
    store, folder = located(path)
    for entry in _commits(store, folder):
        if entry.size == 0:
            store.delete_file(entry.path)


def _commits(store: fs.FileSystem, table: str) -> list[fs.FileInfo]:
    return [entry for entry in _listed(store, f"{table}/_delta_log") if COMMIT.fullmatch(entry.base_name)]


def _folders(store: fs.FileSystem, parent: str) -> list[fs.FileInfo]:
    return [entry for entry in _listed(store, parent) if entry.type == fs.FileType.Directory]


def _listed(store: fs.FileSystem, folder: str) -> list[fs.FileInfo]:
    """What is in a folder; nothing if there is none, or another process takes it away meanwhile."""
    try:
        found: list[fs.FileInfo] = store.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    except FileNotFoundError:
        return []
    return found

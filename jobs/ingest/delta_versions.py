"""The rows of a Delta table as they came: those of a version, and those that each further version added.

Files that are rewritten without a change of data, as by compaction, add nothing. Rows that a version took away are not
told of. Which version is read next is decided by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import polars as pl
import pyarrow as pa

from jobs.ingest.arrow_columns import readable
from jobs.ingest.delta_input import opened
from jobs.lakehouse import table_log

if TYPE_CHECKING:
    from deltalake import DeltaTable


class VersionRows(NamedTuple):
    """Rows of a version of a table, in the order in which they were written."""

    table_id: str
    version: int
    rows: pl.DataFrame


def all_rows(folder: Path, version: int | None = None) -> VersionRows:
    """All rows of a version; None: of the newest. Raises InputError if they cannot be read."""
    with opened(folder, version) as table:
        actions = pa.table(table.get_add_actions()).select(["modification_time", "path"]).to_pylist()
        written = sorted((each["modification_time"], each["path"]) for each in actions)
        return _read(table, [path for _, path in written])


def added_rows(folder: Path, version: int) -> VersionRows | None:
    """The rows that a version added; None if the log does not have it. Raises InputError if they cannot be read."""
    commit = folder / "_delta_log" / f"{version:020}.json"
    if not commit.exists():
        return None
    with opened(folder, version) as table:
        return _read(table, _added(commit))


def holds_all(folder: Path) -> bool:
    """Whether the rows that each version added are all there still: nothing was vacuumed, and no commit removed."""
    commits = sorted((folder / "_delta_log").glob(f"{'[0-9]' * 20}.json"))
    is_whole = [int(commit.stem) for commit in commits] == list(range(table_log.newest(str(folder)) + 1))
    return is_whole and all((folder / path).exists() for commit in commits for path in _added(commit))


def table_id(folder: Path) -> str:
    """Changes when a table is made again in the same folder. Raises InputError if it cannot be read."""
    with opened(folder) as table:
        return str(table.metadata().id)


def _added(commit: Path) -> list[str]:
    """The files that a commit added with new rows."""
    actions = [json.loads(line) for line in commit.read_bytes().splitlines() if line]
    added = [action["add"] for action in actions if "add" in action]
    return [unquote(each["path"]) for each in added if each["dataChange"]]


def _read(table: DeltaTable, paths: Sequence[str]) -> VersionRows:
    dataset = table.to_pyarrow_dataset()
    files = {file.path: file for file in dataset.get_fragments()}
    parts = [files[path].to_table(schema=dataset.schema) for path in paths if path in files]
    rows = pa.concat_tables([dataset.schema.empty_table(), *parts])
    frame = pl.DataFrame({name: pl.Series(readable(rows[name])) for name in rows.column_names})
    return VersionRows(str(table.metadata().id), table.version(), frame)

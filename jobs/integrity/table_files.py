"""The live files of Delta tables, compared with what the tables' logs say of them.

A log names each file with its size and its number of rows. No log has a checksum: the first deep check remembers that
of every file, as data files never change, and later checks compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError
from pyarrow import fs

from jobs.error_messages import in_words
from jobs.errors import EvergreenError
from jobs.integrity.finding import Finding
from jobs.lakehouse.table_log import find_tables, located
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from jobs.state_files import read_memory, replace_json
from jobs.use_case import UseCase


@dataclass(frozen=True)
class DamagedFile:
    """A live file that is not what the log says."""

    path: str
    """In the table's folder, as the log has it."""
    found: str
    num_records: int | None
    """Rows that it held, by the log."""


def check_tables(lakehouse: Lakehouse, use_case: UseCase | None = None, deep: bool = True) -> Iterator[Finding]:
    """Findings in all tables, or in those of one use case; not `deep`: existence and sizes only."""
    for table in find_tables(lakehouse.warehouse):
        if use_case is None or use_case.owns(table):
            yield from check_table(lakehouse, table, deep)


def check_table(lakehouse: Lakehouse, table: str, deep: bool) -> Iterator[Finding]:
    """Findings in one table."""
    recorded = "_serving." in table or table.endswith("_quarantine")
    mend = f"evergreen repair table {table}{' --drop-rows' if recorded else ''}"
    try:
        for damaged in damaged_files(lakehouse, table, deep):
            yield Finding(f"{table}: {damaged.path}", damaged.found, mend)
    except (EvergreenError, DeltaError, OSError, ValueError) as error:
        yield Finding(f"{table}: _delta_log", f"expected a log that can be read, found {in_words(error)}", mend)


def damaged_files(lakehouse: Lakehouse, table: str, deep: bool) -> list[DamagedFile]:
    """Live files of a table that are not what its log says. Raises TableDamaged if the log cannot be read."""
    opened = lakehouse.delta(table)
    actions = pa.table(opened.get_add_actions(flatten=True)).to_pylist()
    store, folder = located(lakehouse.path(table))
    hashes = _Hashes(lakehouse.settings, table, str(opened.metadata().id)) if deep else None
    damaged = []
    for action in sorted(actions, key=lambda action: str(action["path"])):
        path = f"{folder}/{unquote(action['path'])}"
        found = _size(store, path, action["size_bytes"]) or (hashes and _content(store, path, action, hashes))
        if found:
            damaged.append(DamagedFile(action["path"], found, action["num_records"]))
    if hashes:
        hashes.keep({action["path"] for action in actions}, {file.path for file in damaged})
    return damaged


def _size(store: fs.FileSystem, path: str, size: int) -> str | None:
    info = store.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        return f"expected a file of {size:,} bytes, found none"
    if info.type != fs.FileType.File:
        return f"expected a file of {size:,} bytes, found a folder; remove it first"
    return None if info.size == size else f"expected {size:,} bytes, found {info.size:,}"


def _content(store: fs.FileSystem, path: str, action: Mapping[str, Any], hashes: _Hashes) -> str | None:
    try:
        with store.open_input_stream(path) as stream:
            content = stream.read()
        if not hashes.agrees(action["path"], content):
            return "expected the checksum of an earlier check, found another one"
        rows = _rows(content)
    except (OSError, ValueError, pa.ArrowException) as error:
        return f"expected a Parquet file that can be read, found {in_words(error)}"
    expected = action["num_records"]
    return None if expected in (None, rows) else f"expected {expected:,} rows, found {rows:,}"


def _rows(content: bytes) -> int:
    """Rows of a Parquet file of which every page was read."""
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    return sum(file.read_row_group(group).num_rows for group in range(file.num_row_groups))


class _Hashes:
    """Checksums of the live files of a table, by the first check that found them sound."""

    def __init__(self, settings: Settings, table: str, table_id: str) -> None:
        self._file = settings.state / "checksums" / f"{table}.json"
        self._table = table_id
        self._known: dict[str, str] = (read_memory(self._file, dict) or {}).get(self._table, {})
        self._seen: dict[str, str] = {}

    def agrees(self, path: str, content: bytes) -> bool:
        """Whether the content is that of before, if there was one."""
        self._seen[path] = hashlib.sha256(content).hexdigest()
        return self._known.get(path, self._seen[path]) == self._seen[path]

    def keep(self, live: set[str], damaged: set[str]) -> None:
        """Remember the checksums of sound files, and of damaged ones those of before."""
        files = {path: digest for path, digest in {**self._seen, **self._known}.items() if path in live}
        files = {path: digest for path, digest in files.items() if path not in damaged or path in self._known}
        if files != self._known:
            replace_json(self._file, {self._table: files})

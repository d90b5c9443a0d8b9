"""The live files of Delta tables, and their logs, compared with what the logs say and with checksums of before.

A log names each file with its size and its number of rows; checksums: see `jobs.integrity.checksums`.
"""

from __future__ import annotations

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
from jobs.integrity import checksums
from jobs.integrity.checksums import LOG, Checksums
from jobs.integrity.finding import DROP_ROWS, Finding
from jobs.lakehouse.table_log import find_tables, located
from jobs.lakehouse.tables import Lakehouse, TableDamaged
from jobs.use_case import UseCase


@dataclass(frozen=True)
class DamagedFile:
    """A file of a table that is not what it was."""

    path: str
    """In the table's folder, as the log has it."""
    found: str
    num_records: int | None = None
    """Rows that it held, by the log; None also for a commit."""

    @property
    def is_of_log(self) -> bool:
        """Whether it is a commit or checkpoint."""
        return self.path.startswith(LOG)


def check_tables(lakehouse: Lakehouse, use_case: UseCase | None = None, deep: bool = True) -> Iterator[Finding]:
    """Findings in all tables, or in those of one use case; not `deep`: what shows without reading old files."""
    tables = find_tables(lakehouse.warehouse)
    for table in tables:
        if use_case is None or use_case.owns(table):
            yield from check_table(lakehouse, table, deep)
    for table in checksums.known_tables(lakehouse.settings) if deep else ():
        if table not in tables and (use_case is None or use_case.owns(table)):
            yield Finding(table, "expected the table that was there, found none", mend_of(table))


def is_recorded(table: str) -> bool:
    """Whether the rows of a table are nowhere else: what was served, and what was refused."""
    return "_serving." in table or table.endswith("_quarantine")


def mend_of(table: str) -> str:
    """The command that mends a table."""
    return f"evergreen repair table {table}{f' {DROP_ROWS}' if is_recorded(table) else ''}"


def check_table(lakehouse: Lakehouse, table: str, deep: bool) -> Iterator[Finding]:
    """Findings in one table."""
    try:
        for damaged in damaged_files(lakehouse, table, deep):
            yield Finding(f"{table}: {damaged.path}", damaged.found, mend_of(table))
    except (EvergreenError, DeltaError, OSError, ValueError) as error:
        found = "another one" if isinstance(error, TableDamaged) else in_words(error)
        yield Finding(f"{table}: _delta_log", f"expected a log that can be read, found {found}", mend_of(table))


def damaged_files(lakehouse: Lakehouse, table: str, deep: bool) -> list[DamagedFile]:
    """Files of a table's log, and live files, that are not what they were. Raises TableDamaged without a log."""
    store, folder, actions, known = _opened(lakehouse, table, deep)
    damaged = list(_damaged_log(store, folder, known, deep))
    found = ((action, _found(store, f"{folder}/{unquote(action['path'])}", action, known, deep)) for action in actions)
    damaged += [DamagedFile(action["path"], text, action["num_records"]) for action, text in found if text]
    if deep or known.seen:
        live = {action["path"] for action in actions}
        known.keep(live | _hashed_log(store, folder, known), {file.path for file in damaged})
    return damaged


def _damaged_log(store: fs.FileSystem, folder: str, known: Checksums, deep: bool) -> Iterator[DamagedFile]:
    there = checksums.log_files(store, folder)
    checkpoint = checksums.newest_checkpoint(there)
    for name in known.commits:
        path = LOG + name
        if name not in there:
            if checksums.version_of(name) > checkpoint and "checkpoint" not in name:
                yield DamagedFile(path, "expected the commit that was there, found none")
        elif (deep or known.may_differ(path, there[name])) and not known.agrees(path, _read(store, f"{folder}/{path}")):
            yield DamagedFile(path, "expected it as it was written, found other content")


def remember(lakehouse: Lakehouse, use_case: UseCase) -> None:
    """Remember the checksums of all new files of a use case's tables, unless they lie in an object store."""
    if "://" in lakehouse.warehouse:
        return
    for table in find_tables(lakehouse.warehouse):
        if use_case.owns(table):
            store, folder, actions, known = _opened(lakehouse, table)
            live = {action["path"] for action in actions}
            for path in live - known.known.keys():
                known.agrees(path, _read(store, f"{folder}/{unquote(path)}"))
            known.keep(live | _hashed_log(store, folder, known))


def _hashed_log(store: fs.FileSystem, folder: str, known: Checksums) -> set[str]:
    """Paths of all commits and checkpoints, once the new ones are hashed; a missing one stays expected."""
    there = checksums.log_files(store, folder)
    checkpoint = checksums.newest_checkpoint(there)
    for name in there:
        if LOG + name not in known.known:
            known.agrees(LOG + name, _read(store, f"{folder}/{LOG}{name}"))
    expected = {name for name in known.commits if checksums.version_of(name) > checkpoint}
    return {LOG + name for name in expected | there.keys()}


def _opened(
    lakehouse: Lakehouse, table: str, deep: bool = True
) -> tuple[fs.FileSystem, str, list[dict[str, Any]], Checksums]:
    """Where a table lies, its live files by its log, and what is known of them; not `deep`: of an open table."""
    opened = lakehouse.delta(table) if deep else lakehouse.snapshot(table)
    # Their least and greatest values, of which nothing is asked, are most of what the log says.
    actions = pa.table(opened.get_add_actions()).select(["path", "size_bytes", "num_records"]).to_pylist()
    known = Checksums(lakehouse.settings, table, str(opened.metadata().id))
    return *located(lakehouse.path(table)), sorted(actions, key=lambda action: str(action["path"])), known


def _found(store: fs.FileSystem, path: str, action: Mapping[str, Any], known: Checksums, deep: bool) -> str | None:
    info, size = store.get_file_info(path), action["size_bytes"]
    if info.type == fs.FileType.NotFound:
        return f"expected a file of {size:,} bytes, found none"
    if info.type != fs.FileType.File:
        return f"expected a file of {size:,} bytes, found a folder; remove it first"
    if info.size != size:
        return f"expected {size:,} bytes, found {info.size:,}"
    return _content(store, path, action, known) if deep or known.may_differ(action["path"], info) else None


def _content(store: fs.FileSystem, path: str, action: Mapping[str, Any], known: Checksums) -> str | None:
    try:
        content = _read(store, path)
        if not known.agrees(action["path"], content):
            return "expected the checksum of before, found another one"
        rows = _rows(content)
    except (OSError, ValueError, pa.ArrowException) as error:
        return f"expected a Parquet file that can be read, found {in_words(error)}"
    expected = action["num_records"]
    return None if expected in (None, rows) else f"expected {expected:,} rows, found {rows:,}"


def _read(store: fs.FileSystem, path: str) -> bytes:
    with store.open_input_stream(path) as stream:
        return bytes(stream.read())


def _rows(content: bytes) -> int:
    """Rows of a Parquet file of which every page was read."""
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    return sum(file.read_row_group(group).num_rows for group in range(file.num_row_groups))

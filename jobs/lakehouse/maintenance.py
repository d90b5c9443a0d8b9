"""Keeping tables small: compaction, checkpoints, log expiry, vacuum. Pinned versions always stay readable.

delta-rs does the work: the embedded engine has neither OPTIMIZE nor VACUUM.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pyarrow import fs

from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.table_log import find_tables, located
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger.pins import pinned
from jobs.use_case import UseCase

# Another tool's automatic clean-up must not expire the log of a version we pinned.
PROPERTIES = {"delta.enableExpiredLogCleanup": "false"}


@dataclass(frozen=True)
class Maintained:
    """What was done to one table: files compacted away, log entries and data files removed."""

    table: str
    compacted: int
    log_entries: int
    files: int

    def __str__(self) -> str:
        return f"{self.table}: {self.compacted} files compacted, {self.files} removed, {self.log_entries} log entries"


def run(lakehouse: Lakehouse, use_case: UseCase, retain_hours: float = 168.0) -> Iterator[Maintained]:
    """Maintain every table of a use case; files removed from a table stay for `retain_hours` (pinned ones always)."""
    for table in filter(use_case.owns, find_tables(lakehouse.warehouse)):
        with lakehouse.lock(table):
            yield maintain(lakehouse, table, retain_hours)


def maintain(lakehouse: Lakehouse, table: str, retain_hours: float) -> Maintained:
    """Compact, checkpoint, expire the log and vacuum one table."""
    last = lakehouse.state(table)
    lakehouse.set_properties(table, PROPERTIES, last)
    state = keeping(last)
    compacted = compact(lakehouse, table)
    keep = pinned(lakehouse.settings, table)
    current = lakehouse.delta(table).version()
    for version in (*keep, current):
        lakehouse.delta(table, version).create_checkpoint()
    expired = _expire_log(lakehouse.path(table), min([*keep, current]), timedelta(hours=retain_hours))
    removed = lakehouse.delta(table).vacuum(
        retention_hours=int(retain_hours), enforce_retention_duration=False, dry_run=False,
        keep_versions=keep, commit_properties=state,
    )  # fmt: skip
    return Maintained(table, compacted, expired, len(removed))


def compact(lakehouse: Lakehouse, table: str) -> int:
    """Put the rows of small files into few; returns how many files that replaced. The caller holds the table's lock."""
    done = lakehouse.delta(table).optimize.compact(commit_properties=keeping(lakehouse.state(table)))
    return int(done["numFilesRemoved"])


def _expire_log(path: str, first_needed: int, retention: timedelta) -> int:
    """Remove log entries older than the retention that no needed version (they have checkpoints) is read from."""
    store, root = located(path)
    entries = store.get_file_info(fs.FileSelector(f"{root}/_delta_log"))
    newest = max((e.mtime for e in entries if e.mtime), default=None)
    expired = [
        e.path
        for e in entries
        if e.base_name[:20].isdigit() and int(e.base_name[:20]) < first_needed
        and newest is not None and e.mtime <= newest - retention
    ]  # fmt: skip
    for entry in expired:
        store.delete_file(entry)
    return len(expired)

"""Delta tables that stay open: the log of a version is read once, however many steps of a run ask for it.

Only for reading; which rows a table has is known to delta-rs. Names of tables: see `jobs.lakehouse.tables`.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from deltalake import DeltaTable

KEPT = 64
"""Number of versions that stay open."""
Stamp: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class _Opened:
    table: DeltaTable
    version: int
    commit: Stamp


class OpenTables:
    """Versions of tables on a local disk, opened anew once their commit is another file, or the newest has a follower.

    Tables of an object store are opened each time: to ask whether they changed takes as long.
    """

    def __init__(self, opened: Callable[[str, int | None], DeltaTable]) -> None:
        self._opened = opened
        self._kept: OrderedDict[tuple[str, int | None], _Opened] = OrderedDict()

    def get(self, path: str, version: int | None = None) -> DeltaTable:
        """A version of the table at a path or URL (None: the newest). Raises what opening it raises."""
        kept = self._kept.pop((path, version), None)
        if kept is None or not _holds(path, version, kept):
            table = self._opened(path, version)
            kept = _stamped(path, table)
            if kept is None:
                return table
        self._kept[path, version] = kept
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return kept.table


def _holds(path: str, version: int | None, kept: _Opened) -> bool:
    if kept.table.version() != kept.version or _commit(path, kept.version) != kept.commit:
        return False
    return version is not None or _commit(path, kept.version + 1) is None


def _stamped(path: str, table: DeltaTable) -> _Opened | None:
    version = table.version()
    commit = None if "://" in path else _commit(path, version)
    return None if commit is None else _Opened(table, version, commit)


def _commit(path: str, version: int) -> Stamp | None:
    """What tells the file of a commit from another in its place; None if there is none (any more)."""
    try:
        found = os.stat(f"{path}/_delta_log/{version:020}.json")
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size

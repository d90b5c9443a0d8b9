"""Checksums of a table's files, remembered when a run ends: neither data files nor commits ever change after that.

A table's log has no checksum of a data file, and nothing tells that its newest commit is missing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pyarrow import fs

from jobs.lakehouse.table_log import COMMIT
from jobs.settings import Settings
from jobs.state_files import read_memory, replace_json

LOG = "_delta_log/"


class Checksums:
    """What is known of the files of one table; paths are those in its folder, as its log has them."""

    def __init__(self, settings: Settings, table: str, table_id: str) -> None:
        self._file = _folder(settings) / f"{table}.json"
        self._table = table_id
        self.known: Mapping[str, str] = (read_memory(self._file, _by_table) or {}).get(table_id, {})
        self.seen: dict[str, str] = {}
        """Checksums of what was read now."""
        self._recorded_ns = self._file.stat().st_mtime_ns if self.known else 0

    @property
    def commits(self) -> list[str]:
        """Names of the commits and checkpoints that were there."""
        return sorted(path.removeprefix(LOG) for path in self.known if path.startswith(LOG))

    def may_differ(self, path: str, info: fs.FileInfo) -> bool:
        """Whether a known file was written after its checksum."""
        return path in self.known and (info.mtime_ns or 0) > self._recorded_ns

    def agrees(self, path: str, content: bytes) -> bool:
        """Whether the content is that of before, if there was one."""
        self.seen[path] = hashlib.sha256(content).hexdigest()
        return self.known.get(path, self.seen[path]) == self.seen[path]

    def keep(self, live: Iterable[str], damaged: Iterable[str] = ()) -> None:
        """Remember the checksums of sound files, and of damaged ones those of before; nothing of others."""
        unsound = set(damaged)
        files = {**self.seen, **self.known}
        kept = {path: files[path] for path in sorted(live) if path in self.known or path in files.keys() - unsound}
        if kept != self.known:
            replace_json(self._file, {self._table: kept})
        if kept and unsound:  # which may differ as before
            os.utime(self._file, ns=(self._recorded_ns, self._recorded_ns))
        elif kept == self.known and self.seen:
            self._file.touch()


def known_tables(settings: Settings) -> list[str]:
    """Names of the tables whose files were there."""
    return sorted(file.name.removesuffix(".json") for file in _folder(settings).glob("*.json"))


def forget(settings: Settings, table: str) -> None:
    """Expect nothing of a table any more: it is about to be made anew."""
    (_folder(settings) / f"{table}.json").unlink(missing_ok=True)


def log_files(store: fs.FileSystem, folder: str) -> dict[str, fs.FileInfo]:
    """The commits and checkpoints in the folder of a table, by name."""
    entries = store.get_file_info(fs.FileSelector(f"{folder}/{LOG}", allow_not_found=True))
    return {entry.base_name: entry for entry in entries if COMMIT.fullmatch(entry.base_name)}


def version_of(name: str) -> int:
    """The version that a commit or checkpoint makes."""
    return int(name[:20])


def newest_checkpoint(names: Iterable[str]) -> int:
    """The version from which a table can be read without earlier commits; -1: there is no checkpoint."""
    return max((version_of(name) for name in names if "checkpoint" in name), default=-1)


def _folder(settings: Settings) -> Path:
    return settings.state / "checksums"


def _by_table(stored: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {table: {str(path): str(digest) for path, digest in files.items()} for table, files in stored.items()}

"""Writing a backup of a home while runs go on: what is decisive at one moment, and then what that refers to.

Whatever is copied later is at least as new as the moment, as after a run that was killed: the next run goes on. What
lies outside the home (PostgreSQL, an object store) is not in the archive, except registered input files.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa

from jobs import home_version, unfinished
from jobs.backups import archive, moment
from jobs.backups.archive import BackupError, Writer
from jobs.backups.moment import Moment
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.ledger.pins import pinned
from jobs.settings import Settings

if TYPE_CHECKING:
    from deltalake import DeltaTable

LEFT_OUT = ("locks", "engine", "cache", "spark", "kafka", "state", "warehouse")
"""Folders of the home that are of a process, are fetched again, hold what a broker for development was sent, or are
written otherwise."""
SIDECARS = ("-wal", "-shm", "-journal")
SQLITE = b"SQLite format 3\0"


@dataclass
class Backup:
    """What was backed up: versions of tables, files, bytes; registered files that were missing; stores outside."""

    versions: dict[str, int]
    files: int = 0
    size: int = 0
    missing: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


def write(settings: Settings, path: Path, now: datetime) -> Backup:
    """Write a backup of the home to a new file, whole or not at all.

    Raises BackupError if there is no home, something at `path`, or no moment at which nothing changed.
    """
    home = settings.home
    if not home.is_dir() or not any(home.iterdir()):
        raise BackupError(f"{home}: expected a home, found none; set EVERGREEN_HOME to the one to back up")
    if path.resolve().is_relative_to(home.resolve()):
        raise BackupError(f"{path}: expected a file outside the home, found one in {home}; name another place")
    with archive.created(path) as writer, unfinished.scratch(path.absolute().parent) as scratch:
        at = moment.taken(settings, scratch)
        _add_moment(writer, at)
        _add_files(writer, home, scratch)
        for table, version in at.versions.items():
            _add_table(writer, attach(settings), table, version)
        inputs, missing = _add_inputs(writer, home, at)
        writer.finish(
            {
                "made": now.isoformat(), "home": str(home), "home_mode": home.stat().st_mode & 0o777,
                "home_version": home_version.of_home(settings), "versions": at.versions, "inputs": inputs,
            }
        )  # fmt: skip
        return Backup(at.versions, len(writer.files), sum(f["size"] for f in writer.files.values()), missing,
                      _outside(settings))  # fmt: skip


def _add_moment(writer: Writer, at: Moment) -> None:
    for name, (content, mtime_ns) in at.state.items():
        writer.add_bytes(f"home/{name}", content, mtime_ns)
    for name, copy in at.databases.items():
        writer.add(f"home/{name}", copy)


def _add_files(writer: Writer, home: Path, scratch: Path) -> None:
    """Bundles, artifacts, exported models, searches, Dagster's history, and input that lies in the home."""
    for path in walked(home, LEFT_OUT):
        name = f"home/{path.relative_to(home)}"
        if name in writer.files or path.name.endswith(SIDECARS):
            continue
        try:
            if _is_sqlite(path):
                moment.copy_database(path, scratch / "copy")
                writer.add(name, scratch / "copy")
            else:
                writer.add(name, path)
        except FileNotFoundError:
            continue  # a temporary file


def _add_table(writer: Writer, lakehouse: Lakehouse, table: str, version: int) -> None:
    """The log of a table up to a version, and every data file of the versions in it."""
    folder = Path(lakehouse.path(table))
    entries = [entry for entry in sorted((folder / "_delta_log").iterdir()) if entry.is_file()]
    log = [entry for entry in entries if entry.name[:20].isdigit() and int(entry.name[:20]) <= version]
    versions = {version, *(kept for kept in pinned(lakehouse.settings, table) if kept <= version)}
    needed = {name for each in versions for name in _live(lakehouse.snapshot(table, each))}
    try:
        for entry in log:
            writer.add(_member(table, f"_delta_log/{entry.name}"), entry)
        for name in sorted(needed):
            writer.add(_member(table, name), folder / name)
    except FileNotFoundError as error:
        raise BackupError(
            f"{error.filename}: expected a file of {table} at version {version}, found none; run the backup again, or "
            "see `evergreen doctor` if it is missing still"
        ) from error
    for name in sorted(_named(log) - needed):
        with contextlib.suppress(FileNotFoundError):  # of an older version, and perhaps removed
            writer.add(_member(table, name), folder / name)


def _member(table: str, name: str) -> str:
    return f"home/warehouse/{table.replace('.', '/')}/{name}"


def _live(delta: DeltaTable) -> set[str]:
    return {unquote(path) for path in pa.table(delta.get_add_actions())["path"].to_pylist()}


def _named(log: list[Path]) -> set[str]:
    """Data files that the entries of a log add."""
    added = set()
    for entry in log:
        if entry.suffix == ".json":
            actions = (json.loads(line) for line in entry.read_bytes().split(b"\n") if line)
            added |= {unquote(action["add"]["path"]) for action in actions if "add" in action}
    return {name for name in added if archive.harmless(f"home/{name}")}


def _add_inputs(writer: Writer, home: Path, at: Moment) -> tuple[dict[str, str], list[str]]:
    """Registered files outside the home: where they lie -> where in the archive; and those that are missing."""
    inputs: dict[str, str] = {}
    missing = []
    for file in sorted(set(registered(at))):
        place = Path(file)
        if not place.exists() and "@" in place.name:
            place = place.with_name(place.name.rpartition("@")[0])  # a version of a Delta table
        if place.is_relative_to(home) or str(place) in inputs:
            continue
        if not place.exists():
            missing.append(file)
            continue
        inputs[str(place)] = f"inputs/{len(inputs)}/{place.name}"
        for path in walked(place) if place.is_dir() else (place,):
            suffix = f"/{path.relative_to(place)}" if place.is_dir() else ""
            writer.add(inputs[str(place)] + suffix, path)
    return inputs, missing


def registered(at: Moment) -> Iterator[str]:
    """Paths of the files that feed the use cases."""
    for name, (content, _) in at.state.items():
        if name.endswith("/inputs.json"):
            for files in json.loads(content)["files"].values():
                yield from files


def walked(folder: Path, left_out: tuple[str, ...] = ()) -> Iterator[Path]:
    """Every file below a folder, through links too, without some of its subfolders."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        if Path(parent) == folder:
            folders[:] = [name for name in folders if name not in left_out]
        folders[:] = [name for name in folders if not unfinished.is_one(name)]
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()
            continue
        seen.add(real)
        whole = (Path(parent, name) for name in sorted(files) if not unfinished.is_one(name))
        yield from (path for path in whole if path.is_file())


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(SQLITE)) == SQLITE


def _outside(settings: Settings) -> list[str]:
    urls = {
        "EVERGREEN_WAREHOUSE": settings.warehouse_url, "EVERGREEN_LEDGER": settings.ledger_url,
        "EVERGREEN_TRACKING": settings.tracking, "EVERGREEN_DAGSTER": settings.dagster_url,
        "EVERGREEN_PREDICTIONS": settings.predictions_url,
        "EVERGREEN_TUNING": settings.tuning_url, "EVERGREEN_ONLINE_STORE": settings.online_store_url,
    }  # fmt: skip
    return [name for name, url in urls.items() if url is not None]

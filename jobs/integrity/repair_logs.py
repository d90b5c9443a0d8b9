"""How the log of a table is mended where nothing is lost: a hint or a checkpoint that the commits make good, and old
commits that a checkpoint makes good."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError
from pyarrow import fs

from jobs.errors import EvergreenError
from jobs.integrity import checksums
from jobs.integrity.checksums import LOG
from jobs.integrity.repair_tables import free_place
from jobs.integrity.table_files import damaged_files
from jobs.lakehouse.table_log import located
from jobs.lakehouse.tables import Lakehouse

HINT = "_last_checkpoint"
"""Where readers look first; without it they list the log (Delta protocol, "Last Checkpoint File")."""


def mend_log(lakehouse: Lakehouse, table: str) -> bool:
    """Move aside what a table's log does not need; returns whether it is whole then, else it is as it was."""
    if _is_whole(lakehouse, table):
        return True
    store, folder = located(lakehouse.path(table))
    for names in _spare(store, folder):
        aside = free_place(lakehouse, table)
        store.create_dir(aside, recursive=True)
        for name in names:
            store.move(f"{folder}/{LOG}{name}", f"{aside}/{name}")
        if _is_whole(lakehouse, table):
            return True
        for name in names:
            store.move(f"{aside}/{name}", f"{folder}/{LOG}{name}")
        store.delete_dir(aside)
    return False


def _is_whole(lakehouse: Lakehouse, table: str) -> bool:
    try:
        lakehouse.state(table)  # which reads every commit
        return not any(file.is_of_log for file in damaged_files(lakehouse, table, deep=False))
    except (EvergreenError, DeltaError, OSError, ValueError):
        return False


def _spare(store: fs.FileSystem, folder: str) -> Iterator[list[str]]:
    """What a log may do without: the hint and all checkpoints; or what a sound checkpoint stands for."""
    there = checksums.log_files(store, folder)
    hint = [HINT] if store.get_file_info(f"{folder}/{LOG}{HINT}").is_file else []
    points = sorted(name for name in there if "checkpoint" in name)
    yield [*hint, *points]
    sound = [name for name in points if _can_be_read(store, f"{folder}/{LOG}{name}")]
    newest = checksums.newest_checkpoint(sound)
    old = sorted(name for name in there.keys() - set(points) if checksums.version_of(name) <= newest)
    yield [*hint, *(name for name in points if name not in sound), *old]


def _can_be_read(store: fs.FileSystem, path: str) -> bool:
    try:
        with store.open_input_file(path) as stream:
            pq.read_table(pa.BufferReader(stream.read()))
        return True
    except (OSError, ValueError, pa.ArrowException):
        return False

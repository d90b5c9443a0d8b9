"""Delta tables as inputs: `FOLDER` is the table as it is now, `FOLDER@N` its version N.

The log says which rows count: files and rows that were deleted are not read, renamed columns bear their names.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from jobs import unfinished
from jobs.error_messages import in_words
from jobs.ingest.arrow_columns import readable
from jobs.ingest.registered_inputs import InputError
from jobs.ingest.table_formats import DELTA, table_format
from jobs.path_alias import PLAIN

if TYPE_CHECKING:
    from deltalake import DeltaTable

_PINNED = re.compile(r"(?P<folder>.+)@(?P<version>\d{1,18})", re.DOTALL)
_FEATURES = re.compile(r"(?:features required: \[|Feature ')([\w, ]+)")

_FOUND = {
    r"found gap|No (?:table metadata|protocol)": "commits missing from its log",
    r"No files in log segment": "no commit in its log",
    r"minimum reader version (?:[4-9]|\d\d)": "a version of Delta that is not supported",
    r"Invalid protocol|Unsupported Delta table type": "a schema or protocol that contradicts itself",
    r"Json error|Arrow error": "a damaged commit in its log",
    r"Parquet error": "a data file damaged or missing",
}
"""What the library says of a table that it cannot read -> in our words."""


def table_at(path: Path) -> tuple[Path, int | None] | None:
    """Folder and version (None: the newest) of the Delta table that `path` names; None if it names none."""
    if path.is_dir():
        return (path, None) if table_format(path) == DELTA else None
    pinned = _PINNED.fullmatch(str(path))
    if path.exists() or pinned is None or not Path(pinned["folder"]).is_dir():
        return None
    folder = Path(pinned["folder"])
    if table_format(folder) != DELTA:
        raise InputError(f"{path}: expected a version of a Delta table, found no `_delta_log` in it; give {folder}")
    return folder, int(pinned["version"])


@contextmanager
def opened(path: Path, version: int | None = None) -> Iterator[DeltaTable]:
    """The table that `path` names, at `version` if that is given. Raises InputError if it cannot be read."""
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    named = table_at(path)
    assert named is not None, f"{path} is no Delta table"
    folder, pinned = named
    try:
        with _plainly_named(folder) as place:
            yield DeltaTable(place, version=pinned if version is None else version)
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path}: expected a Delta table that can be read, found {_found(error, pinned)}; mend the table, "
            "name another version (`FOLDER@N`), or export its rows as parquet"
        ) from error


def _found(error: Exception, version: int | None) -> str:
    """What a table was found to be, from the error of the library that reads it."""
    if features := _FEATURES.search(str(error)):
        return f"features of Delta that are not supported: {features[1]}"
    if version is not None and re.search(r"end version|invalid table version|version.*not found", str(error), re.I):
        return f"no version {version} in its log"
    return next((words for pattern, words in _FOUND.items() if re.search(pattern, str(error))), in_words(error))


@contextmanager
def _plainly_named(folder: Path) -> Iterator[Path]:
    """The folder, or one with links to all that is in it, since delta-rs misreads odd names and follows links."""
    if PLAIN.fullmatch(real := os.path.realpath(folder)):
        yield folder
        return
    with unfinished.scratch() as plain:
        for entry in os.scandir(real):
            (plain / entry.name).symlink_to(entry.path)
        yield plain


def columns_of(path: Path) -> tuple[int, list[str]]:
    """Version and column names of the table that `path` names. Raises InputError if it cannot be read."""
    with opened(path) as table:
        return table.version(), [field.name for field in table.schema().fields]


def rows_of(path: Path, version: int, columns: Sequence[str]) -> pl.DataFrame:
    """Those columns of all rows of a version, in an order that is the same each time. Raises InputError."""
    import pyarrow as pa

    if not columns:
        return pl.DataFrame()
    with opened(path, version) as table:
        rows = pa.table(table.scan(columns=list(columns)))
    frame = pl.DataFrame({name: pl.Series(readable(rows[name])) for name in rows.column_names})
    # Parts of a table are read side by side, in no order.
    return frame.sort([name for name, dtype in frame.schema.items() if not dtype.is_nested()])


def content_hash(path: Path) -> str:
    """What tells this content of a table from any other."""
    with opened(path) as table:
        return hashlib.sha256(f"{table.metadata().id} {table.version()}".encode()).hexdigest()


def log_stamp(path: Path) -> tuple[int, int]:
    """Size and newest time (nanoseconds) of the log of the table that `path` names: they change with each commit."""
    named = table_at(path)
    assert named is not None, f"{path} is no Delta table"
    stats = [file.stat() for file in (named[0] / "_delta_log").iterdir()]
    return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)

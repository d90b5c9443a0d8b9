"""Which folders are tables: their files alone do not say which rows count, so none of them is read by itself.

How a Delta table is read: see `jobs.ingest.delta_input`. All other formats are refused by name.
"""

import re
from collections.abc import Callable
from pathlib import Path

DELTA = "Delta"
_HIVE_ACID = re.compile(r"(base|delta|delete_delta)_\d+(_\d+)*(_v\d+)?")


def _any(folder: Path, pattern: str) -> bool:
    return next(folder.glob(pattern), None) is not None


_MARKS: dict[str, Callable[[Path], bool]] = {
    DELTA: lambda folder: (folder / "_delta_log").is_dir(),
    "Iceberg": lambda folder: _any(folder, "metadata/*.metadata.json*"),
    "Hudi": lambda folder: (folder / ".hoodie").exists() or (folder / ".hoodie_partition_metadata").exists(),
    "Lance": lambda folder: _any(folder, "_versions/*.manifest"),
    "DuckLake": lambda folder: _any(folder, "ducklake-*.parquet") or _any(folder, "*.ducklake"),
    "Paimon": lambda folder: _any(folder, "snapshot/snapshot-*") and (folder / "manifest").is_dir(),
    "Hive transactional": lambda folder: any(_HIVE_ACID.fullmatch(p.name) for p in folder.iterdir() if p.is_dir()),
    "Spark streaming": lambda folder: (folder / "_spark_metadata").is_dir(),
}
"""Format -> whether a folder is the root of a table of it."""


def table_format(folder: Path) -> str | None:
    """The format of the table that a folder is the root of; None if it is no table."""
    return next((name for name, is_table in _MARKS.items() if is_table(folder)), None)


def enclosing_table(place: Path) -> tuple[Path, str] | None:
    """The table whose part lies at an absolute path, and its format; looked for where tables keep their parts."""
    for folder in (place, *place.parents):
        if folder.is_dir() and (name := table_format(folder)):
            return folder, name
        if "=" not in folder.name and folder.name != "data" and not folder.name.startswith("bucket-"):
            return None
    return None

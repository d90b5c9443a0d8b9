"""Damage of every kind to the files of a home, and what the home holds, to be compared column by column."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import attach
from jobs.settings import Settings

Rows = tuple[list[str], list[tuple[Any, ...]]]
"""Names of columns, and rows."""


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def flip(file: Path) -> None:
    """Another byte in the middle, which no size tells."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x55
    file.write_bytes(content)


def cut_in_half(file: Path) -> None:
    """Of a database, whose last page may be of an empty table."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def garble(file: Path) -> None:
    file.write_bytes(b"\0{" * 40)


DAMAGE: Mapping[str, Callable[[Path], None]] = {"missing": Path.unlink, "truncated": truncate, "flipped": flip}
"""Of the files of tables and bundles."""


def data_file(own: Settings, table: str, draw: random.Random) -> Path:
    """A live file of a table."""
    path = draw.choice(sorted(attach(own).files(table)))
    return Path(own.warehouse, *table.split("."), unquote(path))


def commit(own: Settings, table: str, draw: random.Random) -> Path:
    """An entry of a table's log."""
    return draw.choice(sorted(Path(own.warehouse, *table.split("."), "_delta_log").glob("*.json")))


def content(own: Settings) -> dict[str, Rows]:
    """All rows of all tables, and of the databases that are written from them."""
    lakehouse, held = attach(own), {}
    for table in find_tables(lakehouse.warehouse):
        frame = pl.DataFrame(lakehouse.to_arrow(table))
        held[table] = frame.columns, frame.rows()
    for file in (Path(own.predictions), own.home / "feast" / "online.db"):
        held |= _database(file)
    registry = _database(own.home / "tracking" / "mlflow.db")
    return held | {name: registry[name] for name in ("registered_model_aliases", "model_version_tags")}


def _database(file: Path) -> dict[str, Rows]:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        found = {name: connection.execute(f'select * from "{name}"') for name in names}
        return {name: ([column[0] for column in rows.description], rows.fetchall()) for name, rows in found.items()}


def differences(before: Mapping[str, Rows], after: Mapping[str, Rows], but_for: Collection[str] = ()) -> list[str]:
    """Tables whose rows differ, apart from the columns `table.column`."""
    return sorted(
        name for name in before.keys() | after.keys()
        if _comparable(name, before, but_for) != _comparable(name, after, but_for)
    )  # fmt: skip


def _comparable(name: str, held: Mapping[str, Rows], but_for: Collection[str]) -> list[str] | None:
    """Rows as sorted texts, with numbers as exact as their order in a sum leaves them."""
    if name not in held:
        return None
    columns, rows = held[name]
    kept = sorted((column, at) for at, column in enumerate(columns) if f"{name}.{column}" not in but_for)
    return sorted(repr([(column, _rounded(row[at])) for column, at in kept]) for row in rows)


def _rounded(value: Any) -> Any:
    return float(f"{value:.9g}") if isinstance(value, float) else value

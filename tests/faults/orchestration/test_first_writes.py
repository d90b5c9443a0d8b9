"""A first write of a table that fails: no run after it is disturbed, and its tables are those of a clean one."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from worlds.draws import drawn

from jobs.settings import Settings

RunHere = Callable[[Settings, list[str]], int]
Rows = Mapping[str, list[tuple[Any, ...]]]
NO_ROOM, LOG_ONLY, ROOM = "4k", "12k", "64m"
"""Sizes of a table's own file system: for no data file, for small commits only, for all of it."""


def leave(warehouse: Path, table: str, kind: str) -> None:
    """What a writer leaves that was stopped before its first commit, or a machine that lost power meanwhile."""
    log = warehouse / table.replace(".", "/") / "_delta_log"
    log.mkdir(parents=True)
    if kind == "data":
        (log.parent / "part-00000-0.snappy.parquet").write_bytes(b"PAR1")
    if kind == "unwritten commit":
        (log / f"{0:020}.json").touch()


@pytest.mark.timeout(900)
def test_a_run_makes_every_table_of_which_a_stopped_write_left_a_folder(
    home: Settings, run_here: RunHere, world: list[str], clean: Rows, tables: Callable[..., Rows]
) -> None:
    for at, table in enumerate(clean):
        leave(Path(home.warehouse), table, ("log", "data", "unwritten commit")[at % 3])
    assert tables(home.home) == {}
    assert run_here(home, world) == 0
    assert tables(home.home) == clean


@pytest.mark.timeout(900)
def test_a_disk_that_was_full_at_a_first_write_is_made_good_by_the_next_run(
    home: Settings, run_here: RunHere, world: list[str], clean: Rows, tables: Callable[..., Rows]
) -> None:
    for table, size in drawn_tables(clean):
        with own_disk(Path(home.warehouse) / table.replace(".", "/"), size):
            assert run_here(home, world) == 1, table
            assert table not in tables(home.home)
            grow(Path(home.warehouse) / table.replace(".", "/"))
            # With room the same run makes the table; it is then thrown away with its file system, below all others.
            assert run_here(home, world) == 0, table
            assert tables(home.home) == clean, table
        subprocess.run(["rm", "-rf", home.warehouse, str(home.state)], check=True)


def drawn_tables(clean: Rows) -> list[tuple[str, str]]:
    draw = drawn("full disk")
    return [(table, draw.choice([NO_ROOM, LOG_ONLY])) for table in draw.sample(sorted(clean), 2)]


@contextmanager
def own_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False, capture_output=True, text=True
    )
    if made.returncode:
        pytest.fail(f"this test mounts a small file system, which needs root: {made.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def grow(folder: Path) -> None:
    subprocess.run(["mount", "-o", f"remount,size={ROOM}", "tmpfs", str(folder)], check=True)

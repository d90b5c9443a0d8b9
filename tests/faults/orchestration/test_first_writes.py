"""A first write of a table that fails: no run after it is disturbed, and its tables are those of a clean one."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from worlds.draws import drawn

from jobs.settings import Settings
from orchestration.error_boundary import NOBODY

RunHere = Callable[[Settings, list[str]], int]
Rows = Mapping[str, list[tuple[Any, ...]]]
NO_ROOM, LOG_ONLY, ROOM = "4k", "12k", "64m"
"""Sizes of a table's own file system: for no data file, for small commits only, for all of it."""


def leave(table: Path, kind: str) -> None:
    """What a writer leaves that was stopped before its first commit, or a machine that lost power meanwhile."""
    log = table / "_delta_log"
    log.mkdir(parents=True)
    if kind == "data":
        (table / "part-00000-0.snappy.parquet").write_bytes(b"PAR1")
    if kind == "unwritten commit":
        (log / f"{0:020}.json").touch()


@pytest.mark.timeout(900)
def test_a_run_makes_every_table_of_which_a_stopped_write_left_a_folder(
    home: Settings, run_here: RunHere, world: list[str], clean: Rows, tables: Callable[..., Rows]
) -> None:
    for at, table in enumerate(clean):
        leave(folder_of(home, table), ("log", "data", "unwritten commit")[at % 3])
    assert tables(home.home) == {}
    assert run_here(home, world) == NOBODY
    assert tables(home.home) == clean


@pytest.mark.timeout(900)
def test_a_disk_that_is_full_at_first_writes_is_made_good_by_runs_with_room(
    home: Settings, run_here: RunHere, world: list[str], clean: Rows, tables: Callable[..., Rows]
) -> None:
    draw = drawn("full disk")
    # A table without rows fits anywhere: its commit alone is smaller than a page.
    with_rows = sorted(table for table, rows in clean.items() if rows)
    sizes = (NO_ROOM, LOG_ONLY, draw.choice([NO_ROOM, LOG_ONLY]))
    small = dict(zip(draw.sample(with_rows, 3), sizes, strict=True))
    with contextlib.ExitStack() as disks:
        for table, size in small.items():
            disks.enter_context(own_disk(folder_of(home, table), size))
        stopped = 0
        while run_here(home, world) != NOBODY:
            stopped += 1
            tried = [table for table in small if any(folder_of(home, table).iterdir())]
            assert tried, f"the run stopped at none of {list(small)}"
            for table in tried:
                mount(folder_of(home, table), f"remount,size={ROOM}")
            small = {table: size for table, size in small.items() if table not in tried}
        assert stopped, "every first write found room"
        assert tables(home.home) == clean


def folder_of(home: Settings, table: str) -> Path:
    return Path(home.warehouse) / table.replace(".", "/")


@contextlib.contextmanager
def own_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    mount(folder, f"size={size}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mount(folder: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"this test mounts small file systems, which needs root: {done.stderr}")

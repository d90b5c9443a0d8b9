"""What a stopped first write of a table leaves disturbs no run: its tables are those of a clean one.

Runs that are stopped at any first write of a home: `test_every_write.py`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.settings import Settings
from orchestration.error_boundary import NOBODY

RunHere = Callable[[Settings, list[str]], int]
Rows = Mapping[str, list[tuple[Any, ...]]]


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


def folder_of(home: Settings, table: str) -> Path:
    return Path(home.warehouse) / table.replace(".", "/")

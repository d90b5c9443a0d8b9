"""Whether SQLite files of a home are whole databases: damage is told from a lock."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from jobs.integrity import databases


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection, connection:
        connection.execute("create table t (n integer)")
        connection.executemany("insert into t values (?)", [(n,) for n in range(1000)])
    return tmp_path / "a.sqlite"


def test_a_whole_database_is_whole(file: Path) -> None:
    assert databases.damage_of(file) is None


def test_damage_is_told(file: Path) -> None:
    file.write_bytes(b"no database at all".ljust(4096, b"."))
    assert databases.damage_of(file) == "a damaged file, or a file of another kind"


def test_a_database_that_another_program_locks_is_not_called_damaged(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repair would move it away."""
    monkeypatch.setattr(databases, "PATIENCE_SECONDS", 0.1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            databases.damage_of(file)

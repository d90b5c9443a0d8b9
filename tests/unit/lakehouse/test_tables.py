"""Versions of tables that are there no more: told by name, and never taken for damage."""

from __future__ import annotations

import os
import shutil
import threading
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from deltalake.exceptions import TableNotFoundError

from jobs.lakehouse import maintenance, table_log
from jobs.lakehouse.tables import Lakehouse, VersionGone
from jobs.settings import Settings

TABLE = "fraud.rows"


@pytest.fixture
def lakehouse(tmp_path: Path) -> Lakehouse:
    """A lakehouse whose table has the versions 0 to 4, each of which added a day."""
    made = Lakehouse(Settings(home=tmp_path))
    _append(made, 5)
    return made


def _append(lakehouse: Lakehouse, versions: int) -> None:
    for n in range(versions):
        rows = pa.table({"n": [n], "event_date": pa.array([date(2026, 1, n + 1)])})
        write_deltalake(lakehouse.path(TABLE), rows, mode="append", partition_by=["event_date"])


def _expire(lakehouse: Lakehouse) -> None:
    for entry in (Path(lakehouse.path(TABLE)) / "_delta_log").iterdir():
        os.utime(entry, (1, 1))
    maintenance.maintain(lakehouse, TABLE, 0.0)


def test_changed_days_are_those_since_a_version(lakehouse: Lakehouse) -> None:
    assert lakehouse.changed_days(TABLE, 2) == {date(2026, 1, 4), date(2026, 1, 5)}


def test_all_days_may_differ_from_a_version_that_expired(lakehouse: Lakehouse) -> None:
    _expire(lakehouse)
    assert lakehouse.changed_days(TABLE, 2) is None
    with pytest.raises(VersionGone, match="expected version 2, found a log that ends at version 5"):
        lakehouse.to_arrow(TABLE, 2)


def test_all_days_may_differ_from_a_version_of_before_the_table_was_made_again(lakehouse: Lakehouse) -> None:
    """`evergreen repair table` sets a table aside; what was made of it remembers its versions."""
    shutil.rmtree(lakehouse.path(TABLE))
    _append(lakehouse, 2)
    assert lakehouse.changed_days(TABLE, 4) is None
    with pytest.raises(VersionGone, match="expected version 4, found a log that ends at version 1"):
        lakehouse.to_arrow(TABLE, 4)


def test_a_version_of_no_table_is_of_no_table(lakehouse: Lakehouse) -> None:
    with pytest.raises(TableNotFoundError):
        lakehouse.to_arrow("fraud.none", 4)
    assert lakehouse.changed_days("fraud.none", 4) is None


def test_a_folder_that_goes_while_it_is_looked_at_has_nothing(tmp_path: Path) -> None:
    """There at one moment and gone when it is listed, as an unfinished table that another process removes."""
    log, ended = tmp_path / "schema" / "table" / "_delta_log", threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            log.mkdir(parents=True)
            shutil.rmtree(log.parent)

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        assert not any(table_log.exists(str(log.parent)) for _ in range(5_000))
    finally:
        ended.set()
        other.join()

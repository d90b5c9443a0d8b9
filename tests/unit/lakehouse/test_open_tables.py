"""Versions of tables that stay open: what is read is always what a table opened now would show."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import TableNotFoundError
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.lakehouse import open_tables
from jobs.lakehouse.open_tables import OpenTables


class Opener:
    """Opens tables, and counts how often."""

    def __init__(self) -> None:
        self.opened = 0

    def __call__(self, path: str, version: int | None) -> DeltaTable:
        self.opened += 1
        return DeltaTable(path, version=version)


def append(path: Path, value: int) -> None:
    write_deltalake(str(path), pa.table({"x": [value]}), mode="append")


def values(table: DeltaTable) -> list[int]:
    return sorted(table.to_pyarrow_table()["x"].to_pylist())


def test_a_version_is_opened_once(tmp_path: Path) -> None:
    append(tmp_path / "t", 1)
    append(tmp_path / "t", 2)
    opener = Opener()
    tables = OpenTables(opener)
    for _ in range(3):
        assert values(tables.get(str(tmp_path / "t"))) == [1, 2]
        assert values(tables.get(str(tmp_path / "t"), 0)) == [1]
    assert opener.opened == 2


def changed_by_its_reader(path: Path, tables: OpenTables) -> None:
    tables.get(str(path)).restore(0)


def replaced(path: Path, _: OpenTables) -> None:
    shutil.rmtree(path)
    append(path, 7)
    append(path, 8)


def grown(path: Path, _: OpenTables) -> None:
    append(path, 3)


def checkpointed(path: Path, _: OpenTables) -> None:
    table = DeltaTable(str(path))
    table.create_checkpoint()
    append(path, 4)


@pytest.mark.parametrize("change", [changed_by_its_reader, replaced, grown, checkpointed])
def test_a_change_is_seen_whoever_made_it(tmp_path: Path, change: Callable[[Path, OpenTables], None]) -> None:
    path = tmp_path / "t"
    append(path, 1)
    append(path, 2)
    tables = OpenTables(Opener())
    tables.get(str(path)), tables.get(str(path), 0)
    change(path, tables)
    for version in (None, 0, 1):
        assert values(tables.get(str(path), version)) == values(DeltaTable(str(path), version=version))
    assert tables.get(str(path)).version() == DeltaTable(str(path)).version()


def test_a_table_that_is_gone_is_not_found(tmp_path: Path) -> None:
    append(tmp_path / "t", 1)
    tables = OpenTables(Opener())
    tables.get(str(tmp_path / "t"))
    shutil.rmtree(tmp_path / "t")
    with pytest.raises(TableNotFoundError):
        tables.get(str(tmp_path / "t"))


def test_the_versions_that_were_not_asked_for_longest_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_tables, "KEPT", 2)
    opener = Opener()
    tables = OpenTables(opener)
    for name in "abc":
        append(tmp_path / name, 1)
    for name in "abac":
        tables.get(str(tmp_path / name))
    assert opener.opened == 3
    tables.get(str(tmp_path / "a"))
    assert opener.opened == 3
    tables.get(str(tmp_path / "b"))
    assert opener.opened == 4


@given(steps=st.lists(st.tuples(st.sampled_from(["append", "restore", "read"]), st.integers(0, 3)), max_size=8))
@with_examples(40)
def test_any_order_of_reads_and_writes_shows_what_is_stored(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("tables") / "t"
    append(path, 0)
    tables = OpenTables(Opener())
    for what, number in steps:
        newest = DeltaTable(str(path)).version()
        if what == "append":
            append(path, number)
        elif what == "restore" and number < newest:
            DeltaTable(str(path)).restore(number)
        else:
            version = min(number, newest)
            assert values(tables.get(str(path), version)) == values(DeltaTable(str(path), version=version))
        assert tables.get(str(path)).version() == DeltaTable(str(path)).version()
        assert values(tables.get(str(path))) == values(DeltaTable(str(path)))

"""Delta tables as inputs: the rows that their log says there are, at the version asked for, or a refusal by name."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import example, given
from worlds.delta_tables import write_by_hand
from worlds.examples import with_examples
from worlds.odd_names import odd_names

from jobs.ingest import inspection
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.input_files import find_files, fingerprint, stamp
from jobs.ingest.readers import open_file, read_file
from jobs.ingest.registered_inputs import InputError
from jobs.use_cases.fraud import TRANSACTIONS

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def payments(*ids: int) -> pa.Table:
    times = pa.array([datetime(2026, 5, 1, 10, tzinfo=UTC)] * len(ids), pa.timestamp("us", "UTC"))
    return pa.table({
        "TRANSACTION_ID": pa.array(ids, pa.int64()), "TX_DATETIME": times, "CUSTOMER_ID": pa.array(ids, pa.int64()),
        "TERMINAL_ID": pa.array([5] * len(ids), pa.int64()), "TX_AMOUNT": pa.array([10.5] * len(ids)),
    })  # fmt: skip


def ids(*paths: Path) -> list[int]:
    inspected = inspection.inspect(TRANSACTIONS, find_files(paths), ColumnsFile(), {})
    assert inspected.problems == ()
    return sorted(read_batch(TRANSACTIONS, inspected, ColumnsFile(), {}, NOW).frame["transaction_id"])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six payments in version 0; the second was deleted in version 1, and one added in version 2."""
    write_deltalake(tmp_path / "table", payments(1, 2, 3, 4, 5, 6))
    DeltaTable(tmp_path / "table").delete("TRANSACTION_ID = 2")
    write_deltalake(tmp_path / "table", payments(7), mode="append")
    return tmp_path / "table"


def test_a_table_is_its_newest_version_or_the_one_named(table: Path) -> None:
    assert ids(table) == [1, 3, 4, 5, 6, 7]
    assert ids(Path(f"{table}@0")) == [1, 2, 3, 4, 5, 6]
    assert ids(Path(f"{table}@1")) == [1, 3, 4, 5, 6]
    write_deltalake(table, payments(9), mode="overwrite")
    assert ids(table) == [9]


def test_tables_and_files_below_a_folder_are_read_together(table: Path) -> None:
    pl.DataFrame(payments(8)).write_parquet(table.parent / "a.parquet")
    assert ids(table.parent) == [1, 3, 4, 5, 6, 7, 8]


def test_an_inspected_table_does_not_move_on_while_it_is_read(table: Path) -> None:
    opened = open_file(table)
    write_deltalake(table, payments(8), mode="append")
    assert read_file(opened, ["TRANSACTION_ID"]).height == 6


def test_every_commit_changes_the_stamp_and_the_fingerprint(table: Path) -> None:
    pinned, before = Path(f"{table}@1"), (stamp(table), fingerprint(table))
    first = fingerprint(pinned)
    write_deltalake(table, payments(8), mode="append")
    after = (stamp(table), fingerprint(table))
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert fingerprint(pinned) == first != after[1]


@pytest.mark.parametrize("renamed", [False, True])
def test_deletion_vectors_and_renamed_columns_are_honoured(tmp_path: Path, renamed: bool) -> None:
    write_by_hand(tmp_path / "t", payments(1, 2, 3, 4), deleted=[1, 3], renamed=renamed)
    assert ids(tmp_path / "t") == [1, 3]


@pytest.mark.parametrize("feature", ["typeWidening", "somethingNew"])
def test_a_feature_that_cannot_be_read_is_refused_by_name(tmp_path: Path, feature: str) -> None:
    write_by_hand(tmp_path / "t", payments(1, 2), features=[feature])
    with pytest.raises(InputError, match=rf"(?i)t: expected a Delta table that can be read, found .*{feature}"):
        ids(tmp_path / "t")


def no_commit(folder: Path) -> None:
    shutil.rmtree(folder / "_delta_log")
    (folder / "_delta_log").mkdir()


def no_json(folder: Path) -> None:
    (folder / "_delta_log" / f"{2:020d}.json").write_text("{nope")


def a_file_gone(folder: Path) -> None:
    for file in folder.glob("*.parquet"):
        file.unlink()


def a_file_damaged(folder: Path) -> None:
    for file in folder.glob("*.parquet"):
        file.write_bytes(b"PAR1" + os.urandom(100) + b"PAR1")


def a_commit_gone(folder: Path) -> None:
    (folder / "_delta_log" / f"{1:020d}.json").unlink()


@pytest.mark.parametrize(("damage", "found"), [
    (no_commit, "no commit in its log"), (no_json, "a damaged commit in its log"),
    (a_commit_gone, "commits missing from its log"), (a_file_gone, "a data file damaged or missing"),
    (a_file_damaged, "a data file damaged or missing"),
])  # fmt: skip
def test_a_damaged_table_is_refused(table: Path, damage: Callable[[Path], None], found: str) -> None:
    damage(table)
    with pytest.raises(InputError, match=f"expected a Delta table that can be read, found {found};"):
        ids(table)


def test_a_version_that_is_not_there_is_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"table@9: expected a Delta table that can be read, found no version 9"):
        ids(Path(f"{table}@9"))
    (tmp_path / "plain").mkdir()
    with pytest.raises(InputError, match="plain@1: expected a version of a Delta table"):
        ids(tmp_path / "plain@1")
    with pytest.raises(InputError, match="nowhere@1: expected a parquet, CSV or JSON Lines file, found nothing there"):
        ids(tmp_path / "nowhere@1")


def test_a_part_of_a_table_is_refused(tmp_path: Path) -> None:
    rows = payments(1, 2)
    write_deltalake(tmp_path / "t", rows, partition_by=["CUSTOMER_ID"])
    for part in [next((tmp_path / "t").rglob("*.parquet")), tmp_path / "t" / "CUSTOMER_ID=1"]:
        with pytest.raises(InputError, match=r"found a part of the Delta table .*t, whose metadata say which"):
            ids(part)
    assert ids(tmp_path / "t") == [1, 2]


@given(name=odd_names())
@example(name="two\nlines\t")
@with_examples(30)
def test_a_table_is_the_folder_that_was_named(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    parent = tmp_path_factory.mktemp("names")
    write_deltalake(parent / "plain", payments(1))
    write_deltalake(parent / "other", payments(2))
    shutil.copytree(parent / "plain", parent / f"{name}x")
    for misread in {unquote(f"{name}x"), f"{name}x".replace("\\", "/").lstrip("/")} - {f"{name}x"}:
        shutil.copytree(parent / "other", parent / misread)
    before = sorted(parent.rglob("*"))
    assert ids(parent / f"{name}x") == ids(parent / f"{name}x@0") == [1]
    assert sorted(parent.rglob("*")) == before

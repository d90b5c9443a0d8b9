"""Data files of a Delta table: which tables are read so, and that columns keep their types and their order."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyarrow.dataset import field

from jobs.lakehouse.data_files import data_files, local_dataset, scan

ROWS = pa.table(
    {
        "key": pa.array([3, None, 5], pa.int32()),
        "at": pa.array([datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3)], pa.timestamp("us", "UTC")),
        "day": ["a", "b", "b"],
    }
)


def test_columns_of_several_files_keep_their_types_and_stand_in_one_order(tmp_path: Path) -> None:
    for part in (ROWS, ROWS.slice(1), ROWS.slice(2)):
        write_deltalake(tmp_path, part, mode="append")
    files = data_files(DeltaTable(tmp_path))
    assert files is not None
    assert (files.num_rows, files.column_names) == (6, ["key", "at", "day"])
    read = pa.table({name: files[name] for name in files.column_names})
    assert [field.type for field in read.schema] == [field.type for field in files.schema]
    rows = [tuple(row.values()) for row in read.to_pylist()]
    assert sorted(map(str, rows)) == sorted(
        str(tuple(row.values())) for part in (ROWS, ROWS.slice(1), ROWS.slice(2)) for row in part.to_pylist()
    )


def test_renamed_columns_are_those_of_the_files(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS)
    files = data_files(DeltaTable(tmp_path))
    assert files is not None
    renamed = files.renamed({"customer": "key"})
    assert renamed is not None
    assert (renamed.column_names, renamed["customer"].to_pylist()) == (["customer"], [3, None, 5])
    assert files.renamed({"customer": "missing"}) is None


def test_a_partition_column_is_not_in_the_files(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS, partition_by=["day"])
    files = data_files(DeltaTable(tmp_path))
    assert files is not None
    assert files.column_names == ["key", "at"]
    assert files.renamed({"day": "day"}) is None


def test_a_file_that_is_older_than_a_column_holds_none_of_it(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS)
    later = ROWS.append_column("added", pa.array([1, 2, 3]))
    write_deltalake(tmp_path, later, mode="append", schema_mode="merge")
    files = data_files(DeltaTable(tmp_path))
    assert files is not None
    assert sorted(map(str, files["added"].to_pylist())) == ["1", "2", "3", "None", "None", "None"]
    assert len(files["key"]) == files.num_rows


def test_only_files_that_may_hold_a_time_are_kept(tmp_path: Path) -> None:
    finer = ROWS.set_column(
        1, "at", pa.array([datetime(2026, 3, 5, 0, 0, 0, 1999, UTC)] * 3, ROWS.schema.field("at").type)
    )
    for part in (ROWS, finer):
        write_deltalake(tmp_path, part, mode="append")
    files = data_files(DeltaTable(tmp_path))
    assert files is not None
    files = files.renamed({"moment": "at"})
    assert files is not None

    def rows(low: datetime | None, high: datetime) -> int:
        return files.between("moment", low, high).num_rows

    first, last = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
    assert (rows(None, last), rows(last, last), rows(None, first)) == (3, 3, 3)
    assert rows(datetime(2026, 3, 5, 0, 0, 0, 1500, UTC), datetime(2026, 4, 1, tzinfo=UTC)) == 3
    assert rows(datetime(2026, 3, 6, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)) == 0
    assert (
        files.between("moment", datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC))[
            "moment"
        ].to_pylist()
        == []
    )


def test_a_file_of_the_last_moment_there_is_may_hold_it(tmp_path: Path) -> None:
    end = datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)
    write_deltalake(tmp_path, ROWS.set_column(1, "at", pa.array([end] * 3, ROWS.schema.field("at").type)))
    files = data_files(DeltaTable(tmp_path))
    assert files is not None
    assert files.between("at", datetime(2026, 3, 1, tzinfo=UTC), end).num_rows == 3


def test_a_table_without_rows_is_left_to_the_engine(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS.slice(0, 0))
    assert data_files(DeltaTable(tmp_path)) is None


def test_a_table_whose_rows_may_be_deleted_outside_its_files_is_left_to_the_engine(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS, configuration={"delta.enableDeletionVectors": "true"})
    assert data_files(DeltaTable(tmp_path)) is None


@pytest.mark.parametrize("folder", ["plain", "a b", "st*r", "[ab]?", "ü#;"])
def test_a_scan_holds_every_column_with_its_type_wherever_the_table_lies(tmp_path: Path, folder: str) -> None:
    write_deltalake(tmp_path / "table", ROWS, partition_by=["day"])
    table = (tmp_path / "table").rename(tmp_path / folder)
    rows = scan(DeltaTable(table.as_posix()))
    assert rows is not None
    assert rows.collect().sort("at").select(ROWS.column_names).to_arrow().cast(ROWS.schema) == ROWS
    assert rows.filter(pl.col("day") == "b").select("key").collect().to_series().sort().to_list() == [None, 5]


def test_a_folder_whose_name_polars_takes_for_a_partition_is_left_to_the_engine(tmp_path: Path) -> None:
    (tmp_path / "day=a").mkdir()
    write_deltalake(tmp_path / "day=a", ROWS, partition_by=["day"])
    assert scan(DeltaTable(tmp_path / "day=a")) is None


def test_a_partition_whose_name_polars_reads_otherwise_is_left_to_the_engine(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS.set_column(2, "day", pa.array(["a b", "b/c", "=d"])), partition_by=["day"])
    assert scan(DeltaTable(tmp_path)) is None


def test_a_scan_of_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS.slice(0, 0))
    rows = scan(DeltaTable(tmp_path))
    assert rows is not None
    assert rows.collect().to_arrow().cast(ROWS.schema) == ROWS.slice(0, 0)


def test_a_scan_fills_a_column_that_a_file_is_older_than(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS)
    write_deltalake(tmp_path, ROWS.append_column("added", pa.array([1, 2, 3])), mode="append", schema_mode="merge")
    rows = scan(DeltaTable(tmp_path))
    assert rows is not None
    assert sorted(map(str, rows.collect()["added"].to_list())) == ["1", "2", "3", "None", "None", "None"]


@pytest.mark.parametrize("times", [{"use_deprecated_int96_timestamps": True}, {"coerce_timestamps": "ms"}])
def test_a_scan_gives_times_as_the_table_declares_them(tmp_path: Path, times: dict[str, Any]) -> None:
    write_deltalake(tmp_path, ROWS)
    (file,) = tmp_path.glob("*.parquet")
    pq.write_table(ROWS, file, **times)
    rows = scan(DeltaTable(tmp_path))
    assert rows is not None
    assert rows.select("at").collect().to_arrow()["at"].cast(ROWS.schema.field("at").type) == ROWS["at"]


def test_a_scan_of_a_table_with_deletion_vectors_is_left_to_the_engine(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS, configuration={"delta.enableDeletionVectors": "true"})
    assert scan(DeltaTable(tmp_path)) is None


@pytest.mark.parametrize("by", [[], ["day"], ["day", "key"]])
def test_a_table_is_read_as_delta_reads_it(tmp_path: Path, by: list[str]) -> None:
    folder = tmp_path / "a folder, 100% its own"
    for day in ("a", None, "b / c=d%20e"):
        rows = ROWS.set_column(2, "day", pa.array([day] * 3, pa.string()))
        write_deltalake(folder, rows, mode="append", partition_by=by or None)
    write_deltalake(folder, rows.append_column("added", pa.array([1.5, None, 2.5])), mode="append", schema_mode="merge")
    delta = DeltaTable(folder)
    ours, theirs = local_dataset(delta), delta.to_pyarrow_dataset()
    assert ours is not None
    at, key, day_of, added = (field(name) for name in ("at", "key", "day", "added"))
    for kept in (None, day_of == "a", day_of.is_null(), key.is_null() | (at > ROWS["at"][1]), added > 2):
        assert ours.to_table(filter=kept).equals(theirs.to_table(filter=kept)), kept
    assert ours.to_table(["key", "day"], filter=at == ROWS["at"][0]).equals(
        theirs.to_table(["key", "day"], filter=at == ROWS["at"][0])
    )


def test_files_of_other_days_are_not_opened(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS, partition_by=["day"])
    next(tmp_path.glob("day=a/*.parquet")).unlink()
    rows = local_dataset(DeltaTable(tmp_path))
    assert rows is not None
    assert rows.to_table(filter=field("day") == "b").num_rows == 2


def test_a_table_with_rows_that_its_files_do_not_tell_is_left_to_delta(tmp_path: Path) -> None:
    write_deltalake(tmp_path, ROWS, configuration={"delta.columnMapping.mode": "name"})
    assert local_dataset(DeltaTable(tmp_path)) is None

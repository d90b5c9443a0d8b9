"""Which files an input is: data files of folders, columns in folders' names, and tables that are refused by name."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from jobs.ingest import inspection
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.input_files import columns_in_path, find_files
from jobs.ingest.readers import open_file
from jobs.ingest.registered_inputs import InputError
from jobs.use_case import Column, Source

NOW = datetime(2026, 6, 1, tzinfo=UTC)
READINGS = Source(
    name="readings",
    key=("reading_id",),
    event_time="read_on",
    columns=(
        Column("reading_id", "identifier"),
        Column("read_on", "timestamp"),
        Column("value", "number", nullable=True),
        Column("meter_id", "identifier"),
    ),
)
NAMES = [c.name for c in READINGS.columns]


def part(path: Path, *ids: int, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"READING_ID": list(ids)}).with_columns(**{k: pl.lit(v) for k, v in columns.items()})
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return path


def read(*paths: Path, names: ColumnsFile = ColumnsFile()) -> list[tuple[object, ...]]:  # noqa: B008
    inspected = inspection.inspect(READINGS, find_files(paths), names, {})
    assert inspected.problems == ()
    return read_batch(READINGS, inspected, names, {}, NOW).frame.select(NAMES).rows()


MAY_1 = datetime(2026, 5, 1, tzinfo=UTC)


def test_folders_named_like_columns_are_columns(tmp_path: Path) -> None:
    part(tmp_path / "METER_ID=7" / "read_on=2026-05-01" / "VALUE=1.5" / "a.parquet", 1, 2)
    part(tmp_path / "METER_ID=8" / "read_on=2026-05-01 12%3A00" / "VALUE=__HIVE_DEFAULT_PARTITION__" / "b.csv", 3)
    assert read(tmp_path) == [
        (1, MAY_1, 1.5, 7), (2, MAY_1, 1.5, 7), (3, MAY_1.replace(hour=12), None, 8),
    ]  # fmt: skip


def test_a_file_named_by_itself_has_the_columns_of_its_folders(tmp_path: Path) -> None:
    path = part(tmp_path / "METER_ID=A%2F7" / "a.parquet", 1, READ_ON=date(2026, 5, 1), VALUE=1)
    assert read(path) == [(1, MAY_1, 1.0, "A/7")]


def test_a_column_in_the_file_is_not_looked_for_in_its_path(tmp_path: Path) -> None:
    path = part(tmp_path / "meter_id=7" / "a.parquet", 1, READ_ON=date(2026, 5, 1), VALUE=1, METER_ID=9)
    assert read(path) == [(1, MAY_1, 1.0, 9)]


def test_a_columns_file_may_name_a_folders_column_and_others_are_left_out(tmp_path: Path) -> None:
    path = part(tmp_path / "day=2026-05-01" / "shard=3" / "a.parquet", 1, METER_ID=7, VALUE=1)
    names = ColumnsFile(names={"readings": {"read_on": "day"}})
    assert read(path, names=names) == [(1, MAY_1, 1.0, 7)]
    assert inspection.inspect(READINGS, [path], names, {}).schema.undeclared == ("shard",)


def test_folders_above_others_are_no_columns(tmp_path: Path) -> None:
    assert columns_in_path(tmp_path / "run=5" / "data" / "day=1" / "a.parquet") == {"day": "1"}
    assert columns_in_path(tmp_path / "=5" / "a.parquet") == {}


def test_only_data_files_of_a_folder_are_read_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ["a.parquet", "sub/b.PARQUET", "sub/deep/c.pq", "d.parquet.gzip", "000000_0", "_kind=1/e.parquet"]:
        part(tmp_path / "x.parquet", 1).rename(_made(tmp_path / name))
    for name in ["_temporary/0/f.parquet", ".hidden/g.parquet", "_metadata", ".a.parquet.crc", "._a.parquet"]:
        _made(tmp_path / name).write_bytes(b"")
    for name in ["_SUCCESS", "README.md", "schema.json", "h.parquet.inprogress"]:
        (tmp_path / name).write_bytes(b"PAR1")
    found = [str(p.relative_to(tmp_path)) for p in find_files([tmp_path])]
    assert found == ["000000_0", "_kind=1/e.parquet", "a.parquet", "d.parquet.gzip", "sub/b.PARQUET", "sub/deep/c.pq"]


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("name", ["b.orc", "b.xlsx", "b.parquet.gz", "b.jsonl.zst", "b.csv.zip", "deep/b.avro"])
def test_a_format_that_is_not_read_is_not_passed_over(tmp_path: Path, name: str) -> None:
    part(tmp_path / "a.parquet", 1)
    _made(tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        InputError, match=rf"{name}: expected parquet, CSV or JSON Lines files .* a format that is not read"
    ):
        find_files([tmp_path])


@pytest.mark.parametrize("content", [[], ["_SUCCESS"], [".a.parquet"], ["_temporary/a.parquet"], ["README.md"]])
def test_a_folder_without_data_is_refused(tmp_path: Path, content: list[str]) -> None:
    for name in content:
        _made(tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match="expected parquet, CSV or JSON Lines files in this folder, found none"):
        find_files([tmp_path])


def test_links_are_followed_once_and_one_to_nothing_is_refused(tmp_path: Path) -> None:
    part(tmp_path / "there" / "a.parquet", 1)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "there")
    (folder / "loop").symlink_to(folder)
    assert find_files([folder]) == [folder / "link" / "a.parquet"]
    (folder / "gone.parquet").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"gone.parquet: .* found a link to nothing"):
        find_files([folder])


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part(tmp_path / "a.parquet", 1)
    (tmp_path / "locked").mkdir()
    listed = Path.iterdir

    def refusing(folder: Path) -> Iterator[Path]:  # root, who may run this test, is refused no folder
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refusing)
    with pytest.raises(InputError, match="locked: expected a folder that can be read"):
        find_files([tmp_path])


TABLES = {
    "Iceberg": ["metadata/v1.metadata.json", "data/a.parquet"],
    "Hudi": [".hoodie/hoodie.properties", "2026/05/01/a.parquet"],
    "Lance": ["_versions/1.manifest", "data/a.lance"],
    "DuckLake": ["ducklake-0195.parquet", "ducklake-0196-delete.parquet"],
    "Paimon": ["snapshot/snapshot-1", "manifest/manifest-1", "bucket-0/a.parquet"],
    "Hive transactional": ["base_0000001/a.parquet", "delete_delta_0000002_0000002/a.parquet"],
    "Spark streaming": ["_spark_metadata/0", "a.parquet"],
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_another_format_is_refused_by_name(tmp_path: Path, name: str) -> None:
    table = tmp_path / "lake" / "payments"
    for file in TABLES[name]:
        part(_made(table / file), 1) if file.endswith(".parquet") else _made(table / file).write_bytes(b"{}")
    for path in (table, tmp_path / "lake"):
        with pytest.raises(InputError, match=rf"payments: expected .* a table of another format \({name}\)"):
            find_files([path])


@pytest.mark.parametrize("name", ["Iceberg", "DuckLake", "Paimon", "Spark streaming"])
def test_a_part_of_a_table_of_another_format_is_refused(tmp_path: Path, name: str) -> None:
    for file in TABLES[name]:
        part(_made(tmp_path / file), 1) if file.endswith(".parquet") else _made(tmp_path / file).write_bytes(b"{}")
    with pytest.raises(InputError, match=f"expected files of their own, found a part of the {name} table"):
        find_files([next(tmp_path.rglob("*.parquet"))])


def test_what_is_no_file_of_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{}")
    with pytest.raises(InputError, match=r"expected a file that ends in .parquet, .csv or .jsonl"):
        open_file(tmp_path / "a.yaml")


def test_a_name_that_no_table_can_hold_is_refused(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    (tmp_path / name).write_text("READING_ID\n1\n")
    for given in (tmp_path, tmp_path / name):
        with pytest.raises(InputError, match=r"caf\\xe9.csv: expected a name in UTF-8"):
            find_files([given])

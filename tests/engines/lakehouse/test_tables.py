"""Delta tables through the engine: what is written arrives, or the table stays as it was."""

import concurrent.futures
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from worlds.odd_names import NAMES

from jobs import settings
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import Lakehouse, TableDamaged, attach
from jobs.lakehouse.write_proof import WriteMismatch
from jobs.path_alias import UNWRITABLE

ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "name": ["a", "b", None],
        "at": pa.array([0, 1, 2], pa.timestamp("us", "UTC")),
        "share": [0.5, None, -1.0],
    }
)


def read(lakehouse: Lakehouse, table: str, version: int | None = None) -> pa.Table:
    return lakehouse.read(table, version).toArrow().sort_by("id").select(ROWS.column_names)


def test_what_is_written_is_read_back_through_engine_and_log(lakehouse: Lakehouse) -> None:
    version = lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema)
    assert lakehouse.version("demo.rows") == version
    assert read(lakehouse, "demo.rows").to_pydict() == ROWS.to_pydict()
    assert lakehouse.to_arrow("demo.rows").sort_by("id").to_pydict() == ROWS.to_pydict()


def test_a_first_write_of_no_rows_makes_the_table(lakehouse: Lakehouse) -> None:
    lakehouse.write("demo.none", ROWS.slice(0, 0), mode="overwrite", schema=ROWS.schema)
    found = lakehouse.to_arrow("demo.none")
    assert found.num_rows == 0 and found.column_names == ROWS.column_names
    lakehouse.write("demo.none", ROWS, mode="overwrite", schema=ROWS.schema)
    assert read(lakehouse, "demo.none").to_pydict() == ROWS.to_pydict()


@pytest.mark.parametrize("batches", [False, True], ids=["by the engine", "by delta-rs"])
def test_a_float_that_is_alone_in_its_file_keeps_its_last_bit(lakehouse: Lakehouse, batches: bool) -> None:
    values = [0.022454496099831526, 3.7416573867739413, 0.10071942446043165, -0.0, 5e-324]
    rows = pa.table(
        {"id": range(len(values)), "value": values, "day": [date(2026, 3, 1 + n) for n in range(len(values))]}
    )
    meant = rows.to_reader() if batches else rows
    lakehouse.write("demo.bits", meant, mode="append", schema=rows.schema, rows=len(values), partition_by=["day"])
    lakehouse.write(
        "demo.bits", rows.slice(0, 1), mode="overwrite", schema=rows.schema, replace_where="day = date '2026-03-01'"
    )
    found = lakehouse.read("demo.bits").toArrow().sort_by("id")["value"].to_pylist()
    assert list(map(float.hex, found)) == list(map(float.hex, values))
    assert lakehouse.maxima("demo.bits", ["id"]) == [len(values) - 1]


def test_what_this_process_writes_is_read_back_through_engine_and_log(lakehouse: Lakehouse) -> None:
    lakehouse.write("demo.rows", ROWS.to_reader(), mode="append", schema=ROWS.schema, rows=3)
    assert read(lakehouse, "demo.rows").to_pydict() == ROWS.to_pydict()
    assert lakehouse.to_arrow("demo.rows").sort_by("id").to_pydict() == ROWS.to_pydict()
    lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema)
    assert read(lakehouse, "demo.rows").num_rows == 6


def test_an_old_version_reads_as_it_was(lakehouse: Lakehouse) -> None:
    first = lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema)
    lakehouse.write("demo.rows", ROWS.slice(0, 1), mode="overwrite", schema=ROWS.schema)
    assert read(lakehouse, "demo.rows").num_rows == 1
    assert read(lakehouse, "demo.rows", first).to_pydict() == ROWS.to_pydict()


def test_replacing_touches_only_matching_rows(lakehouse: Lakehouse) -> None:
    lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema)
    new = ROWS.slice(0, 1).set_column(1, "name", pa.array(["z"]))
    lakehouse.write("demo.rows", new, mode="overwrite", schema=ROWS.schema, replace_where="id = 1")
    assert read(lakehouse, "demo.rows")["name"].to_pylist() == ["z", "b", None]


@pytest.mark.parametrize(
    "changed",
    [
        ROWS.append_column("extra", pa.array([1, 2, 3])),
        ROWS.drop_columns(["share"]),
        ROWS.set_column(3, "share", pa.array(["x", "y", "z"])),
    ],
    ids=["new column", "missing column", "retyped column"],
)
def test_a_schema_that_differs_from_the_table_is_refused(lakehouse: Lakehouse, changed: pa.Table) -> None:
    lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema)
    with pytest.raises(WriteMismatch, match=r"expected .*, found"):
        lakehouse.write("demo.rows", changed, mode="append", schema=changed.schema)
    assert read(lakehouse, "demo.rows").to_pydict() == ROWS.to_pydict()


def test_rows_that_did_not_arrive_undo_the_write_and_keep_the_state(lakehouse: Lakehouse) -> None:
    lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema, state={"loaded": 1})
    with pytest.raises(WriteMismatch, match="expected 5 rows to arrive, found 3"):
        lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema, rows=5, state={"loaded": 2})
    assert read(lakehouse, "demo.rows").to_pydict() == ROWS.to_pydict()
    assert lakehouse.state("demo.rows") == {"loaded": 1}


def test_state_belongs_to_the_commit(lakehouse: Lakehouse) -> None:
    assert lakehouse.state("demo.rows") == {}
    lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema, state={"loaded": 1})
    lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema, state={"loaded": 2})
    assert lakehouse.state("demo.rows") == {"loaded": 2}
    assert lakehouse.state("demo.rows", 0) == {"loaded": 1}


def test_a_write_without_rows_commits_its_state_once(lakehouse: Lakehouse) -> None:
    lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema, state={"of": 1})
    none = lakehouse.read("demo.rows").where("id = 9")
    for state, versions in (({"of": 2}, [1, 1]), ({"of": [3, {"x": None}]}, [2, 2])):
        for version in versions:
            assert version == lakehouse.write(
                "demo.rows", none, mode="overwrite", schema=ROWS.schema, replace_where="id = 9", rows=0,
                state=state,
            )  # fmt: skip
            assert lakehouse.state("demo.rows") == state
    assert read(lakehouse, "demo.rows").to_pydict() == ROWS.to_pydict()


def test_concurrent_writers_under_the_lock_lose_nothing(lakehouse: Lakehouse) -> None:
    def append(_: int) -> None:
        with lakehouse.lock("demo.rows"):
            lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(8)))
    assert lakehouse.read("demo.rows").count() == 8 * ROWS.num_rows


def empty_log(table: Path) -> None:
    (table / "_delta_log").mkdir(parents=True)


def data_without_a_commit(table: Path) -> None:
    empty_log(table)
    (table / "part-00000.parquet").write_bytes(b"PAR1")


def unwritten_commit(table: Path) -> None:
    empty_log(table)
    (table / "_delta_log" / f"{0:020}.json").touch()


@pytest.mark.parametrize("left", [empty_log, data_without_a_commit, unwritten_commit])
@pytest.mark.parametrize("batches", [False, True], ids=["by the engine", "by delta-rs"])
def test_what_a_failed_first_write_left_is_no_table_and_the_next_write_makes_it_one(
    lakehouse: Lakehouse, left: Callable[[Path], None], batches: bool
) -> None:
    left(Path(lakehouse.path("demo.rows")))
    assert lakehouse.version("demo.rows") is None and lakehouse.state("demo.rows") == {}
    assert find_tables(lakehouse.warehouse) == []
    attach(lakehouse.settings).spark.sql("select 1")  # a session that names the tables of the warehouse
    rows = ROWS.to_reader() if batches else ROWS
    assert lakehouse.write("demo.rows", rows, mode="append", schema=ROWS.schema, rows=3) == 0
    assert read(lakehouse, "demo.rows").to_pydict() == ROWS.to_pydict()


@pytest.mark.embedded  # Spark's checksum beside the commit stands in for it
def test_a_damaged_log_is_an_error_and_not_an_absent_table(lakehouse: Lakehouse) -> None:
    lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema)
    (Path(lakehouse.path("demo.rows")) / "_delta_log" / f"{0:020}.json").write_text("nonsense")
    with pytest.raises(TableDamaged, match="found a log that cannot be read"):
        lakehouse.version("demo.rows")


@pytest.mark.embedded
def test_tables_are_found_and_scratch_is_not(lakehouse: Lakehouse) -> None:
    lakehouse.write("demo.rows", ROWS, mode="append", schema=ROWS.schema)
    (Path(lakehouse.warehouse) / "_merge" / "rows" / "_delta_log").mkdir(parents=True)
    assert find_tables(lakehouse.warehouse) == ["demo.rows"]


IN_PLACE = " ".join(name for name in NAMES if not UNWRITABLE.search(name))


@pytest.mark.parametrize("name", [IN_PLACE, " ".join(NAMES)], ids=["in place", "kept elsewhere"])
def test_tables_lie_in_the_folder_that_was_named(
    lakehouse: Lakehouse, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    named = settings.load({"EVERGREEN_WAREHOUSE": str(tmp_path / "above" / name)}).warehouse_url
    own = attach(replace(lakehouse.settings, warehouse_url=named))
    own.write("names.rows", ROWS, mode="append", schema=ROWS.schema)
    own.write("names.rows", ROWS.to_reader(), mode="append", schema=ROWS.schema, rows=3)
    own.write("names.rows", ROWS.slice(0, 1), mode="overwrite", schema=ROWS.schema, replace_where="id = 1")
    assert own.read("names.rows").count() == own.to_arrow("names.rows").num_rows == 5
    assert own.read("names.rows", 0).count() == 3 and len(own.delta("names.rows").history()) == 3
    merge = f"merge into delta.`{own.path('names.rows')}` as t using (select 2 as id) as s on t.id = s.id"
    own.spark.sql(f"{merge} when matched then delete").collect()
    assert own.read("names.rows").count() == 3
    own.delta("names.rows").optimize.compact()
    own.delta("names.rows").vacuum(0, dry_run=False, enforce_retention_duration=False)
    own.delta("names.rows").create_checkpoint()
    assert own.read("names.rows").count() == own.to_arrow("names.rows").num_rows == own.row_count("names.rows") == 3
    assert [entry.name for entry in (tmp_path / "above").iterdir()] == [name]
    assert (tmp_path / "above" / name / "names" / "rows" / "_delta_log").is_dir()

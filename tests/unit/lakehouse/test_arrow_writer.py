"""Rows written in this process: what is replaced, what is committed, and how each column is stored."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from jobs.lakehouse import arrow_writer
from jobs.lakehouse.commit_state import keeping


def rows(values: list[float], kind: str) -> pa.Table:
    score = pa.array(values, pa.float32())
    return pa.table({"score": score, "origin": [kind] * len(values), "part": [1] * len(values)})


def save(path: str, table: pa.Table, where: str | None = None) -> None:
    arrow_writer.save(path, table.to_reader(), "overwrite", where, ["part"] if where is None else [], keeping({"n": 1}))


def test_only_rows_that_match_are_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "table")
    save(path, pa.concat_tables([rows([0.1, 0.2], "nightly"), rows([0.3], "online")]))
    save(path, rows([0.5], "nightly"), "part in (1) and origin = 'nightly'")
    table = DeltaTable(path).to_pyarrow_table().sort_by("score")
    assert table["origin"].to_pylist() == ["online", "nightly"]
    assert table["score"].to_pylist() == rows([0.3, 0.5], "")["score"].to_pylist()


def test_state_is_committed_with_the_rows(tmp_path: Path) -> None:
    save(str(tmp_path), rows([0.1], "nightly"))
    assert DeltaTable(str(tmp_path)).history(1)[0]["userMetadata"] == '{"evergreen": {"n": 1}}'


def test_numbers_are_written_without_a_dictionary_and_texts_with_one(tmp_path: Path) -> None:
    save(str(tmp_path), rows([0.1, 0.2], "nightly"))
    group = pq.ParquetFile(DeltaTable(str(tmp_path)).file_uris()[0]).metadata.row_group(0)
    dictionary = {group.column(i).path_in_schema: group.column(i).has_dictionary_page for i in range(group.num_columns)}
    assert dictionary == {"score": False, "origin": True}


@pytest.mark.parametrize(("with_text", "compression"), [(True, "SNAPPY"), (False, "UNCOMPRESSED")])
def test_only_tables_with_texts_are_compressed(tmp_path: Path, with_text: bool, compression: str) -> None:
    table = rows([0.1, 0.2], "nightly")
    save(str(tmp_path), table if with_text else table.drop_columns(["origin"]))
    group = pq.ParquetFile(DeltaTable(str(tmp_path)).file_uris()[0]).metadata.row_group(0)
    assert group.column(0).compression == compression


def arriving(table: pa.Table, stops: bool) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from table.to_batches()
        if stops:
            raise ValueError("expected finite values")

    return pa.RecordBatchReader.from_batches(table.schema, batches())


def test_a_batch_that_does_not_arrive_raises_its_own_error_and_commits_nothing(tmp_path: Path) -> None:
    path, table, commit = str(tmp_path / "table"), rows([0.1, 0.2], "nightly"), keeping({})
    with pytest.raises(ValueError, match=r"^expected finite values$"):
        arrow_writer.save(path, arriving(table, stops=True), "overwrite", None, ["part"], commit)
    assert not DeltaTable.is_deltatable(path)
    arrow_writer.save(path, arriving(table, stops=False), "overwrite", None, ["part"], commit)
    for where in (None, "part in (1) and origin = 'nightly'"):
        with pytest.raises(ValueError, match=r"^expected finite values$"):
            arrow_writer.save(DeltaTable(path), arriving(table, stops=True), "overwrite", where, [], commit)
        assert (DeltaTable(path).version(), DeltaTable(path).to_pyarrow_table().num_rows) == (0, 2)


def test_whole_numbers_and_times_are_written_as_differences_and_come_back_whole(tmp_path: Path) -> None:
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        None,
        datetime(9999, 12, 31, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
    ]
    table = pa.table(
        {
            "id": pa.array([-(2**63), 2**63 - 1, None, 0], pa.int64()),
            "small": pa.array([127, -128, 0, None], pa.int8()),
            "at": pa.array(moments, pa.timestamp("us", "UTC")),
            "day": pa.array([date(1, 1, 1), date(9999, 12, 31), None, date(2026, 3, 1)]),
            "part": pa.array([1] * 4),
        }
    )
    save(str(tmp_path), table)
    stored = DeltaTable(str(tmp_path))
    assert stored.to_pyarrow_table(columns=table.column_names).to_pydict() == table.to_pydict()
    group = pq.ParquetFile(stored.file_uris()[0]).metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    assert all("DELTA_BINARY_PACKED" in column.encodings and not column.has_dictionary_page for column in columns)


def test_the_log_has_the_bounds_of_columns_stored_as_differences(tmp_path: Path) -> None:
    at = pa.array([datetime(2026, 3, day, tzinfo=UTC) for day in (3, 1, 2)], pa.timestamp("us", "UTC"))
    save(str(tmp_path), pa.table({"loaded_in": [2, 9, 4], "at": at, "part": [1, 1, 1]}))
    actions = pa.table(DeltaTable(str(tmp_path)).get_add_actions(flatten=True)).to_pylist()[0]
    assert (actions["min.loaded_in"], actions["max.loaded_in"]) == (2, 9)
    assert (actions["min.at"].day, actions["max.at"].day) == (1, 3)

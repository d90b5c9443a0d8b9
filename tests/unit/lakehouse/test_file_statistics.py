"""Statistics of files: which columns have any, whatever their names and types."""

from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from jobs.lakehouse.file_statistics import properties


def test_columns_other_than_floats_keep_their_extremes_whatever_their_names(tmp_path: Path) -> None:
    rows = pa.table(
        {"day": ["a"], "a, b": [1], "c`d": ["x"], "e f": [0.1], "g": [True], "h": pa.array([1], pa.float32())}
    )
    write_deltalake(tmp_path, rows, partition_by=["day"], configuration=properties(rows.schema, ["day"]))
    actions = pa.table(DeltaTable(tmp_path).get_add_actions(flatten=True))
    assert {name for name in actions.column_names if name.startswith("max.")} == {"max.a, b", "max.c`d"}


def test_a_table_of_floats_keeps_none(tmp_path: Path) -> None:
    rows = pa.table({"x": [0.1]})
    write_deltalake(tmp_path, rows, configuration=properties(rows.schema, []))
    actions = pa.table(DeltaTable(tmp_path).get_add_actions(flatten=True))
    assert not [name for name in actions.column_names if name.startswith("max.")]

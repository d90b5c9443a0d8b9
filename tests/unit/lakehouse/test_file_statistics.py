"""Statistics of files: which columns have any, whatever their names and types."""

import re
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from jobs.lakehouse.file_statistics import CHOSEN, properties
from jobs.settings import ROOT


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


def test_tables_of_dbt_follow_the_same_rule() -> None:
    """The macro names types as SQL does."""
    types = {
        "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(), "int": pa.int32(), "bigint": pa.int64(),
        "float": pa.float32(), "double": pa.float64(), "decimal": pa.decimal128(12, 2), "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"), "string": pa.string(), "binary": pa.binary(),
    }  # fmt: skip
    macro = (ROOT / "dbt_project" / "macros" / "statistics.sql").read_text()
    [listed] = re.findall(r"if kind in \[([^\]]*)\]", macro)
    chosen = properties(pa.schema(types), [])[CHOSEN]
    assert set(re.findall(r"'(\w+)'", listed)) == set(re.findall(r"`(\w+)`", chosen))

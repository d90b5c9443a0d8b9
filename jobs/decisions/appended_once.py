"""Rows of the log on their way to a Delta table, each once: what is there already is known by its key."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from jobs.lakehouse.tables import PARTITION, Lakehouse


def append(lakehouse: Lakehouse, name: str, rows: pa.Table, key: Sequence[str]) -> int:
    """Append rows that are not there yet to a table by day; returns how many they were."""
    rows = _new(lakehouse, name, rows, key)
    if rows.num_rows:
        state = lakehouse.state(name) if lakehouse.exists(name) else {}
        lakehouse.write(
            name, rows.to_reader(), mode="append", schema=rows.schema, rows=rows.num_rows,
            partition_by=[PARTITION], state=state,
        )  # fmt: skip
    return int(rows.num_rows)


def _new(lakehouse: Lakehouse, name: str, rows: pa.Table, key: Sequence[str]) -> pa.Table:
    if not rows.num_rows or not lakehouse.exists(name):
        return rows
    days = pc.unique(rows.column(PARTITION)).to_pylist()
    there = lakehouse.to_arrow(name, columns=list(key), filters=[(PARTITION, "in", days)])
    found = pl.DataFrame(pl.from_arrow(rows)).join(pl.DataFrame(pl.from_arrow(there)), on=list(key), how="anti")
    return found.to_arrow().cast(rows.schema)

"""Delta tables found in a warehouse, and named in the catalog of an engine's session.

Which session: see `jobs.lakehouse.engine`. Reading and writing tables: see `jobs.lakehouse.tables`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltalake import DeltaTable
from pyarrow import fs

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession


def register_table(spark: SparkSession, path: str, table: str, embedded: bool = False) -> None:
    """Name a Delta table in the session's catalog; idempotent."""
    spark.sql(f"create schema if not exists {table.split('.')[0]}")
    columns, partitions = _columns_in_sql(spark, path) if embedded else ("", "")
    spark.sql(f"create table if not exists {table}{columns} using delta{partitions} location '{path}'")


def _columns_in_sql(spark: SparkSession, path: str) -> tuple[str, str]:
    """Columns and partitions as SQL: Sail's catalog does not read the table, and dbt asks the catalog."""
    by = DeltaTable(path).metadata().partition_columns
    # Sail compares by position, with the partitions last, wherever they are in the log.
    fields = sorted(spark.read.format("delta").load(path).schema, key=lambda field: field.name in by)
    columns = ", ".join(f"`{f.name}` {f.dataType.simpleString()}{'' if f.nullable else ' not null'}" for f in fields)
    partitions = ", ".join(f"`{name}`" for name in by)
    return f" ({columns})", f" partitioned by ({partitions})" if partitions else ""


def register(spark: SparkSession, warehouse: str, embedded: bool = False) -> list[str]:
    """Name every Delta table found under `warehouse`; cheap, idempotent, needed whenever a session is new."""
    tables = find_tables(warehouse)
    for schema in sorted({t.split(".")[0] for t in tables}):
        spark.sql(f"create schema if not exists {schema}")
        known = {row.tableName for row in spark.sql(f"show tables in {schema}").collect()}
        for table in (t for t in tables if t.startswith(f"{schema}.") and t.split(".")[1] not in known):
            register_table(spark, f"{warehouse.rstrip('/')}/{table.replace('.', '/')}", table, embedded)
    return tables


def find_tables(warehouse: str) -> list[str]:
    """Names `schema.table` of all Delta tables two levels below `warehouse`."""
    if "://" not in warehouse:
        return sorted(
            f"{log.parent.parent.name}.{log.parent.name}"
            for log in Path(warehouse).glob("*/*/_delta_log")
            if not log.parent.parent.name.startswith("_")
        )
    store, root = fs.FileSystem.from_uri(warehouse)
    selector = fs.FileSelector(root, allow_not_found=True)
    schemas = [
        i for i in store.get_file_info(selector) if i.type == fs.FileType.Directory and not i.base_name.startswith("_")
    ]
    tables = [t for s in schemas for t in store.get_file_info(fs.FileSelector(s.path))]
    logs = store.get_file_info([f"{t.path}/_delta_log" for t in tables])
    return sorted(
        f"{Path(t.path).parent.name}.{t.base_name}"
        for t, log in zip(tables, logs, strict=True)
        if log.type == fs.FileType.Directory
    )

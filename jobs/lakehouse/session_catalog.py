"""Delta tables of a warehouse, named in the catalog of an engine's session.

Which tables exist: see `jobs.lakehouse.table_log`. Which session: see `jobs.lakehouse.engine`. Reading and writing
tables: see `jobs.lakehouse.tables`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltalake import DeltaTable

from jobs.lakehouse.table_log import clear, find_tables, find_unmade

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


def forget_unmade(spark: SparkSession, warehouse: str, schema: str, embedded: bool = False) -> None:
    """Take away what a build that failed left of tables of a schema: empty commits, names in the session.

    The embedded engine keeps the name of a table that it could not make: dbt would take it for one and merge into it.
    Nobody else may be making tables of the schema meanwhile.
    """
    unmade = find_unmade(warehouse, schema)
    for table in unmade:
        clear(f"{warehouse.rstrip('/')}/{table.replace('.', '/')}")
    if embedded:
        shown = spark.sql(f"show tables in {schema}").collect()
        named = {f"{schema}.{row.tableName}" for row in shown if not row.isTemporary}
        for table in named - set(find_tables(warehouse)):
            spark.sql(f"drop table if exists {table}")

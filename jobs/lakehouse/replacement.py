"""A table that takes the place of another, with its columns, and tables that are removed.

Tables whose rows alone are replaced are written by `jobs.lakehouse.tables`.
"""

from __future__ import annotations

from collections.abc import Sequence

from deltalake import write_deltalake

from jobs.lakehouse import arrow_writer, table_log
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.data_files import local_dataset
from jobs.lakehouse.tables import Lakehouse


def put_in_place(lakehouse: Lakehouse, table: str, other: str, partition_by: Sequence[str]) -> None:
    """Give a table the columns, rows and state of another, in one commit; it is made if there is none."""
    delta, schema, state = lakehouse.snapshot(other), lakehouse.schema(other), lakehouse.state(other)
    rows = local_dataset(delta) or delta.to_pyarrow_dataset()
    write_deltalake(
        lakehouse.path(table), rows.scanner(columns=schema.names).to_reader().cast(schema), mode="overwrite",
        schema_mode="overwrite", partition_by=list(partition_by), commit_properties=keeping(state),
        writer_properties=arrow_writer.properties(schema),
    )  # fmt: skip
    lakehouse.set_properties(table, {}, state)


def remove(lakehouse: Lakehouse, table: str) -> None:
    """Remove a table with all its versions, if it is there."""
    store, folder = table_log.located(lakehouse.path(table))
    if lakehouse.exists(table):
        store.delete_dir(folder)

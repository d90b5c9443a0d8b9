"""The one commit of a load: new rows into a raw table, which is made or given its types if need be.

Which rows are new: see `jobs.ingest.row_outcomes`.
"""

from collections.abc import Mapping

import polars as pl
import pyarrow as pa

from jobs.ingest import contracts, schemas
from jobs.ingest.day_digests import EVENT_DATE
from jobs.ingest.input_files import fingerprint
from jobs.ingest.load_job import LoadJob
from jobs.ingest.parsing import Batch, table_schema
from jobs.ingest.raw_table import Table
from jobs.lakehouse.envelope import DELETIONS, ENVELOPE, enveloped, kept_position

LOADED_IN = "loaded_in"
"""The column, and the table's state, that number the loads."""


def loads(job: LoadJob) -> int:
    """Number of the table's last load; 0 if none brought a row."""
    return int(job.lakehouse.state(job.table).get(LOADED_IN, 0))


def commit(job: LoadJob, batch: Batch, new: pl.DataFrame, identifiers: Mapping[str, str], table: Table) -> int | None:
    """Append `new`, and record the days and the schema of the load; returns the table's Delta version after it."""
    schema, loaded_in = table_schema(job.source, identifiers), table.loaded_in
    if new.is_empty() and table.missing:
        create(job, schema)
    elif not new.is_empty():
        if table.empty and not table.missing:
            _retype(job, schema)
        loaded_in += 1
        contracts.prove(job.source, new.drop(EVENT_DATE), identifiers)
        schema = enveloped(schema, None if table.missing else job.lakehouse.schema(job.table))
        no_topic = [pl.lit(None).alias(name) for name in (*ENVELOPE.names, *DELETIONS.names)]
        rows = new.with_columns(*no_topic, pl.lit(loaded_in, pl.Int64).alias(LOADED_IN)).select(schema.names)
        files = {str(p): fingerprint(p) for p in batch.files}
        position = kept_position(job.lakehouse.state(job.table))
        job.lakehouse.write(
            job.table, rows.to_arrow().cast(schema), mode="append", schema=schema, rows=rows.height,
            partition_by=job.partitions,
            state={LOADED_IN: loaded_in, "as_of": job.as_of.isoformat(), "files": files, **position},
        )  # fmt: skip
    table.keep(new, loaded_in)
    schemas.record(job.schema_folder, job.source, batch.schema)
    return job.lakehouse.version(job.table)


def create(job: LoadJob, schema: pa.Schema) -> None:
    """Make the empty table."""
    rows, state = schema.empty_table(), {LOADED_IN: 0}
    job.lakehouse.write(job.table, rows, mode="append", schema=schema, partition_by=job.partitions, state=state)


def _retype(job: LoadJob, schema: pa.Schema) -> None:
    """Give a table that never held a row the types of its first file."""
    stored_types = {f.name: str(f.type) for f in job.lakehouse.schema(job.table)}
    if any(str(f.type) != stored_types[f.name] for f in schema):
        position = kept_position(job.lakehouse.state(job.table))
        job.lakehouse.reshape(job.table, enveloped(schema, job.lakehouse.schema(job.table)), {LOADED_IN: 0, **position})

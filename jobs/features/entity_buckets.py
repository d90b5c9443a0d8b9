"""A kernel over all facts in this process: bucket by bucket of the entities, in threads, while results are written.

What a kernel computes is `jobs.features.window_kernel`; which facts there are, `jobs.features.window_tables`.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import polars as pl
import pyarrow as pa


def results(
    kernel: Callable[[pa.Table], pa.Table], facts: pa.Table, entity: str, buckets: int, schema: pa.Schema
) -> pa.RecordBatchReader:
    """The rows that the kernel returns for each bucket, with `schema`; all facts of one entity are in one bucket.

    Batches are computed as they are read, a few buckets ahead: what was read already may be written meanwhile.
    An error of the kernel is raised where its batch is read.
    """
    return pa.RecordBatchReader.from_batches(schema, _batches(kernel, _parts(facts, entity, buckets)))


def _parts(facts: pa.Table, entity: str, buckets: int) -> list[pl.DataFrame]:
    bucketed = pl.DataFrame(facts).with_columns(bucket=pl.col(entity).hash() % buckets)
    return bucketed.partition_by("bucket", include_key=False)


def _batches(kernel: Callable[[pa.Table], pa.Table], parts: list[pl.DataFrame]) -> Iterator[pa.RecordBatch]:
    def run(part: pl.DataFrame) -> pa.Table:
        return kernel(part.to_arrow(compat_level=pl.CompatLevel.oldest()))

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[pa.Table]] = deque()
        parts.reverse()
        while parts or ahead:
            while parts and len(ahead) <= workers:
                ahead.append(pool.submit(run, parts.pop()))
            yield from ahead.popleft().result().combine_chunks().to_batches()

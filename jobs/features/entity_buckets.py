"""A kernel over all facts in this process: bucket by bucket of the entities, in threads, while results are written.

What a kernel computes is `jobs.features.window_kernel`; which facts there are, `jobs.features.target_facts`.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from jobs.features.clock import entity_codes

Kernel = Callable[[pa.Table], pa.Table]
Positions = NDArray[np.uint32]
"""Of rows, as Polars counts them."""
GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
"""Its fraction, of 64 bits."""


def results(
    kernel: Kernel, facts: pa.Table | pl.DataFrame, keys: Sequence[str], buckets: int, schema: pa.Schema
) -> pa.RecordBatchReader:
    """The rows that the kernel returns for each bucket, with `schema`; all facts of one entity are in one bucket.

    Facts reach the kernel entity by entity (of more than 65,536 some are mixed with each other), those of one in the
    order in which they are given. Batches are computed as they are read, a few buckets ahead: what was
    read already may be written meanwhile. An error of the kernel is raised where its batch is read.
    """
    # In one piece each: rows of a bucket are then copied from the facts just before its kernel runs.
    frame = pl.DataFrame(facts).rechunk()
    return pa.RecordBatchReader.from_batches(
        schema, _batches(kernel, _Facts(frame), _rows(frame.select(keys), buckets))
    )


class _Facts:
    """All facts, to copy a bucket's from: of equal columns of times one alone, of empty ones nothing."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._schema = frame.head(0).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        times = [column for column in frame.get_columns() if column.dtype == pl.Datetime]
        self._empty = {column.name for column in times if column.null_count() == len(column)}
        self._equal = {column.name: _equal(column, times) for column in times}
        kept = [n for n in frame.columns if n not in self._empty and self._equal.get(n, n) == n]
        self._copied = frame.select(kept)

    def at(self, rows: Positions) -> pa.Table:
        """The facts at some positions, with all columns."""
        copied = self._copied[rows].to_arrow(compat_level=pl.CompatLevel.oldest())
        columns = [
            pa.nulls(len(rows), field.type)
            if field.name in self._empty
            else copied[self._equal.get(field.name, field.name)]
            for field in self._schema
        ]
        return pa.Table.from_arrays(columns, schema=self._schema)


def _equal(column: pl.Series, columns: list[pl.Series]) -> str:
    """The first of some columns, itself among them, that holds the same."""
    return next(other.name for other in columns if other.dtype == column.dtype and other.equals(column))


def _rows(entities: pl.DataFrame, buckets: int) -> list[Positions]:
    """Positions of the rows of each bucket that has any: whole entities, of about as many rows in each bucket."""
    table = entities.to_arrow(compat_level=pl.CompatLevel.oldest())
    [codes], size = entity_codes([table], entities.columns)
    # Of 16 bits, which numpy sorts by counting; of more entities a hash (Knuth, TAOCP 3, 6.4: by the golden ratio).
    numbers = (codes if size <= 2**16 else codes.astype(np.uint64) * GOLDEN_RATIO >> np.uint64(48)).astype(np.uint16)
    ends = np.cumsum(np.bincount(numbers, minlength=1))
    cuts = ends[np.searchsorted(ends, np.arange(1, buckets) * len(codes) // buckets)]
    parts = np.split(np.argsort(numbers, kind="stable").astype(np.uint32), np.unique(cuts))
    return [part for part in parts if len(part)]


def _batches(kernel: Kernel, facts: _Facts, parts: list[Positions]) -> Iterator[pa.RecordBatch]:
    def run(rows: Positions) -> pa.Table:
        return kernel(facts.at(rows))

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[pa.Table]] = deque()
        parts.reverse()
        while parts or ahead:
            while parts and len(ahead) <= workers:
                ahead.append(pool.submit(run, parts.pop()))
            yield from ahead.popleft().result().combine_chunks().to_batches()

"""Daily histograms of features over all rows, as a pure function of Arrow batches that travels into the workers.

Counts of batches add up, so that it does not matter how rows are dealt out. Nothing but numpy and pyarrow is imported;
what a histogram says is judged in `jobs.drift.detector`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.arrays import Ints
from jobs.errors import Invalid

Batches = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
Edges = NDArray[np.float32]
"""Rising; bin `i` holds the values of (edges[i - 1], edges[i]], the first and last bin what lies outside."""

COUNTED = pa.schema([("day", pa.date32()), ("feature", pa.string()), ("bin", pa.int32()), ("rows", pa.int64())])
"""What the kernel returns: the bins that are not empty. Sum `rows` by the other columns. Bin -1 is missing."""
MISSING = -1


def counter(edges: Mapping[str, Edges], day: str, rename: Mapping[str, str] | None = None) -> Batches:
    """A function of batches with a date column `day` and numeric columns; returns counts as COUNTED.

    Args:
        edges: of each feature that is counted; see `edges_of`.
        day: rows without one are not counted.
        rename: feature -> column, where they differ.

    Raises (in the worker):
        KeyError: a column is missing. pyarrow.ArrowInvalid: a column is not numeric.
    """
    columns = {feature: (rename or {}).get(feature, feature) for feature in edges}

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield _count(batch, edges, columns, day)

    return run


def edges_of(values: NDArray[Any], bins: int = 20) -> Edges:
    """Edges of about `bins` bins with the same number of reference rows; shape at most (2 * bins,).

    A value that many rows share (a tie at 0, a constant, each of a few values) gets a bin of its own, so that neither a
    neighbour that was never seen before nor a vanished value hides in it.

    Args:
        values: shape (rows,), NaN is missing and left out.

    Raises:
        ValueError: fewer than two bins.
    """
    if bins < 2:
        raise Invalid(f"bins: expected at least 2, found {bins}")
    with np.errstate(over="ignore"):  # beyond float32 is infinite, as it is for a model's graph
        ordered = np.sort(values.astype(np.float32))
    ordered = ordered[: int(np.searchsorted(ordered, np.nan))]
    distinct, counts = np.unique(ordered, return_counts=True)
    if len(distinct) <= bins:
        own, cuts = distinct, distinct
    else:
        own = distinct[counts * bins >= len(ordered)]
        # Ranks, not interpolated quantiles: an edge is a value that occurs.
        cuts = ordered[np.arange(1, bins) * len(ordered) // bins]
    with np.errstate(over="ignore"):  # below the smallest float32 is -inf
        below = np.nextafter(own, np.float32(-np.inf))
    return np.unique(np.concatenate([cuts, own, below]))


def bins_of(values: NDArray[Any], edges: Edges) -> Ints:
    """Bin of each value, 0 to len(edges), and len(edges) + 1 for a missing one (NaN).

    Compared as float32, as a model's graph gets them, so that a value and its float32 copy share a bin.
    """
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    bins = np.searchsorted(edges, single, side="left")
    return np.where(np.isnan(single), len(edges) + 1, bins)


def _count(batch: pa.RecordBatch, edges: Mapping[str, Edges], columns: Mapping[str, str], day: str) -> pa.RecordBatch:
    days = batch.column(day)
    batch = batch.filter(days.is_valid())
    ordinals, of_row = np.unique(
        batch.column(day).cast(pa.date32()).cast(pa.int32()).to_numpy(zero_copy_only=False), return_inverse=True
    )
    parts = [
        _feature(name, batch.column(columns[name]), cuts, ordinals, of_row)
        for name, cuts in edges.items()
        if len(ordinals)
    ]
    return pa.Table.from_batches(parts, COUNTED).combine_chunks().to_batches()[0] if parts else _nothing()


def _feature(name: str, column: pa.Array, edges: Edges, ordinals: Ints, of_row: Ints) -> pa.RecordBatch:
    values = column.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    width = len(edges) + 2
    counts = np.bincount(of_row * width + bins_of(values, edges), minlength=len(ordinals) * width)
    filled = np.flatnonzero(counts)
    bins = filled % width
    arrays = [
        pa.array(ordinals[filled // width].astype(np.int32)).cast(pa.date32()),
        pa.array([name] * len(filled), pa.string()),
        pa.array(np.where(bins == width - 1, MISSING, bins).astype(np.int32)),
        pa.array(counts[filled].astype(np.int64)),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=COUNTED)


def _nothing() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], kind) for kind in COUNTED.types], schema=COUNTED)

"""Scores of Arrow batches with ONNX Runtime, as a pure function that travels into the engine's workers.

It imports nothing but numpy, pyarrow and onnxruntime. Which rows are scored: see `jobs.scoring.batch`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from jobs.arrays import Float32s
from jobs.errors import Invalid
from jobs.models import texts
from jobs.models.features import FeatureRows, rows_of
from jobs.models.runtime import score, session
from jobs.models.vectors import column_of, columns_of, element_names, lengths_of, vectors
from jobs.scoring.decided_columns import DecidedColumns

if TYPE_CHECKING:
    import onnxruntime

Batches = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
_KEPT = 4
"""Sessions held per worker: a backfill may alternate between some models."""
# Of a process of the engine, which holds no object of ours from one task to the next. The key is the hash of the bytes
# that a session is made of; names, threshold and columns stay with each call.
_sessions: dict[str, onnxruntime.InferenceSession] = {}


def scorer(
    graph: bytes,
    sha256: str,
    names: Sequence[str],
    threshold: float,
    kept_columns: Sequence[str],
    decided_columns: DecidedColumns | None = None,
) -> Batches:
    """A function of batches with the columns of the features `names`: float32, of categories and vectors texts;
    it returns columns `kept_columns`, `score` and `decision`.

    Args:
        graph: an ONNX model with the inputs of `jobs.models.runtime`; travels inside the function.
        sha256: of `graph`, compared in the worker before anything is loaded.
        names: in the order of the model's features; null is missing.
        threshold: a score that reaches it is a positive decision.
        decided_columns: what follows from scores, besides or instead of a decision by the threshold.

    Raises (in the worker):
        ValueError: the graph's bytes are not those meant, or a feature is infinite.
    """

    decided = decided_columns or DecidedColumns("binary", threshold)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        runtime = _session(graph, sha256)
        for batch in batches:
            scores = score(runtime, features(batch, names))
            columns = [*(batch.column(name) for name in kept_columns), *decided.of(scores)]
            yield pa.RecordBatch.from_arrays(columns, names=[*kept_columns, *(field.name for field in decided.fields)])

    return run


def features(batch: pa.RecordBatch, names: Sequence[str]) -> FeatureRows:
    """Columns as rows of features, [n, f]; null is missing. Raises ValueError on another type, an infinity, or a list
    of another length."""
    kinds = {name: batch.schema.field(name).type for name in columns_of(names)}
    lengths = lengths_of(names)
    numbers = [name for name, kind in kinds.items() if not (pa.types.is_string(kind) or name in lengths)]
    values = matrix(batch, numbers)
    if len(numbers) == len(names):
        return values
    column: dict[str, Float32s | pa.Array] = {name: values[:, place] for place, name in enumerate(numbers)}
    for name, length in lengths.items():
        column |= dict(zip(element_names(name, length), vectors(name, batch.column(name), length).T, strict=True))
    column |= {name: texts.read(batch.column(column_of(name))) for name in names if texts.is_text(name)}
    columns = (column[name] if name in column else batch.column(name) for name in names)
    return rows_of(columns, batch.num_rows, len(names))


def matrix(batch: pa.RecordBatch, names: Sequence[str]) -> Float32s:
    """Float32 columns as [n, f], null as NaN. Raises ValueError on another type or an infinity."""
    if not names:
        return np.empty((batch.num_rows, 0), np.float32)
    for name in names:
        if not pa.types.is_float32(kind := batch.schema.field(name).type):
            raise Invalid(f"feature {name!r}: expected float32 or texts, found {kind}; cast it before it is scored")
    features: Float32s = batch.select(list(names)).to_tensor(null_to_nan=True, row_major=True).to_numpy()
    # One pass over all of it: a sum is finite or NaN unless something is infinite (or the sum overflows).
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = not np.isfinite(features.sum())
    if suspicious and np.isinf(features).any():
        wrong = [names[position] for position in np.flatnonzero(np.isinf(features).any(axis=0)).tolist()]
        raise Invalid(f"features {wrong}: expected finite values or null, found an infinity; correct or null them")
    return features


def _session(graph: bytes, sha256: str) -> onnxruntime.InferenceSession:
    digest = hashlib.sha256(graph).hexdigest()
    if digest != sha256:
        raise Invalid(f"graph: expected sha256 {sha256}, found {digest}; it is not the one that was approved")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as in `jobs.settings`, which clusters do not have
    if sha256 not in _sessions:
        while len(_sessions) >= _KEPT:
            _sessions.pop(next(iter(_sessions)), None)
        _sessions[sha256] = session(graph)
    return _sessions[sha256]

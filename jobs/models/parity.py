"""Whether an exported graph computes the scores of its model: compared on rows, batch by batch, before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jobs.arrays import Float32s
from jobs.errors import EvergreenError, Invalid
from jobs.models.graphs import feature_names
from jobs.models.protocol import Probabilities, check_features
from jobs.models.runtime import score, session

if TYPE_CHECKING:
    import onnx
    import onnxruntime

BATCH_SIZES = (1, 2, 1000)
_SINGLE_CALLS = 200
"""Calls per small batch size: enough rows to meet every branch, few enough to take well below a second."""
_EXTREMES = (0.0, -0.0, 1e-45, -1e-45, 1e-35, 1.0, -1.0, 3.4e38, -3.4e38)


class ParityError(EvergreenError, ValueError):
    """A graph disagrees with its model; it must not be served."""


def check_parity(
    model: onnx.ModelProto,
    predict: Callable[[Float32s], Probabilities],
    rows: Float32s,
    *,
    tolerance: float = 1e-5,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    bounded: bool = True,
) -> dict[int, float]:
    """The largest absolute difference between `model` and `predict`, per batch size.

    Args:
        rows: real rows, float32 [n, f], at least one; compared too with values missing and with extreme ones.
        tolerance: on the probability.
        bounded: whether scores are probabilities; predictions of numbers are compared as shares of the largest one.

    Raises:
        ParityError: if a difference is above `tolerance`, or a score is no number or of another shape.
        ValueError: if `rows` are not rows of this model, are none, or hold infinities.
    """
    names = feature_names(model)
    check_features(rows, names)
    if not len(rows):
        raise Invalid("parity: expected at least one row to compare, found none; hand over real rows")
    runtime = session(model)
    hostile = hostile_rows(rows)
    scale = 1.0 if bounded else max(float(np.abs(predict(rows)).max()), 1e-300)
    differences = {}
    for size in batch_sizes:
        batches = list(_batches(rows, size)) + list(_batches(hostile, size))
        differences[size] = max(_difference(runtime, predict, batch, scale) for batch in batches)
        if differences[size] > tolerance:
            raise ParityError(
                f"ONNX model: expected scores within {tolerance} of the model's at batch {size}, "
                f"found a difference of {differences[size]}; do not serve it, export again or report the graph"
            )
    return differences


def hostile_rows(rows: Float32s) -> Float32s:
    """Variants of the first rows: each feature missing, each at every extreme, all missing, all extreme."""
    base, variants = rows[0], []
    for value in (np.nan, *_EXTREMES):
        alone = np.repeat(base[None], rows.shape[1], axis=0)
        np.fill_diagonal(alone, value)
        variants += [alone, np.full((1, rows.shape[1]), value)]
    mixed = np.resize(rows, (64, rows.shape[1])).copy()
    mixed[np.random.default_rng(0).random(mixed.shape) < 0.3] = np.nan
    return np.concatenate([*variants, mixed]).astype(np.float32)


def _batches(rows: Float32s, size: int) -> Iterator[Float32s]:
    """At most `_SINGLE_CALLS` batches of `size` rows, spread over `rows`, which repeat if there are fewer."""
    count = -(-len(rows) // size)
    for position in np.unique(np.linspace(0, count - 1, min(count, _SINGLE_CALLS)).astype(int)):
        yield rows[np.arange(position * size, (position + 1) * size) % len(rows)]


def _difference(
    runtime: onnxruntime.InferenceSession, predict: Callable[[Float32s], Probabilities], batch: Float32s, scale: float
) -> float:
    expected, actual = predict(batch), score(runtime, batch)
    if actual.shape != expected.shape or not np.isfinite(actual).all():
        raise ParityError(
            f"ONNX model: expected {len(batch)} finite scores at batch {len(batch)}, "
            f"found shape {actual.shape}, {np.count_nonzero(~np.isfinite(actual))} of them no numbers; do not serve it"
        )
    if not np.isfinite(expected).all():
        raise ParityError(
            f"model: expected finite predictions, found {np.count_nonzero(~np.isfinite(expected))} that are no numbers "
            f"among {len(batch)}; do not serve it"
        )
    return float((np.abs(expected - actual) / np.maximum(scale, np.abs(expected))).max())

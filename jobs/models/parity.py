"""Whether an exported graph computes the scores of its model: compared on rows, batch by batch, before it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from jobs.errors import EvergreenError, Invalid
from jobs.models.features import FeatureRows, Features, texts_of, values_of
from jobs.models.graphs import feature_names
from jobs.models.protocol import Probabilities, check_features
from jobs.models.runtime import score, session

if TYPE_CHECKING:
    import onnx
    import onnxruntime

BATCH_SIZES = (1, 2, 1000)
_SINGLE_CALLS = 200
"""Calls per small batch size: enough rows to meet every branch, few enough to take well below a second."""
_UNKNOWN = ("\N{REPLACEMENT CHARACTER}", " ", "0", "a" * 1000, "\N{ZERO WIDTH SPACE}\0\N{FACE WITH TEARS OF JOY}")
_EXTREMES = (0.0, -0.0, 1e-45, -1e-45, 1e-35, 1.0, -1.0, 3.4e38, -3.4e38)


class ParityError(EvergreenError, ValueError):
    """A graph disagrees with its model; it must not be served."""


def check_parity(
    model: onnx.ModelProto,
    predict: Callable[[FeatureRows], Probabilities],
    rows: FeatureRows,
    *,
    tolerance: float = 1e-5,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    bounded: bool = True,
) -> dict[int, float]:
    """The largest absolute difference between `model` and `predict`, per batch size.

    Args:
        rows: real rows, [n, f], at least one; compared too with values missing, extreme ones and unknown categories.
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


def hostile_rows(rows: FeatureRows) -> FeatureRows:
    """Variants of the first rows: each feature missing, each number at every extreme, each category a text that no
    model knows, all missing, all extreme."""
    values, texts = values_of(rows), texts_of(rows)
    base, variants = values[0], []
    for n, value in enumerate((np.nan, *_EXTREMES)):
        alone, together = np.repeat(base[None], len(base), axis=0), np.full((1, len(base)), value)
        np.fill_diagonal(alone, value)
        for column, own in texts.items():
            alone[column, column] = together[:, column] = np.nan if n == 0 else len(own) + (n - 1) % len(_UNKNOWN)
        variants += [alone, together]
    mixed = np.resize(values, (64, len(base))).copy()
    mixed[np.random.default_rng(0).random(mixed.shape) < 0.3] = np.nan
    hostile = np.concatenate([*variants, mixed]).astype(np.float32)
    if not texts:
        return hostile
    return Features(hostile, {n: pa.concat_arrays([own, pa.array(_UNKNOWN)]) for n, own in texts.items()})


def _batches(rows: FeatureRows, size: int) -> Iterator[FeatureRows]:
    """At most `_SINGLE_CALLS` batches of `size` rows, spread over `rows`, which repeat if there are fewer."""
    count = -(-len(rows) // size)
    for position in np.unique(np.linspace(0, count - 1, min(count, _SINGLE_CALLS)).astype(int)):
        yield rows[np.arange(position * size, (position + 1) * size) % len(rows)]


def _difference(
    runtime: onnxruntime.InferenceSession,
    predict: Callable[[FeatureRows], Probabilities],
    batch: FeatureRows,
    scale: float,
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

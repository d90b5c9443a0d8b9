"""An int8 variant of a graph, and what it costs and gains on real rows. Whether it is served is not decided here."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs import unfinished
from jobs.arrays import Bools
from jobs.errors import EvergreenError
from jobs.models.features import FeatureRows
from jobs.models.runtime import score, session
from jobs.stats import metrics

if TYPE_CHECKING:
    import onnx
    import onnxruntime

LATENCY_BATCHES = (1, 1000)
_CALLS = 200


class NotApplicable(EvergreenError, ValueError):
    """The graph holds nothing that int8 weights would make smaller or faster."""


@dataclass(frozen=True)
class Quantised:
    """The int8 graph and its report."""

    graph: bytes
    report: dict[str, Any]
    """Each `[float32, int8]`: `average_precision` (None if labels are all alike), `latency_ms` by batch size (median
    of repeated calls), `size_bytes`; and `largest_difference` of the scores."""


def quantise(graph: bytes, rows: FeatureRows, labels: Bools) -> Quantised:
    """`graph` with int8 weights and activations quantised as they come (ONNX Runtime's dynamic quantisation).

    Args:
        rows, labels: real ones, to measure on.

    Raises:
        NotApplicable: there is no float32 matrix of weights: trees, or arithmetic in float64.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load_model_from_string(graph)
    if not _weights(model):
        raise NotApplicable(
            "int8: the graph multiplies by no float32 matrix of weights, so there is nothing to quantise"
        )
    with unfinished.scratch() as folder, _quiet():
        before, after = folder / "model.onnx", folder / "quantised.onnx"
        before.write_bytes(graph)
        quantize_dynamic(before, after, weight_type=QuantType.QInt8)
        small = after.read_bytes()
    return Quantised(small, _report(graph, small, rows, labels))


def _weights(model: onnx.ModelProto) -> list[str]:
    """Names of constant float32 matrices that something is multiplied by, as ONNX Runtime can quantise them."""
    from onnx import TensorProto

    constants = {c.name for c in model.graph.initializer if c.data_type == TensorProto.FLOAT and len(c.dims) >= 2}
    return [
        node.input[1] for node in model.graph.node if node.op_type in ("MatMul", "Gemm") and node.input[1] in constants
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's quantiser logs advice about image models to the root logger."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _report(graph: bytes, small: bytes, rows: FeatureRows, labels: Bools) -> dict[str, Any]:
    runtimes = [session(content) for content in (graph, small)]
    scores = [score(runtime, rows).astype(np.float64) for runtime in runtimes]
    has_both_classes = 0 < labels.sum() < len(labels)
    return {
        "average_precision": [metrics.average_precision(labels, each) if has_both_classes else None for each in scores],
        "largest_difference": float(np.abs(scores[0] - scores[1]).max()),
        "latency_ms": {str(size): [latency_ms(r, rows, size) for r in runtimes] for size in LATENCY_BATCHES},
        "size_bytes": [len(graph), len(small)],
        "rows": len(rows),
        "positives": int(labels.sum()),
    }


def latency_ms(runtime: onnxruntime.InferenceSession, rows: FeatureRows, size: int) -> float:
    """Median milliseconds of one call with `size` rows, of up to 200 calls (fewer for large batches)."""
    batch = rows[np.arange(size) % len(rows)]
    seconds = []
    for _ in range(max(10, _CALLS // size)):
        start = time.perf_counter()
        score(runtime, batch)
        seconds.append(time.perf_counter() - start)
    return round(1000 * float(np.median(seconds)), 4)

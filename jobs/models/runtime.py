"""Running an exported graph: one session, one call. It travels to clusters: numpy and onnxruntime are all it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.arrays import Float32s

if TYPE_CHECKING:
    import onnx
    import onnxruntime

INPUT, OUTPUT = "features", "score"
"""Names of a graph's input, float32 [batch, f], and output, float32 [batch]."""


def session(model: onnx.ModelProto | bytes) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session with one thread that does not spin (two would starve each other on few cores)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def score(runtime: onnxruntime.InferenceSession, features: Float32s) -> Float32s:
    """Scores, float32 [n], of the rows of `features`, float32 [n, f], in one call."""
    result: Float32s = runtime.run([OUTPUT], {INPUT: features})[0]
    return result

"""Running an exported graph: one session, one call. It travels to clusters: numpy, pyarrow and onnxruntime are all it
needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.arrays import Float32s
from jobs.models.features import FeatureRows, Features

if TYPE_CHECKING:
    import onnx
    import onnxruntime

INPUT, CATEGORIES, OUTPUT = "features", "categories", "score"
"""Names of a graph's inputs and output: the features that are numbers, float32 [batch, numbers]; those that are
categories, if there are any, as texts [batch, categories], an empty one where the value is missing; float32 [batch]."""


def session(model: onnx.ModelProto | bytes) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session with one thread that does not spin (two would starve each other on few cores)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def score(runtime: onnxruntime.InferenceSession, features: FeatureRows) -> Float32s:
    """Scores, float32 [n], of the rows of `features`, [n, f], in one call."""
    result: Float32s = runtime.run([OUTPUT], feeds(features))[0]
    return result


def feeds(features: FeatureRows) -> Mapping[str, Any]:
    """The rows as the inputs of a graph."""
    if not isinstance(features, Features):
        return {INPUT: features}
    columns = sorted(features.texts)
    texts = np.empty((len(features), len(columns)), dtype=object)
    for n, column in enumerate(columns):
        texts[:, n] = features.known_texts(column)
    numbers = np.delete(features.values, columns, axis=1)
    return {CATEGORIES: texts} | ({INPUT: numbers} if numbers.shape[1] else {})

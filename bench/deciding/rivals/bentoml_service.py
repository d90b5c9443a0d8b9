"""The graph behind BentoML, in an environment of its own; `MODEL` names it."""

import os
from typing import Annotated, Any

import bentoml
import numpy as np
import onnxruntime
from bentoml.validators import DType, Shape

Rows = Annotated[np.ndarray, DType("float32"), Shape((-1, int(os.environ["WIDTH"])))]


@bentoml.service(workers=1)
class Graph:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])

    @bentoml.api  # type: ignore[untyped-decorator]
    async def score(self, features: Rows) -> np.ndarray:
        scores: np.ndarray[Any, Any] = self._session.run(["score"], {"features": features})[0]
        return scores

"""The graph behind MLServer, in an environment of its own; `MODEL` names it."""

import os

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Graph(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        [given] = payload.inputs
        rows = np.array(given.data.root, np.float32).reshape(given.shape)
        [scores] = self._session.run(["score"], {"features": rows})
        output = ResponseOutput(name="score", shape=[len(scores)], datatype="FP32", data=scores.tolist())
        return InferenceResponse(model_name=self.name, outputs=[output])

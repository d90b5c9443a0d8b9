"""Messages of the protocol's gRPC service, made of a table of their fields.

Names and numbers of fields are those of the Open Inference Protocol's `GRPCInferenceService` (package `inference`), so
that any client of the protocol understands them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.proto_files import Fields, ProtoFile

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
_PARAMETERS = "=InferParameter"
_TENSOR: Fields = ((1, "name", "string"), (2, "datatype", "string"), (3, "shape", "*int64"))
_TENSOR_DATA: Fields = (*_TENSOR, (4, "parameters", _PARAMETERS), (5, "contents", "InferTensorContents"))
_NAMED: Fields = ((1, "name", "string"), (2, "version", "string"))
_ABOUT: Fields = (
    (1, "model_name", "string"), (2, "model_version", "string"), (3, "id", "string"), (4, "parameters", _PARAMETERS),
)  # fmt: skip
_CONTENTS: Fields = (
    (1, "bool_contents", "*bool"), (2, "int_contents", "*int32"), (3, "int64_contents", "*int64"),
    (4, "uint_contents", "*uint32"), (5, "uint64_contents", "*uint64"), (6, "fp32_contents", "*float"),
    (7, "fp64_contents", "*double"), (8, "bytes_contents", "*bytes"),
)  # fmt: skip
_PARAMETER: Fields = (
    (1, "bool_param", "bool"), (2, "int64_param", "int64"), (3, "string_param", "string"),
    (4, "double_param", "double"), (5, "uint64_param", "uint64"),
)  # fmt: skip
MESSAGES: Mapping[str, Fields] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ((1, "live", "bool"),),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ((1, "ready", "bool"),),
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": ((1, "ready", "bool"),),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": (*_NAMED, (3, "extensions", "*string")),
    "ModelMetadataRequest": _NAMED,
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "ModelMetadataResponse": (
        (1, "name", "string"), (2, "versions", "*string"), (3, "platform", "string"),
        (4, "inputs", "*ModelMetadataResponse.TensorMetadata"), (5, "outputs", "*ModelMetadataResponse.TensorMetadata"),
    ),
    "InferParameter": _PARAMETER,
    "InferTensorContents": _CONTENTS,
    "ModelInferRequest.InferInputTensor": _TENSOR_DATA,
    "ModelInferRequest.InferRequestedOutputTensor": ((1, "name", "string"), (2, "parameters", _PARAMETERS)),
    "ModelInferRequest": (
        *_ABOUT, (5, "inputs", "*ModelInferRequest.InferInputTensor"),
        (6, "outputs", "*ModelInferRequest.InferRequestedOutputTensor"), (7, "raw_input_contents", "*bytes"),
    ),
    "ModelInferResponse.InferOutputTensor": _TENSOR_DATA,
    "ModelInferResponse": (
        *_ABOUT, (5, "outputs", "*ModelInferResponse.InferOutputTensor"), (6, "raw_output_contents", "*bytes"),
    ),
}  # fmt: skip
METHODS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
"""Each takes its name and `Request`, and returns its name and `Response`."""
FILE = ProtoFile(
    "open_inference_protocol.proto", PACKAGE, "GRPCInferenceService", MESSAGES, METHODS,
    one_of={"InferParameter": "parameter_choice"},
).add()  # fmt: skip


def message(name: str) -> Any:
    """The class of a message."""
    return FILE.message(name)

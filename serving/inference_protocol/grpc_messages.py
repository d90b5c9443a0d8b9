"""Messages of the protocol's gRPC service, made of a table of their fields.

Names and numbers of fields are those of the Open Inference Protocol's `GRPCInferenceService` (package `inference`), so
that any client of the protocol understands them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
FILE = "open_inference_protocol.proto"
_SCALARS = {
    "string": 9, "bool": 8, "int32": 5, "int64": 3, "uint32": 13, "uint64": 4, "float": 2, "double": 1, "bytes": 12,
}  # fmt: skip
"""Type of a field -> its number in `FieldDescriptorProto.Type`."""
_MESSAGE = 11
Fields = Sequence[tuple[int, str, str]]
"""Number, name, and type of each field: a scalar or a message; `*` before it: repeated; `=`: a map from texts."""
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
_ONE_OF = {"InferParameter": "parameter_choice"}


def message(name: str) -> Any:
    """The class of a message."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def _file() -> descriptor_pb2.FileDescriptorProto:
    made = descriptor_pb2.FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
    outer = {name: made.message_type.add(name=name) for name in MESSAGES if "." not in name}
    for name, fields in MESSAGES.items():
        parent, _, nested = name.partition(".")
        described = outer[parent].nested_type.add(name=nested) if nested else outer[parent]
        _add_fields(described, name, fields)
    service = made.service.add(name="GRPCInferenceService")
    for method in METHODS:
        types = {"input_type": f".{PACKAGE}.{method}Request", "output_type": f".{PACKAGE}.{method}Response"}
        service.method.add(name=method, **types)
    return made


def _add_fields(described: descriptor_pb2.DescriptorProto, name: str, fields: Fields) -> None:
    if name in _ONE_OF:
        described.oneof_decl.add(name=_ONE_OF[name])
    for number, field, kind in fields:
        repeated, plain = kind[0] in "*=", kind.lstrip("*=")
        if kind[0] == "=":
            entry = "".join(part.capitalize() for part in field.split("_")) + "Entry"
            _add_fields(described.nested_type.add(name=entry), "", ((1, "key", "string"), (2, "value", plain)))
            described.nested_type[-1].options.map_entry = True
            plain = f"{name}.{entry}"
        added = described.field.add(name=field, number=number, label=3 if repeated else 1)
        added.type = _SCALARS.get(plain, _MESSAGE)
        if plain not in _SCALARS:
            added.type_name = f".{PACKAGE}.{plain}"
        if name in _ONE_OF:
            added.oneof_index = 0


POOL = descriptor_pool.DescriptorPool()
"""Of our own: a process that also holds a client's messages of the same names keeps both."""
POOL.Add(_file())

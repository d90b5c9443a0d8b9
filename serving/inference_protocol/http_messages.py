"""Requests and answers of HTTP: JSON, or JSON followed by tensors as bytes.

A body with bytes has the length of its JSON in the header `Inference-Header-Content-Length`, of the body as it is after
decompression. Clients send such bodies as `application/octet-stream`, or without any content type.
"""

from __future__ import annotations

from array import array
from math import nan, prod
from types import NoneType
from typing import Any, NamedTuple

import msgspec
import numpy as np

from jobs.models.runtime import OUTPUT
from serving.inference_protocol.inference import (
    MOST_ROWS,
    Tensor,
    Values,
    checked_declaration,
    chosen_outputs,
    declared_shape,
)
from serving.inference_protocol.tensor_bytes import decode, encode
from serving.live_models.live_model import DATATYPES, LiveModel
from serving.web.hot_paths import Answer
from serving.web.json_body import JsonLimits, decoded
from serving.web.refusal import bad

HEADER_LENGTH = b"inference-header-content-length"
ITEMS_AROUND = 1_000
"""What a request may hold beside the values of its inputs."""


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[Any]
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    data: list[Any] | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    outputs: list[_Output] = msgspec.field(default_factory=list)


class HttpRequest(NamedTuple):
    """A request for scores, checked against the model that is to answer it."""

    tensors: tuple[Tensor, ...]
    id: str | None
    binary: bool
    """Whether scores are asked for as bytes."""


def read(body: bytes, json_length: str | None, model: LiveModel) -> HttpRequest:
    """A request of a body.

    Args:
        json_length: the header that says where the bytes begin; None: all of it is JSON.

    Raises:
        Refusal: it is not as the protocol says, or not for this model.
    """
    length = _json_length(json_length, len(body))
    request = _parsed(body[:length], model)
    rest, position, tensors = memoryview(body), length, []
    for given in request.inputs:
        shape = declared_shape(given.shape, given.name)
        checked_declaration(model, given.name, given.datatype, shape)
        size = given.parameters.get("binary_data_size")
        if size is None:
            values = _from_json(given.data, given.datatype, shape, given.name)
        else:
            content = _taken(rest, position, size, given.name)
            values = decode(given.datatype, shape, content, given.name)
            position += size
        tensors.append(Tensor(given.name, given.datatype, shape, values))
    if position != len(body):
        raise bad(f"body: expected {position} bytes by `binary_data_size` and the JSON before, found {len(body)}")
    chosen_outputs([output.name for output in request.outputs])
    binary = bool(request.parameters.get("binary_data_output", False))
    binary = next((bool(o.parameters.get("binary_data", binary)) for o in request.outputs), binary)
    return HttpRequest(tuple(tensors), request.id, binary)


def answer(model: LiveModel, request: HttpRequest, scores: Values) -> Answer:
    """An answer, as JSON or with the scores as bytes after it."""
    output: dict[str, Any] = {"name": OUTPUT, "datatype": DATATYPES[OUTPUT], "shape": list(scores.shape)}
    content = encode(scores) if request.binary else b""
    if request.binary:
        output["parameters"] = {"binary_data_size": len(content)}
    else:
        output["data"] = scores.ravel().tolist()
    said = {"model_name": model.use_case, "model_version": model.version, "outputs": [output]}
    text = msgspec.json.encode(said if request.id is None else {**said, "id": request.id})
    if not request.binary:
        return Answer(text)
    return Answer(text + content, ((b"content-type", b"application/octet-stream"), (HEADER_LENGTH, b"%d" % len(text))))


def _json_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not header.isascii() or not header.isdigit() or len(header) > 12 or int(header) > size:
        raise bad(f"header {HEADER_LENGTH.decode()}: expected a length of at most {size} bytes, found {header[:20]!r}")
    return int(header)


def _parsed(text: bytes, model: LiveModel) -> _Request:
    values = MOST_ROWS * (sum(model.inputs.values()) + 1)  # a row may be a list of its own
    content = decoded(text, JsonLimits(items=ITEMS_AROUND + values))
    try:
        return msgspec.convert(content, _Request)
    except msgspec.ValidationError as error:
        raise bad(f"body: expected JSON of an inference request, found: {error}; a missing number is null") from None


def _taken(body: memoryview, position: int, size: object, name: str) -> memoryview:
    left = len(body) - position
    if type(size) is not int or not 0 <= size <= left:
        raise bad(
            f"input {name}: expected a binary_data_size of at most {left}, the bytes that are left, found {size!r}"
        )
    return body[position : position + size]


def _from_json(data: list[Any] | None, datatype: str, shape: tuple[int, ...], name: str) -> Values:
    """Values of lists, flat or one within another; a missing number, or text, is null."""
    if data is None:
        raise bad(f"input {name}: expected data, or binary_data_size and bytes after the JSON, found neither")
    flat = _flat(data, shape, name)
    if datatype == "BYTES":
        if not all(value is None or isinstance(value, str) for value in flat):
            raise bad(f"input {name}: expected texts, or null where one is missing, found other values")
        return np.array([value or "" for value in flat], dtype=object).reshape(shape)
    return np.frombuffer(_numbers(flat, name), dtype=np.float32).reshape(shape)


def _numbers(values: list[Any], name: str) -> array[float]:
    """Floats of 32 bits; what is beyond them is infinite, which is refused with the other infinities."""
    kinds = set(map(type, values))
    if not kinds <= {int, float, NoneType}:
        raise bad(f"input {name}: expected numbers, or null where one is missing, found other values")
    try:
        return array("f", [nan if value is None else value for value in values] if NoneType in kinds else values)
    except OverflowError:
        raise bad(f"input {name}: expected finite numbers, found one beyond the range of a float") from None


def _flat(data: list[Any], shape: tuple[int, ...], name: str) -> list[Any]:
    if len(data) == shape[0] and any(isinstance(row, list) for row in data):
        if not all(isinstance(row, list) and len(row) == shape[1] for row in data):
            raise bad(f"input {name}: expected {shape[0]} lists of {shape[1]} values, found others")
        data = [value for row in data for value in row]
    if len(data) != prod(shape):
        raise bad(f"input {name}: expected {prod(shape)} values for shape {list(shape)}, found {len(data)}")
    return data

"""A request for scores: its tensors checked against the model's inputs, and the model's answer.

How a request is read from HTTP or gRPC, and written there, belongs to these rooms' own modules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jobs.models.runtime import OUTPUT
from serving.live_models.live_model import DATATYPES, LiveModel
from serving.live_models.watch import LiveModels
from serving.web.refusal import Refusal, bad

MOST_ROWS = 10_000
"""Rows of one request: larger ones would keep others waiting; nightly scoring is for them."""
PLATFORM = "onnxruntime_onnx"
Values = np.ndarray[Any, Any]


class Tensor(NamedTuple):
    """An input as it arrived."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values
    """Of `shape`."""


def model_named(models: LiveModels, name: str, version: str = "") -> LiveModel:
    """The model in service under a name, and a version if one is asked for.

    Raises:
        Refusal: there is no such model, or another version of it is in service.
    """
    model = models.get(name)
    if model is None:
        raise Refusal(404, f"model {name!r}: expected one of {sorted(models.models)}; ask for one of these")
    if version not in ("", model.version):
        raise Refusal(
            404, f"model {name!r}: version {model.version} is in service, not {version!r}; ask without a version"
        )
    return model


def metadata(model: LiveModel) -> dict[str, Any]:
    """What a model takes and gives, in the protocol's words; a batch has any number of rows."""
    inputs = [
        {"name": name, "datatype": DATATYPES[name], "shape": [-1, columns]} for name, columns in model.inputs.items()
    ]
    shape = [-1, model.classes] if model.classes else [-1]
    return {
        "name": model.use_case,
        "versions": [model.version],
        "platform": PLATFORM,
        "inputs": inputs,
        "outputs": [{"name": OUTPUT, "datatype": DATATYPES[OUTPUT], "shape": shape}],
    }


def declared_shape(shape: object, name: str) -> tuple[int, ...]:
    """The shape of an input. Raises Refusal unless it is a list of whole numbers of at least 0."""
    if not isinstance(shape, list | tuple) or not all(type(n) is int and 0 <= n <= 2**31 for n in shape):
        raise bad(f"input {name}: expected a shape as a list of whole numbers from 0 on, found {shape!r}")
    return tuple(shape)


def checked_declaration(model: LiveModel, name: str, datatype: str, shape: tuple[int, ...]) -> None:
    """Raise Refusal unless an input of this name, datatype and shape is one of the model's."""
    if name not in model.inputs:
        raise bad(f"input {name!r}: expected inputs {sorted(model.inputs)}; see the model's metadata")
    if datatype != DATATYPES[name]:
        raise bad(f"input {name}: expected datatype {DATATYPES[name]}, found {datatype!r}; convert it")
    if len(shape) != 2 or shape[1] != model.inputs[name]:
        raise bad(f"input {name}: expected shape [rows, {model.inputs[name]}], found {list(shape)}")
    if not 1 <= shape[0] <= MOST_ROWS:
        raise bad(f"input {name}: expected 1 to {MOST_ROWS:,} rows, found {shape[0]:,}; send them in parts")


def infer(model: LiveModel, tensors: Sequence[Tensor]) -> Values:
    """The scores of a batch.

    Raises:
        Refusal: an input is missing, comes twice or has other rows than another, or a number is infinite.
    """
    named = {tensor.name: tensor for tensor in tensors}
    if sorted(tensor.name for tensor in tensors) != sorted(model.inputs):
        found = [tensor.name for tensor in tensors]
        raise bad(f"inputs: expected each of {sorted(model.inputs)} once, found {found}")
    if len(rows := {tensor.shape[0] for tensor in tensors}) != 1:
        raise bad(f"inputs: expected as many rows in each, found {sorted(rows)}")
    return model.run(_feeds(named))


def _feeds(named: Mapping[str, Tensor]) -> dict[str, Values]:
    for name, tensor in named.items():
        if tensor.datatype == "FP32" and np.count_nonzero(np.isinf(tensor.values)):
            raise bad(f"input {name}: expected finite numbers, or NaN (null in JSON) where one is missing")
    return {name: tensor.values for name, tensor in named.items()}


def chosen_outputs(names: Sequence[str]) -> None:
    """Raise Refusal if an output is asked for that there is not; none named asks for all."""
    if unknown := sorted({name for name in names if name != OUTPUT}):
        raise bad(f"outputs: expected {[OUTPUT]}, found {unknown}; see the model's metadata")

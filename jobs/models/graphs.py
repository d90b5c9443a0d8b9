"""What the exported ONNX graphs share: their input and output, their versions, the names they carry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jobs.errors import Invalid
from jobs.models.runtime import INPUT, OUTPUT

if TYPE_CHECKING:
    import onnx

OPSET, TREE_OPSET, IR_VERSION = 18, 5, 10
"""Opsets of the default domain and of `ai.onnx.ml` (5 is the first with TreeEnsemble), and the file's version."""
_ML = "ai.onnx.ml"
_NAMES, _CATEGORIES = "feature_names", "category_names"


class Graph:
    """Builds a graph by hand: constants and nodes in the order in which they are asked for."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> str:
        """A named constant; its name comes back."""
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name

    def node(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """One node with one output, whose name comes back."""
        from onnx import helper

        output = name or f"{self._prefix}{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def before(self, model: onnx.ModelProto, inputs: Sequence[onnx.ValueInfoProto]) -> None:
        """Put these nodes before those of `model`, which then takes `inputs`."""
        own = list(model.graph.node)
        del model.graph.node[:], model.graph.input[:]
        model.graph.node.extend([*self._nodes, *own])
        model.graph.initializer.extend(self._constants)
        model.graph.input.extend(inputs)

    def model(self, names: Sequence[str], classes: int = 1) -> onnx.ModelProto:
        """The checked model, from `features` [batch, f] to the node called `score`: [batch], or [batch, classes]."""
        import onnx
        from onnx import TensorProto, helper

        graph = helper.make_graph(
            self._nodes,
            "evergreen",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", len(names)])],
            [
                helper.make_tensor_value_info(
                    OUTPUT, TensorProto.FLOAT, ["batch", classes] if classes > 1 else ["batch"]
                )
            ],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_ML, TREE_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="evergreen")
        onnx.checker.check_model(model)
        return named(model, names)


def named(model: onnx.ModelProto, names: Sequence[str], categories: Sequence[str] = ()) -> onnx.ModelProto:
    """`model`, with the names of the features, and of those that are categories, in its metadata, and without an
    exporter's, which names files of this machine."""
    from onnx import helper

    described = [model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer]
    for part in [*described, *model.graph.input, *model.graph.output]:
        del part.metadata_props[:]
    said = {_NAMES: names, _CATEGORIES: categories} if categories else {_NAMES: names}
    helper.set_model_props(model, {key: json.dumps(list(value)) for key, value in said.items()})
    return model


def feature_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """The feature names that `model` carries. Raises ValueError if it carries none."""
    if (names := _said(model, _NAMES)) is None:
        raise Invalid(f"ONNX model: expected {_NAMES!r} in its metadata, found none; export it with `to_onnx`")
    return names


def category_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """The names of the features that are categories, in the order of the input `categories`."""
    return _said(model, _CATEGORIES) or ()


def with_category_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model`, which may also use the operators of `ai.onnx.ml`."""
    from onnx import helper

    if all(opset.domain != _ML for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_ML, TREE_OPSET))
    return model


def _said(model: onnx.ModelProto, key: str) -> tuple[str, ...] | None:
    return next((tuple(json.loads(entry.value)) for entry in model.metadata_props if entry.key == key), None)

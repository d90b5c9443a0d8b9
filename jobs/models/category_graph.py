"""The vocabulary of a model inside its graph: texts in, codes to the part that knows numbers only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jobs.arrays import Float32s
from jobs.models.graphs import feature_names, named, with_category_operators
from jobs.models.runtime import CATEGORIES, INPUT
from jobs.models.vocabulary import MISSING, UNKNOWN, Vocabulary

if TYPE_CHECKING:
    import onnx

_ENCODED = "vocabulary_codes"


def with_vocabulary(
    model: onnx.ModelProto, vocabulary: Vocabulary, tables: Mapping[int, Float32s] | None = None
) -> onnx.ModelProto:
    """`model`, whose input `features` has numbers for categories, as one with the texts of categories as a second
    input.

    Args:
        tables: column of a category -> its numbers by code; None: they are the codes.

    The input `features` then has the numbers alone, and is no input where there are none. Both are in the order of the
    feature names. Unchanged where all features are numbers.
    """
    if not vocabulary.columns:
        return model
    import onnx

    names = feature_names(model)
    numbers = [place for place in range(len(names)) if place not in vocabulary.known]
    for node in model.graph.node:
        node.input[:] = [_ENCODED if name == INPUT else name for name in node.input]
    nodes, constants = _front(vocabulary, numbers, tables or _codes(vocabulary))
    own = list(model.graph.node)
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend([*nodes, *own])
    model.graph.initializer.extend(constants)
    model.graph.input.extend(inputs(len(numbers), len(vocabulary.columns)))
    complete = with_category_operators(model)
    onnx.checker.check_model(complete)
    return named(complete, names, [names[place] for place in vocabulary.columns])


def inputs(numbers: int, categories: int) -> list[onnx.ValueInfoProto]:
    """The inputs of a graph with categories: the numbers, if there are any, and the texts."""
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info(CATEGORIES, TensorProto.STRING, ["batch", categories])]
    if numbers:
        inputs.insert(0, helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", numbers]))
    return inputs


def _codes(vocabulary: Vocabulary) -> dict[int, Float32s]:
    return {column: np.arange(vocabulary.size(column), dtype=np.float32) for column in vocabulary.columns}


def _front(
    vocabulary: Vocabulary, numbers: list[int], tables: Mapping[int, Float32s]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes from the inputs to `_ENCODED`, [batch, f] in the order of the features."""
    from onnx import helper, numpy_helper

    nodes, constants, parts = [], [], [INPUT] if numbers else []
    for n, column in enumerate(vocabulary.columns):
        constants.append(numpy_helper.from_array(np.array([n], np.int64), f"vocabulary_place_{n}"))
        nodes.append(
            helper.make_node("Gather", [CATEGORIES, f"vocabulary_place_{n}"], [f"vocabulary_text_{n}"], axis=1)
        )
        nodes.append(
            helper.make_node(
                "LabelEncoder",
                [f"vocabulary_text_{n}"],
                [f"vocabulary_code_{n}"],
                domain="ai.onnx.ml",
                keys_strings=["", *vocabulary.known[column]],
                values_floats=tables[column][MISSING:].tolist(),
                default_float=float(tables[column][UNKNOWN]),
            )
        )
        parts.append(f"vocabulary_code_{n}")
    order = np.argsort([*numbers, *vocabulary.columns])
    constants.append(numpy_helper.from_array(order, "vocabulary_order"))
    nodes.append(helper.make_node("Concat", parts, ["vocabulary_parts"], axis=1))
    nodes.append(helper.make_node("Gather", ["vocabulary_parts", "vocabulary_order"], [_ENCODED], axis=1))
    return nodes, constants

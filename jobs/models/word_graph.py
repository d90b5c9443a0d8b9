"""The words of a model inside its graph: texts in, numbers to the part that knows no words.

Words are parted by ONNX Runtime's own operator `Tokenizer`, with the pattern that training uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jobs.models.category_graph import inputs
from jobs.models.graphs import Graph, category_names, feature_names, named, with_category_operators
from jobs.models.runtime import CATEGORIES, INPUT
from jobs.models.texts import WORD
from jobs.models.words import ROOT, Words, forms

if TYPE_CHECKING:
    import onnx

_ML, _RUNTIME = "ai.onnx.ml", "com.microsoft"
_NUMBERS, _OTHERS = "text_numbers", "text_categories"


def with_words(model: onnx.ModelProto, words: Words, names: Sequence[str]) -> onnx.ModelProto:
    """`model`, which takes rows that `words` made numbers of, as one of the features `names` that takes their texts."""
    import onnx
    from onnx import helper

    inner, categories = feature_names(model), set(category_names(model))
    texts = [n for n, name in enumerate(names) if n in words.known or name in categories]
    numbers = [n for n in range(len(names)) if n not in texts]
    for node in model.graph.node:
        node.input[:] = [{INPUT: _NUMBERS, CATEGORIES: _OTHERS}.get(name, name) for name in node.input]
    front = Graph("text_")
    parts = [_text_nodes(front, words, column, texts.index(column)) for column in words.known]
    order = _order([name for name in inner if name not in categories], words, [names[n] for n in numbers], names)
    together = front.node("Concat", *([INPUT] if numbers else []), *parts, axis=1)
    front.node("Gather", together, front.constant("text_order", order, np.int64), name=_NUMBERS, axis=1)
    if categories:
        places = [place for place, n in enumerate(texts) if n not in words.known]
        front.node("Gather", CATEGORIES, front.constant("text_others", places, np.int64), name=_OTHERS, axis=1)
    front.before(model, inputs(len(numbers), len(texts)))
    model.opset_import.append(helper.make_opsetid(_RUNTIME, 1))
    complete = with_category_operators(model)
    onnx.checker.check_model(complete)
    return named(complete, names, [names[n] for n in texts])


def _order(inner: Sequence[str], words: Words, numbers: Sequence[str], names: Sequence[str]) -> list[int]:
    """Where each number of the inner model is among the numbers of the input and those of the texts."""
    extra = iter(words.names(names)[len(names) :])
    of_texts = [[names[column], *(next(extra) for _ in range(1, words.numbers))] for column in words.known]
    have = [*numbers, *(name for own in of_texts for name in own)]
    return [have.index(name) for name in inner]


def _text_nodes(graph: Graph, words: Words, column: int, place: int) -> str:
    """Nodes that make the numbers of one text, [batch, numbers] in float32; its name comes back."""
    from onnx import TensorProto

    def constant(name: str, value: object, kind: object = np.int64) -> str:
        return graph.constant(f"text_{name}_{column}", value, kind)  # type: ignore[arg-type]

    text = graph.node("Gather", CATEGORIES, constant("place", place), axis=1)
    parted = graph.node("Tokenizer", text, domain=_RUNTIME, mark=0, mincharnum=1, pad_value="", tokenexp=WORD)
    written = forms(words.known[column]) or {"": 0}
    codes = graph.node(
        "LabelEncoder", parted, domain=_ML, keys_strings=list(written), values_int64s=list(written.values()),
        default_int64=0,
    )  # fmt: skip
    added = graph.node("Gather", constant("table", words.tables[column]), codes, axis=0)
    sums = graph.node("ReduceSum", added, constant("words", [1]), keepdims=0)
    weights = graph.node("Gather", sums, constant("weights", range(words.numbers)), axis=1)
    squares = graph.node("Gather", sums, constant("squares", [words.numbers]), axis=1)
    known = graph.node("Max", graph.node("Cast", squares, to=TensorProto.DOUBLE), constant("one", 1, np.float64))
    lengths = graph.node("Mul", graph.node("Sqrt", known), constant("root", ROOT, np.float64))
    numbers = graph.node("Div", graph.node("Cast", weights, to=TensorProto.DOUBLE), lengths)
    missing = graph.node(
        "LabelEncoder", text, domain=_ML, keys_strings=[""], values_floats=[float("nan")], default_float=0.0
    )
    shaped = graph.node("Unsqueeze", missing, constant("last", [1]))
    return graph.node("Add", graph.node("Cast", numbers, to=TensorProto.FLOAT), shaped)

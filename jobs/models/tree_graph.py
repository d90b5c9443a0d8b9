"""LightGBM's text form as one ONNX TreeEnsemble node and its link, deciding exactly as LightGBM decides.

The rules of a split are `Tree::NumericalDecision` and `Tree::CategoricalDecision` in LightGBM's
`include/LightGBM/tree.h`; the node is TreeEnsemble of ai.onnx.ml 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jobs.arrays import Float32s
from jobs.errors import Invalid
from jobs.models.graphs import Graph
from jobs.models.runtime import INPUT, OUTPUT
from jobs.models.tree_sets import sets_of

if TYPE_CHECKING:
    import onnx

_CATEGORICAL, _DEFAULT_LEFT, _MISSING_SHIFT = 1, 2, 2
"""Bits of a split's `decision_type`."""
_NONE, _ZERO, _NAN = 0, 1, 2
"""Its missing types: no value was missing, zeros are, NaN is."""
_ZERO_THRESHOLD = np.float32(1e-35)
"""LightGBM's kZeroThreshold: values this close to zero are zero."""
LINKS = {"binary": "sigmoid", "multiclass": "softmax", "regression_l1": "identity", "quantile": "identity"}
"""Objective -> what turns the sum of its leaves into a score."""
_LEQ, _MEMBER = 0, 6
"""BRANCH_LEQ and BRANCH_MEMBER of TreeEnsemble."""


@dataclass(frozen=True)
class _Tree:
    """Splits [s] and leaves [s + 1] of one tree; a child below zero is the leaf `~child`."""

    features: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float64]
    decisions: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    leaves: npt.NDArray[np.float64]
    sets: tuple[Float32s, ...] = ()
    """Categories on the left side of a categorical split, whose threshold is the place of its set."""

    @property
    def is_categorical(self) -> npt.NDArray[np.bool_]:
        return (self.decisions & _CATEGORICAL) > 0

    @property
    def missing_types(self) -> npt.NDArray[np.int64]:
        return self.decisions >> _MISSING_SHIFT

    @property
    def nan_goes_left(self) -> npt.NDArray[np.bool_]:
        """Where no value was missing in training, LightGBM reads NaN as 0; else the split has learned a side. NaN is
        in no set."""
        numerical = np.where(self.missing_types == _NONE, self.thresholds >= 0, self.decisions & _DEFAULT_LEFT > 0)
        return ~self.is_categorical & numerical


def tree_graph(text: str, names: tuple[str, ...]) -> onnx.ModelProto:
    """The graph of a booster: `features` float32 [batch, f] -> `score` float32 [batch], or [batch, classes].

    Args:
        text: of `Booster.model_to_string`; an objective of `LINKS`.

    Raises:
        ValueError: on another objective, or on leaves that are not constant.
    """
    link, options = _link(text)
    classes = int(options.get("num_class", 1))
    trees = list(_trees(text))
    graph = Graph()
    values = _zeros_as_missing(graph, trees, len(names))
    raw = graph.node("TreeEnsemble", values, domain="ai.onnx.ml", **_attributes(trees, classes))
    if link == "softmax":
        graph.node("Softmax", raw, name=OUTPUT, axis=1)
        return graph.model(names, classes)
    axis = graph.constant("axis", [1], np.int64)
    if link == "identity":
        graph.node("Squeeze", raw, axis, name=OUTPUT)
        return graph.model(names)
    column = graph.node("Squeeze", raw, axis)
    scaled = graph.node("Mul", column, graph.constant("slope", float(options.get("sigmoid", 1.0)), np.float32))
    graph.node("Sigmoid", scaled, name=OUTPUT)
    return graph.model(names)


def below(thresholds: npt.NDArray[np.float64]) -> Float32s:
    """The largest float32 not above each threshold: for x in float32, x <= t exactly if x <= below(t)."""
    # Beyond what float32 holds, infinity is the answer, and no news; `where` computes its other branch there too.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        rounded = thresholds.astype(np.float32)
        lower: Float32s = np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    return lower


def _splits(thresholds: npt.NDArray[np.float64]) -> Float32s:
    """Thresholds in float32. Before it decides, LightGBM turns values within `_ZERO_THRESHOLD` into 0, so those have to
    be on the side of 0; moving the threshold past them does that at no cost."""
    lowered = below(thresholds)
    tiny = np.abs(thresholds) <= _ZERO_THRESHOLD
    past = np.where(thresholds < 0, np.nextafter(-_ZERO_THRESHOLD, np.float32(-1)), _ZERO_THRESHOLD)
    splits: Float32s = np.where(tiny, past, lowered)
    return splits


def _link(text: str) -> tuple[str, dict[str, str]]:
    """What turns the sum of the leaves into a score, and the objective's options."""
    objective = next((line for line in text.splitlines() if line.startswith("objective=")), "objective=none")
    kind, *options = objective.removeprefix("objective=").split()
    if kind not in LINKS:
        raise Invalid(f"booster: expected an objective among {', '.join(LINKS)}, found {kind!r}; use `Boosted`")
    return LINKS[kind], dict(option.split(":") for option in options if ":" in option)


def _trees(text: str) -> Iterator[_Tree]:
    for block in text.split("end of trees")[0].split("\nTree=")[1:]:
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        tree = _Tree(
            _numbers(fields, "split_feature", np.int64),
            _numbers(fields, "threshold", np.float64),
            _numbers(fields, "decision_type", np.int64),
            _numbers(fields, "left_child", np.int64),
            _numbers(fields, "right_child", np.int64),
            _numbers(fields, "leaf_value", np.float64),
            _sets(fields),
        )
        if fields.get("is_linear", "0") != "0":
            raise Invalid("booster: expected constant leaves, found linear ones; train it with `Boosted`")
        yield tree


def _sets(fields: dict[str, str]) -> tuple[Float32s, ...]:
    """The categories of each set, from words of bits."""
    return tuple(each.astype(np.float32) for each in sets_of(fields))


def _numbers(fields: dict[str, str], key: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    # A tree of one leaf has no splits, and may not even name them.
    return np.array(fields.get(key, "").split(), dtype=dtype)


def _zeros_as_missing(graph: Graph, trees: list[_Tree], count: int) -> str:
    """Where zeros count as missing, a zero becomes NaN before the trees: a split sends both the same way.

    Of a mean of boosters one may have seen a feature without missing values, and another with: each split decides where
    NaN goes. Only zeros that are missing to some and a number to others cannot be expressed by the trees.
    """
    kinds: dict[int, set[int]] = {}
    for tree in trees:
        numerical = ~tree.is_categorical
        for feature, kind in zip(tree.features[numerical], tree.missing_types[numerical], strict=True):
            kinds.setdefault(feature, set()).add(kind)
    if mixed := [feature for feature, kinds_found in kinds.items() if _ZERO in kinds_found and len(kinds_found) > 1]:
        raise Invalid(f"booster: expected zeros to be missing to all trees or to none, found both for {mixed}")
    zeros = np.array([kinds.get(feature) == {_ZERO} for feature in range(count)])
    if not zeros.any():
        return INPUT
    small = graph.node("LessOrEqual", graph.node("Abs", INPUT), graph.constant("zero_threshold", _ZERO_THRESHOLD))
    zero = graph.node("And", small, graph.constant("zero_is_missing", zeros))
    return graph.node("Where", zero, graph.constant("missing", np.float32(np.nan)), INPUT)


def _attributes(trees: list[_Tree], classes: int) -> dict[str, Any]:
    """The node's attributes: the splits of all trees in one row, and the leaves of all trees in another. Trees of
    several classes take turns."""
    from onnx import numpy_helper

    grown = [tree if len(tree.features) else _stump(tree) for tree in trees]
    split_starts = np.cumsum([0] + [len(tree.features) for tree in grown])
    leaf_starts = np.cumsum([0] + [len(tree.leaves) for tree in grown])

    def children(side: str) -> tuple[list[int], list[int]]:
        ids, is_leaf = [], []
        for tree, splits, leaves in zip(grown, split_starts, leaf_starts, strict=False):
            child = getattr(tree, side)
            ids += np.where(child < 0, ~child + leaves, child + splits).tolist()
            is_leaf += (child < 0).astype(int).tolist()
        return ids, is_leaf

    true_ids, true_leafs = children("left")
    false_ids, false_leafs = children("right")
    thresholds = _splits(np.concatenate([tree.thresholds for tree in grown]))
    is_member = np.concatenate([tree.is_categorical for tree in grown])
    leaves = np.concatenate([tree.leaves for tree in grown]).astype(np.float32)
    sets = [tree.sets[int(place)] for tree in grown for place in tree.thresholds[tree.is_categorical]]
    # The sets of all such nodes in order, each ended by NaN.
    members = {"membership_values": numpy_helper.from_array(_ended(sets))} if sets else {}
    return members | {
        "n_targets": classes,
        "tree_roots": split_starts[:-1].tolist(),
        "nodes_featureids": np.concatenate([tree.features for tree in grown]).tolist(),
        "nodes_modes": numpy_helper.from_array(np.where(is_member, _MEMBER, _LEQ).astype(np.uint8)),
        "nodes_splits": numpy_helper.from_array(thresholds),
        "nodes_truenodeids": true_ids,
        "nodes_trueleafs": true_leafs,
        "nodes_falsenodeids": false_ids,
        "nodes_falseleafs": false_leafs,
        "nodes_missing_value_tracks_true": np.concatenate([tree.nan_goes_left for tree in grown]).astype(int).tolist(),
        "leaf_targetids": [n % classes for n, tree in enumerate(grown) for _ in tree.leaves],
        "leaf_weights": numpy_helper.from_array(leaves),
    }


def _ended(sets: list[Float32s]) -> Float32s:
    ended: Float32s = np.concatenate([np.append(each, np.float32(np.nan)) for each in sets])
    return ended


def _stump(tree: _Tree) -> _Tree:
    """A tree of one leaf as a split whose two sides are that leaf: the node knows no tree without a split."""
    return _Tree(
        np.array([0]), np.array([0.0]), np.array([0]), np.array([~0]), np.array([~0]), np.resize(tree.leaves, 1)
    )

"""Several boosters as one whose logit is the mean of theirs: LightGBM's text form with all of their trees, whose leaves
are divided by the number of boosters.

The mean of models that were fitted to different samples or weights errs less than any one of them, most where there is
little to learn from (Breiman, Bagging Predictors, Machine Learning 24, 1996).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.errors import Invalid

_TREE, _END = "\nTree=", "end of trees"
_SIZES, _RANGES = "tree_sizes=", "feature_infos="
"""Of the trees, and of the features among the training rows, which nothing decides by."""
_SCALED = ("leaf_value=", "internal_value=")
"""Lines of a tree that say what it adds to the logit."""


def average(texts: Sequence[str]) -> str:
    """The text of the mean of boosters, each `Booster.model_to_string` of an objective with a logit.

    Raises:
        ValueError: there are none, or they have other features or another objective.
    """
    if not texts:
        raise Invalid("average: expected boosters, found none")
    if len({_head(text, without=(_SIZES, _RANGES)) for text in texts}) > 1:
        raise Invalid("average: expected boosters of the same features and objective, found different ones")
    trees = [tree for text in texts for tree in _trees(text, len(texts))]
    blocks = "".join(f"{_TREE}{place}\n{tree}\n" for place, tree in enumerate(trees))
    tail = texts[0].partition(_END)[2].partition("parameters:")[2]
    # Without the sizes of the trees LightGBM looks for where each begins.
    return f"{_head(texts[0], without=(_SIZES,))}{blocks}\n{_END}\n\nparameters:{tail}"


def _head(text: str, without: tuple[str, ...]) -> str:
    lines = text.partition(_TREE)[0].splitlines()
    return "\n".join(line for line in lines if not line.startswith(without)) + "\n"


def _trees(text: str, count: int) -> Iterator[str]:
    for block in text.partition(_END)[0].split(_TREE)[1:]:
        lines = block.strip("\n").splitlines()[1:]  # the first one is the number of the tree
        yield "\n".join(_divided(line, count) if line.startswith(_SCALED) else line for line in lines) + "\n"


def _divided(line: str, count: int) -> str:
    name, _, values = line.partition("=")
    return f"{name}=" + " ".join(repr(float(value) / count) for value in values.split())

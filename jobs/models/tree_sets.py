"""The sets of categories in LightGBM's text form, in the codes of another vocabulary.

A set is words of 32 bits; which tests use it, and of which feature, is in `split_feature`, `decision_type` and
`threshold` of the same tree.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from jobs.models.vocabulary import FIRST, MISSING, UNKNOWN, Vocabulary

_TREE, _END = "\nTree=", "end of trees"
_CATEGORICAL = 1
"""Bit of a split's `decision_type`."""
Codes = Mapping[int, Sequence[Sequence[int]]]
"""Column of a category -> by its code, the codes that stand for it elsewhere."""


def union(vocabularies: Sequence[Vocabulary]) -> Vocabulary:
    """All values that one of them knows; they have the same columns."""
    columns = vocabularies[0].columns
    return Vocabulary({c: tuple(dict.fromkeys(v for each in vocabularies for v in each.known[c])) for c in columns})


def translation(own: Vocabulary, other: Vocabulary) -> Codes:
    """Codes of `own` in `other`, which knows all of its values: what is not known to `own` stays that to its trees."""
    codes: dict[int, list[list[int]]] = {}
    for column, known in own.known.items():
        place = {value: FIRST + n for n, value in enumerate(other.known[column])}
        unknown = [UNKNOWN, *(code for value, code in place.items() if value not in set(known))]
        codes[column] = [unknown, [MISSING], *([place[value]] for value in known)]
    return codes


def translated(text: str, codes: Codes) -> str:
    """The text of a booster with all of its sets in other codes; the sizes of its trees hold no more."""
    head, *trees = text.partition(_END)[0].split(_TREE)
    tail = text[text.index(_END) :]
    return _TREE.join([head, *(_tree(tree, codes) for tree in trees)]) + tail


def sets_of(fields: Mapping[str, str]) -> list[npt.NDArray[np.int64]]:
    """The categories of each set of a tree, by the names of its lines."""
    bounds = np.array(fields.get("cat_boundaries", "").split(), np.int64)
    words = np.array(fields.get("cat_threshold", "").split(), np.uint32)
    parts = [words[first:last] for first, last in itertools.pairwise(bounds)]
    return [np.flatnonzero(np.unpackbits(part.view(np.uint8), bitorder="little")) for part in parts]


def _tree(text: str, codes: Codes) -> str:
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if not (sets := sets_of(fields)):
        return text
    columns = dict(_columns(fields))
    words = [_words({new for code in each for new in codes[columns[n]][code]}) for n, each in enumerate(sets)]
    bounds = np.cumsum([0, *(len(each) for each in words)])
    lines = {"cat_boundaries": bounds, "cat_threshold": np.concatenate(words)}
    said = {name: f"{name}=" + " ".join(str(value) for value in values.tolist()) for name, values in lines.items()}
    return "\n".join(said.get(line.partition("=")[0], line) for line in text.split("\n"))


def _columns(fields: Mapping[str, str]) -> list[tuple[int, int]]:
    """Place of each set, and the feature that it is of."""
    splits = zip(*(fields[name].split() for name in ("split_feature", "decision_type", "threshold")), strict=True)
    return [(int(float(place)), int(feature)) for feature, kind, place in splits if int(kind) & _CATEGORICAL]


def _words(codes: set[int]) -> npt.NDArray[np.uint32]:
    bits = np.zeros((max(codes, default=0) // 32 + 1) * 32, np.uint8)
    bits[list(codes)] = 1
    words: npt.NDArray[np.uint32] = np.packbits(bits, bitorder="little").view(np.uint32)
    return words

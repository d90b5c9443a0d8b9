"""Features that are the labels of an entity's rows, averaged over all of them, or over all but the row itself.

An identifier that was encoded by the share of its positives holds the label of each of its rows, also of later ones.
No row alone shows it, as others of the entity have the same value; the entities do. What was known before its rows
cannot tell so well which entity will have a positive, or how many of its rows are. Where each row's own label is left
out, the rows of an entity have two values: the rarer label's rows have the other one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.arrays import Bools, Floats, Ints
from jobs.stats.metrics import auc_roc

CONSTANT = 0.98
"""Share of the entities with several rows that have one value, for a feature that is one of entities."""
SINGLE_VALUE_ROWS = 0.5
"""Share of the rows, at least, that are of entities with several."""
FEWEST_ENTITIES = 30
"""With positives, and without."""
SMALLEST_ENTITY = 4
"""Rows from which on an entity with rows of both classes is looked into."""
SAME = 0.02
"""Part of the distance between the values of an entity within which two are the same."""
AREA, CORRELATION = 0.98, 0.95
"""Area under the curve of entities with a positive, and correlation with their shares of positives, from which on a
value is too good to be true. Smoothing towards the mean of all entities lowers the first and keeps the second."""


def encoded_labels(
    labels: Bools,
    features: npt.NDArray[Any],
    names: Sequence[str],
    entities: Mapping[str, Ints],
    accepted: Sequence[str] = (),
) -> Mapping[str, str]:
    """Features that are averaged labels, and the entity whose.

    Args:
        features: shape (rows, features), missing values NaN.
        entities: name -> code of each row's entity, from 0 on.
        accepted: features that may tell the label.
    """
    looked_at = [(place, name) for place, name in enumerate(names) if name not in accepted]
    found: dict[str, str] = {}
    for entity, codes in entities.items():
        rows = np.bincount(codes)
        share = np.bincount(codes, weights=labels) / np.maximum(rows, 1)
        has_positive = share[rows > 0] > 0
        enough = FEWEST_ENTITIES <= has_positive.sum() <= len(has_positive) - FEWEST_ENTITIES
        if not enough or rows[rows > 1].sum() < SINGLE_VALUE_ROWS * len(codes):
            continue
        order, starts = np.argsort(codes, kind="stable"), np.flatnonzero(np.diff(np.sort(codes), prepend=-1))
        for place, name in looked_at:
            value = _of_entities(features[order, place], starts, rows[rows > 0] > 1)
            averaged = value is not None and _tells(value, has_positive, share[rows > 0])
            if averaged or _is_left_out(labels[order], features[order, place], starts):
                found[name] = entity
    return found


def _of_entities(ordered: npt.NDArray[Any], starts: Ints, several: Bools) -> Floats | None:
    """The value of each entity, 0 where it is missing; None if a feature is not one of entities."""
    values = np.nan_to_num(ordered.astype(np.float64))
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    return low if (low == high)[several].mean() >= CONSTANT and low.max() > low.min() else None


def _tells(value: Floats, has_positive: Bools, share: Floats) -> bool:
    area = auc_roc(has_positive, value)
    return bool(max(area, 1 - area) >= AREA or abs(np.corrcoef(value, share)[0, 1]) >= CORRELATION)


def _is_left_out(labels: Bools, ordered: npt.NDArray[Any], starts: Ints) -> bool:
    """Whether, in entities with rows of both classes, those of the rarer class lie apart from all others, which have
    one value."""
    counts = np.diff([*starts, len(labels)])
    positives = np.add.reduceat(labels.astype(np.int64), starts)
    judged = (counts >= SMALLEST_ENTITY) & (positives > 0) & (positives * 2 < counts)
    values = np.nan_to_num(ordered.astype(np.float64))
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    rows = np.repeat(judged & (high > low), counts)
    if (labels & rows).sum() < FEWEST_ENTITIES or (judged & (high > low)).sum() < CONSTANT * judged.sum():
        return False
    for sign, ends in ((-1, high), (1, low)):
        distance = sign * (values - np.repeat(ends, counts)) / np.repeat(np.maximum(high - low, 1e-12), counts)
        apart = distance[labels & rows] > 1 - SAME
        with_others = distance[~labels & rows] < SAME
        if apart.mean() >= CONSTANT and with_others.mean() >= CONSTANT:
            return True
    return False

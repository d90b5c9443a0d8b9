"""The average precision of a ranking as a mean over its positives, so that two rankings of the same events are compared
positive by positive."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jobs.arrays import Bools, Floats, ends_of_runs
from jobs.stats.metrics import checked


def precision_parts(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """What each positive adds: the precision among the events with its score or a higher one.

    Events of one score come together, as in `jobs.stats.metrics.average_precision`, which is the mean of these.

    Returns: shape (positives,), in the order of the events.

    Raises:
        ValueError: labels or scores are unusable.
    """
    truth, values = checked(labels, scores)
    order = np.argsort(-values, kind="stable")
    ends = ends_of_runs(values[order])
    precision = np.cumsum(truth[order])[ends - 1] / ends
    of_event = np.empty(len(values))
    of_event[order] = np.repeat(precision, np.diff(ends, prepend=0))
    parts: Floats = of_event[truth]
    return parts


def paired_parts(labels: Bools, scores: Floats, others: Floats, blocks: ArrayLike) -> Floats:
    """What each positive adds to one ranking more than to another, each block (a day) ranked by itself.

    Args:
        blocks: the block of each event; whole numbers, in any order.

    Returns: shape (positives,), in the order of the events.
    """
    of_block, found = np.asarray(blocks), np.zeros(len(labels))
    for block in np.unique(of_block[labels]):
        inside = np.flatnonzero(of_block == block)
        mine = (labels[inside], scores[inside]), (labels[inside], others[inside])
        found[inside[labels[inside]]] = precision_parts(*mine[0]) - precision_parts(*mine[1])
    return found[labels]

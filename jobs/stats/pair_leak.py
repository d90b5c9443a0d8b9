"""Pairs of features that tell labels too well together, where neither does alone: a label that was split in two.

Looked for are a weighted sum (Fisher's linear discriminant, Annals of Eugenics 7, 1936) and a product, which finds
"either, but not both". What tells too well: see `jobs.stats.class_gap`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.arrays import Bools, Floats
from jobs.stats.chance_errors import OtherFeatures
from jobs.stats.class_gap import telling_precision

FEWEST_POSITIVES = 200
"""With fewer, one of a thousand honest pairs keeps the classes apart by chance (seen with 40 to 70 positives)."""
POSITIVES, NEGATIVES = 2_000, 8_000
"""Rows among which pairs are looked for; what is found has to hold among all."""
SMALLEST_DISTANCE = 9.0
"""Squared distance between the means of the classes, in variances within them; pairs below do not keep them apart."""
RIDGE = 1e-6
"""Part of a feature's variance below which a sum is taken for rounding."""


@dataclass(frozen=True)
class _Pair:
    """Two features by their places, as a weighted sum or (without weights) as a product."""

    first: int
    second: int
    weights: tuple[float, float] | None

    def ranking(self, standardized: Floats) -> Floats:
        first, second = standardized[:, self.first], standardized[:, self.second]
        return first * second if self.weights is None else first * self.weights[0] + second * self.weights[1]


def telling_pairs(labels: Bools, features: npt.NDArray[Any], names: Sequence[str]) -> Mapping[str, float]:
    """Pairs that keep the classes apart, as `A and B`, and the average precision of their sum or product.

    Args:
        features: shape (rows, features), missing values NaN; without those that tell labels by themselves.
    """
    if labels.sum() < FEWEST_POSITIVES:
        return {}
    sample = np.union1d(_evenly(np.flatnonzero(labels), POSITIVES), _evenly(np.flatnonzero(~labels), NEGATIVES))
    values = features[sample].astype(np.float64)
    usable = np.flatnonzero(np.nanmax(values, axis=0, initial=-np.inf) > np.nanmin(values, axis=0, initial=np.inf))
    center, spread = np.nanmean(values[:, usable], axis=0), np.nanstd(values[:, usable], axis=0)
    some = np.nan_to_num((values[:, usable] - center) / spread)
    suspects = [pair for pair in _candidates(labels[sample], some) if _precision(labels[sample], pair, some)]
    if not suspects:
        return {}
    all_rows = np.nan_to_num((features[:, usable] - center) / spread)
    precisions = {pair: _precision(labels, pair, all_rows) for pair in suspects}
    return {
        f"{names[usable[pair.first]]} and {names[usable[pair.second]]}": precision
        for pair, precision in precisions.items()
        if precision
    }


def _evenly(places: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    return places[:: -(-len(places) // most)] if len(places) > most else places


def _candidates(labels: Bools, values: Floats) -> Iterator[_Pair]:
    """Pairs whose classes have means far apart, for the spread within the classes."""
    above, below = values[labels], values[~labels]
    share = labels.mean()
    difference = above.mean(axis=0) - below.mean(axis=0)
    within = share * np.cov(above.T) + (1 - share) * np.cov(below.T) + RIDGE * np.eye(values.shape[1])
    variance = np.diag(within)
    weights = difference[:, None] * variance[None, :] - difference[None, :] * within  # of the first, times determinant
    determinant = np.outer(variance, variance) - within**2
    distance = (difference[:, None] * weights + difference[None, :] * weights.T) / np.maximum(determinant, RIDGE**2)
    for first, second in _far(distance):
        yield _Pair(first, second, (weights[first, second], weights[second, first]))
    products, squares = ((x.T @ x / len(x), (x**2).T @ (x**2) / len(x)) for x in (above, below))
    spread = share * (products[1] - products[0] ** 2) + (1 - share) * (squares[1] - squares[0] ** 2)
    for first, second in _far((products[0] - squares[0]) ** 2 / np.maximum(spread, RIDGE)):
        yield _Pair(first, second, None)


def _far(distance: Floats) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in np.argwhere(np.triu(distance, 1) >= SMALLEST_DISTANCE)]


def _precision(labels: Bools, pair: _Pair, standardized: Floats) -> float:
    ranking = pair.ranking(standardized)
    others = OtherFeatures(labels, np.delete(standardized, [pair.first, pair.second], axis=1))
    return max(telling_precision(labels, ranking, others), telling_precision(labels, -ranking, others))

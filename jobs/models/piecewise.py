"""Piecewise-linear encoding of numbers (Gorishniy et al. 2022, "On Embeddings for Numerical Features", section 3.2).

Where the bins of each feature lie is decided here, from training rows; the network that reads them is elsewhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jobs.arrays import Float32s

LIMIT = 1e37
"""Values are clipped to +-LIMIT before anything else, so that no difference of two overflows float32."""
_NARROWEST = 1e-30
"""Bins narrower than this are merged: their inverse would overflow."""


class Bins(NamedTuple):
    """For f features and at most t bins: component i of x is clamp((x - left_i) * inverse_i, 0, 1).

    A feature with fewer bins has components of inverse zero, which stay zero. `fill` stands in for a missing value.
    """

    left: Float32s  # [f, t]
    inverse: Float32s  # [f, t], one over the bin's width
    fill: Float32s  # [f], the median


def bins_of(features: Float32s, count: int) -> Bins:
    """At most `count` bins per feature, from rows float32 [n, f] with NaN for missing.

    Bins end at quantiles. Those of a feature that is mostly one value coincide; the bins so freed go to quantiles of
    its distinct values, because the rare ones are where the signal of a count or a streak lies.
    """
    clipped = np.clip(features, -LIMIT, LIMIT)
    left = np.zeros((features.shape[1], count), np.float32)
    inverse, fill = np.zeros_like(left), np.zeros(features.shape[1], np.float32)
    for position in range(features.shape[1]):
        values = clipped[:, position]
        values = np.sort(values[~np.isnan(values)])
        if not len(values):
            continue
        fill[position] = _quantiles(values, 2)[1]
        edges = _edges(values, count)
        left[position, : len(edges) - 1] = edges[:-1]
        inverse[position, : len(edges) - 1] = 1 / np.diff(edges)
    return Bins(left, inverse, fill)


def _edges(values: Float32s, count: int) -> Float32s:
    """Between 1 and `count + 1` increasing edges, the smallest and the largest of the sorted `values` among them."""
    edges = np.unique(_quantiles(values, count))
    free = count + 1 - len(edges)
    if free:
        distinct = np.unique(values)
        rest = distinct[~np.isin(distinct, edges)]
        edges = np.union1d(edges, rest if len(rest) <= free else _quantiles(rest, free + 1)[1:-1])
    wide_enough = np.concatenate([[True], np.diff(edges.astype(np.float64)) > _NARROWEST])
    edges_kept: Float32s = edges[wide_enough]
    return edges_kept


def _quantiles(values: npt.NDArray[np.float32], parts: int) -> Float32s:
    """`parts + 1` members of the sorted `values`, evenly spaced by rank."""
    ranks = np.round(np.linspace(0, len(values) - 1, parts + 1)).astype(np.int64)
    result: Float32s = values[ranks]
    return result

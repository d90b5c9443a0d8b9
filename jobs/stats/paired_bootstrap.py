"""Average precision, and other statistics, over the same resampled rows: what a paired comparison needs.

Rows come in blocks (all rows of a card), and a resample draws blocks, so that rows of one block are not taken for
independent (Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). Each block gets an
independent Poisson(1) weight instead of a multinomial count (Hanley & MacGibbon, Computer Methods and Programs in
Biomedicine 83, 2006; Chamandy et al., Google, 2012). Which difference matters is not decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.arrays import Bools, Floats, Ints, starts_of_runs

Weights = NDArray[np.float32]
"""One weight per resample and block. Single precision counts exactly up to 16 M rows and halves the traffic."""

CHUNK = 32
"""Resamples held at once: 13 MB per 100,000 rows. Fixed, so that the numbers drawn depend on seed and blocks alone."""


class Resampled(Protocol):
    """A statistic of rows in blocks that was prepared for any number of resamples."""

    @property
    def width(self) -> int:
        """Number of groups that it measures."""

    def resampled(self, weights: Weights) -> Floats:
        """Shape (resamples, groups), of weights of shape (resamples, blocks)."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Rows from the highest score to the lowest positive, in segments that end where the score of a positive ends.

    Precision changes recall only at those ends, so that one sum per segment replaces a running sum over all rows.
    """

    blocks: Ints
    """Block of each row, from the highest score."""
    starts: Ints
    """Where each segment starts."""
    positive_blocks: Ints
    """Block of each positive."""
    positive_segments: Ints
    """Segment that each positive is in; not decreasing."""
    groups: Floats
    """Shape (positives, groups): 1 where the positive belongs to the group."""
    weights: tuple[Weights, Weights] | None = None
    """How many events each row, and each positive, stands for; None: one."""

    @property
    def width(self) -> int:
        return int(self.groups.shape[1])

    def resampled(self, weights: Weights) -> Floats:
        """See `average_precisions`."""
        return average_precisions(self, weights)


def rank(
    labels: Bools, scores: Floats, blocks: Ints, groups: Sequence[Bools], weights: Floats | None = None
) -> Ranking:
    """Sort rows once for any number of resamples.

    Args:
        labels, scores, blocks: shape (rows,), at least one positive; blocks are numbers from 0.
        groups: masks over rows; each gets an average precision of its own positives in this ranking of all rows.
        weights: how many events each row stands for, at least 1 each; None: one.
    """
    order = np.argsort(-scores, kind="stable")
    tied = np.cumsum(starts_of_runs(scores[order])) - 1
    positives = np.flatnonzero(labels[order])
    with_positive = np.unique(tied[positives])
    segment = np.searchsorted(with_positive, tied)
    rows = np.searchsorted(segment, len(with_positive))
    by_group = np.stack([mask[order[positives]] for mask in groups], axis=1)
    stands_for = None if weights is None else weights[order].astype(np.float32)
    return Ranking(
        blocks[order[:rows]],
        np.flatnonzero(starts_of_runs(segment[:rows])),
        blocks[order[positives]],
        segment[positives],
        by_group.astype(np.float64),
        None if stands_for is None else (stands_for[:rows], stands_for[positives]),
    )


def average_precisions(ranking: Ranking, weights: Weights) -> Floats:
    """Shape (resamples, groups): for each group the weighted mean, over its positives, of precision at their score.

    Over all positives that is average precision, as the gain in recall at a score is the share of positives there. A
    group without weight has 0.
    """
    of_rows = np.take(weights, ranking.blocks, axis=1)
    of_positives = np.take(weights, ranking.positive_blocks, axis=1)
    if ranking.weights is not None:
        of_rows, of_positives = of_rows * ranking.weights[0], of_positives * ranking.weights[1]
    first = np.flatnonzero(starts_of_runs(ranking.positive_segments))
    alerts = np.cumsum(np.add.reduceat(of_rows, ranking.starts, axis=1), axis=1, dtype=np.float64)
    caught = np.cumsum(np.add.reduceat(of_positives, first, axis=1), axis=1, dtype=np.float64)
    precision = caught / np.maximum(alerts, 1)
    total = of_positives @ ranking.groups
    gains: Floats = (of_positives * precision[:, ranking.positive_segments]) @ ranking.groups
    return gains / np.maximum(total, 1)


def observed(rankings: Sequence[Resampled], blocks: int) -> Floats:
    """Shape (all groups of the rankings,): the statistics of the rows as they are."""
    return _together(rankings, np.ones((1, blocks), dtype=np.float32)).ravel()


def resampled(rankings: Sequence[Resampled], blocks: int, resamples: int, seed: int) -> Floats:
    """Shape (resamples, all groups of the rankings): each resample weighs all rankings alike."""
    generator = np.random.default_rng(seed)
    sizes = [min(CHUNK, resamples - start) for start in range(0, resamples, CHUNK)]
    return np.concatenate([_together(rankings, poisson(generator, (size, blocks))) for size in sizes])


def interval(difference: Floats, level: float) -> tuple[float, float]:
    """Where a difference lies: its percentiles below and above `level`, one-sided each.

    Percentile bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13): it follows the skew
    of few positives, up to the levels that the resamples reach.

    Args:
        difference: shape (1 + resamples,), that of the rows as they are first.
        level: between 0.5 and 1.
    """
    lower, upper = np.quantile(difference[1:], [1 - level, level])
    return float(lower), float(upper)


def normal_interval(difference: Floats, level: float, more: float) -> tuple[float, float]:
    """Where a difference lies: bounds below and above it that hold with `level`, one-sided each.

    With the bootstrap's standard error (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13), for
    levels of any height: percentiles of a thousand resamples say nothing beyond .995, and scaled ones promise too much
    there. docs/models/gate.md has what was measured.

    Args:
        difference: shape (1 + resamples,), that of the rows as they are first.
        level: between 0.5 and 1.
        more: standard deviation of independent normal noise that resampled rows do not show.
    """
    half = NormalDist().inv_cdf(level) * _error(difference, more)
    return float(difference[0] - half), float(difference[0] + half)


def p_value(difference: Floats, more: float) -> float:
    """Chance that equals differ by so much in this direction; at levels below 1 - it, `normal_interval` is above 0."""
    error = _error(difference, more)
    if not error:
        return float(difference[0] <= 0)
    return NormalDist().cdf(-float(difference[0]) / error)


def _error(difference: Floats, more: float) -> float:
    """The standard error: independent errors add in squares."""
    return float(np.hypot(difference[1:].std(ddof=1), more))


def simultaneous_upper(differences: Floats, alarm: float) -> Floats:
    """Shape (measures,): upper bounds that hold together with chance `1 - alarm`.

    Single-step max-T: the quantile of the smallest studentised difference of each resample (Westfall & Young,
    Resampling-Based Multiple Testing, 1993). Unlike Bonferroni's, it pays nothing for measures that overlap.

    Args:
        differences: shape (1 + resamples, measures), those of the rows as they are first.
    """
    observed_differences, drawn = differences[:1], differences[1:]
    if not differences.shape[1]:
        return observed_differences.ravel()
    error: Floats = drawn.std(axis=0, ddof=1)
    studentised = np.divide(drawn - observed_differences, error, out=np.zeros_like(drawn), where=error > 0)
    return (observed_differences - float(np.quantile(studentised.min(axis=1), alarm)) * error).ravel()


def poisson(generator: np.random.Generator, shape: tuple[int, int]) -> Weights:
    """Poisson(1) numbers, drawn by inversion from 16 random bits each.

    Twenty times as fast as `Generator.poisson`; probabilities are right to 2**-16, mean and variance to 1e-4.
    """
    return np.take(_INVERSE, generator.integers(0, 1 << 16, shape, dtype=np.uint16))


def _inverse_distribution() -> NDArray[Any]:
    distribution = np.cumsum([np.exp(-1.0) / factorial(k) for k in range(12)])
    return np.searchsorted(distribution, (np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.float32)


_INVERSE = _inverse_distribution()


def _together(rankings: Sequence[Resampled], weights: Weights) -> Floats:
    return np.concatenate([ranking.resampled(weights) for ranking in rankings], axis=1)

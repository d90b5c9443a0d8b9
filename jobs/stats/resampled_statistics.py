"""Statistics that a resample of blocks weighs anew, next to average precision (`jobs.stats.paired_bootstrap`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.arrays import Bools, Floats, Ints, starts_of_runs
from jobs.stats.paired_bootstrap import Weights


@dataclass(frozen=True, eq=False)
class BlockRatio:
    """A ratio of sums over rows, such as a mean loss; both sums are kept by block, shape (blocks, groups)."""

    numerators: Floats
    denominators: Floats

    @classmethod
    def of(cls, numerators: Floats, denominators: Floats, blocks: Ints, groups: Sequence[Bools]) -> "BlockRatio":
        """From rows: `numerators`, `denominators` and `blocks` of shape (rows,), and masks of groups over them."""
        count = int(blocks.max()) + 1 if len(blocks) else 0

        def summed(values: Floats) -> Floats:
            columns = [np.bincount(blocks[mask], values[mask], count) for mask in groups]
            return np.stack(columns, axis=1)

        return cls(summed(numerators), summed(denominators))

    @property
    def width(self) -> int:
        return int(self.numerators.shape[1])

    def resampled(self, weights: Weights) -> Floats:
        """Shape (resamples, groups); a group without weight has 0."""
        # Blocks of numbers beyond the largest here have no rows of this ratio.
        weights = weights[:, : len(self.numerators)]
        below = weights @ self.denominators
        ratios: Floats = np.divide(weights @ self.numerators, below, out=np.zeros_like(below), where=below > 0)
        return ratios


@dataclass(frozen=True, eq=False)
class Area:
    """The area under the ROC curve: the chance of a positive to be above a negative, ties counting half."""

    blocks: Ints
    """Block of each row, from the lowest score."""
    negatives: Floats
    """How many negatives each row stands for, in that order; 0 of a positive."""
    starts: Ints
    """Where each run of equal scores starts."""
    positive_blocks: Ints
    positive_runs: Ints
    """Run that each positive is in."""
    positives: Floats
    """How many events each positive stands for, by group: shape (positives, groups)."""

    @classmethod
    def of(cls, labels: Bools, scores: Floats, blocks: Ints, groups: Sequence[Bools], weights: Floats | None) -> "Area":
        """From rows in any order."""
        order = np.argsort(scores, kind="stable")
        starts = starts_of_runs(scores[order])
        stands_for = np.ones(len(labels)) if weights is None else weights[order]
        positive = np.flatnonzero(labels[order])
        member = np.stack([mask[order[positive]] for mask in groups], axis=1)
        return cls(
            blocks[order],
            np.where(labels[order], 0.0, stands_for),
            np.flatnonzero(starts),
            blocks[order[positive]],
            (np.cumsum(starts) - 1)[positive],
            member * stands_for[positive][:, None],
        )

    @property
    def width(self) -> int:
        return int(self.positives.shape[1])

    def resampled(self, weights: Weights) -> Floats:
        """Shape (resamples, groups); 0 without positives or negatives."""
        runs = np.add.reduceat(weights[:, self.blocks] * self.negatives, self.starts, axis=1)
        below = np.cumsum(runs, axis=1) - runs / 2
        of_positives = weights[:, self.positive_blocks]
        above = (of_positives * below[:, self.positive_runs]) @ self.positives
        pairs = (of_positives @ self.positives) * runs.sum(axis=1, keepdims=True)
        areas: Floats = np.divide(above, pairs, out=np.zeros_like(above), where=pairs > 0)
        return areas

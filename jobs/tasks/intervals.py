"""Intervals around predictions that hold a promised share of the labels, by split conformal prediction.

Errors on rows that the model did not learn from say how far labels lie from predictions (Vovk, Gammerman & Shafer,
Algorithmic Learning in a Random World, 2005; Lei et al., JASA 113, 2018). They are taken apart by the size of the
prediction (Mondrian bins), as large numbers err more, and below and above apart, as errors are skewed. Whether the
promise is kept on later rows is measured day by day (`jobs.ground_truth.performance`). Needs numpy only: it travels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from jobs.arrays import Floats

ROWS_PER_BIN, MOST_BINS = 300, 10
"""With fewer rows a bin's outer errors are chance."""


@dataclass(frozen=True, eq=False)
class Interval:
    """How far the interval reaches below and above a prediction, by bins of predictions."""

    level: float
    edges: Floats
    """Shape (bins - 1,): predictions from an edge on are in the next bin."""
    below: Floats
    above: Floats
    """Shape (bins,)."""

    @classmethod
    def of(cls, predictions: Floats, labels: Floats, level: float) -> Interval | None:
        """From rows that the model did not learn from; None if they are too few to promise `level`."""
        rows, fewest = len(labels), ceil(2 / (1 - level) - 1e-9)
        if rows < fewest:
            return None
        bins = int(np.clip(rows // ROWS_PER_BIN, 1, MOST_BINS))
        edges = np.unique(np.quantile(predictions, np.linspace(0, 1, bins + 1)[1:-1]))
        place = np.searchsorted(edges, predictions, side="right")
        if np.bincount(place, minlength=len(edges) + 1).min() < fewest:
            edges, place = np.zeros(0), np.zeros(rows, dtype=np.int64)
        errors = labels - predictions
        ends = [(_reach(-errors[place == n], level), _reach(errors[place == n], level)) for n in range(len(edges) + 1)]
        below, above = np.array(ends).T
        return cls(level, edges, below, above)

    def ends(self, predictions: Floats) -> tuple[Floats, Floats]:
        """Lower and upper ends, shape (rows,)."""
        place = np.searchsorted(self.edges, predictions, side="right")
        return predictions - self.below[place], predictions + self.above[place]

    def stored(self) -> dict[str, Any]:
        """As a manifest holds it."""
        arrays = {name: getattr(self, name).tolist() for name in ("edges", "below", "above")}
        return {"level": self.level, **arrays}

    @classmethod
    def of_stored(cls, stored: Mapping[str, Any]) -> Interval | None:
        """The interval that `stored` returned; None of what was stored without one."""
        if not stored:
            return None
        return cls(float(stored["level"]), *(np.array(stored[name], float) for name in ("edges", "below", "above")))


def _reach(errors: Floats, level: float) -> float:
    """The error that half of what the level leaves out exceeds, with the correction for one row more."""
    ordered = np.sort(errors)
    rank = ceil((len(ordered) + 1) * (1 + level) / 2)
    return float(ordered[min(rank, len(ordered)) - 1])

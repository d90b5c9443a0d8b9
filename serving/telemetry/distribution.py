"""A histogram of Prometheus that takes many values at once, in a time that hardly depends on how many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from prometheus_client import Histogram


class Distribution(Histogram):
    """Bounds are upper ends, and belong to their bucket."""

    def observe_all(self, values: Sequence[float | None]) -> int:
        """Count finite values; returns how many there were. None, NaN and infinities are in no bucket."""
        found = np.array(values, dtype=float)
        found = found[np.isfinite(found)]
        counts = np.bincount(np.searchsorted(self._upper_bounds, found), minlength=len(self._upper_bounds))
        self._sum.inc(float(found.sum()))
        for bucket, count in zip(self._buckets, counts.tolist(), strict=True):
            if count:
                bucket.inc(count)
        return len(found)

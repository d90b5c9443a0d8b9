"""Features of a history that are read from its table when they are asked for, by day.

An evening that computes little anew (`jobs.datasets.day_cache`) needs those of a day or two out of months.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from threading import Lock

import numpy as np

from jobs.arrays import Ints
from jobs.models.features import FeatureRows
from jobs.times import numbered_day

DAYS_READ_ALONE = 3
"""After so many days one by one all days are read at once."""
Days = tuple[date, date]


class StoredFeatures:
    """Features of events, shape [rows, features], as far as whole days are taken out of them by a slice."""

    def __init__(self, read: Callable[[Days], FeatureRows], days: Ints) -> None:
        """Reads nothing yet.

        Args:
            read: first and last day -> features of their events, in the order of the history.
            days: of the events, as days since 1970, rising.
        """
        self._read, self._days = read, days
        self._whole: FeatureRows | None = None
        self._read_alone = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._days)

    def __getitem__(self, rows: slice) -> FeatureRows:
        """Features of whole days, or of part of them."""
        chosen = self._days[rows]
        with self._lock:
            if self._whole is None and self._read_alone >= DAYS_READ_ALONE:
                self._whole = self._between(self._days)
            if self._whole is not None:
                return self._whole[rows]
            self._read_alone += 1
            first = rows.start - int(np.searchsorted(self._days, chosen[0])) if len(chosen) else 0
            return self._between(chosen)[first : first + len(chosen)]

    def _between(self, days: Ints) -> FeatureRows:
        if not len(days):
            return self._read((date.max, date.min))
        return self._read((numbered_day(days[0]), numbered_day(days[-1])))

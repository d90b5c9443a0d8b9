"""Streamed features by the declarations of now, made beside tables that are of others, and put in their place.

What came over topics is computed from marts and raw rows, so that the stream may run meanwhile. A death leaves what is
beside, and the next one goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from jobs.lakehouse.tables import Lakehouse
from jobs.streams import control, stored_features
from jobs.streams.bootstrap import Bootstrap
from jobs.streams.feature_tables import FeatureTables
from jobs.streams.features import StreamFeatures
from jobs.use_case import UseCase

SLICE = 20_000
"""Facts that are taken, and their features stored, at once."""
FEW = 1000
"""Facts that take a moment: with no more left, the stream may be taken over."""
Fact = TypeVar("Fact")


class Rebuilding:
    """What is made beside. Not safe for several threads."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase, done: Callable[[], None] = lambda: None) -> None:
        """done: called once all is in its place, and others may make something beside.

        Raises Invalid if features cannot be computed (see `Bootstrap.of`).
        """
        self._lakehouse, self._use_case, self._done = lakehouse, use_case, done
        self.tables = FeatureTables(lakehouse, use_case)
        self._stand_on(Bootstrap.of(lakehouse, use_case, self.tables.stored))

    def catch_up(self, is_ended: Callable[[], bool]) -> None:
        """Make what the stream that runs has stored, but for a few facts."""
        while not is_ended() and self._step(self._served) > FEW:
            pass

    def finish(self) -> None:
        """Make the rest, and put all in the place of what was; no other process may run the stream."""
        while self._step(None):
            pass
        self.tables.switch()
        self._done()

    def close(self) -> None:
        self.features.close()

    @property
    def _served(self) -> int:
        return stored_features.last_stamp(self._lakehouse, self._use_case)

    def _stand_on(self, bootstrap: Bootstrap) -> None:
        self.bootstrap, self._stamps = bootstrap, bootstrap.stamps()
        self.features: StreamFeatures = bootstrap.features(control.journal(self._lakehouse.settings, self._use_case))
        self._last = bootstrap.start - 1

    def _step(self, upto: int | None) -> int:
        """Take what came up to a stamp, at most a slice of it; returns how many facts."""
        if self.features.holds_much and self._last < self.bootstrap.lacking:
            self.close()
            self._stand_on(Bootstrap.of(self._lakehouse, self._use_case, self._last))
        before = self.features.taken
        facts = replace(self.bootstrap, start=self._last + 1).raw(self._end(upto))
        for each in self.features.take(self._noted(facts)):
            self.tables.add(each)
        self.tables.cut(self._last)()
        return self.features.taken - before

    def _end(self, upto: int | None) -> int | None:
        """The last stamp of the next slice of what came up to a stamp."""
        later = self._stamps[np.searchsorted(self._stamps, self._last, "right") :]
        ends = [int(later[SLICE])] if len(later) > SLICE else []
        return min([*ends, *([] if upto is None else [upto])], default=None)

    def _noted(self, facts: Iterator[tuple[int, Fact]]) -> Iterator[tuple[int, Fact]]:
        for stamp, fact in facts:
            self._last = stamp
            yield stamp, fact

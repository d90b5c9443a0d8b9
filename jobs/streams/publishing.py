"""Features into the online store as soon as they are computed: of each entity the newest row.

A store that does not answer holds nothing up: what it did not take is tried again, the newest row of each entity.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from jobs.feature_store.online_writes import OnlineWriter
from jobs.lakehouse.tables import Lakehouse
from jobs.streams.feature_tables import schemas, table_of
from jobs.streams.features import Computed
from jobs.use_case import UseCase

LOG = logging.getLogger("evergreen.stream")
PATIENCE_SECONDS = 1.0
"""Between two attempts at a store that did not answer."""


class Publisher:
    """What is computed, to whoever asks the online store."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        self._lakehouse, self._use_case = lakehouse, use_case
        self._writer: OnlineWriter | None = None
        self._waiting: list[dict[tuple[Any, ...], Computed]] = [{} for _ in use_case.windows]
        self._failed = -PATIENCE_SECONDS
        self.error = ""
        """Why rows wait, if the store did not take them."""

    def __call__(self, computed: Sequence[Computed]) -> None:
        for number, waiting in enumerate(self._waiting):
            waiting.update((each.entities[number], each) for each in computed if None not in each.entities[number])
        if any(self._waiting) and time.monotonic() - self._failed >= PATIENCE_SECONDS:
            self._try()

    @cached_property
    def _schemas(self) -> list[pa.Schema]:
        return schemas(self._lakehouse, self._use_case)

    def _try(self) -> None:
        tables = map(self._use_case.window_table, self._use_case.windows)
        if self._writer is None and not all(map(self._lakehouse.exists, tables)):
            # Their ids say of which types entities are.
            self.error, self._failed = "expected window tables, found none; run `evergreen run`", time.monotonic()
            return
        try:
            if self._writer is None:
                self._writer = OnlineWriter(self._lakehouse, self._use_case)
            self._writer.write(dict(self._tables()))
            for waiting in self._waiting:
                waiting.clear()
            self.error = ""
        except Exception as error:  # of whichever store it is; features are in tables in any case
            if not self.error:
                LOG.warning("%s: online store: %s", self._use_case.name, error)
            self.error, self._failed = f"{type(error).__name__}: {error}", time.monotonic()

    def _tables(self) -> Iterator[tuple[str, pa.Table]]:
        """What waits, by the name of its window features."""
        for number, windows in enumerate(self._use_case.windows):
            if rows := list(self._waiting[number].values()):
                yield windows.name, table_of(number, self._schemas[number], rows)

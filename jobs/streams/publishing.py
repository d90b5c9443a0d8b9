"""Features into the online store as soon as they are computed: of each entity the newest row.

A store that does not answer holds nothing up: what it did not take is tried again, the newest row of each entity.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from jobs.feature_store.online_writes import OnlineWriter, Row, rows_of
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.streams.features import Computed
from jobs.streams.stored_features import MOMENT
from jobs.use_case import UseCase

LOG = logging.getLogger("evergreen.stream")
NO_TABLES = "expected window tables, found none; run `evergreen run`"
"""Their ids say of which types entities are."""
PATIENCE_SECONDS = 1.0
"""Between two attempts at a store that did not answer."""


class Publisher:
    """What is computed, to whoever asks the online store."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        self._lakehouse, self._use_case = lakehouse, use_case
        self._writer: OnlineWriter | None = None
        self._waiting: list[dict[tuple[Any, ...], Computed]] = [{} for _ in use_case.windows]
        self._failed = -PATIENCE_SECONDS
        self._is_anew = False
        """Whether the store is to have what tables have first."""
        self.error = ""
        """Why rows wait, if the store did not take them."""

    def __call__(self, computed: Sequence[Computed]) -> None:
        for number, waiting in enumerate(self._waiting):
            waiting.update((each.entities[number], each) for each in computed if None not in each.entities[number])
        if (self._is_anew or any(self._waiting)) and time.monotonic() - self._failed >= PATIENCE_SECONDS:
            self._try()

    def anew(self) -> None:
        """Let the store have the newest row of each entity that tables have, whose declarations changed."""
        self._is_anew, self._writer = True, None
        self([])

    def _try(self) -> None:
        tables = map(self._use_case.window_table, self._use_case.windows)
        if self._writer is None and not all(map(self._lakehouse.exists, tables)):
            self.error, self._failed = NO_TABLES, time.monotonic()
            return
        try:
            if self._writer is None:
                self._writer = OnlineWriter(self._lakehouse, self._use_case)
            if self._is_anew:
                self._write_stored(self._writer)
            self._writer.write(dict(self._rows()))
            for waiting in self._waiting:
                waiting.clear()
            self.error = ""
        except Exception as error:  # of whichever store it is; features are in tables in any case
            if not self.error:
                LOG.warning("%s: online store: %s", self._use_case.name, error)
            self.error, self._failed = f"{type(error).__name__}: {error}", time.monotonic()

    def _rows(self) -> Iterator[tuple[str, list[Row]]]:
        """What waits, by the name of its window features."""
        for number, windows in enumerate(self._use_case.windows):
            if waiting := self._waiting[number]:
                rows = [Row(key, each.stamp, each.values[number]) for key, each in waiting.items()]
                yield windows.name, rows

    def _write_stored(self, writer: OnlineWriter) -> None:
        for windows in self._use_case.windows:
            for rows in newest_rows(self._lakehouse, self._use_case.stream_table(windows), windows.keys):
                writer.write({windows.name: rows_of(rows, windows)})
        self._is_anew = False


def newest_rows(lakehouse: Lakehouse, table: str, keys: Sequence[str]) -> Iterator[pa.Table]:
    """Of each entity the newest row of a table of streamed features, day by day."""
    moments = pl.DataFrame(lakehouse.to_arrow(table, columns=[*keys, MOMENT])).drop_nulls()
    newest = moments.group_by(keys).agg(pl.col(MOMENT).max())
    schema = lakehouse.schema(table)
    for day in lakehouse.files_by_day(table):
        rows = pl.DataFrame(lakehouse.to_arrow(table, filters=[(PARTITION, "=", day)]))
        chosen = rows.join(newest, on=[*keys, MOMENT], how="semi")
        if not chosen.is_empty():
            yield chosen.select(schema.names).to_arrow().cast(schema)

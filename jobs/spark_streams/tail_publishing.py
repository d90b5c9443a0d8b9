"""Features that were computed elsewhere into the online store, as tables of streamed features get them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import polars as pl

from jobs.feature_store.online_writes import OnlineWriter, rows_of
from jobs.lakehouse.tables import Lakehouse
from jobs.streams.features import Computed
from jobs.streams.publishing import NO_TABLES, PATIENCE_SECONDS
from jobs.streams.stored_features import MOMENT, rows_after
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures

LOG = logging.getLogger("evergreen.stream")


class TailPublisher:
    """Writes the newest row of each entity among those that came; what the store did not take comes again."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase, stamp: int) -> None:
        """stamp: the one behind which features may not be in the store, in microseconds since 1970."""
        self._lakehouse, self._use_case = lakehouse, use_case
        self._writer: OnlineWriter | None = None
        self._stamps = {windows.name: stamp for windows in use_case.windows}
        self._versions: dict[str, int | None] = {}
        """Of each table the one that was published."""
        self._looked = -PATIENCE_SECONDS
        self.error = ""
        """Why rows wait, if the store did not take them."""

    def __call__(self, computed: Sequence[Computed]) -> None:
        """Publish what came, once in a while; `computed`, which has to be in tables first, is looked for there."""
        if time.monotonic() - self._looked < PATIENCE_SECONDS:
            return
        self._looked = time.monotonic()
        if self._writer is None and not all(map(self._lakehouse.exists, self._window_tables)):
            self.error = NO_TABLES
            return
        try:
            for windows in self._use_case.windows:
                self._publish(windows)
            self.error = ""
        except Exception as error:  # of whichever store it is; features are in tables in any case
            if not self.error:
                LOG.warning("%s: online store: %s", self._use_case.name, error)
            self.error = f"{type(error).__name__}: {_first_line(error)}"

    def anew(self) -> None:
        """Let the store have the newest row of each entity that tables have, whose declarations changed."""
        self._stamps, self._versions, self._writer = dict.fromkeys(self._stamps, 0), {}, None

    @property
    def _window_tables(self) -> list[str]:
        return [self._use_case.window_table(windows) for windows in self._use_case.windows]

    def _opened(self) -> OnlineWriter:
        self._writer = self._writer or OnlineWriter(self._lakehouse, self._use_case)
        return self._writer

    def _publish(self, windows: WindowFeatures) -> None:
        table = self._use_case.stream_table(windows)
        version = self._lakehouse.version(table)
        if version == self._versions.get(windows.name):
            return
        came = rows_after(self._lakehouse, table, self._stamps[windows.name])
        if not came.is_empty():
            newest = came.drop_nulls(windows.keys).sort(MOMENT).unique(windows.keys, keep="last")
            self._opened().write({windows.name: rows_of(newest.to_arrow(), windows)})
            self._stamps[windows.name] = int(came[MOMENT].cast(pl.Int64).max())  # type: ignore[arg-type]
        self._versions[windows.name] = version


def _first_line(error: Exception) -> str:
    """What Spark says of an error, without the stack of its Java."""
    return str(error).partition("\n")[0]

"""Window features of events as they come, computed on Spark: this process hands facts on, in the order of their stamps.

What queries do with them is `jobs.spark_streams.queries`. State is disposable: each start makes it from tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from jobs.decisions.base_tables import Tables
from jobs.decisions.entity_states import Change
from jobs.lakehouse import maintenance
from jobs.lakehouse.tables import Lakehouse
from jobs.spark_streams.packets import Facts, Packets, history
from jobs.spark_streams.queries import SparkQueries
from jobs.streams.bootstrap import Bootstrap
from jobs.streams.feature_tables import FeatureTables
from jobs.streams.features import Computed, StreamFeatures
from jobs.streams.landing import COMPACTED_AFTER
from jobs.streams.stored_features import FINGERPRINT, STAMP
from jobs.use_case import UseCase
from jobs.windows import WindowFeatures


class SparkFeatures(StreamFeatures):
    """Takes facts, and computes nothing: they go to `tables` with what they change, in the order of their stamps."""

    def __init__(self, bootstrap: Bootstrap, tables: SparkTables, stored: int, journal: Path) -> None:
        """stored: the stamp behind which features are wanted. Raises EngineUnreachable."""
        rows, marts = bootstrap.tables()
        base = marts.facts(rows, bootstrap.start - 1)
        super().__init__(base, bootstrap.facts, journal, bootstrap.unplaced(base))
        self._tables = tables
        tables.begin(marts, stored)

    def close(self) -> None:
        super().close()
        self._tables.close()

    def _found(self, events: list[Change]) -> Iterator[Computed]:
        """None here: features come from Spark."""
        for event in events:
            self._tables.hand_on(event)
        return iter(())

    def _wait(self, told: Change) -> None:
        self._tables.hand_on(told)


class SparkTables(FeatureTables):
    """The tables of window features that queries on Spark fill from what is handed on."""

    def __init__(self, lakehouse: Lakehouse, use_case: UseCase) -> None:
        """What is stored; no query may add to it."""
        super().__init__(lakehouse, use_case)
        self._facts: list[Facts] = []
        self._versions: dict[str, int | None] = {}
        self._rows = 0

    def begin(self, marts: Tables, stamp: int) -> None:
        """Let queries start from what marts say; features are wanted of events behind a stamp.

        Raises EngineUnreachable.
        """
        use_case = self._use_case
        self._queries = SparkQueries(self._lakehouse, use_case)
        self._packets = Packets(self._lakehouse, use_case, self._queries.buckets)
        known = [(windows, history(windows, marts)) for windows in use_case.windows]
        version = self._packets.begin(known)
        for number, (windows, facts) in enumerate(known):
            self._stored[number] = max(self._stored[number], stamp)
            self._facts.append(Facts(windows, number, facts.schema))
            self._start(number, windows, version)
        self._look()

    def hand_on(self, change: Change) -> None:
        """Keep what a fact changes for the next commit."""
        for facts, stored in zip(self._facts, self._stored, strict=True):
            facts.add(change, is_target=change.stamp > stored)

    @property
    def rows(self) -> int:
        """Events of which features came back since the last commit."""
        return self._look()

    def cut(self, stamp: int) -> Callable[[], None]:
        """What hands on all that came up to a stamp. Raises FeaturesEnded."""
        self._queries.check()
        facts = [(each.windows, each.take()) for each in self._facts]
        return lambda: self._packets.append(facts, stamp)

    def close(self) -> None:
        """End the queries; what they did not come to is computed after the next start."""
        self._queries.stop()

    def _start(self, number: int, windows: WindowFeatures, version: int) -> None:
        table, schema, stamp = self._use_case.stream_table(windows), self._schemas[number], self._stored[number]
        if not self._lakehouse.exists(table):
            self._append(windows, schema.empty_table(), stamp)
        state = {STAMP: stamp, FINGERPRINT: windows.fingerprint}
        self._queries.start(windows, schema, (self._packets.path, version), state)

    def _look(self) -> int:
        """Events of which every table has features since the last look."""
        tables = [self._use_case.stream_table(windows) for windows in self._use_case.windows]
        versions = self._lakehouse.versions(tables)
        if versions == self._versions:
            return 0
        before, self._versions = self._rows, versions
        self._rows = min(self._lakehouse.row_count(table) for table in tables)
        for table, version in versions.items():
            self._compact(table, version or 0)
        return self._rows - before

    def _compact(self, table: str, version: int) -> None:
        """Put the files of a table together, each of which is of a batch and a day, once in a while."""
        if version - self._appended.setdefault(table, version) >= COMPACTED_AFTER:
            with self._lakehouse.lock(table):
                maintenance.compact(self._lakehouse, table)
            self._appended[table] = version

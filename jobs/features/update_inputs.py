"""Events and labels as one update of window features sees them: at fixed versions, known by a moment, at their times.

Which of them a computation needs is decided in `jobs.features.target_facts`, what changed in
`jobs.features.reached_targets`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from jobs.features import fact_frames
from jobs.features.arrivals import Arrivals
from jobs.features.fact_frames import Frame, micros
from jobs.features.stamps import Stamps
from jobs.lakehouse.file_statistics import ROUNDED
from jobs.lakehouse.tables import Lakehouse
from jobs.windows import FactMart, WindowFeatures

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MICROSECOND = timedelta(microseconds=1)
Tables = Mapping[str, str | None]
"""Names: `events`, `labels`, `decisions` (a prediction log) and `arrivals` (the raw table of events)."""


FACTS = "facts"
"""Kind of facts that are no targets (`WindowFeatures.facts`)."""


def facts_tables(features: WindowFeatures, tables: Tables, facts: FactMart | None) -> dict[str, str]:
    """Those of the tables that hold targets of these features, or facts which they count."""
    kinds = ("events", "labels") if features.reads_labels else ("events",)
    found = {kind: name for kind in kinds if (name := tables.get(kind)) is not None}
    return found if facts is None else {**found, FACTS: facts.table}


def made_from(lakehouse: Lakehouse, features: WindowFeatures, tables: Mapping[str, str]) -> dict[str, Any]:
    """What a table of these features was made from: with another it is made anew."""
    refreshed = {table: version for table in tables.values() if (version := lakehouse.refreshed(table)) is not None}
    return {"fingerprint": features.fingerprint, "tables": dict(tables), "refreshed": refreshed}


@dataclass(frozen=True)
class Inputs:
    """The facts of some features, for any number of reads that agree with each other."""

    lakehouse: Lakehouse
    features: WindowFeatures
    tables: dict[str, str]
    versions: dict[str, int | None]
    as_of: datetime
    stamps: Stamps | None
    arrivals: Arrivals | None
    mart: FactMart | None = None
    """Of the facts that count, where these are not the events."""

    @classmethod
    def of(
        cls,
        lakehouse: Lakehouse,
        features: WindowFeatures,
        tables: Tables,
        as_of: datetime,
        mart: FactMart | None = None,
    ) -> "Inputs":
        """The latest versions of the tables."""
        read = facts_tables(features, tables, mart)
        versions = lakehouse.versions(list(read.values()))
        stamps = Stamps.of(lakehouse, tables.get("decisions"), features.id, as_of)
        arrivals = Arrivals.of(lakehouse, tables.get("arrivals"), features.id)
        of_kinds = {kind: versions[name] for kind, name in read.items()}
        return cls(lakehouse, features, read, of_kinds, as_of, stamps, arrivals, mart)

    @cached_property
    def frames(self) -> dict[str, Frame]:
        """Facts by kind as this process reads them; as the engine does, if it must for one kind."""
        scans = {kind: self.lakehouse.scan(table, self.versions[kind]) for kind, table in self.tables.items()}
        read: dict[str, Frame] = {kind: rows for kind, rows in scans.items() if rows is not None}
        if len(read) < len(scans):
            return {kind: self.engine_frame(kind) for kind in self.tables}
        return {kind: self._named(kind, rows) for kind, rows in read.items()}

    @property
    def in_process(self) -> bool:
        """Whether this process reads the facts, and computes."""
        return isinstance(self.frames["events"], pl.LazyFrame)

    def engine_frame(self, kind: str) -> "DataFrame":
        """Facts of one kind as the engine reads them, events with their moments."""
        named = self._named(kind, self.read(kind))
        assert not isinstance(named, pl.LazyFrame)
        return named

    def read(self, kind: str) -> "DataFrame":
        """The rows of one kind as they are in their table."""
        return self.lakehouse.read(self.tables[kind], self.versions[kind])

    def known(self, rows: Frame) -> "DataFrame":
        """The rows of the engine that were over and known."""
        known = fact_frames.known(rows, self.features.event_timestamp, self.as_of)
        assert not isinstance(known, pl.LazyFrame)
        return known

    def watermark(self) -> dict[str, Any]:
        """The state of a table that is computed from these facts: what the next update has seen."""
        seen = {}
        for kind, table in self.tables.items():
            times = ("known_at", self._time_of(kind))
            # From the statistics in the Delta log where they are there: the greatest of greatest() is one of the two.
            loaded, *until = self.lakehouse.maxima(table, ("loaded_in", *times), self.versions[kind])
            until = [micros(time) + ROUNDED // MICROSECOND for time in until if time is not None]
            seen[kind] = {"version": self.versions[kind], "loaded_in": loaded, "known_until": max(until, default=None)}
        if self.stamps is not None:
            seen["events"] |= {"stamps": self.stamps.version}
        if self.arrivals is not None:
            seen["events"] |= {"arrivals": self.arrivals.version}
        return {**made_from(self.lakehouse, self.features, self.tables), "as_of": self.as_of.isoformat(), "seen": seen}

    def _time_of(self, kind: str) -> str:
        """Column of a table that says when its facts happened."""
        if kind == FACTS and self.mart is not None:
            return self.mart.event_timestamp
        return self.features.event_timestamp

    def _named(self, kind: str, rows: Frame) -> Frame:
        """Rows of one kind as a computation knows them."""
        if kind == FACTS and self.mart is not None:
            return fact_frames.of_mart(self.features, self.mart, rows)
        return self._timed(rows) if kind == "events" else rows

    def _timed(self, events: Frame) -> Frame:
        """Versions of events, with `decided_at` if any was decided at another moment than its own."""
        for moments in (self.arrivals, self.stamps):
            events = events if moments is None else moments.on(events)
        return events

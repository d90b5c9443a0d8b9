"""When events were decided, put on the events of a mart: one clock for the decision service and for tables.

The stamp of an event that was decided online is the moment at which the service first saw it: from then on it is known
as a fact, and then it was decided as a target, whatever a file says that brings it later. Which facts count by that:
see `jobs.features.window_kernel`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import polars as pl
import pyarrow as pa

from jobs.features import fact_frames
from jobs.features.clock import DECIDED_AT
from jobs.features.fact_frames import Frame
from jobs.lakehouse.tables import Lakehouse, of_days

ORIGIN, ONLINE, STAMP = "origin", "online", "scored_at"
"""Columns of the prediction log, and what the first holds of decisions of the service."""
_KNOWN, _DECIDED = "stamped__known_at", "stamped__decided_at"


@dataclass(frozen=True)
class Stamps:
    """The stamps that one version of a prediction log holds; of an event that it has twice the earliest."""

    lakehouse: Lakehouse
    log: str
    version: int
    id: str
    """Column of the events' ids."""
    as_of: datetime
    """What was decided later is not known yet: what files say of its events counts until then."""
    days: set[date] | None = None
    """Days of the log that are looked at; None: all."""

    @classmethod
    def of(cls, lakehouse: Lakehouse, log: str | None, id: str, as_of: datetime) -> Stamps | None:
        """The stamps of the latest version; None if nothing was decided online."""
        version = None if log is None else lakehouse.version(log)
        if log is None or version is None:
            return None
        # From the statistics of files: among origins "online" is the last by the alphabet.
        has_stamps = lakehouse.maxima(log, [ORIGIN], version) == [ONLINE]
        return cls(lakehouse, log, version, id, as_of) if has_stamps else None

    def on(self, events: Frame) -> Frame:
        """Versions of events, with `decided_at`: of those that were decided online, the first is known since then."""
        if isinstance(events, pl.LazyFrame):
            known = pl.DataFrame(self._read([self.id, STAMP], [(STAMP, "<=", self.as_of)]))
            online = known.lazy().group_by(self.id)
            return _timed(events, online.agg(**{name: pl.col(STAMP).min() for name in (_KNOWN, _DECIDED)}), self.id)
        from pyspark.sql.connect.functions import expr

        rows: Any = self.lakehouse.read(self.log, self.version)
        rows = rows.where(f"{ORIGIN} = '{ONLINE}' and unix_micros({STAMP}) <= {fact_frames.micros(self.as_of)}")
        rows = rows if self.days is None else rows.where(of_days(sorted(self.days)))
        earliest = [expr(f"min({STAMP})").alias(name) for name in (_KNOWN, _DECIDED)]
        return _timed(events, rows.groupBy(self.id).agg(*earliest), self.id)

    def since(self, version: int | None) -> Stamps:
        """The stamps that an earlier version of the log may not hold (None: all); for frames of the engine."""
        changed = None if version is None else self.lakehouse.changed_days(self.log, version, self.version)
        return replace(self, days=changed)

    def has_since(self, moment: datetime) -> bool:
        """Whether any is known now that was not at a moment."""
        since = self._read([STAMP], [(STAMP, ">", moment), (STAMP, "<=", self.as_of)])
        return len(since) > 0

    def _read(self, columns: list[str], filters: Sequence[Any] = ()) -> pa.Table:
        return self.lakehouse.to_arrow(self.log, self.version, columns, [(ORIGIN, "=", ONLINE), *filters])


def as_computed(lakehouse: Lakehouse, windows: tuple[str, int | None], events: Frame, id: str) -> Frame:
    """Versions of events, with `decided_at`, the first of each known and decided when its window features say.

    Args:
        windows: name and Delta version of a table of window features (`jobs.features.window_tables`).
    """
    state = lakehouse.state(*windows)
    if not _has_stamps(state) and DECIDED_AT not in fact_frames.names(events):
        return events
    columns = {id: id, "created_timestamp": _KNOWN, "event_timestamp": _DECIDED}
    if isinstance(events, pl.LazyFrame):
        rows = pl.DataFrame(lakehouse.to_arrow(*windows, list(columns)))
        return _timed(events, rows.rename(columns).lazy(), id)
    return _timed(events, lakehouse.read(*windows).selectExpr(*(f"`{a}` as `{b}`" for a, b in columns.items())), id)


def _timed(events: Frame, times: Any, id: str) -> Frame:
    """Versions of events at other times: ids, and when the first version of each was known and decided.

    Later versions are corrections, which have their own times.
    """
    own = f", {DECIDED_AT}" if DECIDED_AT in fact_frames.names(events) else ""
    known, decided = (f"case when version = 1 then {name} end" for name in (_KNOWN, _DECIDED))
    columns = {"known_at": f"coalesce({known}, known_at)", DECIDED_AT: f"coalesce({decided}{own})"}
    return fact_frames.computed(events.join(times, on=id, how="left"), columns).drop(_KNOWN, _DECIDED)


def _has_stamps(state: Mapping[str, Any]) -> bool:
    """Whether rows of window features that are kept with this state are of stamped events."""
    return not {"stamps", "arrivals"}.isdisjoint(state.get("seen", {}).get("events", {}))

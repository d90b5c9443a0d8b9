"""When events that came over a topic were decided: when the stream saw them, which is their known_at.

Which rows came over a topic is known to the raw table alone (`jobs.lakehouse.envelope`): no SQL has to carry it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from jobs.features import fact_frames
from jobs.features.clock import DECIDED_AT
from jobs.features.fact_frames import Frame
from jobs.lakehouse.envelope import TOPIC
from jobs.lakehouse.tables import Lakehouse

_ID, _AT = "arrived__id", "arrived__at"


@dataclass(frozen=True)
class Arrivals:
    """The rows of one version of a raw table of events that came over a topic."""

    lakehouse: Lakehouse
    table: str
    version: int
    id: str
    """Column of the events' ids."""

    @classmethod
    def of(cls, lakehouse: Lakehouse, table: str | None, id: str) -> Arrivals | None:
        """Those of the latest version; None if no topic ever filled the table."""
        version = None if table is None else lakehouse.version(table)
        if table is None or version is None or TOPIC not in lakehouse.schema(table, version).names:
            return None
        return cls(lakehouse, table, version, id)

    def on(self, events: Frame) -> Frame:
        """Versions of events, with `decided_at`: of those whose first version came over a topic, its known_at."""
        own = f"{DECIDED_AT}, " if DECIDED_AT in fact_frames.names(events) else ""
        decided = {DECIDED_AT: f"coalesce({own}case when version = 1 then {_AT} end)"}
        if isinstance(events, pl.LazyFrame):
            came = self.came().rename({self.id: _ID}).with_columns(pl.col("known_at").alias(_AT)).lazy()
            mine, its = [self.id, "known_at"], [_ID, "known_at"]
            joined = events.join(came, left_on=mine, right_on=its, how="left", maintain_order="left")
            return fact_frames.computed(joined, decided).drop(_AT)
        from pyspark.sql.connect.functions import expr

        rows: Any = self.lakehouse.read(self.table, self.version).where(f"{TOPIC} is not null")
        rows = rows.selectExpr(f"`{self.id}` as {_ID}", f"known_at as {_AT}")
        joined_there = events.join(rows, expr(f"`{self.id}` = {_ID} and known_at = {_AT}"), "left")
        return fact_frames.computed(joined_there, decided).drop(_ID, _AT)

    def came(self) -> pl.DataFrame:
        """Ids and known_at of the versions that came over a topic."""
        return pl.DataFrame(
            self.lakehouse.to_arrow(self.table, self.version, [self.id, "known_at"], [(TOPIC, "!=", "")])
        )

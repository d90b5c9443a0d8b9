"""Events that are no more: deleted, and not brought back by a further version, as that was known at a moment.

They are no targets, of a training set or of a night. Facts that windows count end with their versions, see
`jobs.features`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from jobs.lakehouse.envelope import DELETED
from jobs.lakehouse.tables import PARTITION, Lakehouse
from jobs.use_case import UseCase

_EVER = datetime(1, 1, 1, tzinfo=UTC)
_TIME = pl.Datetime("us", "UTC")
_SPANS = pl.Schema({"id": pl.Null(), "day": pl.Date(), "own_day": pl.Date(), "since": _TIME, "until": _TIME})


@dataclass(frozen=True)
class GoneEvents:
    """When events of a mart were no more."""

    spans: pl.DataFrame
    """`id`, `day` (the partition of the first version), `own_day` (of the one that ended), and the time in which it was
    gone: [`since`, `until`), null for good."""

    @classmethod
    def of(cls, lakehouse: Lakehouse, use_case: UseCase, version: int | None = None) -> GoneEvents:
        """Those of a Delta version of the mart of events; None: the latest. Only versions that ended are read."""
        if not has_deletions(lakehouse, use_case):
            return cls(pl.DataFrame(schema=_SPANS))
        names = [use_case.event_id, "known_at", "superseded_at", PARTITION]
        several = [[("superseded_at", ">", _EVER)], [("version", ">", 1)]]
        rows = pl.DataFrame(lakehouse.to_arrow(use_case.events, version, names, several))
        rows = rows.rename({use_case.event_id: "id", PARTITION: "own_day", "superseded_at": "since"})
        rows = rows.sort("id", "known_at").with_columns(
            until=pl.col("known_at").shift(-1).over("id"), day=pl.col("own_day").first().over("id")
        )
        is_gap = pl.col("since").is_not_null() & (pl.col("until").is_null() | (pl.col("until") > pl.col("since")))
        return cls(rows.filter(is_gap).select(list(_SPANS)))

    def at(self, moment: datetime) -> pl.Series:
        """Ids of the events that were gone at a moment."""
        return self._ids(pl.lit(moment))

    def at_nights(self, nights: Mapping[date, datetime]) -> pl.Series:
        """Ids of the events of some days that were gone by the night of their day."""
        night = pl.col("day").replace_strict(dict(nights), default=None, return_dtype=_TIME)
        return self._ids(night)

    @property
    def moved_days(self) -> set[date]:
        """Days of events that were gone after a version on another day: there nothing else of the mart changes."""
        return set(self.spans.filter(pl.col("day") != pl.col("own_day"))["day"])

    def _ids(self, moment: pl.Expr) -> pl.Series:
        gone = (pl.col("since") <= moment) & (pl.col("until").is_null() | (moment < pl.col("until")))
        return self.spans.filter(gone)["id"]


def has_deletions(lakehouse: Lakehouse, use_case: UseCase) -> bool:
    """Whether a raw table of the use case ever got a deletion."""
    tables = [table for table in map(use_case.raw_table, use_case.sources) if lakehouse.exists(table)]
    return any(DELETED in lakehouse.schema(table).names for table in tables)

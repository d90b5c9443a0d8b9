"""Which days the nightly log holds of the model that scored the last of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.compute as pc

from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.scoring import prediction_log
from jobs.use_case import UseCase

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class LoggedDays:
    """Days and their rows, by day; at least one."""

    model_version: int
    rows: Mapping[date, int]
    has_online: bool = False
    """Whether any of the events were decided online."""

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.rows)

    def of(self, lakehouse: Lakehouse, use_case: UseCase, days: Sequence[date]) -> DataFrame:
        """The rows of some of these days in the log: of an event that was decided online only that."""
        log = lakehouse.read(prediction_log.table(use_case)).where(of_days(days))
        mine = f"model_version = {self.model_version}"
        nightly = log.where(f"origin = '{prediction_log.NIGHTLY}'")
        if not self.has_online:
            return nightly.where(mine)
        online = log.where(f"origin = '{prediction_log.ONLINE}' and score is not null")
        others: DataFrame = nightly.join(online.select(use_case.event_id), use_case.event_id, "left_anti")
        return others.select(*log.columns).unionByName(online).where(mine)


def logged_days(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, since: date) -> LoggedDays | None:
    """What the log holds of the days from `since` on, up to `as_of`; None if nothing was scored in them."""
    table = prediction_log.table(use_case)
    if not lakehouse.exists(table):
        return None
    recent: list[Any] = [
        (PARTITION, ">=", since), (use_case.event_timestamp, "<=", as_of), ("origin", "!=", prediction_log.AGAIN)
    ]  # fmt: skip
    columns = [PARTITION, "model_version", "origin"]
    read = lakehouse.to_arrow(table, columns=columns, filters=recent)
    has_online = bool(pc.any(pc.equal(read.column("origin"), prediction_log.ONLINE)).as_py())
    if has_online:
        read = lakehouse.to_arrow(table, columns=[*columns, use_case.event_id, "score"], filters=recent)
        read = prediction_log.one_per_event(use_case, read)
    rows = pl.DataFrame(read.select(columns[:2]))
    if rows.is_empty():
        return None
    counted = rows.group_by(PARTITION, "model_version").len().sort(PARTITION, "len")
    version = int(counted["model_version"][-1])
    mine = counted.filter(pl.col("model_version") == version)
    return LoggedDays(version, dict(zip(mine[PARTITION].to_list(), mine["len"].to_list(), strict=True)), has_online)

"""Which days the nightly log holds of the model that scored the last of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from jobs.lakehouse.tables import PARTITION, Lakehouse, of_days
from jobs.scoring import prediction_log
from jobs.use_case import UseCase


@dataclass(frozen=True)
class LoggedDays:
    """Days and their rows, by day; at least one."""

    model_version: int
    rows: Mapping[date, int]

    @property
    def days(self) -> tuple[date, ...]:
        return tuple(self.rows)

    def where(self, days: Sequence[date]) -> str:
        """SQL: the rows of some of these days in the log."""
        mine = f"model_version = {self.model_version} and origin = '{prediction_log.NIGHTLY}'"
        return f"{of_days(days)} and {mine}"


def logged_days(lakehouse: Lakehouse, use_case: UseCase, as_of: datetime, since: date) -> LoggedDays | None:
    """What the log holds of the days from `since` on, up to `as_of`; None if nothing was scored in them."""
    table = prediction_log.table(use_case)
    if not lakehouse.exists(table):
        return None
    recent: list[Any] = [
        (PARTITION, ">=", since),
        (use_case.event_timestamp, "<=", as_of),
        ("origin", "=", prediction_log.NIGHTLY),
    ]
    rows = pl.DataFrame(lakehouse.to_arrow(table, columns=[PARTITION, "model_version"], filters=recent))
    if rows.is_empty():
        return None
    counted = rows.group_by(PARTITION, "model_version").len().sort(PARTITION, "len")
    version = int(counted["model_version"][-1])
    mine = counted.filter(pl.col("model_version") == version)
    return LoggedDays(version, dict(zip(mine[PARTITION].to_list(), mine["len"].to_list(), strict=True)))

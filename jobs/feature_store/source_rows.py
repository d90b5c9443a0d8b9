"""The rows of a feature source in a time window: all of them, or the latest per key. What materialisation reads.

The interface that Feast asks through is `jobs.feature_store.offline_store`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL

from jobs.feature_store.offline_request import Sources, expect_times
from jobs.feature_store.point_in_time import Exchange, latest_rows, literal
from jobs.feature_store.point_in_time_kernel import FeatureColumns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class SourceRows:
    """Rows of one data source; names are the source's own."""

    sources: Sources
    source: DataSource
    keys: Sequence[str]
    features: Sequence[str]
    timestamp: str
    created: str | None
    known_only: bool
    """Leave out what became known after the window."""

    def latest(self, start: datetime, end: datetime, exchange: Exchange) -> DataFrame:
        """The latest row per key of what became known in [start, end], under the names that Feast expects."""
        names = self._expected([*self.keys, *self.features, *self._times])
        rows = self._named(self._known_between(start, end), names)
        wanted = FeatureColumns(
            keys=[names[key] for key in self.keys],
            feature_timestamp=names[self.timestamp],
            created_timestamp=names[self.created] if self.created else None,
            columns=[names[feature] for feature in self.features],
        )
        latest = latest_rows(rows, wanted, exchange)
        return latest if self.keys else latest.selectExpr("*", f"'{DUMMY_ENTITY_VAL}' as `{DUMMY_ENTITY_ID}`")

    def all(self, start: datetime | None, end: datetime | None) -> DataFrame:
        """All rows with an event in [start, end], as far as known at its end; all columns if no features are named."""
        conditions = [f"`{key}` is not null" for key in self.keys]
        conditions += [f"`{self.timestamp}` >= {literal(start)}"] if start else []
        if end:
            known = self._times if self.known_only else [self.timestamp]
            conditions += [f"`{name}` <= {literal(end)}" for name in known]
        frame = self._frame()
        frame = frame.where(" and ".join(conditions)) if conditions else frame
        if not self.features:
            return frame
        return self._named(frame, self._expected([*self.keys, *self.features, *self._times]))

    def _frame(self) -> DataFrame:
        frame = self.sources.frame(self.source)
        expect_times(frame, self.source, self._times)
        return frame

    @property
    def _times(self) -> list[str]:
        return [self.timestamp, *([self.created] if self.created else [])]

    def _expected(self, names: Sequence[str]) -> dict[str, str]:
        """Column of the source -> name that Feast expects."""
        return {name: self.source.field_mapping.get(name, name) for name in names}

    @staticmethod
    def _named(frame: DataFrame, names: dict[str, str]) -> DataFrame:
        return frame.selectExpr(*(f"`{column}` as `{name}`" for column, name in names.items()))

    def _known_between(self, start: datetime, end: datetime) -> DataFrame:
        frame, event, created = self._frame(), self.timestamp, self.created
        if not created or not self.known_only:
            return frame.where(f"`{event}` between {literal(start)} and {literal(end)}")
        upper = f"`{event}` <= {literal(end)} and `{created}` <= {literal(end)}"
        return frame.where(f"{upper} and (`{event}` >= {literal(start)} or `{created}` >= {literal(start)})")

"""From history to the stream without a gap and without an overlap: what tables say, and which raw rows come after it.

A row that came over a topic is taken from marts if it is known before the first one that they lack, else from the raw
table, in the order of stamps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import merge
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.arrays import Ints
from jobs.decisions import base_tables
from jobs.decisions.base_facts import BaseFacts
from jobs.decisions.event_schema import EventSchema
from jobs.decisions.feature_row import FeatureRow
from jobs.decisions.log_before import LogBefore
from jobs.features.arrivals import Arrivals
from jobs.ingest.readers import KNOWN_AT
from jobs.lakehouse.envelope import DELETED, TOPIC
from jobs.lakehouse.tables import Lakehouse
from jobs.streams.event_facts import EventFacts, Report, Told
from jobs.streams.features import StreamFeatures
from jobs.streams.intake import KIND
from jobs.streams.known_rows import DELETION, NEW, VERSION
from jobs.times import NEVER, microseconds, moment_of
from jobs.use_case import Source, UseCase
from jobs.windows import FACT_ID


@dataclass(frozen=True)
class Bootstrap:
    """Where a stream of features starts."""

    lakehouse: Lakehouse
    use_case: UseCase
    versions: Mapping[str, int]
    """Delta versions of the marts."""
    facts: EventFacts
    came: Mapping[str, pl.DataFrame]
    """Of each source that has any, keys and stamps of the rows that came over its topic."""
    start: int
    """Stamp, in microseconds since 1970, from which on raw rows count and before which tables do."""
    lacking: int = NEVER
    """The first stamp that the marts lack."""

    @classmethod
    def of(cls, lakehouse: Lakehouse, use_case: UseCase, stored: int) -> Bootstrap:
        """stored: the last stamp of which features are stored.

        Raises Invalid if there are no marts, or features cannot be computed as events come.
        """
        versions = base_tables.versions_of(lakehouse, use_case)
        schema = EventSchema.of(use_case, lakehouse.schema(use_case.events, versions[use_case.events]))
        facts = EventFacts(use_case, schema)
        facts.check()
        tables = {source.name: (use_case.raw_table(source), source.key[0]) for source in facts.sources}
        arrivals = {name: Arrivals.of(lakehouse, *table) for name, table in tables.items()}
        came = {name: each.came() for name, each in arrivals.items() if each is not None}
        made = cls(lakehouse, use_case, versions, facts, came, stored + 1)
        lacking = min([NEVER, *(each for each in map(made._first_lacking, facts.sources) if each is not None)])
        return replace(made, start=min(stored + 1, lacking), lacking=lacking)

    def stamps(self) -> Ints:
        """Stamps of all rows that came over topics, in order."""
        found = [rows[KNOWN_AT].cast(pl.Int64).to_numpy() for rows in self.came.values()]
        return np.sort(np.concatenate([np.zeros(0, np.int64), *found]))

    def tables(self) -> tuple[FeatureRow, base_tables.Tables]:
        """How rows of features are made, and what marts say before `start`."""
        rows = base_tables.feature_row(self.lakehouse, self.use_case, self.versions)
        found = base_tables.tables(self.lakehouse, rows, self.versions, self.start - 1, LogBefore())
        labels, reports = found.labels, self.facts.reports
        return rows, replace(
            found, events=self._before(found.events, self.facts.events, self.use_case.event_id),
            labels=labels if reports is None else self._before(labels, reports, self.use_case.event_id),
            others={each.name: self._before(found.others[each.name], each, FACT_ID) for each in self.facts.others},
        )  # fmt: skip

    def features(self, journal: Path) -> StreamFeatures:
        """The state before `start`."""
        rows, tables = self.tables()
        base = tables.facts(rows, self.start - 1)
        return StreamFeatures(base, self.facts, journal, self.unplaced(base))

    def unplaced(self, base: BaseFacts) -> dict[Any, dict[str, Any]]:
        """Of events that are no more before `start` what the reports say that hold: they count again with the event."""
        reports, ids = self.facts.reports, base.gone_events(self.start - 1)
        if reports is None or not ids:
            return {}
        [key] = reports.key
        rows = self._rows(reports, [(key, "in", ids), (KNOWN_AT, "<", moment_of(self.start))]).sort(KNOWN_AT)
        last = rows.with_columns(pl.lit(VERSION).alias(KIND)).unique(key, keep="last")
        said = [fact for _, fact in self.facts.of(reports, last.filter(~pl.col(DELETED)))]
        return {each.id: each.values for each in said if isinstance(each, Report)}

    def raw(self, upto: int | None = None) -> Iterator[tuple[int, Told]]:
        """What raw tables have now from `start` on, up to a stamp, in the order of stamps."""
        parts = [self.facts.of(source, self._raw(source, upto)) for source in self.facts.sources]
        return merge(*parts, key=lambda each: each[0])

    def _first_lacking(self, source: Source) -> int | None:
        """The first stamp of rows that came over the topic and that the mart lacks."""
        mart, id = self.facts.mart(source), self.facts.id(source)
        came = self.came.get(source.name)
        if came is None:
            return None
        known = self._moments(mart, id, KNOWN_AT).cast({KNOWN_AT: came.schema[KNOWN_AT]})
        if DELETED in self.lakehouse.schema(self.use_case.raw_table(source)).names:
            # Marts have a deletion where a version ends.
            ends = self._moments(mart, id, "superseded_at").rename({"superseded_at": KNOWN_AT})
            known = pl.concat([known, ends.cast({KNOWN_AT: came.schema[KNOWN_AT]})])
        key = source.key[0]
        first = came.join(known, left_on=[key, KNOWN_AT], right_on=[id, KNOWN_AT], how="anti")
        least = first[KNOWN_AT].min()
        return None if least is None else microseconds(least)  # type: ignore[arg-type]

    def _moments(self, mart: str, id: str, column: str) -> pl.DataFrame:
        return pl.DataFrame(self.lakehouse.to_arrow(mart, self.versions[mart], [id, column]))

    def _before(self, mart: pa.Table, source: Source, id: str) -> pa.Table:
        """The rows of a mart less those that raw rows from `start` on tell.

        id: column of the ids.
        """
        came = self.came.get(source.name)
        if came is None:
            return mart
        later = came.filter(pl.col(KNOWN_AT) >= moment_of(self.start))
        marked = pl.DataFrame({"id": pl.from_arrow(mart.column(id)), "at": pl.from_arrow(mart.column(KNOWN_AT))})
        later = later.rename({source.key[0]: "id", KNOWN_AT: "at"}).with_columns(pl.lit(True).alias("later"))
        is_later = marked.with_columns(pl.col("at").cast(later.schema["at"])).join(
            later.unique(), on=["id", "at"], how="left", maintain_order="left"
        )["later"]
        return mart.filter(pa.array((~is_later.fill_null(False)).to_numpy()))

    def _raw(self, source: Source, upto: int | None) -> pl.DataFrame:
        table, key = self.use_case.raw_table(source), source.key[0]
        if Arrivals.of(self.lakehouse, table, key) is None:
            columns = [column.name for column in source.columns]
            return pl.DataFrame(schema=dict.fromkeys([*columns, KNOWN_AT, KIND], pl.Int64))
        wanted: list[Any] = [(TOPIC, "!=", ""), (KNOWN_AT, ">=", moment_of(self.start))]
        wanted += [] if upto is None else [(KNOWN_AT, "<=", moment_of(upto))]
        rows = self._rows(source, wanted)
        bounds = [(key, ">=", rows[key].min()), (key, "<=", rows[key].max())]
        every = pl.DataFrame(self.lakehouse.to_arrow(table, None, [key, KNOWN_AT], None if rows.is_empty() else bounds))
        first = every.group_by(key).agg(_first=pl.col(KNOWN_AT).min())
        rows = rows.join(first, on=key, how="left").sort(KNOWN_AT)
        kind = pl.when(DELETED).then(pl.lit(DELETION)).when(pl.col(KNOWN_AT) == pl.col("_first")).then(pl.lit(NEW))
        return rows.with_columns(kind.otherwise(pl.lit(VERSION)).alias(KIND))

    def _rows(self, source: Source, wanted: list[Any]) -> pl.DataFrame:
        """Rows of a raw table, with DELETED."""
        table, columns = self.use_case.raw_table(source), [column.name for column in source.columns]
        told = [DELETED] if DELETED in self.lakehouse.schema(table).names else []
        names = list(dict.fromkeys([*columns, KNOWN_AT, *told]))
        rows = pl.DataFrame(self.lakehouse.to_arrow(table, None, names, wanted))
        return rows.with_columns((pl.col(DELETED).fill_null(False) if told else pl.lit(False)).alias(DELETED))

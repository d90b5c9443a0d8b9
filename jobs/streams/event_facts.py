"""Rows that came over topics as facts of the evaluator: events, corrections of events, labels, facts of other sources,
and what is no more, one after another.

What an evaluator makes of facts belongs in `jobs.decisions.entity_states`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import polars as pl

from jobs.decisions.event_schema import EventSchema, event_source
from jobs.decisions.log_contents import of_facts
from jobs.errors import Invalid
from jobs.ingest.readers import KNOWN_AT
from jobs.streams.intake import KIND
from jobs.streams.known_rows import DELETION, NEW
from jobs.use_case import Source, UseCase


class Report(NamedTuple):
    """What a report says of the event of an id."""

    id: Any
    values: dict[str, Any]


class Came(NamedTuple):
    """An event, or a version of one."""

    id: Any
    happened: int
    values: dict[str, Any]
    is_first: bool


class Other(NamedTuple):
    """A fact that is no event, or a version of one."""

    source: str
    id: Any
    happened: int
    values: dict[str, Any]


class Gone(NamedTuple):
    """An event, the report about it, or another fact, that is no more."""

    id: Any
    of: str
    """`events`, `labels`, or `of_facts` of a source."""


Told: TypeAlias = Came | Report | Other | Gone
"""What a row says."""


@dataclass(frozen=True)
class EventFacts:
    """Which sources of a use case are facts, and how."""

    use_case: UseCase
    schema: EventSchema

    @property
    def events(self) -> Source:
        return event_source(self.use_case)

    @property
    def reports(self) -> Source | None:
        return self.use_case.report_source

    @property
    def sources(self) -> list[Source]:
        return [self.events, *([self.reports] if self.reports else []), *self.others]

    @property
    def others(self) -> list[Source]:
        """Sources of facts that windows count and that are no events."""
        named = dict.fromkeys(windows.facts for windows in self.use_case.windows)
        return [self.use_case.source(name) for name in named if name is not None]

    def kind(self, source: Source) -> str:
        """What rows of a source are: `events`, `labels`, or `of_facts` of it."""
        if source.name in (each.name for each in self.others):
            return of_facts(source.name)
        return "events" if source is self.events else "labels"

    def id(self, source: Source) -> str:
        """The column of ids in the mart of a source's rows."""
        return source.key[0] if self.kind(source) == of_facts(source.name) else self.use_case.event_id

    def mart(self, source: Source) -> str:
        """The table of the versions of a source's rows."""
        if self.kind(source) == of_facts(source.name):
            return self.use_case.mart(source.name)
        return self.use_case.events if source is self.events else self.use_case.labels

    def check(self) -> None:
        """Raises Invalid if features cannot be computed as events come, with what to declare."""
        names = {column.name for column in self.events.columns}
        if missing := [name for name, asked in self.schema.asked.items() if asked.is_required and name not in names]:
            raise Invalid(
                f"{self.use_case.name}: expected functions that make the columns {missing} of events, which SQL makes "
                "alone, found none; declare them in `computed_online`"
            )
        for windows in self.use_case.windows:
            given = {column.name for source in self.others if source.name == windows.facts for column in source.columns}
            if windows.facts is not None and (missing := [name for name in windows.fact_columns if name not in given]):
                raise Invalid(
                    f"{windows.name}: expected columns of {windows.facts} that come over its topic, found {missing}, "
                    "which SQL makes alone; declare them in the source, or leave these features out"
                )
        of_labels = [windows.name for windows in self.use_case.windows if windows.reads_labels]
        if of_labels and self.reports is None:
            raise Invalid(
                f"{self.use_case.name}: expected to know how labels of {', '.join(of_labels)} come, which SQL makes "
                "alone, found nothing; declare `reported_labels`"
            )

    def of(self, source: Source, rows: pl.DataFrame) -> Iterator[tuple[int, Told]]:
        """Stamps and facts of rows of one source, which bear KIND."""
        columns = [column.name for column in source.columns]
        plain = rows.select(*columns, KNOWN_AT, KIND).with_columns(pl.selectors.datetime().cast(pl.Int64))
        make = self._maker(source)
        for row in plain.iter_rows(named=True):
            stamp, kind = row.pop(KNOWN_AT), row.pop(KIND)
            yield stamp, self._gone(source, row) if kind == DELETION else make(row, kind == NEW)

    def _maker(self, source: Source) -> Callable[[dict[str, Any], bool], Told]:
        if self.kind(source) == of_facts(source.name):
            return lambda row, _: Other(source.name, row.pop(source.key[0]), row.pop(source.event_time), row)
        return self._came if source is self.events else self._report

    def _gone(self, source: Source, row: dict[str, Any]) -> Gone:
        return Gone(row[source.key[0]], self.kind(source))

    def _came(self, row: dict[str, Any], is_first: bool) -> Came:
        return Came(row.pop(self.schema.id), row.pop(self.schema.time), row, is_first)

    def _report(self, row: dict[str, Any], is_first: bool) -> Report:
        said = self.use_case.reported_labels
        assert said is not None and self.reports is not None
        [key] = self.reports.key
        return Report(row[key], dict(said.function.function(*(row[name] for name in said.function.inputs))))

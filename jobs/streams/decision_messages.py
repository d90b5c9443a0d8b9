"""What the log of the decision service says, as messages of the topics of a use case: events, reports, and other facts.

What tables told the service is in raw tables already, and no message. Where records are read: see
`jobs.streams.decision_log_reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from jobs.decisions import log_contents
from jobs.decisions.event_schema import event_source
from jobs.decisions.log_contents import (
    NO_FACTS,
    TOLD,
    EventCame,
    FactCame,
    FactGone,
    LabelCame,
    VersionCame,
    of_facts,
)
from jobs.errors import Invalid
from jobs.messages.logical_values import TIMES
from jobs.messages.message import KNOWN_AT_HEADER, Message
from jobs.messages.topics import Topics
from jobs.online.log_records import Record
from jobs.use_case import Source

Row = dict[str, Any]
_moment = TIMES["timestamp-micros"]


@dataclass(frozen=True)
class DecisionMessages:
    """The messages of one use case."""

    topics: Topics
    get: Callable[[str], Record | None]
    """Finds a record of the log by its id."""

    def of(self, record: Record) -> Message | None:
        """The message of a record, at whose stamp what it says became known; None: it says nothing of rows.

        Raises Invalid if no report says what a label says.
        """
        if record.id.partition("/")[0] in NO_FACTS:
            return None
        fact = log_contents.decode(record.content)
        if isinstance(fact, EventCame):
            return self._message(record, self.events, _there(self._event(fact, fact.time(record.stamp))))
        if isinstance(fact, VersionCame) and fact.known is None:
            return self._message(record, self.events, _there(self._event(fact, fact.happened)))
        if isinstance(fact, LabelCame) and self.reports is not None:
            return self._message(record, self.reports, _there(self._report(fact, record.stamp)))
        if isinstance(fact, FactCame) and fact.known is None:
            return self._other(record, fact)
        if isinstance(fact, FactGone) and fact.known is None and not self._moves(record, fact):
            return self._withdrawn(record, fact)
        return None

    @property
    def events(self) -> Source:
        return event_source(self.topics.use_case)

    @property
    def reports(self) -> Source | None:
        return self.topics.use_case.report_source

    def _message(self, record: Record, source: Source, said: Mapping[str, Any]) -> Message:
        stamp, value = record.stamp, msgspec.json.encode(said)
        header = (KNOWN_AT_HEADER, str(stamp).encode())
        return Message(self.topics.topic(source), 0, stamp, stamp // 1000, None, value, (header,))

    def _event(self, fact: EventCame | VersionCame, happened: int) -> Row:
        return _row(self.events, fact.id, happened, fact.values)

    def _other(self, record: Record, fact: FactCame) -> Message | None:
        """None: no source of that name is declared any more."""
        source = self._sources.get(fact.source)
        if source is None:
            return None
        return self._message(record, source, _there(_row(source, fact.id, fact.happened, fact.values)))

    @property
    def _sources(self) -> dict[str, Source]:
        return {source.name: source for source in self.topics.use_case.sources}

    def _report(self, fact: LabelCame, stamp: int) -> Row:
        """The report that says what a label says, made when that was told, or else when it came."""
        assert self.reports is not None
        made = _moment(stamp if fact.reported is None else fact.reported)
        times = {self.reports.event_time: made, self.reports.known_at or self.reports.event_time: made}
        return {self.reports.key[0]: fact.id, **times, **self._inputs(fact)}

    def _inputs(self, fact: LabelCame) -> Row:
        said = self.topics.use_case.reported_labels
        assert said is not None
        label = {name: fact.values.get(name) for name in said.function.outputs}
        inputs = dict(zip(said.function.inputs, label.values(), strict=False))
        if len(inputs) != len(said.function.inputs) or said.function.function(*inputs.values()) != label:
            raise Invalid(
                f"{self.topics.use_case.name}: expected a report's columns {list(said.function.inputs)} to be those of "
                f"its label, {list(label)}, found a function that makes others of them; send reports over a topic"
            )
        return inputs

    def _withdrawn(self, record: Record, fact: FactGone) -> Message | None:
        named = {of_facts(name): source for name, source in self._sources.items()}
        source = {**named, "events": self.events, "labels": self.reports}.get(fact.of)
        if source is None:
            return None
        return self._message(record, source, {"op": "d", "before": {source.key[0]: fact.id}, "after": None})

    def _moves(self, record: Record, fact: FactGone) -> bool:
        """Whether a report is withdrawn because its event is another entity's, of which it is told anew."""
        if fact.of != "labels":
            return False
        before = self.get(log_contents.name(TOLD, fact.id, int(record.id.rpartition("/")[2]) - 1))
        version = None if before is None else log_contents.decode(before.content)
        if not isinstance(version, VersionCame):
            return False
        return any(version.values.get(name) != value for name, value in fact.entities.items())


def _there(row: Row) -> Row:
    """A change event of Debezium: the row is there now, also where the same one was withdrawn before."""
    return {"op": "u", "before": None, "after": row}


def _row(source: Source, id: Any, happened: int, values: Mapping[str, Any]) -> Row:
    """A row of a source whose key and time stand apart from its other columns."""
    all_values = {**values, source.key[0]: id, source.event_time: happened}
    return {column.name: _told(all_values.get(column.name), column.kind) for column in source.columns}


def _told(value: Any, kind: str) -> Any:
    return _moment(value) if kind == "timestamp" and isinstance(value, int) else value

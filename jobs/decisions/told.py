"""What clients tell about events besides asking for decisions: reports, corrections, and that something was not so.

Each is a record of the log that says of which entities it is, so that whoever reads the log needs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.decisions import log_contents
from jobs.decisions.decider import Decider
from jobs.decisions.event_schema import Given
from jobs.decisions.log_contents import EVENT, EventCame, FactGone, LabelCame, VersionCame
from jobs.errors import EvergreenError
from jobs.online.log_records import Record
from jobs.online.plan import Event


class UnknownEvent(EvergreenError, LookupError):
    """An event that neither the log nor the tables know."""


@dataclass(frozen=True)
class Told:
    """An event, or its label, as it is known now."""

    happened: int
    entities: Mapping[str, Any]
    values: Mapping[str, Any]


def report(decider: Decider, id: Any, values: Mapping[str, Any], reported: int | None = None) -> Record:
    """What became of an event is known from now on; the same report again is the same record.

    Args:
        values: columns of the label.
        reported: when the report was made, in microseconds since 1970.

    Raises:
        UnknownEvent: there is no such event.
        Invalid: a column cannot be held; nothing was appended.
    """
    with decider.turn:
        event = event_now(decider, id)
        label = LabelCame(id, event.happened, dict(event.entities), dict(values), reported)
        for plan in decider.rows.plans:
            plan.checked("labels", Event(id, event.happened, values))
        before = label_now(decider, id)
        if before is not None and before.entities != event.entities:
            _gone(decider, "labels", id, before.entities)
        return decider.tell(label)


def correct(decider: Decider, given: Given) -> Record:
    """A version of an event that replaces the one before, or an event that is not decided here.

    Raises Invalid if a column cannot be held; nothing was appended.
    """
    with decider.turn:
        version = VersionCame(given.id, given.values, given.happened or 0)
        event = decider.states.checked(decider.states.change(0, version)).event
        before = event_now(decider, given.id, default=None)
        happened = given.happened
        if happened is None:
            happened = before.happened if before is not None else decider.log.now()
        version = VersionCame(given.id, given.values, happened, None if before is None else dict(before.entities))
        record = decider.tell(version)
        label = label_now(decider, given.id)
        if label is not None and label.entities != decider.states.entities_of(event.values):
            report(decider, given.id, label.values)
        return record


def withdraw(decider: Decider, of: str, id: Any) -> Record:
    """An event (`events`), or the report about it (`labels`), turned out not to be.

    Raises UnknownEvent if there is none.
    """
    with decider.turn:
        now = event_now(decider, id) if of == "events" else label_now(decider, id)
        if now is None:
            raise UnknownEvent(f"event {id!r}: expected a report about it, found none; there is nothing to withdraw")
        return _gone(decider, of, id, now.entities)


_REQUIRED: Any = object()


def event_now(decider: Decider, id: Any, default: Any = _REQUIRED) -> Told:
    """The version of an event that holds now. Raises UnknownEvent if there is none and no default."""
    decider.catch_up()
    records = [each for each in map(_decoded, decider.told(id)) if isinstance(each[1], VersionCame)]
    came = decider.log.get(log_contents.name(EVENT, id))
    if came is not None:
        records.insert(0, _decoded(came))
    if records:
        record, content = records[-1]
        assert isinstance(content, VersionCame | EventCame)
        values = decider.schema.complete(content.values)
        happened = content.time(record.stamp) if isinstance(content, EventCame) else content.happened
        return Told(happened, decider.states.entities_of(values), values)
    base = decider.states.base
    row = base.row_of("events", id)
    if row is not None:
        return Told(int(base.events.happened[row]), base.entities_of("events", row), {})
    if default is _REQUIRED:
        raise UnknownEvent(f"event {id!r}: expected one that is known here, found none; send its event first")
    return default  # type: ignore[no-any-return]


def label_now(decider: Decider, id: Any) -> Told | None:
    """The report about an event that holds now."""
    for record in reversed(decider.told(id)):
        content = log_contents.decode(record.content)
        if isinstance(content, LabelCame):
            return Told(content.happened, content.entities, content.values)
        if isinstance(content, FactGone) and content.of == "labels":
            return None
    base = decider.states.base
    row = base.row_of("labels", id)
    if row is None:
        return None
    values = {name: base.labels.value(name, row) for name in decider.rows.labels}
    return Told(int(base.labels.happened[row]), base.entities_of("labels", row), values)


def _gone(decider: Decider, of: str, id: Any, entities: Mapping[str, Any]) -> Record:
    return decider.tell(FactGone(id, of, dict(entities)))


def _decoded(record: Record) -> tuple[Record, log_contents.Content]:
    return record, log_contents.decode(record.content)

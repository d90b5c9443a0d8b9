"""What is told about events besides asking for decisions: reports, corrections, and that something was not so.

Clients tell it, and nightly tables (`jobs.decisions.feeding`). Each is a record of the log that says of which entities
it is, so that whoever reads the log needs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.decisions import log_contents
from jobs.decisions.decider import Decider
from jobs.decisions.event_schema import Given
from jobs.decisions.log_contents import EVENT, EventCame, Fact, FactGone, LabelCame, Telling, VersionCame
from jobs.errors import EvergreenError
from jobs.online.log_records import Record
from jobs.online.plan import Event


class UnknownEvent(EvergreenError, LookupError):
    """An event, or another fact, that neither the log nor the tables know, or that turned out not to be."""


@dataclass(frozen=True)
class Told:
    """An event, its label, or another fact, as it is known now."""

    happened: int
    entities: Mapping[str, Any]
    values: Mapping[str, Any]
    moment: int
    """When the world could first know it."""


@dataclass(frozen=True)
class Standing:
    """What the log, and tables where it says nothing, know of one event and its label."""

    decider: Decider
    id: Any
    facts: list[tuple[int, Fact]]
    """Stamps and what the log says, in order."""

    @classmethod
    def of(cls, decider: Decider, id: Any) -> Standing:
        decider.catch_up()
        came = decider.log.get(log_contents.name(EVENT, id))
        facts = []
        for record in [*([] if came is None else [came]), *decider.told(id)]:
            fact = log_contents.decode(record.content)
            assert isinstance(fact, Fact)
            if not decider.states.base.absorbed.has(record.stamp, fact):
                facts.append((record.stamp, fact))
        return cls(decider, id, sorted(facts, key=lambda each: each[0]))

    def event(self) -> Told | None:
        """The last version of the event, even if it turned out not to be; None: it never was."""
        for stamp, fact in reversed(self.facts):
            if isinstance(fact, EventCame | VersionCame):
                values = self.decider.schema.columns(fact)
                happened = fact.time(stamp) if isinstance(fact, EventCame) else fact.happened
                moment = stamp if isinstance(fact, EventCame) else log_contents.moment_of(stamp, fact)
                return Told(happened, self.decider.states.entities_of(values), values, moment)
        return of_tables(self.decider, "events", self.id)

    @property
    def is_withdrawn(self) -> bool:
        """Whether the log says of the event last that it was not so."""
        last = self.last("events")
        came = next((stamp for stamp, fact in self.facts if isinstance(fact, EventCame)), None)
        return last is not None and isinstance(last[1], FactGone) and (came is None or came < last[0])

    def label(self) -> Told | None:
        """The report that holds."""
        for stamp, fact in reversed(self.facts):
            if isinstance(fact, LabelCame):
                return Told(fact.happened, fact.entities, fact.values, log_contents.moment_of(stamp, fact))
            if isinstance(fact, FactGone) and fact.of == "labels":
                return None
        return of_tables(self.decider, "labels", self.id)

    def last(self, of: str) -> tuple[int, Telling] | None:
        """What was told last about the event, or about its label, and when the world could first know it."""
        for stamp, fact in reversed(self.facts):
            if isinstance(fact, Telling) and log_contents.subject(fact) == of:
                return log_contents.moment_of(stamp, fact), fact
        return None


def of_tables(decider: Decider, of: str, id: Any) -> Told | None:
    """A fact of a kind as tables know it now; None: they know none."""
    base, rows = decider.states.base, decider.rows
    row = base.row_of(of, id, max(decider.log.now(), base.moment))
    if row is None:
        return None
    facts, names = base.kind(of), rows.columns(of)
    values = {name: facts.value(name, row) for name in names}
    known = int(facts.happened[row] + facts.lags[row])
    return Told(int(facts.happened[row]), base.entities_of(of, row), values, known)


def report(decider: Decider, id: Any, values: Mapping[str, Any], reported: int | None = None) -> Record:
    """What became of an event is known from now on; the same report again is the same record.

    Args:
        values: columns of the label.
        reported: when the report was made, in microseconds since 1970.

    Raises:
        UnknownEvent: there is no such event, or it was withdrawn.
        Invalid: a column cannot be held; nothing was appended.
    """
    with decider.turn:
        standing = Standing.of(decider, id)
        event = standing.event()
        if event is None or standing.is_withdrawn:
            raise UnknownEvent(
                f"event {id!r}: expected one that is known here and was not withdrawn, found none; send its event first"
            )
        return tell_label(standing, LabelCame(id, event.happened, dict(event.entities), dict(values), reported))


def correct(decider: Decider, given: Given) -> Record:
    """A version of an event that replaces the one before, or an event that is not decided here.

    Raises Invalid if a column cannot be held; nothing was appended.
    """
    with decider.turn:
        standing = Standing.of(decider, given.id)
        before, happened = standing.event(), given.happened
        if happened is None:
            happened = before.happened if before is not None else decider.log.now()
        replaced = None if before is None else dict(before.entities)
        return tell_version(standing, VersionCame(given.id, given.values, happened, replaced))


def withdraw(decider: Decider, of: str, id: Any) -> Record:
    """An event (`events`), or the report about it (`labels`), turned out not to be; with an event its report.

    Raises UnknownEvent if there is none.
    """
    with decider.turn:
        standing = Standing.of(decider, id)
        now = standing.event() if of == "events" else standing.label()
        if now is None:
            raise UnknownEvent(f"event {id!r}: expected {of} of it, found none; there is nothing to withdraw")
        if of == "events" and (label := standing.label()) is not None:
            decider.tell(FactGone(id, "labels", dict(label.entities)))
        return decider.tell(FactGone(id, of, dict(now.entities)))


def tell_label(standing: Standing, label: LabelCame) -> Record:
    """A report with the event's time and entities, which may be others than those of the report before.

    Raises Invalid if a column cannot be held; nothing was appended.
    """
    decider, before = standing.decider, standing.label()
    for plan in decider.rows.plans:
        plan.checked("labels", Event(label.id, label.happened, label.values))
    if before is not None and before.entities != label.entities:
        decider.tell(FactGone(label.id, "labels", dict(before.entities), label.reported))
    return decider.tell(label)


def tell_version(standing: Standing, version: VersionCame) -> Record:
    """A version of an event; the report about the event is told again where the event is another's or another time's.

    Raises Invalid if a column cannot be held; nothing was appended.
    """
    decider, label = standing.decider, standing.label()
    event = decider.states.checked(decider.states.change(0, version)).event
    record = decider.tell(version)
    entities = decider.states.entities_of(event.values)
    if label is not None and (label.entities, label.happened) != (entities, version.happened):
        # It is there from when the event is, by what a client says now or by what tables say.
        tell_label(standing, LabelCame(version.id, version.happened, entities, dict(label.values), version.known))
    return record

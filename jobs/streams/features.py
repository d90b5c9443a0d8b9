"""Window features of events as they come: facts of tables up to a moment, then what comes over topics, one by one.

State is disposable: tables and raw rows make it again. What is computed is stored by `jobs.streams.feature_tables`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from jobs.decisions import log_contents
from jobs.decisions.base_facts import BaseFacts
from jobs.decisions.entity_states import Change, EntityStates, Found
from jobs.decisions.log_contents import EventCame, Fact, FactCame, FactGone, LabelCame, Telling, VersionCame
from jobs.errors import Invalid
from jobs.online.plan import Event
from jobs.streams.event_facts import Came, EventFacts, Gone, Other, Told
from jobs.streams.journal import Journal

LOG = logging.getLogger("evergreen.stream")
AT_ONCE = 10_000
"""Events of which all entities are held at a time."""
REBASED_AFTER = 200_000
"""Facts since the marts that features stand on, some hundred bytes each in memory."""


class Computed(NamedTuple):
    """The window features of one event at its stamp."""

    stamp: int
    id: Any
    happened: int
    entities: list[tuple[Any, ...]]
    """Of each of the window features the entity."""
    values: list[list[Any]]
    """Of each of the window features its values."""


class StreamFeatures:
    """The state of one use case. Not safe for several threads."""

    def __init__(
        self, base: BaseFacts, facts: EventFacts, journal: Path, unplaced: Mapping[Any, dict[str, Any]]
    ) -> None:
        """unplaced: what holding reports say of events that are no more, by id."""
        self.facts, self._journal, self._unplaced = facts, Journal(journal), dict(unplaced)
        self.states = EntityStates(base, facts.schema, self._journal.at)
        self._made_ready = self.states.make_ready()
        self.taken = 0
        """Facts that came since."""
        self.not_held = 0
        """Those of them that the evaluator cannot hold, such as numbers near the largest double."""

    @property
    def holds_much(self) -> bool:
        """Whether so much came that newer marts are worth a start."""
        return self.taken >= REBASED_AFTER

    def close(self) -> None:
        self._journal.close()

    def make_ready(self, seconds: float) -> None:
        """Make entities ready for events for so long, where nothing better is to be done: events wait less for them."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and next(self._made_ready, None) is not None:
            pass

    def take(self, came: Iterable[tuple[int, Told]]) -> Iterator[Computed]:
        """Fold facts in the order of their stamps; the features of each event that is new."""
        for is_new, run in groupby(came, key=lambda each: isinstance(each[1], Came) and each[1].is_first):
            if is_new:
                yield from self._new_events([(stamp, self._event(each)) for stamp, each in run])
                continue
            # What is told of an event may build on what was told just before.
            for stamp, each in run:
                self._tell(stamp, each)

    def _new_events(self, events: list[tuple[int, EventCame]]) -> Iterator[Computed]:
        """Events one after another, which the journal takes at once."""
        self.taken += len(events)
        changes = [change for stamp, event in events if (change := self._change(stamp, event)) is not None]
        records = self._journal.append([(change.stamp, change.fact) for change in changes])
        return self._found(
            [change.at(change.stamp, record.start) for change, record in zip(changes, records, strict=True)]
        )

    def _found(self, events: list[Change]) -> Iterator[Computed]:
        """The features of events one after another, which are in the journal."""
        for had_before, run in groupby(events, key=lambda change: bool(change.before)):
            if had_before:
                yield from (_computed(change, self.states.begin(change)) for change in run)
            else:
                yield from self._at_once(list(run))

    def _at_once(self, changes: list[Change]) -> Iterator[Computed]:
        for start in range(0, len(changes), AT_ONCE):
            some = changes[start : start + AT_ONCE]
            yield from map(_computed, some, self.states.begin_all(some))

    def _tell(self, stamp: int, each: Told) -> None:
        self.taken += 1
        for fact in self._told(stamp, each):
            if (change := self._change(stamp, fact)) is not None:
                [record] = self._journal.append([(stamp, fact)])
                self._wait(change.at(stamp, record.start))

    def _wait(self, told: Change) -> None:
        """Keep what was told, which is in the journal, for the events that come."""
        self.states.wait(told)

    def _change(self, stamp: int, fact: Fact) -> Change | None:
        """A fact as the evaluator takes it; None of one that it cannot hold, which stops nothing else."""
        try:
            change = self.states.change(stamp, fact)
            if isinstance(fact, EventCame):
                return self.states.checked(change)
            if not isinstance(fact, FactGone):
                self._check(fact, change)
        except Invalid as error:
            self.not_held += 1
            LOG.warning("%s: features without %r: %s", self.facts.use_case.name, fact.id, error)
            return None
        return change

    def _check(self, fact: Fact, change: Change) -> None:
        """Raise Invalid for what some window features that count it cannot hold."""
        of = log_contents.subject(fact)
        rows = self.states.base.rows
        for plan, counts in zip(rows.plans, rows.counting(of), strict=True):
            if counts:
                plan.checked("labels" if of == "labels" else "events", change.event)

    def _event(self, each: Told) -> EventCame:
        assert isinstance(each, Came)
        return EventCame(each.id, each.values, each.happened)

    def _told(self, stamp: int, each: Told) -> list[Telling]:
        """A row as the evaluator takes it; nothing of a report about an event that nobody knows, or that is no more."""
        if isinstance(each, Gone):
            return self._gone(stamp, each)
        if isinstance(each, Other):
            return [FactCame(each.source, each.id, each.happened, each.values, self._entities(stamp, each))]
        before = self._last(each.id, stamp)
        if isinstance(each, Came):
            replaces = None if before is None else self.states.entities_of(before.values)
            version = VersionCame(each.id, each.values, each.happened, replaces)
            return [version, *self._moved(stamp, version)]
        if before is None:
            self._unplaced[each.id] = each.values
            return []
        return [LabelCame(each.id, before.happened, self.states.entities_of(before.values), each.values)]

    def _gone(self, stamp: int, each: Gone) -> list[Telling]:
        """What is no more; with an event its report, which stays in mind in case the event is brought back."""
        if each.of not in ("events", "labels"):
            entities = self._entities_of(each.of, each.id, stamp - 1)
            return [] if entities is None else [FactGone(each.id, each.of, entities)]
        label = self._label(each.id, stamp - 1)
        gone: list[Telling] = [] if label is None else [FactGone(each.id, "labels", label.entities)]
        if each.of == "labels":
            self._unplaced.pop(each.id, None)
            return gone
        if label is not None:
            self._unplaced[each.id] = label.values
        event = self._last(each.id, stamp - 1)
        return gone if event is None else [FactGone(each.id, "events", self.states.entities_of(event.values)), *gone]

    def _entities(self, stamp: int, each: Other) -> dict[str, Any] | None:
        return self._entities_of(log_contents.of_facts(each.source), each.id, stamp)

    def _entities_of(self, of: str, id: Any, stamp: int) -> dict[str, Any] | None:
        """The entities of the version of another fact that holds at a stamp; None: there is none."""
        base = self.states.base
        if (found := self._journal.last(id, of)) is not None:
            fact = found[1]
            return {key: fact.values[key] for key in base.columns_of(of)} if isinstance(fact, FactCame) else None
        row = base.row_of(of, id, stamp)
        return None if row is None else base.entities_of(of, row)

    def _moved(self, stamp: int, version: VersionCame) -> list[Telling]:
        """The report about an event, told again where the event is another entity's or another time's now, or back."""
        label, unplaced = self._label(version.id, stamp), self._unplaced.pop(version.id, None)
        entities = self.states.entities_of(self.facts.schema.columns(version))
        if unplaced is not None:
            return [LabelCame(version.id, version.happened, entities, unplaced)]
        if label is None or (label.entities, label.happened) == (entities, version.happened):
            return []
        gone = [FactGone(version.id, "labels", label.entities)] if label.entities != entities else []
        return [*gone, LabelCame(version.id, version.happened, entities, label.values)]

    def _label(self, id: Any, stamp: int) -> LabelCame | None:
        """The report about an event that holds at a stamp."""
        if (found := self._journal.last(id, "labels")) is not None:
            return found[1] if isinstance(found[1], LabelCame) else None
        base, labels = self.states.base, self.states.base.labels
        row = base.row_of("labels", id, stamp)
        if row is None:
            return None
        values = {name: labels.value(name, row) for name in base.rows.labels}
        return LabelCame(id, int(labels.happened[row]), base.entities_of("labels", row), values)

    def _last(self, id: Any, stamp: int) -> Event | None:
        """The version of an event that holds at a stamp."""
        if (found := self._journal.last(id, "events")) is not None:
            at, fact = found
            if not isinstance(fact, EventCame | VersionCame):
                return None
            happened = fact.time(at) if isinstance(fact, EventCame) else fact.happened
            return Event(id, happened, self.facts.schema.columns(fact))
        base = self.states.base
        row = base.row_of("events", id, stamp)
        return None if row is None else base.events.event(row, base.entity_columns)


def _computed(change: Change, found: list[Found]) -> Computed:
    values = [one if isinstance(one, list) else one() for one in found]
    entities = [change.asks.get(number, key) for number, key in enumerate(change.keys)]
    return Computed(change.stamp, change.event.id, change.event.happened, entities, values)

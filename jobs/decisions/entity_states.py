"""What is known of each entity now: the facts of tables, and everything that the log brought since, folded in order.

An entity is made when it is asked for, of tables and of what the log, or the store (`jobs.online.redis_log`), says of
it, and let go when many others were asked for since. Not safe for several threads.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from jobs.decisions import log_contents
from jobs.decisions.base_facts import BaseFacts, Later
from jobs.decisions.entity_index import Keys
from jobs.decisions.event_schema import EventSchema
from jobs.decisions.log_contents import (
    EventCame,
    Fact,
    FactCame,
    FactGone,
    LabelCame,
    VersionCame,
    of_facts,
    subject,
)
from jobs.errors import Invalid
from jobs.online import many_entities, whole_history
from jobs.online.entity_facts import EntityFacts
from jobs.online.entity_records import EntityRecords
from jobs.online.evaluation import Value
from jobs.online.given_columns import GivenColumns
from jobs.online.log_records import Record
from jobs.online.plan import Event
from jobs.online.whole_history import Find

MOST_WAITING = 64
"""Facts that wait for an entity that is held and not asked for; then they are folded, which is smaller."""
MOST_HELD = 20_000
"""Entities of each of the window features that are held so that they answer at once."""
_HELD_EVERY = 64
"""One of so many facts of entities that nobody asked for lets its entity be held: that of many facts is, then."""
MANY = 200
"""Events that the batch kernel answers sooner than one after another where facts are not scanned,"""
MOST_FACTS = 100
"""unless their entities have more facts for each of them: an answer by the kernel costs by fact, others by event."""
_NOBODY: Keys = (None,)
Found: TypeAlias = list[Value] | Find
"""The values of window features, or what finds them."""
Place: TypeAlias = tuple[int, Keys]
"""An entity: the number of its window features, and its key."""


class Change(NamedTuple):
    """A fact of the log at its stamp, with what is made of it once for all entities."""

    stamp: int
    fact: Fact
    event: Event
    """With all columns."""
    keys: list[Keys]
    """Of each of the window features the entity that it is of; of those that do not count it, nobody."""
    before: frozenset[Place]
    """The entities of versions before, which have to go."""
    held: dict[str, Any] | None = None
    """The columns as entities hold them, once they are checked."""
    start: int = 0
    """Where its record starts, in a log in a file."""
    asks: Mapping[int, Keys] = MappingProxyType({})
    """Of window features that count other facts than events, the entity of which an event that is decided asks."""

    def at(self, stamp: int, start: int = 0) -> Change:
        """The same in its place in the log; its stamp is the event time where none was given."""
        event = self.event
        if isinstance(self.fact, EventCame) and self.fact.happened is None:
            event = Event(event.id, stamp, event.values)
        return Change(stamp, self.fact, event, self.keys, self.before, self.held, start, self.asks)


@dataclass(slots=True)
class _Entity:
    facts: EntityFacts
    later: list[Later]
    """What tables know of the future, the first to come last."""
    seen: int = 0
    """How many facts of the store are folded."""
    is_newer: bool = False
    """Whether the log brought anything."""
    told: set[Any] | None = None
    """Ids of events that were told: whoever asks for a decision about one of them, it counts once."""


@dataclass
class EntityStates:
    """The entities of all window features of a use case."""

    base: BaseFacts
    schema: EventSchema
    read: Callable[[int], Record] | None = None
    """The record of the log that starts at a position; None: what the log says of an entity comes from a store."""
    _held: list[OrderedDict[Keys, _Entity]] = field(default_factory=list)
    """Those that nobody asked for longest first."""
    _waiting: list[dict[Keys, list[Change]]] = field(default_factory=list)
    """What the log brought of entities that are held."""
    _records: EntityRecords = field(default_factory=EntityRecords)
    _given: GivenColumns = field(init=False)
    _counting: dict[str, list[int]] = field(init=False)
    """By kind of fact the window features that count it."""
    _asking: list[int] = field(init=False)
    """Window features that count other facts than events."""

    def __post_init__(self) -> None:
        rows = self.base.rows
        self._given = GivenColumns(rows.plans)
        kinds = ["events", "labels", *(of_facts(each.source) for each in rows.facts)]
        self._counting = {of: [n for n, counts in enumerate(rows.counting(of)) if counts] for of in kinds}
        self._asking = [n for n, plan in enumerate(rows.plans) if plan.features.facts is not None]
        self.reset()

    def reset(self) -> None:
        """Forget all that the log brought."""
        self._held = [OrderedDict() for _ in self.base.rows.plans]
        self._waiting = [{} for _ in self.base.rows.plans]
        self._records = EntityRecords()

    def change(self, stamp: int, fact: Fact) -> Change:
        """A fact with what is made of it once for all entities."""
        of, before = subject(fact), self._before(fact)
        if isinstance(fact, EventCame | VersionCame):
            values = self.schema.columns(fact)
            event = Event(fact.id, fact.time(stamp) if isinstance(fact, EventCame) else fact.happened, values)
            asks = self._asks(values) if isinstance(fact, EventCame) else MappingProxyType({})
            return Change(stamp, fact, event, self._keys(of, values), before, asks=asks)
        values = {} if isinstance(fact, FactGone) else fact.values
        happened = stamp if isinstance(fact, FactGone) else fact.happened
        entities = fact.values if isinstance(fact, FactCame) else fact.entities
        return Change(stamp, fact, Event(fact.id, happened, values), self._keys(of, entities), before)

    def checked(self, change: Change) -> Change:
        """A change whose event, or other fact, can be held by every plan. Raises Invalid otherwise."""
        if isinstance(change.fact, FactCame):
            for number in self._counting[subject(change.fact)]:
                self.base.rows.plans[number].checked("events", change.event)
            return change
        return change._replace(held=self._given.held(change.event))

    def places(self, change: Change) -> list[Place]:
        """The entities that a fact changes, each once: those that it is of, and those that it was of before."""
        fact = change.fact
        if self.base.absorbed.has(change.stamp, fact):
            return []
        found: list[Place] = list(dict.fromkeys([*enumerate(change.keys), *change.before]))
        return [(number, key) for number, key in found if None not in key]

    def asked(self, change: Change) -> list[Place]:
        """The entities of which an event that is decided asks and which it does not change."""
        return [(number, key) for number, key in change.asks.items() if None not in key]

    def fold(self, stamp: int, fact: Fact, start: int) -> None:
        """Let a fact of the log be known from its stamp on, for every entity. It was checked before it was logged."""
        self.wait(self.change(stamp, fact).at(stamp, start))

    def wait(self, change: Change) -> None:
        """Let a fact wait for the entities that it changes."""
        for place in self.places(change):
            self._record(place, change)
            self._wait(place, change)

    def _record(self, place: Place, change: Change) -> None:
        if self.read is not None:
            self._records.add(place, change.start)

    def _wait(self, place: Place, change: Change) -> None:
        number, key = place
        if key not in self._held[number]:
            if self.read is not None and len(self._records) % _HELD_EVERY == 0:
                self.entity(number, key)
            return
        waiting = self._waiting[number].setdefault(key, [])
        waiting.append(change)
        if len(waiting) > MOST_WAITING:
            self.entity(number, key)

    def fold_of(self, place: Place, facts: Iterable[tuple[int, Fact]], seen: int) -> None:
        """Let facts of the store be known to one entity, of which so many are folded then."""
        self.entity(*place)
        held = self._entity(place)
        for stamp, fact in facts:
            self._fold(held, place, self.change(stamp, fact))
        held.seen = seen

    def _fold(self, held: _Entity, place: Place, change: Change) -> None:
        """Let an entity that a fact changes know it."""
        if not self.base.absorbed.has(change.stamp, change.fact):
            self._until(change.stamp, held)
            self._apply(held, place, change)

    def seen(self, place: Place) -> int:
        """How many facts of the store an entity has, which is about to be told of more; 0 of one that is not held."""
        entities = self._held[place[0]]
        if place[1] not in entities:
            return 0
        # Whoever is told before it must not have it let go before it is.
        entities.move_to_end(place[1])
        return entities[place[1]].seen

    def begin(self, change: Change) -> list[Found]:
        """Enter an event that is decided here; the values of each of the window features are returned, or found."""
        for place in self.places(change):
            self._record(place, change)
            if place[1] != change.keys[place[0]]:
                self._wait(place, change)
        return [self._begun(number, change) for number in range(len(change.keys))]

    def begin_all(self, changes: Sequence[Change]) -> list[list[Found]]:
        """The same of events one after another, of which no versions came before: where they are many, all at once."""
        for change in changes:
            for place in self.places(change):
                self._record(place, change)
        plans = range(len(self.base.rows.plans))
        return [list(of_event) for of_event in zip(*(self._all_begun(n, changes) for n in plans), strict=True)]

    def _all_begun(self, number: int, changes: Sequence[Change]) -> Sequence[Found]:
        """Of one of the window features; entities that are ready answer one after another, as they are to stay it."""
        plan = self.base.rows.plans[number]
        is_many = len(changes) >= MANY and plan.features.facts is None and not plan.is_scanned()
        if not is_many or any(None in change.keys[number] for change in changes):
            return [self._begun(number, change) for change in changes]
        entities = {key: self.entity(number, key, first) for key, first in _first_of_each(number, changes).items()}
        cold = {key: len(facts) for key, facts in entities.items() if not facts.is_ready}
        many = [change for change in changes if change.keys[number] in cold]
        if len(many) < MANY or sum(cold.values()) > MOST_FACTS * len(many):
            return [self._begun(number, change) for change in changes]
        at_once = iter(self._found_at_once(number, many))
        return [next(at_once) if change.keys[number] in cold else self._begun(number, change) for change in changes]

    def _found_at_once(self, number: int, changes: Sequence[Change]) -> Sequence[Found]:
        entities: dict[Keys, EntityFacts] = {}
        for change in changes:
            key = change.keys[number]
            facts = entities[key] = self._entered(number, change)
            facts.follow(change.event, change.stamp, change.held)
        ids = {change.event.id for change in changes}
        found = many_entities.of_followed(self.base.rows.plans[number], list(entities.values()), ids)
        return [found[change.event.id] for change in changes]

    def _begun(self, number: int, change: Change) -> Found:
        """The values of an event that enters one of the window features, or asks of its facts, or what finds them."""
        if number in change.asks:
            return self._asked_of(number, change, change).at(change.stamp)
        if None in change.keys[number]:
            return whole_history.of_nobody(self.base.rows.plans[number], change.event, change.stamp)
        facts = self._entered(number, change)
        return facts.begin(change.event, change.stamp, change.held)

    def _asked_of(self, number: int, change: Change, begun: Change | None = None) -> EntityFacts:
        """The entity of which an event asks, as `entity` has it; without a key, one that has no facts."""
        key = change.asks[number]
        if None in key:
            return EntityFacts(self.base.rows.plans[number])
        held = self._current(number, key, begun)
        self._until(change.stamp, held)
        return held.facts

    def _entered(self, number: int, change: Change) -> EntityFacts:
        """The entity that an event is about to enter."""
        key = change.keys[number]
        held = self._current(number, key, change)
        if change.before or held.told is not None:
            self._end_before(held, (number, key), change)
        held.is_newer = True
        return held.facts

    def again(self, change: Change) -> list[Found]:
        """What finds the same of an event that was decided and folded before, as it was then."""
        return [self._found_again(number, change) for number in range(len(change.keys))]

    def _found_again(self, number: int, change: Change) -> Found:
        key = change.keys[number]
        if number in change.asks:
            return self._asked_of(number, change).at(change.stamp)
        if None in key:
            return whole_history.of_nobody(self.base.rows.plans[number], change.event, change.stamp)
        return self.entity(number, key).again(change.event.id)

    def of_tables(self, event: Event, stamp: int) -> list[list[Value]]:
        """The values of each of the window features of an event by what tables say alone; nothing here changes.

        Any thread may ask, beside whatever else is done here.
        """
        apart = EntityStates(self.base, self.schema)
        fact = EventCame(event.id, {}, event.happened)
        keys, asks = self._keys("events", event.values), self._asks(event.values)
        change = Change(stamp, fact, event, keys, self._before(fact), asks=asks)
        return [one() if callable(one) else one for one in apart.begin(change)]

    def is_newer(self, change: Change) -> bool:
        """Whether of any entity that a fact changes, or asks of, more is held than tables say."""
        held = [self._held[number].get(key) for number, key in (*self.places(change), *self.asked(change))]
        return any(one is not None and one.is_newer for one in held)

    def entities_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of an event that name its entities."""
        return {name: values[name] for name in self.base.entity_columns}

    def entity(self, number: int, key: Keys, begun: Change | None = None) -> EntityFacts:
        """An entity of one of the window features with everything known before a change; None: that the log has."""
        return self._current(number, key, begun).facts

    def _current(self, number: int, key: Keys, begun: Change | None) -> _Entity:
        held = self._entity((number, key), begun)
        for change in self._waiting[number].pop(key, ()):
            self._fold(held, (number, key), change)
        if begun is not None and held.later:
            self._until(begun.stamp, held)
        return held

    def peek(self, number: int, key: Keys) -> EntityFacts | None:
        """An entity with everything that the log has; None if nothing is known of it."""
        facts = self.entity(number, key)
        if len(facts):
            return facts
        self.forget((number, key))
        return None

    def make_ready(self) -> Iterator[bool]:
        """Make entities of tables ready for events, one whenever it is asked for; yields whether that was to be done.

        Those of which was heard last come first, as many as are held; events that come let go of the others first.
        What an entity answers is the same as if it were made by an event.
        """
        return map(self._made_ready, self.base.heard_of_last(MOST_HELD))

    def _made_ready(self, place: Place) -> bool:
        entities, key = self._held[place[0]], place[1]
        held = entities.get(key)
        if (held is None and len(entities) >= MOST_HELD) or (held is not None and held.facts.is_ready):
            return False
        with contextlib.suppress(Invalid):  # of tables with numbers near the largest double; who asks is told
            self.entity(*place).make_ready()
        entities.move_to_end(key, last=False)
        return True

    def forget(self, place: Place) -> None:
        """Let go of an entity; it is made anew when it is asked for."""
        self._held[place[0]].pop(place[1], None)
        self._waiting[place[0]].pop(place[1], None)

    def _entity(self, place: Place, begun: Change | None = None) -> _Entity:
        entities = self._held[place[0]]
        held = entities.get(place[1])
        if held is not None:
            entities.move_to_end(place[1])
            return held
        held = entities[place[1]] = self._made(place, begun)
        if len(entities) > MOST_HELD:
            self.forget((place[0], next(iter(entities))))
        return held

    def _made(self, place: Place, begun: Change | None) -> _Entity:
        """An entity of tables, and of what the log has about it before a change."""
        facts = EntityFacts(self.base.rows.plans[place[0]])
        events, labels, later = self.base.facts_of(*place)
        for of, lines in (("events", events), ("labels", labels)):
            if len(lines):
                facts.take(of, lines)
        held = _Entity(facts, later[::-1])
        for change in self._logged(place, begun):
            self._fold(held, place, change)
        return held

    def _logged(self, place: Place, begun: Change | None) -> Iterator[Change]:
        """What the log, where it is read in order, has about an entity before a change."""
        if self.read is None:
            return
        for start in self._records.starts(place, None if begun is None else begun.start):
            record = self.read(start)
            fact = log_contents.decode(record.content)
            assert isinstance(fact, Fact), "only facts are of entities"
            change = self.change(record.stamp, fact)
            if place in self.places(change):
                yield change

    def _until(self, moment: int, held: _Entity) -> None:
        """Let what tables know of the future become known, as far as that is past at a moment."""
        while held.later and held.later[-1].moment <= moment:
            later = held.later.pop()
            if later.fact is None:
                held.facts.withdraw(_side(later.of), later.id, later.moment)
            elif later.of == "labels":
                held.facts.add_label(later.fact, later.moment)
            else:
                held.facts.add_event(later.fact, later.moment, is_target=later.is_target)

    def _apply(self, held: _Entity, place: Place, change: Change) -> None:
        """What a fact does to one of its entities."""
        stamp, fact, event = change[:3]
        held.is_newer = True
        is_now, facts = change.keys[place[0]] == place[1], held.facts
        self._end_before(held, place, change)
        if isinstance(fact, EventCame):
            if is_now:
                facts.follow(event, stamp)
        elif isinstance(fact, FactCame):
            if is_now:
                facts.add_event(event, stamp)
        elif isinstance(fact, VersionCame):
            if is_now:
                facts.add_event(event, stamp)
                held.told = held.told or set()
                held.told.add(event.id)
        elif isinstance(fact, LabelCame):
            if is_now:
                facts.add_label(event, stamp)
        else:
            facts.withdraw(_side(fact.of), fact.id, stamp)
        if stamp <= self.base.moment:
            facts.forget_ratios()

    def _end_before(self, held: _Entity, place: Place, change: Change) -> None:
        """What an entity has of an event or label already ends, and so does what tables would have said later."""
        of, id = subject(change.fact), change.fact.id
        was_told = held.told is not None and id in held.told and isinstance(change.fact, EventCame)
        if place not in change.before and not was_told:
            return
        held.later = [each for each in held.later if (each.of, each.id) != (of, id)]
        held.facts.withdraw(_side(of), id, change.stamp)

    def was_known(self, change: Change) -> bool:
        """Whether tables knew an event before its stamp."""
        return bool(change.before) and self.base.row_of("events", change.fact.id, change.stamp) is not None

    def _before(self, fact: Fact) -> frozenset[Place]:
        """The entities of versions before, in the log or in tables."""
        of = subject(fact)
        entities = [self.base.entities_of(of, row) for row in self.base.kind(of).rows_of(fact.id)]
        if isinstance(fact, VersionCame | FactCame) and fact.replaces is not None:
            entities.append(dict(fact.replaces))
        return frozenset(place for each in entities for place in enumerate(self._keys(of, each)))

    def _keys(self, of: str, values: Mapping[str, Any]) -> list[Keys]:
        """Of each of the window features the entity of a fact of a kind; of those that do not count it, nobody."""
        keys = self.base.keys
        counting = self._counting[of]
        return [tuple([values[name] for name in keys[n]]) if n in counting else _NOBODY for n in range(len(keys))]

    def _asks(self, values: Mapping[str, Any]) -> Mapping[int, Keys]:
        return {number: tuple([values[name] for name in self.base.keys[number]]) for number in self._asking}


def _first_of_each(number: int, changes: Sequence[Change]) -> dict[Keys, Change]:
    """Of each entity of one of the window features the first change."""
    first: dict[Keys, Change] = {}
    for change in changes:
        first.setdefault(change.keys[number], change)
    return first


def _side(of: str) -> str:
    """Where an entity has facts of a kind: beside labels there is what the window features count."""
    return "labels" if of == "labels" else "events"


def names_of(places: Sequence[Place]) -> list[str]:
    """Names of entities in a store that several processes share."""
    return [f"{number}:{key!r}" for number, key in places]

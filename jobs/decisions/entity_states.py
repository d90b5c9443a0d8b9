"""What is known of each entity now: the facts of tables, and everything that the log brought since, folded in order.

An entity is made when it is first asked for; what the log says of others waits, or waits in the store
(`jobs.online.redis_log`). Not safe for several threads.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from jobs.decisions.base_facts import BaseFacts, Later
from jobs.decisions.entity_index import Keys
from jobs.decisions.event_schema import EventSchema
from jobs.decisions.log_contents import EventCame, Fact, LabelCame, VersionCame, subject
from jobs.online import whole_history
from jobs.online.entity_facts import EntityFacts
from jobs.online.evaluation import Value
from jobs.online.plan import Event
from jobs.online.whole_history import Find

MOST_WAITING = 64
"""Facts that wait for an entity that nobody asked for; then they are folded, which is smaller."""
MOST_WARM = 20_000
"""Entities of each of the window features that are held so that they answer at once."""
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
    """Of each of the window features the entity that it is of."""
    before: frozenset[Place]
    """The entities of versions before, which have to go."""
    held: Sequence[dict[str, Any]] | None = None
    """Of each of the window features the columns as it holds them, once they are checked."""

    def at(self, stamp: int) -> Change:
        """The same at its stamp, which is the event time where none was given."""
        event = self.event
        if isinstance(self.fact, EventCame) and self.fact.happened is None:
            event = Event(event.id, stamp, event.values)
        return Change(stamp, self.fact, event, self.keys, self.before, self.held)


@dataclass(slots=True)
class _Entity:
    facts: EntityFacts
    later: deque[Later]
    """What tables know of the future."""
    seen: int = 0
    """How many facts of the store are folded."""


@dataclass
class EntityStates:
    """The entities of all window features of a use case."""

    base: BaseFacts
    schema: EventSchema
    _held: list[dict[Keys, _Entity]] = field(default_factory=list)
    _warm: list[OrderedDict[Keys, None]] = field(default_factory=list)
    _waiting: list[dict[Keys, list[Change]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all that the log brought."""
        self._held = [{} for _ in self.base.rows.plans]
        self._warm = [OrderedDict() for _ in self.base.rows.plans]
        self._waiting = [{} for _ in self.base.rows.plans]

    def change(self, stamp: int, fact: Fact) -> Change:
        """A fact with what is made of it once for all entities."""
        before = self._before(fact)
        if isinstance(fact, EventCame | VersionCame):
            values = self.schema.columns(fact)
            event = Event(fact.id, fact.time(stamp) if isinstance(fact, EventCame) else fact.happened, values)
            return Change(stamp, fact, event, self._keys(values), before)
        values = fact.values if isinstance(fact, LabelCame) else {}
        happened = fact.happened if isinstance(fact, LabelCame) else stamp
        return Change(stamp, fact, Event(fact.id, happened, values), self._keys(fact.entities), before)

    def checked(self, change: Change) -> Change:
        """A change whose event can be held by every plan. Raises Invalid otherwise."""
        return change._replace(held=[plan.checked("events", change.event) for plan in self.base.rows.plans])

    def places(self, change: Change) -> list[Place]:
        """The entities that a fact changes, each once: those that it is of, and those that it was of before."""
        fact = change.fact
        if self.base.absorbed.has(change.stamp, fact):
            return []
        found: list[Place] = list(dict.fromkeys([*enumerate(change.keys), *change.before]))
        of_labels = _is_of_labels(fact)
        plans = self.base.rows.plans
        return [(n, key) for n, key in found if None not in key and (not of_labels or plans[n].features.reads_labels)]

    def fold(self, stamp: int, fact: Fact) -> None:
        """Let a fact of the log be known from its stamp on, for every entity. It was checked before it was logged."""
        self.wait(self.change(stamp, fact))

    def wait(self, change: Change) -> None:
        """Let a fact wait for the entities that it changes."""
        for number, key in self.places(change):
            waiting = self._waiting[number].setdefault(key, [])
            waiting.append(change)
            if len(waiting) > MOST_WAITING:
                self.entity(number, key)

    def fold_of(self, place: Place, facts: Iterable[tuple[int, Fact]], seen: int) -> None:
        """Let facts of the store be known to one entity, of which so many are folded then."""
        self.entity(*place)
        held = self._entity(*place)
        for stamp, fact in facts:
            if not self.base.absorbed.has(stamp, fact):
                self._until(stamp, held)
                self._apply(held, place, self.change(stamp, fact))
        held.seen = seen

    def seen(self, place: Place) -> int:
        """How many facts of the store an entity has; 0 of one that is not held."""
        held = self._held[place[0]].get(place[1])
        return 0 if held is None else held.seen

    def begin(self, change: Change) -> list[Found]:
        """Enter an event that is decided here; the values of each of the window features are returned, or found."""
        for number, key in change.before:
            if key != change.keys[number] and None not in key:
                self._waiting[number].setdefault(key, []).append(change)
        found: list[Found] = []
        for number, key in enumerate(change.keys):
            if None in key:
                found.append(whole_history.of_nobody(self.base.rows.plans[number], change.event, change.stamp))
                continue
            facts = self.entity(number, key, change.stamp)
            self._end_before((number, key), change)
            found.append(facts.begin(change.event, change.stamp, change.held[number] if change.held else None))
        return found

    def again(self, change: Change) -> list[Found]:
        """What finds the same of an event that was decided and folded before, as it was then."""
        return [
            whole_history.of_nobody(self.base.rows.plans[number], change.event, change.stamp)
            if None in key
            else self.entity(number, key).again(change.event.id)
            for number, key in enumerate(change.keys)
        ]

    def entities_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of an event that name its entities."""
        return {name: values[name] for name in self.base.entity_columns}

    def entity(self, number: int, key: Keys, moment: int | None = None) -> EntityFacts:
        """An entity of one of the window features with everything known before a moment; None: that the log has."""
        held = self._entity(number, key)
        for change in self._waiting[number].pop(key, ()):
            self._until(change.stamp, held)
            self._apply(held, (number, key), change)
        if moment is not None:
            self._until(moment, held)
        return held.facts

    def peek(self, number: int, key: Keys) -> EntityFacts | None:
        """An entity with everything that the log has; None if nothing is known of it."""
        facts = self.entity(number, key)
        if len(facts):
            return facts
        del self._held[number][key], self._warm[number][key]
        return None

    def forget(self, place: Place) -> None:
        """Let go of an entity; it is made anew when it is asked for."""
        self._held[place[0]].pop(place[1], None)
        self._warm[place[0]].pop(place[1], None)

    def _entity(self, number: int, key: Keys) -> _Entity:
        held = self._held[number].get(key)
        if held is None:
            facts = EntityFacts(self.base.rows.plans[number])
            events, labels, later = self.base.facts_of(number, key)
            facts.take("events", events)
            facts.take("labels", labels)
            held = self._held[number][key] = _Entity(facts, deque(later))
        self._touch(number, key)
        return held

    def _touch(self, number: int, key: Keys) -> None:
        """Let go of what makes the entity quick that nobody asked for longest."""
        warm = self._warm[number]
        warm[key] = None
        warm.move_to_end(key)
        if len(warm) > MOST_WARM:
            self._held[number][warm.popitem(last=False)[0]].facts.cool()

    def _until(self, moment: int, held: _Entity) -> None:
        """Let what tables know of the future become known, as far as that is past at a moment."""
        while held.later and held.later[0].moment <= moment:
            later = held.later.popleft()
            if later.fact is None:
                held.facts.withdraw(later.of, later.id, later.moment)
            elif later.of == "events":
                held.facts.add_event(later.fact, later.moment, is_target=later.is_target)
            else:
                held.facts.add_label(later.fact, later.moment)

    def _apply(self, held: _Entity, place: Place, change: Change) -> None:
        """What a fact does to one of its entities."""
        stamp, fact, event = change[:3]
        is_now, facts = change.keys[place[0]] == place[1], held.facts
        self._end_before(place, change)
        if isinstance(fact, EventCame):
            if is_now:
                facts.follow(event, stamp)
        elif isinstance(fact, VersionCame):
            if is_now:
                facts.add_event(event, stamp)
        elif isinstance(fact, LabelCame):
            if is_now:
                facts.add_label(event, stamp)
        else:
            facts.withdraw(fact.of, fact.id, stamp)
        if stamp <= self.base.moment:
            facts.forget_ratios()

    def _end_before(self, place: Place, change: Change) -> None:
        """What an entity has of an event or label already ends, and so does what tables would have said later."""
        if place not in change.before:
            return
        held, of, id = self._entity(*place), "labels" if _is_of_labels(change.fact) else "events", change.fact.id
        held.later = deque(each for each in held.later if (each.of, each.id) != (of, id))
        held.facts.withdraw(of, id, change.stamp)

    def _before(self, fact: Fact) -> frozenset[Place]:
        """The entities of versions before, in the log or in tables."""
        of = "labels" if _is_of_labels(fact) else "events"
        entities = [self.base.entities_of(of, row) for row in self.base.kind(of).rows_of(fact.id)]
        if isinstance(fact, VersionCame) and fact.replaces is not None:
            entities.append(dict(fact.replaces))
        return frozenset(place for each in entities for place in enumerate(self._keys(each)))

    def _keys(self, values: Mapping[str, Any]) -> list[Keys]:
        return [tuple([values[name] for name in names]) for names in self.base.keys]


def _is_of_labels(fact: Fact) -> bool:
    return not isinstance(fact, EventCame) and subject(fact) == "labels"


def names_of(places: Sequence[Place]) -> list[str]:
    """Names of entities in a store that several processes share."""
    return [f"{number}:{key!r}" for number, key in places]

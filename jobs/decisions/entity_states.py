"""What is known of each entity now: the facts of tables, and everything that the log brought since, folded in order.

An entity is made when it is first asked for; what the log says of others waits. Not safe for several threads.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from jobs.decisions.base_facts import BaseFacts, Later
from jobs.decisions.entity_index import Keys
from jobs.decisions.event_schema import EventSchema
from jobs.decisions.log_contents import EventCame, Fact, LabelCame, VersionCame
from jobs.online.entity_facts import EntityFacts
from jobs.online.functions import Value
from jobs.online.plan import Event
from jobs.online.whole_history import Find

MOST_WAITING = 64
"""Facts that wait for an entity that nobody asked for; then they are folded, which is smaller."""
MOST_WARM = 20_000
"""Entities of each of the window features that are held so that they answer at once."""
Change: TypeAlias = tuple[int, Callable[[EntityFacts, int], None]]
"""A stamp, and what it does to an entity at that stamp."""
Found: TypeAlias = list[Value] | Find
"""The values of window features, or what finds them."""


@dataclass(slots=True)
class _Entity:
    facts: EntityFacts
    later: deque[Later]
    """What tables know of the future."""


@dataclass
class EntityStates:
    """The entities of all window features of a use case."""

    base: BaseFacts
    schema: EventSchema
    _held: list[dict[Keys, _Entity]] = field(default_factory=list)
    _warm: list[OrderedDict[Keys, None]] = field(default_factory=list)
    _waiting: list[dict[Keys, list[Change]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._held = [{} for _ in self.base.rows.plans]
        self._warm = [OrderedDict() for _ in self.base.rows.plans]
        self._waiting = [{} for _ in self.base.rows.plans]

    def fold(self, stamp: int, fact: Fact) -> None:
        """Let a fact of the log be known from its stamp on. It was checked before it was logged."""
        if isinstance(fact, EventCame):
            if fact.id in self.base.absorbed:
                return
            happened = stamp if fact.happened is None else fact.happened
            event = Event(fact.id, happened, self.schema.complete(fact.values))
            self._withdraw_from_tables(stamp, fact.id)
            self._for_all(event.values, (stamp, lambda facts, moment: facts.follow(event, moment)))
        elif isinstance(fact, VersionCame):
            version = Event(fact.id, fact.happened, self.schema.complete(fact.values))
            if fact.replaces is not None:
                self._gone(stamp, "events", fact.id, fact.replaces)
            self._for_all(version.values, (stamp, lambda facts, moment: facts.add_event(version, moment)))
        elif isinstance(fact, LabelCame):
            label = Event(fact.id, fact.happened, fact.values)
            self._for_all(fact.entities, (stamp, lambda facts, moment: facts.add_label(label, moment)), labels=True)
        else:
            self._gone(stamp, fact.of, fact.id, fact.entities)

    def begin(self, stamp: int, event: Event) -> list[Found]:
        """Enter an event that is decided here; the values of each of the window features are returned, or found."""
        self._withdraw_from_tables(stamp, event.id)
        return [
            self.entity(number, key, stamp).begin(event, stamp) for number, key in enumerate(self.keys_of(event.values))
        ]

    def again(self, event: Event) -> list[Found]:
        """What finds the same of an event that was decided and folded before, as it was then."""
        return [self.entity(number, key).again(event.id) for number, key in enumerate(self.keys_of(event.values))]

    def keys_of(self, values: Mapping[str, Any]) -> list[Keys]:
        """The entity of each of the window features that an event is of."""
        return [tuple(values[name] for name in plan.features.keys) for plan in self.base.rows.plans]

    def entities_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of an event that name its entities."""
        return {name: values[name] for name in self.base.entity_columns}

    def entity(self, number: int, key: Keys, moment: int | None = None) -> EntityFacts:
        """An entity of one of the window features with everything known before a moment; None: that the log has."""
        if None in key:
            return EntityFacts(self.base.rows.plans[number])
        held = self._held[number].get(key)
        if held is None:
            held = self._held[number][key] = self._made(number, key)
        self._touch(number, key)
        for stamp, change in self._waiting[number].pop(key, ()):
            self._until(stamp, held)
            change(held.facts, stamp)
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

    def counts(self) -> dict[str, int]:
        """How many entities are held, by window features."""
        return {plan.features.name: len(held) for plan, held in zip(self.base.rows.plans, self._held, strict=True)}

    def _made(self, number: int, key: Keys) -> _Entity:
        facts = EntityFacts(self.base.rows.plans[number])
        events, labels, later = self.base.facts_of(number, key)
        facts.take("events", events)
        facts.take("labels", labels)
        return _Entity(facts, deque(later))

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

    def _touch(self, number: int, key: Keys) -> None:
        """Let go of what makes the entity quick that nobody asked for longest."""
        warm = self._warm[number]
        warm[key] = None
        warm.move_to_end(key)
        if len(warm) > MOST_WARM:
            self._held[number][warm.popitem(last=False)[0]].facts.cool()

    def _withdraw_from_tables(self, stamp: int, id: Any) -> None:
        """An event that tables know already, and that is decided now, counts once."""
        row = self.base.row_of("events", id)
        if row is not None:
            self._gone(stamp, "events", id, self.base.entities_of("events", row))

    def _gone(self, stamp: int, of: str, id: Any, entities: Mapping[str, Any]) -> None:
        change = (stamp, lambda facts, moment: facts.withdraw(of, id, moment))
        self._for_all(entities, change, labels=of == "labels")

    def _for_all(self, values: Mapping[str, Any], change: Change, labels: bool = False) -> None:
        for number, key in enumerate(self.keys_of(values)):
            if None in key or (labels and not self.base.rows.plans[number].features.reads_labels):
                continue
            waiting = self._waiting[number].setdefault(key, [])
            waiting.append(change)
            if len(waiting) > MOST_WAITING:
                self.entity(number, key)

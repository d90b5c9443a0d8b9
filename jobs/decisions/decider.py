"""One worker's way from an event to a decision: append, enter, evaluate, score, append, answer.

Everything that changes what is known passes through the log, so that all workers of a home, and who reads the log
again, decide the same. How requests arrive belongs in `serving`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from jobs.decisions import log_contents
from jobs.decisions.entity_states import Change, EntityStates, Found, Place, names_of
from jobs.decisions.event_schema import EventSchema, Given
from jobs.decisions.feature_row import FeatureRow, Row
from jobs.decisions.log_contents import DECISION, EVENT, TOLD, Decided, EventCame, Fact, Telling
from jobs.decisions.outcome import Outcome
from jobs.online.log_records import Conflict, Log, OfEntity, Record
from jobs.online.plan import Event


class Scored(NamedTuple):
    """What a model made of a row of features."""

    outcome: Outcome
    model_version: str | None
    bundle: str | None
    fallback: str | None = None
    reason: str | None = None


class Default(Protocol):
    """What decides without features."""

    def default(self, reason: str) -> Scored: ...


class Score(Protocol):
    """A model, or what answers in its place: it never raises."""

    @property
    def fallback(self) -> Default: ...

    def __call__(self, row: Row) -> Scored: ...


@dataclass(slots=True)
class Started:
    """An event in its place in the log, whose features are found or can be found in any thread."""

    event: Event
    stamp: int
    values: Mapping[str, Any]
    found: Sequence[Found]
    began: float
    unfound: str | None = None
    """Why there are no features; None: there are, or will be."""

    @property
    def is_slow(self) -> bool:
        """Whether finding the features takes long."""
        return any(callable(one) for one in self.found)

    def find(self) -> None:
        """Find the features, in whatever thread."""
        self.found = [one() if callable(one) else one for one in self.found]

    def give_up(self, reason: str) -> None:
        """Let there be no features: a fallback decides."""
        self.unfound = reason


class Decider:
    """One use case in one worker; safe for several threads."""

    def __init__(self, rows: FeatureRow, schema: EventSchema, log: Log, states: EntityStates) -> None:
        self.rows, self.schema, self.log, self.states = rows, schema, log, states
        self.undecided: dict[str, int] = {}
        """Stamps of events of the log that nobody has decided about yet, by id as text, where all of it is read."""
        self.turn = threading.RLock()
        """Held by whoever appends, folds or enters."""

    def close(self) -> None:
        """Let go of the log; what is in it is on the disk."""
        self.log.close()

    def start(self, given: Given, began: float | None = None) -> Started | Decided | None:
        """Append an event and enter it; what was decided about it if it came before; None: another worker is at it.

        Raises:
            Invalid: a column cannot be held; nothing was appended.
            Conflict: the id came before with other content.
            OSError: the log did not take it, so that there is no decision.
        """
        began = time.perf_counter() if began is None else began
        came = EventCame(given.id, given.values, given.happened)
        change = self.states.checked(self.states.change(0, came))
        with self.turn:
            appended = self._appended(log_contents.name(EVENT, given.id), came, change, opens=True)
            if appended is None:
                return self.decided(given.id)
            change = change.at(appended.stamp)
            return Started(change.event, change.stamp, change.event.values, self.states.begin(change), began)

    def finish(self, started: Started, score: Score) -> Decided:
        """Find the features, score them, and append what is decided, before anybody is told.

        Another worker may have decided the same event meanwhile: then its decision is returned.
        """
        return self._append(self.scored(started, score))

    def scored(self, started: Started, score: Score) -> Decided:
        """What is decided about an event; it is in no log yet."""
        if started.unfound is None:
            started.find()
            windows: Sequence[Any] = started.found
            row = self.rows.row(started.values, started.event.happened, windows)
            scored, computed = score(row), row[self.rows.first_computed :]
        else:
            scored, computed = score.fallback.default(started.unfound), []
        latency = round((time.perf_counter() - started.began) * 1e6)
        return Decided(
            started.event.id, started.stamp, scored.outcome, computed, scored.model_version, scored.bundle, latency,
            scored.fallback, scored.reason,
        )  # fmt: skip

    def deliver(self, name: str, came: EventCame) -> None:
        """Append an event that was decided while the log was out of reach."""
        change = self.states.change(0, came)
        with self.turn:
            self._appended(name, came, change, opens=True)

    def resume(self, id: Any) -> Started | Decided | None:
        """Take up an event that another worker left undecided; None if the log does not have it."""
        with self.turn:
            self.catch_up()
            if (decided := self.decided(id)) is not None:
                return decided
            record, came = self.log.get(log_contents.name(EVENT, id)), self.came(id)
            if record is None or came is None:
                return None
            change = self.states.change(record.stamp, came)
            self.refresh(self.states.places(change))
            return Started(
                change.event, record.stamp, change.event.values, self.states.again(change), time.perf_counter()
            )

    def came(self, id: Any) -> EventCame | None:
        """An event that was sent here for a decision."""
        record = self.log.get(log_contents.name(EVENT, id))
        return None if record is None else log_contents.decode_as(record.content, EventCame)

    def decided(self, id: Any) -> Decided | None:
        """What was decided about an event, as far as this worker has read the log."""
        record = self.log.get(log_contents.name(DECISION, id))
        return None if record is None else log_contents.decode_as(record.content, Decided)

    def tell(self, fact: Telling) -> Record:
        """Append what is told about an event, and fold it; the record that has it.

        What was told about the event last is not told again: then its record is returned.
        """
        change = self.states.change(0, fact)
        with self.turn:
            self.catch_up()
            last = self.told(fact.id)
            if last and last[-1].content == log_contents.encode(fact):
                return last[-1]
            number = len(last) + 1
            while True:
                try:
                    record = self._appended(log_contents.name(TOLD, fact.id, number), fact, change)
                except Conflict:
                    # Another worker told something else at the same time.
                    number += 1
                    continue
                if record is None:
                    return self.told(fact.id)[-1]
                self.states.wait(change.at(record.stamp))
                return record

    def told(self, id: Any) -> list[Record]:
        """What was told about an event, in order, as far as this worker has read the log."""
        records: list[Record] = []
        while (record := self.log.get(log_contents.name(TOLD, id, len(records) + 1))) is not None:
            records.append(record)
        return records

    def catch_up(self) -> None:
        """Fold what others appended, where all of it is read."""
        with self.turn:
            self.follow(self.log.tail())

    def refresh(self, places: Sequence[Place]) -> None:
        """Bring some entities up to date, where a worker reads of entities alone."""
        if self.log.by_entity:
            with self.turn:
                for place, name in zip(places, names_of(places), strict=True):
                    self._fold_of(place, self.log.facts((name, self.states.seen(place))))  # type: ignore[attr-defined]

    def follow(self, records: Iterable[Record]) -> None:
        """Fold records of others, in order."""
        for record in records:
            kind, _, id = record.id.partition("/")
            if kind == DECISION:
                self.undecided.pop(id, None)
                continue
            fact = log_contents.decode(record.content)
            if isinstance(fact, EventCame):
                self.undecided[id] = record.stamp
            if isinstance(fact, Fact):
                self.states.fold(record.stamp, fact)

    def abandoned(self, microseconds: int) -> list[Any]:
        """Ids of events that came so long ago, or longer, and that nobody has decided."""
        before = self.log.now() - microseconds
        if self.log.by_entity:
            names: list[str] = self.log.open_records(before)  # type: ignore[attr-defined]
        else:
            with self.turn:
                names = [log_contents.name(EVENT, id) for id, stamp in self.undecided.items() if stamp <= before]
        records = [self.log.get(name) for name in names]
        return [log_contents.decode(record.content).id for record in records if record is not None]  # type: ignore[union-attr]

    def _appended(self, name: str, fact: Fact, change: Change, opens: bool = False) -> Record | None:
        """The record of a fact, once everything before it is folded; None if it was there before."""
        places = self.states.places(change)
        seen = (
            [(name, self.states.seen(at)) for name, at in zip(names_of(places), places, strict=True)]
            if self.log.by_entity
            else ()
        )
        appended = self.log.append(name, log_contents.encode(fact), seen, opens=opens)
        self.follow(appended.before)
        if not appended.is_new:
            return None
        for place, of_entity in zip(places, appended.of_entities, strict=False):
            self._fold_of(place, of_entity)
        return appended.record

    def _fold_of(self, place: Place, of_entity: OfEntity) -> None:
        if of_entity.is_whole:
            self.states.forget(place)
        facts = [(stamp, log_contents.decode(content)) for stamp, content in of_entity.facts]
        self.states.fold_of(place, [(stamp, fact) for stamp, fact in facts if isinstance(fact, Fact)], of_entity.seen)

    def _append(self, decided: Decided) -> Decided:
        with self.turn:
            name, event = log_contents.name(DECISION, decided.id), log_contents.name(EVENT, decided.id)
            try:
                self.follow(self.log.append(name, log_contents.encode(decided), closes=event).before)
            except Conflict as conflict:
                self.catch_up()
                decided = log_contents.decode_as(conflict.record.content, Decided)
            self.undecided.pop(str(decided.id), None)
            return decided

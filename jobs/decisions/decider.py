"""One worker's way from an event to a decision: append, enter, evaluate, score, append, answer.

Everything that changes what is known passes through the log, so that all workers of a home, and who reads the log
again, decide the same. How requests arrive belongs in `serving`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from jobs.decisions import log_contents
from jobs.decisions.entity_states import EntityStates, Found
from jobs.decisions.event_schema import EventSchema, Given
from jobs.decisions.feature_row import FeatureRow, Row
from jobs.decisions.log_contents import DECISION, EVENT, TOLD, Decided, EventCame, Fact, Telling
from jobs.decisions.outcome import Outcome
from jobs.online.file_log import Appended, Conflict
from jobs.online.log_records import Record
from jobs.online.plan import Event


class Log(Protocol):
    """The ordered log as a worker uses it (`jobs.online.file_log`)."""

    def append(self, id: str, content: bytes) -> Appended: ...
    def tail(self) -> list[Record]: ...
    def get(self, id: str) -> Record | None: ...
    def now(self) -> int: ...
    def close(self) -> None: ...


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
    found: list[Found]
    began: float

    unfound: str | None = None
    """Why there are no features; None: there are, or will be."""

    @property
    def is_slow(self) -> bool:
        """Whether finding the features takes long."""
        return any(callable(one) for one in self.found)

    def find(self) -> None:
        """Find the features, in whatever thread."""
        found = [one() if callable(one) else one for one in self.found]
        self.found = list(found)

    def give_up(self, reason: str) -> None:
        """Let there be no features: a fallback decides."""
        self.unfound = reason


class Decider:
    """One use case in one worker; safe for several threads."""

    def __init__(self, rows: FeatureRow, schema: EventSchema, log: Log, states: EntityStates) -> None:
        self.rows, self.schema, self.log, self.states = rows, schema, log, states
        self.undecided: dict[str, tuple[int, EventCame]] = {}
        """Events of the log that nobody has decided about yet, by id as text: another worker is at work, or died."""
        self.turn = threading.RLock()
        """Held by whoever appends, folds or enters."""

    def start(self, given: Given, began: float | None = None) -> Started | Decided | None:
        """Append an event and enter it; what was decided about it if it came before; None: another worker is at it.

        Raises:
            Invalid: a column cannot be held; nothing was appended.
            Conflict: the id came before with other content.
            OSError: the log did not take it, so that there is no decision.
        """
        began = time.perf_counter() if began is None else began
        event = self.checked(given)
        content = log_contents.encode(EventCame(given.id, given.values, given.happened))
        with self.turn:
            appended = self.log.append(log_contents.name(EVENT, given.id), content)
            self.follow(appended.before)
            if not appended.is_new:
                return self.decided(given.id)
            stamp = appended.record.stamp
            if given.happened is None:
                event = event._replace(happened=stamp)
            return Started(event, stamp, event.values, self.states.begin(stamp, event), began)

    def finish(self, started: Started, score: Score) -> Decided:
        """Find the features, score them, and append what is decided, before anybody is told.

        Another worker may have decided the same event meanwhile: then its decision is returned.
        """
        if started.unfound is None:
            started.find()
            windows: list[Any] = started.found
            row = self.rows.row(started.values, started.event.happened, windows)
            scored, computed = score(row), row[self.rows.first_computed :]
        else:
            scored, computed = score.fallback.default(started.unfound), []
        latency = round((time.perf_counter() - started.began) * 1e6)
        decided = Decided(
            started.event.id, started.stamp, scored.outcome, computed, scored.model_version, scored.bundle, latency,
            scored.fallback, scored.reason,
        )  # fmt: skip
        return self._append(decided)

    def resume(self, id: Any) -> Started | Decided | None:
        """Take up an event that another worker left undecided; None if the log does not have it."""
        with self.turn:
            self.follow(self.log.tail())
            if (decided := self.decided(id)) is not None:
                return decided
            record, came = self.log.get(log_contents.name(EVENT, id)), self.came(id)
            if record is None or came is None:
                return None
            happened = record.stamp if came.happened is None else came.happened
            event = Event(came.id, happened, self.schema.complete(came.values))
            return Started(event, record.stamp, event.values, self.states.again(event), time.perf_counter())

    def came(self, id: Any) -> EventCame | None:
        """An event that was sent here for a decision, as far as this worker has read the log."""
        record = self.log.get(log_contents.name(EVENT, id))
        found = None if record is None else log_contents.decode(record.content)
        assert found is None or isinstance(found, EventCame)
        return found

    def decided(self, id: Any) -> Decided | None:
        """What was decided about an event, as far as this worker has read the log."""
        record = self.log.get(log_contents.name(DECISION, id))
        if record is None:
            return None
        found = log_contents.decode(record.content)
        assert isinstance(found, Decided)
        return found

    def tell(self, fact: Telling) -> Record:
        """Append what is told about an event, and fold it; the record that has it.

        What was told about the event last is not told again: then its record is returned.
        """
        content = log_contents.encode(fact)
        with self.turn:
            self.catch_up()
            last = self.told(fact.id)
            if last and last[-1].content == content:
                return last[-1]
            number = len(last) + 1
            while True:
                try:
                    appended = self.log.append(log_contents.name(TOLD, fact.id, number), content)
                except Conflict:
                    # Another worker told something else at the same time.
                    number += 1
                    continue
                self.follow(appended.before)
                if appended.is_new:
                    self.states.fold(appended.record.stamp, fact)
                return appended.record

    def told(self, id: Any) -> list[Record]:
        """What was told about an event, in order, as far as this worker has read the log."""
        records: list[Record] = []
        while (record := self.log.get(log_contents.name(TOLD, id, len(records) + 1))) is not None:
            records.append(record)
        return records

    def close(self) -> None:
        """Let go of the log; what is in it is on the disk."""
        self.log.close()

    def catch_up(self) -> None:
        """Fold what others appended."""
        with self.turn:
            self.follow(self.log.tail())

    def follow(self, records: Iterable[Record]) -> None:
        """Fold records of others, in order."""
        for record in records:
            kind, _, id = record.id.partition("/")
            if kind == DECISION:
                self.undecided.pop(id, None)
                continue
            fact = log_contents.decode(record.content)
            if isinstance(fact, EventCame):
                self.undecided[id] = (record.stamp, fact)
            if isinstance(fact, Fact):
                self.states.fold(record.stamp, fact)

    def _append(self, decided: Decided) -> Decided:
        with self.turn:
            name = log_contents.name(DECISION, decided.id)
            try:
                self.follow(self.log.append(name, log_contents.encode(decided)).before)
            except Conflict as conflict:
                self.follow(self.log.tail())
                found = log_contents.decode(conflict.record.content)
                assert isinstance(found, Decided)
                decided = found
            self.undecided.pop(str(decided.id), None)
            return decided

    def checked(self, given: Given) -> Event:
        """The event with all its columns, which every plan can hold. Raises Invalid otherwise."""
        event = Event(given.id, given.happened or 0, self.schema.complete(given.values))
        for plan in self.rows.plans:
            plan.checked("events", event)
        return event

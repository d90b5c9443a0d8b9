"""One worker's way from an event to a decision: append, enter, evaluate, score, append, answer.

Everything that changes what is known passes through the log, so that all workers of a home, and who reads the log
again, decide the same. How requests arrive belongs in `serving`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from jobs.decisions import log_contents
from jobs.decisions.entity_states import Change, EntityStates, Place, names_of
from jobs.decisions.event_schema import EventSchema, Given
from jobs.decisions.fallback_order import NIGHTLY_FEATURES
from jobs.decisions.feature_row import FeatureRow, Row
from jobs.decisions.log_contents import (
    DECISION,
    EVENT,
    NO_FACTS,
    Content,
    Decided,
    EventCame,
    Fact,
    ProfileCame,
    Shadow,
    Telling,
)
from jobs.decisions.profiles import KnownProfiles
from jobs.decisions.scores import Baseline, Score, Scored
from jobs.decisions.started import Awaited, Begun, Started
from jobs.errors import Invalid
from jobs.online.evaluation import Value
from jobs.online.log_records import Answer, Conflict, Entry, Log, OfEntity, Record, Seen

PROFILES = "profiles"
"""What a store calls the list of all versions of profiles that tables have gained."""
LOG = logging.getLogger("evergreen.serve")


class Decider:
    """One use case in one worker; safe for several threads."""

    def __init__(self, rows: FeatureRow, schema: EventSchema, log: Log, states: EntityStates) -> None:
        self.rows, self.schema, self.log, self.states = rows, schema, log, states
        self.undecided: dict[str, int] = {}
        """Stamps of events of the log that nobody has decided about yet, by id as text, where all of it is read."""
        self.names_since: list[tuple[int, list[str]]] = []
        """Names of the features that decisions from a stamp on hold; none: those of now."""
        self.profiles = KnownProfiles(states.base.profiles, states.base.moment)
        self.turn = threading.RLock()
        """Held by whoever appends, folds or enters."""

    def close(self) -> None:
        """Let go of the log; what is in it is on the disk."""
        self.log.close()

    def start(self, given: Given, began: float | None = None) -> Started | Decided | None:
        """Append an event and enter it (see `start_all`).

        Raises:
            Invalid: a column cannot be held; nothing was appended.
            Conflict: the id came before with other content.
            OSError: the log did not take it, so that there is no decision.
        """
        [begun] = self.start_all([Awaited(given, time.perf_counter() if began is None else began)])
        if isinstance(begun, Exception):
            raise begun
        return begun

    def start_all(self, asked: Sequence[Awaited]) -> list[Begun]:
        """Append events at once and enter them in their order, so that each sees those before it.

        Of an event that came before what was decided about it is returned; None: another worker is at it, or the same
        id stands before it here. Each is refused for itself.

        Raises StoreDown if nothing was appended.
        """
        changes = [self._change(each.given) for each in asked]
        with self.turn:
            entries = [
                self._entry(log_contents.name(EVENT, each.fact.id), each, opens=True)
                for each in changes
                if isinstance(each, Change)
            ]
            answers = iter(self.log.append_all(entries))
            return [
                self._entered(change, next(answers), each.began) if isinstance(change, Change) else change
                for each, change in zip(asked, changes, strict=True)
            ]

    def _change(self, given: Given) -> Change | Invalid:
        came = EventCame(given.id, given.values, given.happened)
        try:
            return self.states.checked(self.states.change(0, came))
        except Invalid as error:
            return error

    def _entered(self, change: Change, answer: Answer, began: float) -> Begun:
        try:
            record = self._taken(change, answer)
            if record is None:
                return self.decided(change.fact.id)
            change = change.at(record.stamp, record.start)
            found = self.states.begin(change)
            known = self.states.was_known(change)
            return Started(change.event, change.stamp, change.event.values, found, began, was_known=known)
        except Exception as error:  # others, which are in the log already, are entered all the same
            return error

    def finish(self, started: Started, score: Score) -> Decided:
        """Find the features, score them, and append what is decided. Raises OSError if the log did not take it."""
        [decided] = self.finish_all([started], score)
        if isinstance(decided, Exception):
            raise decided
        return decided

    def finish_all(self, started: Sequence[Started], score: Score) -> list[Decided | OSError]:
        """Find the features, score them, and append what is decided, before anybody is told.

        Another worker may have decided the same event meanwhile: then its decision is returned.
        """
        decided = self.scored(started, score)
        with self.turn:
            answers = self.log.append_all([_entry_of(each) for each in decided])
            return [self._kept(each, answer) for each, answer in zip(decided, answers, strict=True)]

    def scored(self, started: Sequence[Started], score: Score) -> list[Decided]:
        """What is decided about events; it is in no log yet."""
        rows = [self._row(each) for each in started]
        known = [row for row in rows if row is not None]
        scores = iter(score(known) if known else ())
        return [
            self._without_features(each, score.fallback) if row is None else self._decided(each, row, next(scores))
            for each, row in zip(started, rows, strict=True)
        ]

    def note(self, name: str, content: Content) -> bool:
        """Append a record that changes nothing of what is known; False: there is another one of its name.

        Raises OSError if the log does not take it.
        """
        [is_there] = self._note_all({name: content})
        return is_there

    def keep_shadows(self, shadows: Sequence[Shadow]) -> None:
        """Append what models that did not answer say; what another worker, which resumed the same event, said stays.

        Raises OSError if the log does not take one.
        """
        self._note_all({log_contents.shadow_name(each): each for each in shadows})

    def _note_all(self, contents: Mapping[str, Content]) -> list[bool]:
        entries = [Entry(name, log_contents.encode(content)) for name, content in contents.items()]
        with self.turn:
            return [self._noted(answer) for answer in self.log.append_all(entries)]

    def _noted(self, answer: Answer) -> bool:
        if isinstance(answer, OSError):
            raise answer
        if isinstance(answer, Conflict):
            self.catch_up()
            return False
        self.follow(answer.before)
        return True

    def features_of_tables(self, started: Started) -> list[list[Value]]:
        """The features of an event by what tables say alone; none if they cannot be computed either. For any thread."""
        try:
            return self.states.of_tables(started.event, started.stamp)
        except Exception:  # whatever is wrong with features, there is a fallback
            LOG.exception("%s: features of tables of %r", self.rows.use_case.name, started.event.id)
            return []

    def _row(self, started: Started) -> Row | None:
        """The features of an event, or those of tables alone in their place; None if there are neither."""
        try:
            if started.unfound is None:
                started.find()
                profiles = self.profiles.values(started.values, started.stamp)
                return self.rows.row(started.values, started.event.happened, started.found, profiles)  # type: ignore[arg-type]
        except Exception as error:  # an event that is in the log is decided
            started.give_up(f"features could not be computed: {type(error).__name__}")
        return self._row_of_tables(started)

    def _row_of_tables(self, started: Started) -> Row | None:
        if started.of_tables is None:
            started.of_tables = self.features_of_tables(started)
        if not started.of_tables:
            return None
        try:
            profiles = self.states.base.profiles.values(started.values, started.stamp)
            return self.rows.row(started.values, started.event.happened, started.of_tables, profiles)
        except Exception:  # a function that fails at these values
            LOG.exception("%s: features of tables of %r", self.rows.use_case.name, started.event.id)
            return None

    def _decided(self, started: Started, row: Row, scored: Scored) -> Decided:
        features = row[self.rows.first_computed :]
        decided = _decided(started, features, scored)
        if started.unfound is None:
            return decided
        return msgspec.structs.replace(
            decided, fallback=scored.fallback or NIGHTLY_FEATURES, reason=scored.reason or started.unfound,
            staleness=self.age_of_tables(started.stamp),
        )  # fmt: skip

    def _without_features(self, started: Started, baseline: Baseline) -> Decided:
        row = self.rows.unknown(started.values, started.event.happened)
        return _decided(started, [], baseline.of_row(row, started.unfound or ""))

    def age_of_tables(self, stamp: int) -> int:
        """How old the tables are at a moment, in microseconds."""
        return max(1, stamp - self.states.base.moment)

    def deliver(self, came: EventCame) -> None:
        """Append an event that was decided while the log was out of reach."""
        self._append(log_contents.name(EVENT, came.id), self.states.change(0, came), opens=True)

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
            self.refresh([*self.states.places(change), *self.states.asked(change)])
            self.refresh_profiles()
            return Started(
                change.event, record.stamp, change.event.values, self.states.again(change), time.perf_counter()
            )

    def came(self, id: Any) -> EventCame | None:
        """An event that was sent here for a decision."""
        record = self.log.get(log_contents.name(EVENT, id))
        return None if record is None else log_contents.decode_as(record.content, EventCame)

    def decided(self, id: Any) -> Decided | None:
        """What was decided about an event, as far as this worker has read the log; features by the names of now."""
        record = self.log.get(log_contents.name(DECISION, id))
        return None if record is None else self._named(log_contents.decode_as(record.content, Decided))

    def _named(self, decided: Decided) -> Decided:
        """A decision whose features stand where those of now do; what was not declared then is unknown."""
        then = [names for stamp, names in self.names_since if stamp < decided.decided_at]
        if not then or then[-1] == self.rows.computed or not decided.features:
            return decided
        known = dict(zip(then[-1], decided.features, strict=True))
        return msgspec.structs.replace(decided, features=[known.get(name) for name in self.rows.computed])

    def tell(self, fact: Telling) -> Record:
        """Append what is told about an event or another fact, and fold it; the record that has it.

        What was told about it last is not told again: then its record is returned.
        """
        change, of = self.states.change(0, fact), log_contents.subject(fact)
        with self.turn:
            self.catch_up()
            last = self.told(fact.id, of)
            if last and last[-1].content == log_contents.encode(fact):
                return last[-1]
            number = len(last) + 1
            while True:
                try:
                    record = self._append(log_contents.name(*log_contents.told_names(of, fact.id), number), change)
                except Conflict:
                    # Another worker told something else at the same time.
                    number += 1
                    continue
                if record is None:
                    return self.told(fact.id, of)[-1]
                self.states.wait(change.at(record.stamp, record.start))
                return record

    def tell_profiles(self, versions: Sequence[ProfileCame]) -> int:
        """Append versions of profiles that tables have gained, and fold them; how many the log did not have yet.

        Raises OSError if the log does not take one.
        """
        with self.turn:
            seen = [(PROFILES, self.profiles.seen)]
            entries = [
                Entry(log_contents.profile_name(each), log_contents.encode(each), seen, is_kept=True)
                for each in versions
            ]
            answers = self.log.append_all(entries)
            return sum(self._told_profile(each, answer) for each, answer in zip(versions, answers, strict=True))

    def _told_profile(self, came: ProfileCame, answer: Answer) -> bool:
        if isinstance(answer, Exception):
            raise answer
        self.follow(answer.before)
        if answer.is_new:
            for of_profiles in answer.of_entities:
                self._fold_profiles(of_profiles)
            self.profiles.add(answer.record.stamp, came)
        return answer.is_new

    def told(self, id: Any, of: str = "events") -> list[Record]:
        """What was told about an event and its label, or about another fact, in order, as far as this worker has read
        the log."""
        records: list[Record] = []
        kind, named = log_contents.told_names(of, id)
        while (record := self.log.get(log_contents.name(kind, named, len(records) + 1))) is not None:
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

    def refresh_profiles(self) -> None:
        """Bring profiles up to date, where a worker reads of entities alone."""
        if self.log.by_entity and self.rows.profiles:
            with self.turn:
                self._fold_profiles(self.log.facts((PROFILES, self.profiles.seen)))  # type: ignore[attr-defined]

    def _fold_profiles(self, of_profiles: OfEntity) -> None:
        if of_profiles.is_whole:
            self.profiles.forget()
        for stamp, content in of_profiles.facts:
            self.profiles.add(stamp, log_contents.decode_as(content, ProfileCame))
        self.profiles.seen = of_profiles.seen

    def follow(self, records: Iterable[Record]) -> None:
        """Fold records of others, in order."""
        for record in records:
            kind, _, id = record.id.partition("/")
            if kind == DECISION:
                self.undecided.pop(id, None)
            if kind in NO_FACTS:
                continue
            fact = log_contents.decode(record.content)
            if isinstance(fact, EventCame):
                self.undecided[id] = record.stamp
            if isinstance(fact, ProfileCame):
                self.profiles.add(record.stamp, fact)
            if isinstance(fact, Fact):
                self.states.fold(record.stamp, fact, record.start)

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

    def _append(self, name: str, change: Change, opens: bool = False) -> Record | None:
        """The record of a fact, once everything before it is folded; None if it was there before."""
        with self.turn:
            [answer] = self.log.append_all([self._entry(name, change, opens)])
            return self._taken(change, answer)

    def _entry(self, name: str, change: Change, opens: bool = False) -> Entry:
        seen: Sequence[Seen] = ()
        hears: list[Seen] = []
        if self.log.by_entity:
            seen = self._seen(self.states.places(change))
            if opens:
                hears = self._seen(self.states.asked(change))
                hears += [(PROFILES, self.profiles.seen)] if self.rows.profiles else []
        return Entry(name, log_contents.encode(change.fact), seen, opens, hears=hears)

    def _seen(self, places: Sequence[Place]) -> list[Seen]:
        return [(name, self.states.seen(at)) for name, at in zip(names_of(places), places, strict=True)]

    def _taken(self, change: Change, answer: Answer) -> Record | None:
        """The record of a fact, once everything before it is folded; None if it was there before."""
        if isinstance(answer, Exception):
            raise answer
        self.follow(answer.before)
        if not answer.is_new:
            return None
        if answer.of_entities:
            places = [*self.states.places(change), *self.states.asked(change)]
            for place, of_entity in zip(places, answer.of_entities, strict=False):
                self._fold_of(place, of_entity)
            for of_profiles in answer.of_entities[len(places) :]:
                self._fold_profiles(of_profiles)
        return answer.record

    def _fold_of(self, place: Place, of_entity: OfEntity) -> None:
        if of_entity.is_whole:
            self.states.forget(place)
        facts = [(stamp, log_contents.decode(content)) for stamp, content in of_entity.facts]
        self.states.fold_of(place, [(stamp, fact) for stamp, fact in facts if isinstance(fact, Fact)], of_entity.seen)

    def _kept(self, decided: Decided, answer: Answer) -> Decided | OSError:
        """What the log has of a decision."""
        if isinstance(answer, OSError):
            return answer
        if isinstance(answer, Conflict):
            self.catch_up()
            decided = log_contents.decode_as(answer.record.content, Decided)
        else:
            self.follow(answer.before)
        self.undecided.pop(str(decided.id), None)
        return decided


def _entry_of(decided: Decided) -> Entry:
    closes = log_contents.name(EVENT, decided.id)
    return Entry(log_contents.name(DECISION, decided.id), log_contents.encode(decided), closes=closes)


def _decided(started: Started, features: list[Any], scored: Scored) -> Decided:
    latency = round((time.perf_counter() - started.began) * 1e6)
    return Decided(
        started.event.id, started.stamp, scored.outcome, features, scored.model_version, scored.bundle, latency,
        scored.fallback, scored.reason, arm=scored.arm, propensity=scored.propensity, scoring=scored.scoring,
        was_known=started.was_known,
    )  # fmt: skip

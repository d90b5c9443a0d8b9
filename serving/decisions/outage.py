"""Decisions while the online store does not answer: by what this worker still holds, kept in a file, told later.

An event that is decided so stands in no order with those of other workers, so each answer says that it is a fallback
and how old its knowledge is. Once the store answers, events and decisions go there, and entities are made anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec

from jobs.decisions import log_contents
from jobs.decisions.decider import Decider
from jobs.decisions.fallback_order import CACHED_STATE, NIGHTLY_FEATURES
from jobs.decisions.log_contents import DECISION, EVENT, Decided, EventCame
from jobs.decisions.opened import log_file
from jobs.decisions.scores import Score
from jobs.decisions.started import Awaited, Started
from jobs.errors import Invalid
from jobs.online.file_log import FileLog
from jobs.online.log_records import Conflict, Entry, Record
from jobs.settings import Settings
from jobs.state_files import read_memory, replace_json
from jobs.use_case import UseCase

REASONS = {
    CACHED_STATE: "the online store does not answer; decided by what this worker knows",
    NIGHTLY_FEATURES: "the online store does not answer; decided by the tables, as this worker knows nothing newer",
}
LOG = logging.getLogger("evergreen.serve")


class Outage:
    """What a worker does while its store is away; several workers of a home share its file."""

    def __init__(self, settings: Settings, use_case: UseCase, clock: Callable[[], int]) -> None:
        self._place = log_file(settings, use_case).with_name("undelivered")
        self._place.parent.mkdir(parents=True, exist_ok=True)
        self._kept: FileLog | None = FileLog(self._place, now=clock) if self._place.exists() else None
        self._clock = clock
        self._heard = time.monotonic()
        self.is_over = self._kept is None
        """Whether nothing waits to be brought to the store."""

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    def heard(self) -> None:
        """The store answered just now."""
        self._heard = time.monotonic()

    def decide(self, decider: Decider, asked: Awaited, score: Score) -> Decided:
        """A decision by what this worker holds, kept in the file before it is returned.

        Raises:
            Conflict: the id came during this outage with other content.
            OSError: the file did not take it.
        """
        if self._kept is None:
            self._kept = FileLog(self._place, now=self._clock)
        given, kept, self.is_over = asked.given, self._kept, False
        came = EventCame(given.id, given.values, given.happened)
        change = decider.states.checked(decider.states.change(0, came))
        with decider.turn:
            appended = kept.append(log_contents.name(EVENT, given.id), log_contents.encode(came))
            if (known := kept.get(log_contents.name(DECISION, given.id))) is not None:
                return log_contents.decode_as(known.content, Decided)
            stamp = appended.record.stamp
            change = change.at(stamp)
            started = Started(change.event, stamp, change.event.values, [], asked.began)
            usual = CACHED_STATE if decider.states.is_newer(change) else NIGHTLY_FEATURES
            try:
                started.found = decider.states.begin(change)
            except Invalid as error:  # another worker's decision was ahead of this clock
                started.give_up(str(error))
            [decided] = decider.scored([started], score)
            decided = self._flagged(decided, usual, decider.age_of_tables(stamp))
            try:
                kept.append(log_contents.name(DECISION, given.id), log_contents.encode(decided))
            except Conflict as conflict:
                return log_contents.decode_as(conflict.record.content, Decided)
            return decided

    def _flagged(self, decided: Decided, usual: str, age: int) -> Decided:
        """A decision with the fallback that made it, and with how old its knowledge is."""
        unheard = max(1, round((time.monotonic() - self._heard) * 1e6))
        staleness = decided.staleness or (unheard if usual == CACHED_STATE else age)
        return msgspec.structs.replace(
            decided, fallback=decided.fallback or usual, reason=decided.reason or REASONS[usual], staleness=staleness
        )

    def deliver(self, decider: Decider) -> None:
        """Bring what was kept to the store, and let go of what this worker made of it. Raises StoreDown."""
        if self._kept is None:
            self.is_over = True
            return
        memory = self._place.with_name("delivered.json")
        self._kept.tail()
        sent = read_memory(memory, lambda found: int(found["position"])) or 0
        for record in self._kept.records(sent):
            _deliver(decider, record)
            sent = record.end
        replace_json(memory, {"position": sent})
        with decider.turn:
            decider.states.reset()
        self.is_over = True


def _deliver(decider: Decider, record: Record) -> None:
    content = log_contents.decode(record.content)
    try:
        if isinstance(content, EventCame):
            decider.deliver(content)
        else:
            assert isinstance(content, Decided)
            closes = log_contents.name(EVENT, content.id)
            [answer] = decider.log.append_all([Entry(record.id, record.content, closes=closes)])
            if isinstance(answer, Exception):
                raise answer
    except Conflict:
        LOG.error("%s was decided elsewhere too while the online store was away", record.id)

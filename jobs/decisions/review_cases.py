"""Cases for reviewers as a fold over the log of decisions: which are open, who has which, what is left of a day.

A case is an event that the service decided to let be reviewed. It is open for a day from its decision on, until it has
a label, a verdict, or turned out not to be. Who asks for cases appends to the log which ones, and has those that the
fold grants at that place in the order: what others asked for before, or the day's capacity, is not granted. So all
workers agree, over a log in a file as over one in a store, with no other place that they share, and what was handed to
somebody who died is free again once the time for it is over. Reading the log is `jobs.decisions.live_reviews`'s
business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jobs.decisions import log_contents
from jobs.decisions.log_contents import (
    DECISION,
    HANDED,
    TOLD,
    UNSURE,
    Content,
    Decided,
    FactGone,
    Handed,
    LabelCame,
    Unsure,
    VersionCame,
)
from jobs.online.log_records import Record
from jobs.times import MICROSECONDS_A_DAY

OPEN_FOR = MICROSECONDS_A_DAY
"""Microseconds from its decision for which a case is open; the queue of a night has what is left."""
LEASE = 15 * 60 * 1_000_000
"""Microseconds for which a case that was handed to a reviewer is handed to nobody else."""
_OF_REVIEWS = b'"decision":"review"'
"""Stands in every decision that makes a case; few do, and others need not be read."""
_KINDS = (DECISION, TOLD, HANDED, UNSURE)


class Case(NamedTuple):
    """An event that is worth a look."""

    id: Any
    loss: float
    """Expected, if nobody looks at it."""
    decided_at: int


class Lease(NamedTuple):
    """Who has a case, and until when."""

    reviewer: str
    until: int
    granted_by: str
    """Id of the record."""


@dataclass
class ReviewCases:
    """What the log says of the cases of one use case, up to the last record that was taken."""

    room: int
    """Cases that are handed out and judged in a day at most."""
    loss: Callable[[Decided], float]
    since: int = 0
    """Records before this stamp say nothing of cases that are still open."""
    cases: dict[Any, Case] = field(default_factory=dict)
    leases: dict[Any, Lease] = field(default_factory=dict)
    judged: dict[int, set[Any]] = field(default_factory=dict)
    """Number of a day -> ids of events that got a verdict on it."""
    stamp: int = 0
    """That of the last record."""
    _closed: dict[Any, set[str]] = field(default_factory=dict)
    """Id -> why the case is closed: it has a label, is gone, or nobody could say."""

    def take(self, record: Record) -> None:
        """Fold the next record of the log."""
        self.stamp = record.stamp
        kind = record.id.partition("/")[0]
        if record.stamp < self.since or kind not in _KINDS:
            return
        if kind != DECISION or _OF_REVIEWS in record.content:
            self._fold(record, log_contents.decode(record.content))

    def _fold(self, record: Record, content: Content) -> None:
        if isinstance(content, Decided) and content.outcome.decision == "review":
            self.cases[content.id] = Case(content.id, self.loss(content), content.decided_at)
        elif isinstance(content, Handed):
            self._hand(record, content)
        elif isinstance(content, Unsure):
            self._judge(content.id, record.stamp)
            self._close(content.id, "unsure")
        elif isinstance(content, LabelCame):
            if content.reviewer is not None:
                self._judge(content.id, record.stamp)
            self._close(content.id, "labels")
        elif isinstance(content, FactGone):
            self._gone(content)
        elif isinstance(content, VersionCame):
            self._closed.get(content.id, set()).discard("events")

    def _gone(self, gone: FactGone) -> None:
        if gone.of == "events":
            self._close(gone.id, "events")
        else:
            self._closed.get(gone.id, set()).discard("labels")

    def _close(self, id: Any, why: str) -> None:
        if id in self.cases:
            self._closed.setdefault(id, set()).add(why)
        self.leases.pop(id, None)

    def _judge(self, id: Any, stamp: int) -> None:
        day = stamp // MICROSECONDS_A_DAY
        self.judged.setdefault(day, set()).add(id)
        for past in [each for each in self.judged if each < day - 1]:
            del self.judged[past]

    def _hand(self, record: Record, handed: Handed) -> None:
        for id in self.grantable(handed.ids, handed.reviewer, record.stamp):
            self.leases[id] = Lease(handed.reviewer, record.stamp + LEASE, record.id)

    def is_open(self, id: Any, moment: int) -> bool:
        """Whether a case waits for a verdict."""
        case = self.cases.get(id)
        return case is not None and case.decided_at > moment - OPEN_FOR and not self._closed.get(id)

    def holder(self, id: Any, moment: int) -> str | None:
        """Who has a case at a moment; None: nobody."""
        lease = self.leases.get(id)
        return None if lease is None or lease.until <= moment else lease.reviewer

    def left(self, moment: int) -> int:
        """How many further cases may be handed out on the day of a moment: others have, or judged, the rest."""
        held = sum(self.holder(id, moment) is not None for id in self.leases)
        return max(0, self.room - held - len(self.judged.get(moment // MICROSECONDS_A_DAY, ())))

    def grantable(self, ids: Iterable[Any], reviewer: str, moment: int) -> list[Any]:
        """Of some cases those that a reviewer has or may have at a moment, in their order, within what is left."""
        found, left = [], self.left(moment)
        for id in dict.fromkeys(ids):
            holder = self.holder(id, moment)
            if not self.is_open(id, moment) or holder not in (None, reviewer) or (holder is None and not left):
                continue
            left -= holder is None
            found.append(id)
        return found

    def open(self, moment: int) -> list[Case]:
        """Cases that wait for a verdict, the largest expected loss first; of equals the earlier one."""
        self._forget(moment)
        found = [case for case in self.cases.values() if self.is_open(case.id, moment)]
        return sorted(found, key=lambda case: (-case.loss, case.decided_at))

    def _forget(self, moment: int) -> None:
        """Let go of what no later record asks for."""
        for case in [case for case in self.cases.values() if case.decided_at <= moment - OPEN_FOR]:
            del self.cases[case.id]
            self._closed.pop(case.id, None)
        for id in [id for id, lease in self.leases.items() if lease.until <= moment]:
            del self.leases[id]

"""Reviewers of what the service decides: cases handed to them while they are fresh, and their verdicts.

A verdict is a report like any other, with the reviewer's name: later decisions know of it, and shipping brings it into
the lakehouse. Which cases there are is `jobs.decisions.review_cases`'s business.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from jobs.decisions import log_contents
from jobs.decisions.decider import Decider
from jobs.decisions.log_contents import (
    HANDED,
    UNSURE,
    Decided,
    EventCame,
    Handed,
    LabelCame,
    Telling,
    Unsure,
)
from jobs.decisions.review_cases import LEASE, OPEN_FOR, Case, ReviewCases
from jobs.decisions.told import Standing, UnknownEvent, tell_label
from jobs.errors import Invalid
from jobs.times import MICROSECONDS_A_DAY
from jobs.use_case import UseCase, problem_of, review_of

LiveVerdict = Literal["positive", "negative", "unsure"]
LONGEST_NAME = 200
"""Letters of a reviewer's name."""
_TRIES = 5
"""How often cases are asked for again, when others asked for the same ones at the same time."""


class HandedCase(NamedTuple):
    """A case in the hands of a reviewer."""

    case: Case
    decided: Decided
    came: EventCame
    until: int
    """When it is free for others."""


class Judged(NamedTuple):
    """What became of a verdict."""

    moment: int
    """When it became known."""
    is_new: bool


@dataclass(frozen=True)
class _Loss:
    """Score x amount, or the score where no money is declared; what a rule sent to review counts as the threshold."""

    decider: Decider
    use_case: UseCase

    def __call__(self, decided: Decided) -> float:
        problem = problem_of(self.use_case)
        score = problem.threshold if decided.outcome.score is None else decided.outcome.score
        if problem.amount is None:
            return score
        came, rows = self.decider.came(decided.id), self.decider.rows
        if came is None:
            return 0.0
        values = self.decider.schema.complete(came.values)
        row = rows.restored(values, came.time(decided.decided_at), decided.features)
        return score * float(dict(zip(rows.names, row, strict=False)).get(problem.amount) or 0.0)


class LiveReviews:
    """The cases of one use case, as one worker hands them out with others; safe for several threads."""

    def __init__(self, use_case: UseCase, decider: Decider, room: int) -> None:
        """room: cases of a day.

        Raises Invalid if no verdict can be a label: nothing is reviewed, or labels have more than one column.
        """
        review_of(use_case)
        if others := [name for name in decider.rows.labels if name != use_case.label]:
            raise Invalid(
                f"{use_case.name}: expected labels that a verdict says all of, found the columns {others} beside; send "
                "reports instead"
            )
        self._use_case, self.decider, self._turn = use_case, decider, threading.Lock()
        since = decider.log.now() - OPEN_FOR - MICROSECONDS_A_DAY
        self._cases = ReviewCases(room, _Loss(decider, use_case), since)
        self._position = max(0, since) if decider.log.by_entity else 0

    def open_cases(self, moment: int | None = None) -> list[tuple[Case, str | None]]:
        """Cases that wait for a verdict, the largest expected loss first, and who has each.

        moment: microseconds since 1970; None: now.
        """
        with self._turn:
            self._catch_up()
            at = self._now() if moment is None else moment
            return [(case, self._cases.holder(case.id, at)) for case in self._open(at)]

    def hand_out(self, reviewer: str, limit: int) -> list[HandedCase]:
        """The cases that matter most of those that nobody else has, at most `limit`, and those of a day.

        What the reviewer has already comes again. Raises OSError if the log does not take it.
        """
        with self._turn:
            for _ in range(_TRIES):
                self._catch_up()
                wanted = self._wanted(reviewer, limit)
                if self._has(wanted, reviewer):
                    break
                name = log_contents.name(HANDED, secrets.token_hex(8))
                self.decider.note(name, Handed(reviewer, wanted))
                self._catch_up()
                if all(id in self._cases.leases and self._cases.leases[id].granted_by == name for id in wanted):
                    break
            now = self._now()
            return [self._handed(id) for id in wanted if self._cases.holder(id, now) == reviewer]

    def judge(self, id: Any, verdict: LiveVerdict, reviewer: str) -> Judged:
        """Let a verdict be known from now on; the same one again changes nothing, another one takes its place.

        Raises:
            UnknownEvent: there is no such event, or it was withdrawn.
            OSError: the log does not take it.
        """
        with self.decider.turn:
            standing = Standing.of(self.decider, id)
            event = standing.event()
            if event is None or standing.is_withdrawn:
                raise UnknownEvent(
                    f"event {id!r}: expected one that is known here and was not withdrawn, found none; judge a case "
                    "that was handed out"
                )
            if verdict == "unsure":
                return self._unsure(id, reviewer)
            values = {self._use_case.label: verdict == "positive"}
            if (last := self._last_verdict(standing, values)) is not None:
                return Judged(last, False)
            label = LabelCame(id, event.happened, dict(event.entities), values, reviewer=reviewer)
            return Judged(tell_label(standing, label).stamp, True)

    def _last_verdict(self, standing: Standing, values: dict[str, Any]) -> int | None:
        """The stamp of a verdict that says the same, if nothing was said of the event's label since."""
        label = standing.label()
        for record in reversed(self.decider.told(standing.id)):
            fact = log_contents.decode(record.content)
            assert isinstance(fact, Telling)
            if log_contents.subject(fact) == "labels":
                is_same = isinstance(fact, LabelCame) and fact.reviewer is not None and fact.values == values
                return record.stamp if is_same and label is not None and label.values == values else None
        return None

    def _unsure(self, id: Any, reviewer: str) -> Judged:
        name = log_contents.name(UNSURE, id)
        is_new = self.decider.log.get(name) is None and self.decider.note(name, Unsure(id, reviewer))
        record = self.decider.log.get(name)
        assert record is not None, "it was just noted, here or elsewhere"
        return Judged(record.stamp, is_new)

    def _now(self) -> int:
        """A moment that no record is behind, whichever host's clock stamped it."""
        return max(self.decider.log.now(), self._cases.stamp)

    def _catch_up(self) -> None:
        self.decider.catch_up()
        for record in self.decider.log.records(self._position):
            self._cases.take(record)
            self._position = record.end

    def _open(self, moment: int) -> list[Case]:
        """Of cases that the log has open those of which tables have no report either."""
        base = self.decider.states.base
        return [case for case in self._cases.open(moment) if base.row_of("labels", case.id, moment) is None]

    def _wanted(self, reviewer: str, limit: int) -> list[Any]:
        now = self._now()
        return self._cases.grantable([case.id for case in self._open(now)], reviewer, now)[:limit]

    def _has(self, wanted: list[Any], reviewer: str) -> bool:
        """Whether a reviewer has all of some cases, and for a while: asking again and again writes nothing."""
        half = self._now() + LEASE // 2
        return all(self._cases.holder(id, half) == reviewer for id in wanted)

    def _handed(self, id: Any) -> HandedCase:
        decided, came = self.decider.decided(id), self.decider.came(id)
        assert decided is not None and came is not None, "a case is an event that was decided"
        return HandedCase(self._cases.cases[id], decided, came, self._cases.leases[id].until)

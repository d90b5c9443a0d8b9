"""A few events that would be blocked are let through to review, by a chance that is recorded, within a quota of money.

A blocked event never gets a label; those let through stand for it, by 1 / chance (`jobs.off_policy`). Who is drawn is a
pure function of the event's id. What was let through on a day stands in the log, so that all workers keep one quota.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from jobs.decisions import log_contents
from jobs.decisions.decider import Decider
from jobs.decisions.log_contents import EXPLORED, Explored
from jobs.decisions.lots import lot
from jobs.decisions.scores import Scored
from jobs.problem import Review
from jobs.times import MICROSECONDS_A_DAY


class Exploration:
    """The quota of one use case, as one worker keeps it with others."""

    def __init__(self, review: Review, decider: Decider) -> None:
        self._review, self._decider = review, decider
        self._salt = f"explored {decider.rows.use_case.name}"
        self._day, self._parts, self._spent = 0, 0, 0.0

    def applied(self, scored: Scored, id: Any, amount: float) -> Scored:
        """What is done with an event that a model decided: one that it would block is blocked, or reviewed.

        Its propensity is the chance of what is done. Where the quota has no room for it, it had none of being reviewed;
        nor while the log is out of reach.
        """
        chance = self._review.explored
        if scored.outcome.decision != "block":
            return scored
        try:
            if not self._has_room(amount):
                return scored
            if lot(self._salt, id) >= chance or not self._take(id, amount):
                return scored._replace(propensity=1 - chance)
        except OSError:
            return scored
        return scored._replace(outcome=replace(scored.outcome, decision="review"), propensity=chance)

    def _has_room(self, amount: float) -> bool:
        most_of_one, most = self._review.explored_amount, self._review.explored_money
        if most_of_one is not None and amount > most_of_one:
            return False
        return most is None or self._read() + amount <= most

    def _read(self) -> float:
        """What was let through today."""
        log = self._decider.log
        self._decider.catch_up()
        today = log.now() // MICROSECONDS_A_DAY
        if today != self._day:
            self._day, self._parts, self._spent = today, 0, 0.0
        while (record := log.get(self._part(self._parts + 1))) is not None:
            self._parts += 1
            self._spent += log_contents.decode_as(record.content, Explored).amount
        return self._spent

    def _take(self, id: Any, amount: float) -> bool:
        """Take a part of the quota, unless others took what was left of it."""
        if self._review.explored_money is None:
            return True
        while self._has_room(amount):
            if self._decider.note(self._part(self._parts + 1), Explored(id, amount)):
                return True
        return False

    def _part(self, number: int) -> str:
        return log_contents.name(EXPLORED, self._day, number)

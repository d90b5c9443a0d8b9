"""What the decision log says of one rollout, read record by record as the log grows.

The last events are kept one by one, as shadows of them may still come; those of before are columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from jobs.arrays import Floats, Ints
from jobs.decisions import log_contents
from jobs.decisions.fallback_order import CHAMPION_INSTEAD
from jobs.decisions.log_contents import DECISION, EVENT, SHADOW, TOLD, Decided, EventCame, LabelCame, Shadow
from jobs.decisions.outcome import Outcome
from jobs.ledger.rollouts import Rollout
from jobs.online.log_records import Record
from jobs.rollout_strategy import CHAMPION
from jobs.rollouts.paired_scores import Made, OfModel, PairedScores
from jobs.rollouts.shares import share_of
from jobs.use_case import UseCase, problem_of

LATE_RECORDS = 100_000
"""Records after its decision in which a shadow is waited for: more than wait in all queues of some workers."""


class _Came(NamedTuple):
    happened: int
    cluster: str
    amount: float


class _Answered(NamedTuple):
    """An event that takes part, and what was made of it."""

    id: Any
    number: int
    """Of the record of its decision, as they were read."""
    stamp: int
    arm: str
    propensity: float
    made: Made | None
    """By who answered; None: there were no features for it."""
    by_champion_instead: bool
    came: _Came


@dataclass(frozen=True, eq=False)
class PairsOfLog:
    """Events of one arm, as the log has them; every array holds a value per event."""

    pairs: PairedScores
    happened: Ints
    """When they happened, microseconds since 1970."""
    clusters: Any
    """Their entities, as texts."""
    amounts: Floats

    def joined(self, later: PairsOfLog) -> PairsOfLog:
        """With later events."""
        return PairsOfLog(
            self.pairs.joined(later.pairs),
            np.concatenate([self.happened, later.happened]),
            np.concatenate([self.clusters, later.clusters]),
            np.concatenate([self.amounts, later.amounts]),
        )


class Logged:
    """What the log has of a rollout so far."""

    def __init__(self, use_case: UseCase, rollout: Rollout, late: int = LATE_RECORDS) -> None:
        self.labels: dict[str, LabelCame] = {}
        """By id, the last one told."""
        self._use_case, self._amount, self._late = use_case, problem_of(use_case).amount, late
        self._rollout, self._over_all = rollout, rollout.strategy["kind"] == "shadow"
        self._came: dict[str, _Came] = {}
        self._answered: dict[str, _Answered] = {}
        self._shadows: dict[str, dict[str, Made]] = {name: {} for name in (CHAMPION, *(a.name for a in rollout.arms))}
        self._closed: dict[str, PairsOfLog] = {}
        self._records = 0

    def add(self, records: Iterable[Record]) -> None:
        """Take further records of the log, in order; those of before the start are left out."""
        for record in records:
            if record.stamp > self._rollout.log_stamp:
                self._records += 1
                self._add(record)

    def of_arm(self, rollout: Rollout, arm: str) -> PairsOfLog:
        """What champion and arm made of the events; where every event takes part, of those that a shadow scored.

        Args:
            rollout: as it is now.
        """
        latest = self._columns(rollout, arm, self._answered.values())
        return self._closed[arm].joined(latest) if arm in self._closed else latest

    def close(self, rollout: Rollout) -> None:
        """Let events of which no shadow is waited for any more become columns."""
        until = self._records - self._late
        old = list(takewhile(lambda one: one.number <= until, self._answered.values()))
        if not old:
            return
        for arm in rollout.arms:
            columns = self._columns(rollout, arm.name, old)
            self._closed[arm.name] = self._closed[arm.name].joined(columns) if arm.name in self._closed else columns
        for one in old:
            del self._answered[str(one.id)]
            for shadows in self._shadows.values():
                shadows.pop(str(one.id), None)

    def _add(self, record: Record) -> None:
        kind, _, id = record.id.partition("/")
        if kind == EVENT:
            self._came[id] = self._event(log_contents.decode_as(record.content, EventCame), record.stamp)
        elif kind == DECISION:
            self._decided(log_contents.decode_as(record.content, Decided))
        elif kind == SHADOW and id.startswith(f"{self._rollout.id}/"):
            shadow = log_contents.decode_as(record.content, Shadow)
            made = _made(shadow.outcome, shadow.scoring, shadow.failure is not None)
            if str(shadow.id) in self._answered:
                self._shadows[shadow.arm][str(shadow.id)] = made
        elif kind == TOLD:
            told = log_contents.decode(record.content)
            if isinstance(told, LabelCame):
                self.labels[str(told.id)] = told

    def _event(self, came: EventCame, stamp: int) -> _Came:
        amount = float(came.values.get(self._amount) or 0.0) if self._amount else 0.0
        return _Came(came.time(stamp), str(came.values.get(self._use_case.cluster_key)), amount)

    def _decided(self, one: Decided) -> None:
        came = self._came.pop(str(one.id), None)
        if came is None or not (self._over_all or one.arm.startswith(f"{self._rollout.id}:")):
            return
        instead = one.fallback == CHAMPION_INSTEAD
        made = _made(one.outcome, one.scoring, one.outcome.score is None) if one.features or instead else None
        self._answered[str(one.id)] = _Answered(
            one.id, self._records, one.decided_at, one.arm, one.propensity, made, instead, came
        )

    def _columns(self, rollout: Rollout, arm: str, answered: Iterable[_Answered]) -> PairsOfLog:
        mine, champion = self._shadows[arm], self._shadows[CHAMPION]
        taken = [one for one in answered if not self._over_all or str(one.id) in mine]
        turn = f"{rollout.id}:{arm}"
        pairs = PairedScores(
            [one.id for one in taken],
            np.array([one.stamp for one in taken], np.int64),
            np.array([one.arm == turn for one in taken], np.bool_),
            np.array([self._chance(rollout, arm, one) for one in taken], np.float64),
            OfModel.of([_of_champion(one, champion.get(str(one.id))) for one in taken]),
            OfModel.of([_of_arm(one, turn, mine.get(str(one.id))) for one in taken]),
        )
        return PairsOfLog(
            pairs,
            np.array([one.came.happened for one in taken], np.int64),
            np.array([one.came.cluster for one in taken], object),
            np.array([one.came.amount for one in taken], np.float64),
        )

    def _chance(self, rollout: Rollout, arm: str, one: _Answered) -> float:
        """The chance of the arm to answer an event that it or another answered."""
        if self._over_all:
            return 0.0  # the propensity is of another rollout, or of exploration
        return share_of(rollout, arm, one.arm.partition(":")[2], one.propensity, one.stamp)


def _made(outcome: Outcome, microseconds: int, failed: bool) -> Made:
    decision = outcome.decision
    alerts = decision not in (None, "approve")
    return Made(outcome.score, alerts, decision == "block", outcome.probabilities, microseconds, failed)


_FAILED = Made(None, False, False, None, 0, True)


def _of_champion(one: _Answered, shadow: Made | None) -> Made | None:
    if one.by_champion_instead or one.arm.endswith(f":{CHAMPION}") or one.arm == CHAMPION:
        return one.made
    return shadow


def _of_arm(one: _Answered, turn: str, shadow: Made | None) -> Made | None:
    if one.arm != turn:
        return shadow
    return _FAILED if one.by_champion_instead else one.made

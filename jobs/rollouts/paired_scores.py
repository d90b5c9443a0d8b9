"""What the decision log says of a rollout: for each event that takes part, what the champion and an arm made of it.

One of them answered, the other scored in its shadow; where a shadow was dropped, one side is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jobs.arrays import Bools, Floats, Ints
from jobs.decisions import log_contents
from jobs.decisions.fallback_order import CHAMPION_INSTEAD
from jobs.decisions.log_contents import DECISION, EVENT, SHADOW, TOLD, Decided, EventCame, LabelCame, Shadow
from jobs.decisions.outcome import Outcome
from jobs.ledger.rollouts import Rollout
from jobs.online.log_records import Record
from jobs.rollout_strategy import CHAMPION


@dataclass(frozen=True, eq=False)
class OfModel:
    """One model's side; every array holds a value per event."""

    known: Bools
    """Whether the log says what the model did."""
    failed: Bools
    scores: Floats
    """NaN without one."""
    alerts: Bools
    """Whether it would not approve."""
    blocks: Bools
    """Whether it would block, after which nobody sees how the event turns out."""
    microseconds: Floats
    """NaN where it failed, or scored several events at once."""


@dataclass(frozen=True, eq=False)
class PairedScores:
    """Events of a rollout in the order in which they were decided, as the champion and one arm saw them."""

    ids: list[Any]
    stamps: Ints
    """When they were decided, microseconds since 1970."""
    answered: Bools
    """Whether it was the arm's turn to answer."""
    propensities: Floats
    """The chance by which it was the arm's turn."""
    champion: OfModel
    arm: OfModel

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def both(self) -> Bools:
        """Where both gave a score."""
        scored: Bools = np.isfinite(self.champion.scores) & np.isfinite(self.arm.scores)
        return scored


@dataclass
class Logged:
    """What the log has of a rollout."""

    decided: dict[str, Decided] = field(default_factory=dict)
    shadows: dict[str, dict[str, Shadow]] = field(default_factory=dict)
    """Arm -> id -> what its model made of the event."""
    events: dict[str, tuple[EventCame, int]] = field(default_factory=dict)
    """By id, with the moment at which it happened."""
    labels: dict[str, LabelCame] = field(default_factory=dict)
    """By id, the last one told."""

    @classmethod
    def of(cls, rollout: Rollout, records: Iterable[Record]) -> Logged:
        """records: of the log, in order; those of before the start are left out."""
        found, prefix = cls(), f"{rollout.id}:"
        over_all = rollout.strategy["kind"] == "shadow"
        for record in records:
            if record.stamp <= rollout.log_stamp:
                continue
            kind, _, id = record.id.partition("/")
            if kind == EVENT:
                came = log_contents.decode_as(record.content, EventCame)
                found.events[id] = came, came.time(record.stamp)
            elif kind == DECISION:
                one = log_contents.decode_as(record.content, Decided)
                if over_all or one.arm.startswith(prefix):
                    found.decided[str(one.id)] = one
            elif kind == SHADOW and id.startswith(f"{rollout.id}/"):
                shadow = log_contents.decode_as(record.content, Shadow)
                found.shadows.setdefault(shadow.arm, {})[str(shadow.id)] = shadow
            elif kind == TOLD:
                told = log_contents.decode(record.content)
                if isinstance(told, LabelCame):
                    found.labels[str(told.id)] = told
        return found

    def pairs(self, rollout: Rollout, arm: str) -> PairedScores:
        """What champion and arm made of the events; where every event takes part, of those that a shadow scored."""
        mine, champion = self.shadows.get(arm, {}), self.shadows.get(CHAMPION, {})
        decided = list(self.decided.items())
        if rollout.strategy["kind"] == "shadow":
            decided = [(id, one) for id, one in decided if id in mine]
        turn = f"{rollout.id}:{arm}"
        return PairedScores(
            [one.id for _, one in decided],
            np.array([one.decided_at for _, one in decided], np.int64),
            np.array([one.arm == turn for _, one in decided], np.bool_),
            np.array([_of_turn(one, turn, rollout, arm) for _, one in decided], np.float64),
            _side([_of_champion(one, champion.get(id)) for id, one in decided]),
            _side([_of_arm(one, turn, mine.get(id)) for id, one in decided]),
        )


def _of_turn(one: Decided, turn: str, rollout: Rollout, arm: str) -> float:
    """The chance of the arm to answer an event that it or another answered."""
    if rollout.strategy["kind"] == "shadow":
        return 0.0  # the propensity is of another rollout, or of exploration
    if one.arm == turn:
        return one.propensity
    return 1 - one.propensity if len(rollout.arms) == 1 else rollout.last_running.shares.get(arm, 0.0)


@dataclass(frozen=True)
class _Made:
    """What a model made of an event."""

    outcome: Outcome
    microseconds: int
    failed: bool = False


def _of_champion(one: Decided, shadow: Shadow | None) -> _Made | None:
    if one.fallback == CHAMPION_INSTEAD:
        return _Made(one.outcome, one.scoring)
    if one.arm.endswith(f":{CHAMPION}") or one.arm == CHAMPION:
        return _made(one)
    return _of_shadow(shadow)


def _of_arm(one: Decided, turn: str, shadow: Shadow | None) -> _Made | None:
    if one.arm != turn:
        return _of_shadow(shadow)
    if one.fallback == CHAMPION_INSTEAD:
        return _Made(Outcome(None), 0, failed=True)
    return _made(one)


def _made(one: Decided) -> _Made | None:
    """What the model that answered made; None where there were no features for it, which is not its fault."""
    if not one.features:
        return None
    return _Made(one.outcome, one.scoring, failed=one.outcome.score is None)


def _of_shadow(shadow: Shadow | None) -> _Made | None:
    return None if shadow is None else _Made(shadow.outcome, shadow.scoring, failed=shadow.failure is not None)


def _side(made: list[_Made | None]) -> OfModel:
    outcomes = [Outcome(None) if one is None else one.outcome for one in made]
    scores = [np.nan if outcome.score is None else outcome.score for outcome in outcomes]
    times = [np.nan if one is None or one.failed else one.microseconds or np.nan for one in made]
    return OfModel(
        np.array([one is not None for one in made], np.bool_),
        np.array([one is not None and one.failed for one in made], np.bool_),
        np.array(scores, np.float64),
        np.array([outcome.decision not in (None, "approve") for outcome in outcomes], np.bool_),
        np.array([outcome.decision == "block" for outcome in outcomes], np.bool_),
        np.array(times, np.float64),
    )

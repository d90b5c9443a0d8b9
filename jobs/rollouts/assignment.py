"""Which arm answers for an entity: a pure function of the entity and of what is published, the same in every worker.

An entity has a place from 0 to 1 by a hash. The place says which rollout it takes part in, as each has a part of all
places; within a rollout a second place, by a hash with the rollout's own salt, says which arm. So an entity stays
where it is as long as nothing changes, those of one experiment are shuffled anew in the next, and an arm whose share
grows keeps those it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from jobs.decisions.lots import lot
from jobs.rollout_strategy import CHAMPION


class PublishedArm(msgspec.Struct, frozen=True):
    """An arm as workers know it."""

    name: str
    version: int
    sha256: str
    """Of the manifest of the exported model."""
    share: float


class PublishedRollout(msgspec.Struct, frozen=True):
    """A rollout as workers know it."""

    id: int
    salt: str
    low: float
    high: float
    """The part of all places whose entities take part."""
    arms: tuple[PublishedArm, ...]
    shadows: bool = True
    """Whether every model of it scores each event that takes part, whichever answers."""
    over_all: bool = False
    """Whether it changes no answer: it sees the events of all entities, those of other rollouts among them."""


class Assigned(msgspec.Struct, frozen=True):
    """Who answers, and by what chance."""

    arm: PublishedArm | None
    """None: the champion."""
    propensity: float
    rollout: int | None = None
    """The rollout that the entity takes part in."""

    @property
    def name(self) -> str:
        """`champion` outside of every rollout, else the arm of which rollout."""
        if self.rollout is None:
            return CHAMPION
        return f"{self.rollout}:{CHAMPION if self.arm is None else self.arm.name}"


OUTSIDE = Assigned(None, 1.0)


def assigned(use_case: str, rollouts: Sequence[PublishedRollout], entity: Any) -> Assigned:
    """Who answers for an entity; for no entity (None) the champion does."""
    if entity is None:
        return OUTSIDE
    at = lot(use_case, entity)
    rollout = next((each for each in rollouts if not each.over_all and each.low <= at < each.high), None)
    return OUTSIDE if rollout is None else _of_rollout(rollout, entity)


def _of_rollout(rollout: PublishedRollout, entity: Any) -> Assigned:
    at, below = lot(rollout.salt, entity), 0.0
    for arm in rollout.arms:
        below += arm.share
        if at < below:
            return Assigned(arm, arm.share, rollout.id)
    return Assigned(None, max(0.0, 1.0 - below), rollout.id)

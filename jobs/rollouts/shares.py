"""What chance an arm had to answer an event that another one answered: by the shares that were in force then.

Workers take up a change within a second, each at its own moment; the propensity that was logged with the answer says
which shares its worker went by.
"""

from __future__ import annotations

from collections.abc import Iterator

from jobs.ledger.rollouts import Change, Rollout
from jobs.rollout_strategy import CHAMPION
from jobs.times import microseconds

_ALIKE = 1e-9


def share_of(rollout: Rollout, arm: str, answered: str, propensity: float, stamp: int) -> float:
    """The chance of an arm.

    Args:
        answered: the arm that answered, or `champion`, by the chance `propensity`.
        stamp: of the event, microseconds since 1970.
    """
    if arm == answered:
        return propensity
    if len(rollout.arms) == 1:
        return 1 - propensity
    changes = list(_in_force(rollout, stamp))
    alike = (each for each in changes if abs(_share(each, answered) - propensity) < _ALIKE)
    return _share(next(alike, changes[0]), arm)


def _in_force(rollout: Rollout, stamp: int) -> Iterator[Change]:
    """Changes that gave shares, those of before the event first, the latest of them ahead; then the first after it."""
    running = [each for each in rollout.changes if each.kind in ("started", "changed", "resumed")]
    before = [each for each in running if microseconds(each.changed_at) <= stamp]
    yield from reversed(before)
    yield from running[len(before) :]


def _share(change: Change, arm: str) -> float:
    if arm == CHAMPION:
        return max(0.0, 1.0 - sum(change.shares.values()))
    return change.shares.get(arm, 0.0)

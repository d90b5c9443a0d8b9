"""Whether what workers read of rollouts is what the ledger says, and whether one was taken back."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.checks.check import Check, Outcome
from jobs.ledger.rollouts import Rollout
from jobs.rollouts import published
from jobs.rollouts.assignment import PublishedRollout
from jobs.settings import Settings
from jobs.use_case import UseCase

PUBLISHED = Check(
    "rollouts_published", "The file that decision servers read says of every rollout what the ledger says."
)
NOT_TAKEN_BACK = Check("last_rollout_holds", "The last rollout was not rolled back.", severity="warning")


def as_published(settings: Settings, use_case: UseCase) -> Outcome:
    """PUBLISHED at this moment."""
    expected, found = published.wanted(settings, use_case), published.read(published.path(settings, use_case))
    return PUBLISHED.outcome(expected == tuple(found), _named(expected), _named(found), rollouts=len(expected))


def not_taken_back(rollouts: Sequence[Rollout]) -> Outcome:
    """NOT_TAKEN_BACK of all rollouts of a use case, oldest first."""
    if not rollouts:
        return NOT_TAKEN_BACK.not_judged("no rollout yet")
    last = rollouts[-1]
    found = f"{last.name}: {last.state}: {last.changes[-1].reason}"
    return NOT_TAKEN_BACK.outcome(last.state != "rolled back", "one that goes on, or ended well", found)


def _named(rollouts: Sequence[PublishedRollout]) -> str:
    shares = ", ".join(f"{each.id}: {[f'{arm.name} {arm.share:.1%}' for arm in each.arms]}" for each in rollouts)
    return shares or "no rollout that runs"

"""Candidates that passed the gate where the use case brings models in by rollout: each is started and judged once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from jobs.errors import EvergreenError
from jobs.ledger import promotions, rollouts
from jobs.ledger.rollouts import Refused, Rollout
from jobs.promotion import approvals
from jobs.rollouts import conduct
from jobs.rollouts.conduct import Asked, By
from jobs.use_case import UseCase, problem_of

if TYPE_CHECKING:
    from jobs.lakehouse.tables import Lakehouse
    from jobs.registry.champion_bundles import Champions


def start_waiting(lakehouse: Lakehouse, use_case: UseCase, champions: Champions, by: By) -> tuple[Rollout | None, str]:
    """Start the rollout of the latest version that waits; what was started, or why nothing was."""
    if problem_of(use_case).approval != "rollout":
        return None, "candidates of this use case are not brought in by rollouts"
    settings = lakehouse.settings
    tried = {arm.version for each in rollouts.of_use_case(settings, use_case.name) for arm in each.arms}
    waiting = [version for version in promotions.view(settings, use_case).waiting if version not in tried]
    if not waiting:
        return None, "no candidate waits"
    version = waiting[-1]
    asked = Asked(
        f"version_{version}", problem_of(use_case).rollout, {f"v{version}": version}, reason="passed the gate"
    )
    try:
        return conduct.start(lakehouse, use_case, champions, asked, by), ""
    except Refused as refused:  # another rollout has the entities: this one's turn comes
        return None, str(refused)
    except EvergreenError as error:
        return None, f"version {version} is not rolled out: {error}"


def turn_down(lakehouse: Lakehouse, use_case: UseCase, rollout: Rollout, now: datetime) -> None:
    """Let versions that waited and were rolled back wait no longer: they are not judged again."""
    settings = lakehouse.settings
    waiting, why = promotions.view(settings, use_case).waiting, rollout.changes[-1]
    person = approvals.person(settings, use_case, why.by, why.authenticated, now)
    for arm in rollout.arms:
        if arm.version in waiting:
            reason = f"rollout {rollout.name} was {why.kind}: {why.reason}"
            approvals.reject(settings, use_case, arm.version, person, reason)

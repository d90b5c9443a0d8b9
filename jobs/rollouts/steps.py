"""One look at all rollouts of a use case: what the log shows, what follows, and its doing. Safe to repeat."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobs.ledger import promotions, rollouts
from jobs.ledger.rollouts import Refused, Rollout
from jobs.rollout_strategy import Strategy
from jobs.rollouts import conduct, published
from jobs.rollouts.arm_findings import ArmFindings, Labelled
from jobs.rollouts.conduct import By
from jobs.rollouts.known_outcomes import known_labels, known_outcomes
from jobs.rollouts.labelled_arms import labelled_arms
from jobs.rollouts.labelled_losses import labelled_losses
from jobs.rollouts.labelled_pairs import labelled_pairs
from jobs.rollouts.logged import Logged, PairsOfLog
from jobs.rollouts.rollout_logs import RolloutLogs
from jobs.rollouts.verdict import Verdict, evidence, judge
from jobs.rollouts.waiting import turn_down
from jobs.use_case import UseCase, problem_of

if TYPE_CHECKING:
    from jobs.lakehouse.tables import Lakehouse
    from jobs.promotion.promote import Registry

AUTOMATIC = "evergreen"


@dataclass(frozen=True)
class Looked:
    """One rollout after a look at it."""

    rollout: Rollout
    found: Mapping[str, ArmFindings]
    verdict: Verdict


def step(
    lakehouse: Lakehouse, use_case: UseCase, registry: Registry, now: datetime, logs: RolloutLogs | None = None
) -> list[Looked]:
    """Look at every rollout that goes on, and do what follows; what another process changed meanwhile is left to it.

    Args:
        logs: of whoever looks again and again, who need not read the whole log each time.
    """
    looked = look(lakehouse, use_case, now, logs)
    done = [_done(lakehouse, use_case, registry, each, now) for each in looked]
    published.publish(lakehouse.settings, use_case)  # whoever died between a change and this is finished here
    return done


def look(lakehouse: Lakehouse, use_case: UseCase, now: datetime, logs: RolloutLogs | None = None) -> list[Looked]:
    """What the log shows of every rollout that goes on, and what would follow."""
    settings = lakehouse.settings
    live = rollouts.of_use_case(settings, use_case.name, live=True)
    if logs is None:
        with contextlib.closing(RolloutLogs(settings, use_case)) as once:
            logged = once.read(live)
    else:
        logged = logs.read(live)
    champion = promotions.champion(settings, use_case)
    version = champion.version if champion else None
    return [_looked(each, version, _found(lakehouse, use_case, each, logged[each.id], now), now) for each in live]


def _looked(rollout: Rollout, champion: int | None, found: Mapping[str, ArmFindings], now: datetime) -> Looked:
    if champion != rollout.champion_version:
        why = f"version {champion} is in production by now, and not version {rollout.champion_version}"
        return Looked(rollout, found, Verdict("aborted", why))
    if rollout.state != "running":
        return Looked(rollout, found, Verdict(None, f"{rollout.state}: {rollout.changes[-1].reason}"))
    return Looked(rollout, found, judge(rollout, found, now))


def _found(
    lakehouse: Lakehouse, use_case: UseCase, rollout: Rollout, logged: Logged, now: datetime
) -> dict[str, ArmFindings]:
    """What is known of every arm of a rollout."""
    strategy, found = Strategy.of_stored(rollout.strategy), {}
    for arm in rollout.arms:
        events = logged.of_arm(rollout, arm.name)
        labelled = _labelled(lakehouse, use_case, events, logged, strategy.shadows, now)
        found[arm.name] = ArmFindings.of(events.pairs, labelled, strategy)
    return found


def _labelled(
    lakehouse: Lakehouse, use_case: UseCase, events: PairsOfLog, logged: Logged, is_paired: bool, now: datetime
) -> Labelled:
    """The outcomes of an arm's events, as the use case's task compares them."""
    review = problem_of(use_case).review
    if review is None:
        task, labels, is_known = known_labels(lakehouse, use_case, events, logged.labels, now)
        return labelled_losses(events.pairs, labels, is_known, events.clusters, task)
    known = known_outcomes(lakehouse, use_case, events, logged.labels, now)
    compared = labelled_pairs if is_paired else labelled_arms
    return compared(events.pairs, known, review)


def _done(lakehouse: Lakehouse, use_case: UseCase, registry: Registry, looked: Looked, now: datetime) -> Looked:
    rollout, verdict = looked.rollout, looked.verdict
    if verdict.kind is None or (verdict.kind == "changed" and verdict.shares == rollout.last_running.shares):
        return looked
    by, settings = By(AUTOMATIC, now), lakehouse.settings
    try:
        if verdict.winner is not None:
            made = rollouts.Change("completed", {}, verdict.reason, by.name, now, evidence=evidence(looked.found))
            changed = conduct.complete(settings, use_case, registry, rollout, made, verdict.winner)
        else:
            more = {"evidence": evidence(looked.found)} | ({"shares": verdict.shares} if verdict.shares else {})
            changed = conduct.change(settings, use_case, rollout, verdict.kind, by, verdict.reason, **more)
            if verdict.kind == "rolled back":
                turn_down(lakehouse, use_case, changed, now)
    except Refused as refused:
        return Looked(rollout, looked.found, Verdict(None, str(refused)))
    return Looked(changed, looked.found, verdict)

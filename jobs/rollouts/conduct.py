"""Start, change and end rollouts: one transaction in the ledger, then the file that workers read follows.

Whoever dies in between is finished by the next call of `published.publish`, which is idempotent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobs.decisions.opened import log_of, was_served
from jobs.errors import Invalid
from jobs.ledger import promotions, rollouts
from jobs.ledger.promotions import Champion
from jobs.ledger.rollouts import Arm, Change, ChangeKind, Refused, Rollout
from jobs.promotion import export_champion, promote
from jobs.rollout_strategy import CHAMPION, Strategy
from jobs.rollouts import published
from jobs.settings import Settings
from jobs.use_case import UseCase, problem_of

if TYPE_CHECKING:
    from jobs.lakehouse.tables import Lakehouse
    from jobs.registry.champion_bundles import Champions


@dataclass(frozen=True)
class Asked:
    """A rollout that somebody asks for."""

    name: str
    strategy: Strategy
    versions: Mapping[str, int]
    """Arm -> the model version that answers for it."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Of an A/B test: arm -> its share; empty: all arms, the champion among them, have the same."""
    traffic: float = 1.0
    """Share of the entities that take part."""
    reason: str = ""


@dataclass(frozen=True)
class By:
    """Who changes a rollout, and when."""

    name: str
    now: datetime
    authenticated: bool = True


def start(lakehouse: Lakehouse, use_case: UseCase, champions: Champions, asked: Asked, by: By) -> Rollout:
    """Export the versions beside the champion, record the rollout, and let workers know.

    Raises:
        Refused: the ledger does not allow it (see `jobs.ledger.rollouts.start`).
        Invalid: there is no champion, or a version, share or name that cannot be.
    """
    settings = lakehouse.settings
    champion = promotions.champion(settings, use_case)
    if champion is None:
        raise Invalid(f"{use_case.name}: expected a champion beside which to roll out, found none; `evergreen run`")
    _check(settings, use_case, champion, asked)
    arms = tuple(_staged(lakehouse, use_case, champions, *each, by.now) for each in asked.versions.items())
    rollout = Rollout(
        use_case.name, asked.name, asked.strategy.stored, arms, champion.version, champion.sha256, 0.0, 0.0, by.now,
        last_stamp(settings, use_case),
    )  # fmt: skip
    first = Change("started", first_shares(asked), asked.reason, by.name, by.now, by.authenticated)
    width = 0.0 if asked.strategy.kind == "shadow" else asked.traffic
    started = rollouts.start(settings, rollout, first, width)
    published.publish(settings, use_case)
    return started


def first_shares(asked: Asked) -> dict[str, float]:
    """Arm -> its share at the start."""
    names, kind = list(asked.versions), asked.strategy.kind
    if kind == "shadow":
        return dict.fromkeys(names, 0.0)
    if kind == "canary":
        return {names[0]: asked.strategy.steps[0]}
    return dict(asked.shares) or dict.fromkeys(names, 1 / (len(names) + 1))


def change(
    settings: Settings, use_case: UseCase, rollout: Rollout, kind: ChangeKind, by: By, reason: str, **more: Any
) -> Rollout:
    """Record a change of a rollout as it was read, and let workers know.

    Args:
        more: `shares` and `evidence`, where they are not those of before, and none.

    Raises Refused as `jobs.ledger.rollouts.change`.
    """
    shares = {} if kind in rollouts.LAST else rollout.last_running.shares
    made = Change(kind, shares, reason, by.name, by.now, by.authenticated)
    changed = rollouts.change(settings, rollout, replace(made, **more))
    published.publish(settings, use_case)
    return changed


def complete(
    settings: Settings, use_case: UseCase, registry: promote.Registry, rollout: Rollout, made: Change, winner: str
) -> Rollout:
    """Make an arm the champion and end the rollout, in one transaction; then models, aliases and workers follow.

    Raises Refused if the ledger does not let it be champion, as another model is by now.
    """
    from jobs.ledger import database
    from jobs.promotion import approvals

    person = approvals.person(settings, use_case, made.by, made.authenticated, made.changed_at)
    decision = _decision(promotions.view(settings, use_case), rollout, rollout.arm(winner), person)
    decision = replace(decision, reason=f"rollout {rollout.name}: {made.reason}")

    def within(connection: Any) -> Rollout:
        decided = promotions.decide_within(connection, decision)
        if decided.outcome != "promoted":
            raise Refused(f"rollout {rollout.name}: expected {winner} to become champion, found {decided.reason}")
        return rollouts.change_within(connection, rollout, made)

    ended = database.repeated(settings, within)
    promote.reconcile(settings, use_case, registry)
    published.publish(settings, use_case)
    return ended


def last_stamp(settings: Settings, use_case: UseCase) -> int:
    """The stamp of the last record of the decision log; 0 if there is none."""
    if not was_served(settings, use_case):
        return 0
    with log_of(settings, use_case) as log:
        return log.last_stamp()


def _decision(ledger: promotions.LedgerView, rollout: Rollout, arm: Arm, person: Any) -> promotions.PromotionDecision:
    last = ledger.last(arm.version)
    waited = last if last is not None and last.outcome == "waiting" else None
    assert ledger.champion is not None, "a rollout stands beside a champion"
    return promotions.PromotionDecision(
        use_case=rollout.use_case,
        decided_at=person.now,
        as_of=max(person.as_of, ledger.champion.since),
        kind="approval",
        outcome="promoted",
        reason="",
        by=person.name,
        authenticated=person.authenticated,
        model_version=arm.version,
        sha256=arm.bundle,
        champion_version=rollout.champion_version,
        digest=waited.digest if waited else None,
        evidence=waited.evidence if waited else {},
        versions=waited.versions if waited else {},
    )


def _staged(
    lakehouse: Lakehouse, use_case: UseCase, champions: Champions, name: str, version: int, now: datetime
) -> Arm:
    exported = export_champion.stage_version(lakehouse, use_case, champions, version, now)
    return Arm(name, version, exported.bundle.sha256, exported.sha256)


def _check(settings: Settings, use_case: UseCase, champion: Champion, asked: Asked) -> None:
    names, ledger = list(asked.versions), promotions.view(settings, use_case)
    if not names or CHAMPION in names or not all(name.isidentifier() for name in (*names, asked.name)):
        raise Invalid(
            f"rollout: expected names of letters, digits and _ for itself and its arms, none of them {CHAMPION}, found "
            f"{asked.name!r} with {names}"
        )
    kind = asked.strategy.kind
    if kind in ("shadow", "canary") and len(names) != 1:
        raise Invalid(
            f"{kind}: expected one version, found {len(names)}; start an `ab` or a `bandit` rollout of several"
        )
    if champion.version in asked.versions.values():
        raise Invalid(f"rollout: expected versions beside the champion, found version {champion.version}, which it is")
    review = problem_of(use_case).review
    if not asked.strategy.shadows and (review is None or review.block is not None):
        reason = "there is no review" if review is None else "events may be blocked (Review.block)"
        raise Invalid(f"{kind}: expected shadows where {reason}, found a strategy without; set shadows")
    shares = asked.shares
    if shares and (set(shares) != set(names) or min(shares.values()) < 0 or sum(shares.values()) > 1):
        raise Invalid(f"rollout: expected a share of 0 to 1 in all for each of {names}, found {dict(shares)}")
    for version in asked.versions.values():
        if why := promote.barred(ledger, version):
            raise Invalid(f"rollout: {why}")

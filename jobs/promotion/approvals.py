"""Decisions of people about models: approve or reject a version that waits, restore a former champion.

Every decision is a row in the ledger; the caller then updates the registry by `jobs.promotion.promote.reconcile`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jobs.display import listed
from jobs.errors import EvergreenError
from jobs.ledger import promotions
from jobs.ledger.promotions import Champion, LedgerView, PromotionDecision
from jobs.promotion.promote import Registry
from jobs.settings import Settings
from jobs.use_case import UseCase

RECENT_WORLD = timedelta(days=31)
"""A use case whose last decision is older than this is a replay, or a data set that has ended."""


class NotPossible(EvergreenError, ValueError):
    """A person's request that cannot be done; the message holds the reason."""


@dataclass(frozen=True)
class Person:
    """The person who decides, and when."""

    name: str
    authenticated: bool
    """Whether the name was checked: at a terminal the operating system did, in the Dagster UI nothing does."""
    now: datetime
    as_of: datetime
    """The moment of the use case's world."""


def person(settings: Settings, use_case: UseCase, name: str, authenticated: bool, now: datetime) -> Person:
    """A person who decides `now`. The moment of the world is now, or that of the last decision if it is long ago."""
    latest = promotions.latest_moment(settings, use_case)
    as_of = latest if latest is not None and latest < now - RECENT_WORLD else now
    return Person(name, authenticated, now, as_of)


def approve(
    settings: Settings, use_case: UseCase, registry: Registry, version: int, person: Person, because: str = ""
) -> PromotionDecision:
    """Promote a version that waits for a person. Its row says "refused" if the champion is another one by now.

    Args:
        because: the person's reason, which thin evidence needs.

    Raises:
        NotPossible: the version does not wait, its bundle is missing or damaged, or thin evidence comes without reason.
    """
    waiting = _waiting(promotions.view(settings, use_case), version)
    if waiting.evidence.get("provisional") and not because:
        raise NotPossible(
            f"version {version}: expected a reason, as the evidence is too thin to judge it, found none; give it with "
            "--because"
        )
    _verify(settings, use_case, registry, version, waiting.sha256)
    why = f"approved by {person.name}{f', because {because}' if because else ''}: {waiting.reason}"
    answer = _answer(waiting, person, why)
    answer = replace(answer, kind="approval", outcome="promoted")
    return promotions.decide(settings, answer, lambda ledger: _still(ledger, waiting))


def reject(settings: Settings, use_case: UseCase, version: int, person: Person, reason: str) -> PromotionDecision:
    """Turn down a version that waits for a person; it is not judged again.

    Raises:
        NotPossible: the version does not wait.
    """
    waiting = _waiting(promotions.view(settings, use_case), version)
    answer = replace(_answer(waiting, person, reason), kind="rejection", outcome="rejected")
    return promotions.decide(settings, answer)


def rollback(
    settings: Settings, use_case: UseCase, registry: Registry, person: Person, reason: str, to: int | None = None
) -> PromotionDecision:
    """Restore the previous champion, or the one named: its bundle brings model, features and preprocessing.

    Raises:
        NotPossible: there is no former champion, or its bundle is missing or damaged.
    """
    ledger = promotions.view(settings, use_case)
    current, target = ledger.champion, _former(ledger, to)
    if current is None or target is None:
        others = sorted({c.version for c in ledger.champions if current and c.version != current.version})
        expected = "a former champion to go back to" if to is None else f"version {to} to have been champion before"
        if not others:
            raise NotPossible(
                f"rollback: expected {expected}, found no champion before this one: there is none to restore"
            )
        raise NotPossible(
            f"rollback: expected {expected}, found the former champions {others}; name one of them with --to"
        )
    _verify(settings, use_case, registry, target.version, target.sha256)
    return promotions.decide(
        settings,
        PromotionDecision(
            use_case=use_case.name,
            decided_at=person.now,
            as_of=max(person.as_of, current.since),
            kind="rollback",
            outcome="promoted",
            reason=reason,
            by=person.name,
            authenticated=person.authenticated,
            model_version=target.version,
            sha256=target.sha256,
            champion_version=current.version,
        ),
    )


def _waiting(ledger: LedgerView, version: int) -> PromotionDecision:
    last = ledger.last(version)
    if last is None or last.outcome != "waiting":
        last_decision = f"{last.outcome} ({last.reason})" if last else "no decision about it"
        waiting = f"expected one that waits for a person (now: {listed(ledger.waiting)})"
        raise NotPossible(f"version {version}: {waiting}, found {last_decision}")
    return last


def _still(ledger: LedgerView, waiting: PromotionDecision) -> str | None:
    if ledger.last(waiting.model_version) == waiting:
        return None
    return f"version {waiting.model_version} was decided about meanwhile"


def _answer(waiting: PromotionDecision, person: Person, reason: str) -> PromotionDecision:
    """A person's decision, on the evidence that was waiting."""
    moment = max(person.as_of, waiting.as_of)
    return replace(
        waiting, decided_at=person.now, as_of=moment, reason=reason, by=person.name, authenticated=person.authenticated
    )


def _former(ledger: LedgerView, to: int | None) -> Champion | None:
    if to is None:
        return ledger.previous
    former = [c for c in ledger.champions if c.version == to and ledger.champion and ledger.champion.version != to]
    return former[-1] if former else None


def _verify(settings: Settings, use_case: UseCase, registry: Registry, version: int, sha256: str) -> None:
    try:
        registry.fetch(settings, use_case, version, sha256)
    except ValueError as error:
        raise NotPossible(f"version {version} cannot go into production: {error}") from error

"""The champions of a use case as they follow from its promotions: whether a ledger's rows agree, and how they are made
to agree again. Each of both tells the other, so that rows that were deleted from one come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs.ledger.promotions import Champion, LedgerView, PromotionDecision, read_view
from jobs.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from jobs.use_case import UseCase

LOST = "the ledger lost this decision; its champion was kept"


def contradiction(ledger: LedgerView) -> str | None:
    """What was expected and found, if champions and promotions do not tell the same."""
    due = _due([*_lost(ledger), *ledger.decisions])
    if lost := _lost(ledger):
        return f"expected the promotion of {_versions(lost)}, which was in production, found none"
    if due != ledger.champions:
        return f"expected champions as they were promoted ({_versions(due)}), found {_versions(ledger.champions)}"
    return None


def restore(settings: Settings, use_case: UseCase) -> list[str]:
    """Write again what champions or promotions lack; returns what was done, as sentences."""
    from jobs.ledger import database

    return database.repeated(settings, lambda connection: _restore(connection, use_case))


def _restore(connection: sa.Connection, use_case: UseCase) -> list[str]:
    from jobs.ledger import schema

    ledger = read_view(connection, use_case.name)
    lost = _lost(ledger)
    for decision in lost:
        connection.execute(schema.decisions.insert().values(vars(decision)))
    due = _due([*lost, *ledger.decisions])
    if due != ledger.champions:
        table = schema.champions
        connection.execute(table.delete().where(table.c.use_case == use_case.name))
        for each in due:
            connection.execute(table.insert().values(vars(each)))
    done = [f"the promotion of version {each.model_version} is written again" for each in lost]
    return done + ([f"champions are {_versions(due)} again"] if due != ledger.champions else [])


def _due(decisions: Sequence[PromotionDecision]) -> list[Champion]:
    """The champions that promotions lead to: each ends with the next one."""
    promoted = sorted((d for d in decisions if d.outcome == "promoted"), key=lambda decision: decision.id)
    after = [*promoted[1:], None]
    return [
        Champion(
            d.use_case, d.model_version, d.sha256, d.as_of, end.as_of if end else None, d.id, end.id if end else None
        )
        for d, end in zip(promoted, after, strict=False)
    ]


def _lost(ledger: LedgerView) -> list[PromotionDecision]:
    """Promotions of which only the champion is left."""
    known = {d.id for d in ledger.decisions if d.outcome == "promoted"}
    return [
        PromotionDecision(
            use_case=each.use_case, decided_at=each.since, as_of=each.since, kind="promotion", outcome="promoted",
            reason=LOST, by="evergreen", authenticated=False, model_version=each.version, sha256=each.sha256,
            champion_version=before.version if before else None, id=each.decision,
        )
        for before, each in zip([None, *ledger.champions], ledger.champions, strict=False)
        if each.decision not in known
    ]  # fmt: skip


def _versions(records: Sequence[Champion] | Sequence[PromotionDecision]) -> str:
    names = [str(r.version if isinstance(r, Champion) else r.model_version) for r in records]
    return f"version{'s' * (len(names) > 1)} {', '.join(names)}" if names else "none"

"""Who is in production, who was and why: a SQL database in which one transaction is a promotion.

SQLite under the home, or PostgreSQL by `Settings.ledger_url`. Rows are only added, except that a champion's row is
closed when the next one's opens. What a decision rests on is `jobs.promotion.promote`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from jobs.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa

    from jobs.use_case import UseCase

Kind = Literal["promotion", "approval", "rejection", "rollback"]
Outcome = Literal["promoted", "refused", "waiting", "rejected"]
Record = TypeVar("Record")


@dataclass(frozen=True)
class Evaluation:
    """What a gate found, kept under the hash of what was compared: the same comparison is made once."""

    digest: str
    use_case: str
    as_of: datetime
    model_version: int
    sha256: str
    """Of the candidate's bundle."""
    champion_version: int | None
    """Whom it was compared with; None: there was no champion."""
    passed: bool
    needs_person: bool
    """Passed what could be judged, but the champion could not be compared: no promotion without a person."""
    evidence: Mapping[str, Any]
    versions: Mapping[str, Any]


@dataclass(frozen=True)
class PromotionDecision:
    """One row: what was decided about a model version, by whom, on what evidence."""

    use_case: str
    decided_at: datetime
    as_of: datetime
    """The moment of the use case's world; champions hold from here on."""
    kind: Kind
    outcome: Outcome
    reason: str
    by: str
    authenticated: bool
    model_version: int
    sha256: str
    champion_version: int | None
    """The champion that the decision was about to replace, or did."""
    digest: str | None = None
    """Of the evaluation that it rests on; a second promotion with it is the first one."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0


@dataclass(frozen=True)
class Champion:
    """A model version's time in production: from `since` until `until` (None: still)."""

    use_case: str
    version: int
    sha256: str
    since: datetime
    until: datetime | None
    decision: int
    closed_by: int | None = None
    """Id of the decision that ended it."""


@dataclass(frozen=True)
class LedgerView:
    """What the ledger holds about a use case, oldest first."""

    champions: list[Champion]
    decisions: list[PromotionDecision]

    @property
    def champion(self) -> Champion | None:
        """Who is in production."""
        return self.champions[-1] if self.champions else None

    @property
    def rolled_back(self) -> set[int]:
        """Versions whose last time in production ended with a rollback."""
        rollbacks = {d.id for d in self.decisions if d.kind == "rollback"}
        last = {period.version: period for period in self.champions}
        return {version for version, period in last.items() if period.closed_by in rollbacks}

    @property
    def previous(self) -> Champion | None:
        """Whom a rollback restores: the last champion of another version that was not rolled back itself."""
        others = (c for c in reversed(self.champions) if self.champion and c.version != self.champion.version)
        return next((c for c in others if c.version not in self.rolled_back), None)

    @property
    def waiting(self) -> list[int]:
        """Versions that wait for a person."""
        last = {d.model_version: d for d in self.decisions}
        return sorted(version for version, decision in last.items() if decision.outcome == "waiting")

    def last(self, version: int) -> PromotionDecision | None:
        """The last decision about a model version."""
        return next((d for d in reversed(self.decisions) if d.model_version == version), None)


def book(settings: Settings, use_case: UseCase) -> LedgerView:
    """Champions and decisions, read at one moment."""
    from jobs.ledger import database

    with database.transaction(settings) as connection:
        return _book(connection, use_case.name)


def champion(settings: Settings, use_case: UseCase, at: datetime | None = None) -> Champion | None:
    """Who is in production (who was, `at` a moment of the use case's world)."""
    periods = history(settings, use_case)
    if at is not None:
        periods = [p for p in periods if p.since <= at and (p.until is None or at < p.until)]
    return periods[-1] if periods else None


def history(settings: Settings, use_case: UseCase) -> list[Champion]:
    """All champions, oldest first."""
    return book(settings, use_case).champions


def decisions(settings: Settings, use_case: UseCase, kind: Kind | None = None) -> list[PromotionDecision]:
    """All decisions (of one kind), oldest first."""
    return [d for d in book(settings, use_case).decisions if kind in (None, d.kind)]


def latest_moment(settings: Settings, use_case: UseCase) -> datetime | None:
    """The latest moment of the use case's world that the ledger knows: of a decision, or of a night's evidence."""
    import sqlalchemy as sa

    from jobs.ledger import database

    with database.transaction(settings) as connection:
        moments = [
            connection.execute(sa.select(sa.func.max(table.c.as_of)).where(table.c.use_case == use_case.name)).scalar()
            for table in (database.decisions, database.evidence)
        ]
    return max((moment for moment in moments if moment is not None), default=None)


def last_decision(settings: Settings, use_case: UseCase) -> int:
    """Id of the last decision, 0 if there is none: another one means that what follows the ledger is outdated."""
    from jobs.ledger import statements

    if not statements.has_decisions(settings):
        return 0
    query = "select coalesce(max(id), 0) from decisions where use_case = :name"
    return int(statements.execute(settings, query, [{"name": use_case.name}])[0][0])


def evaluation(settings: Settings, digest: str) -> Evaluation | None:
    """What was found when exactly this was compared before."""
    from jobs.ledger import database

    table = database.evaluations
    with database.transaction(settings) as connection:
        found = _read(connection.execute(table.select().where(table.c.digest == digest)), Evaluation)
    return found[0] if found else None


def keep(settings: Settings, found: Evaluation) -> Evaluation:
    """Record an evaluation, unless the same comparison is recorded already; returns the one that is."""
    from jobs.ledger import database

    earlier = database.record_once(settings, database.evaluations.c.digest, vars(found))
    return found if earlier is None else _read([earlier], Evaluation)[0]


def decide(
    settings: Settings, decision: PromotionDecision, check: Callable[[LedgerView], str | None] | None = None
) -> PromotionDecision:
    """Record a decision; if its outcome is "promoted", its model is champion from then on: in one transaction.

    Promoted (or left waiting) is only who was judged against the champion of this moment (compare and set): if
    `champion_version` is in production no more, or the world's time went backwards, the row says "refused" and why.

    Args:
        check: looks at the ledger inside the transaction; what it returns is a reason to refuse.

    Returns:
        The row as recorded; the earlier one, if a promotion with this digest is recorded already.
    """
    from jobs.ledger import database

    return database.repeated(settings, lambda connection: _decide(connection, decision, check))


def _decide(
    connection: sa.Connection, decision: PromotionDecision, check: Callable[[LedgerView], str | None] | None
) -> PromotionDecision:
    from jobs.ledger import database

    found = _book(connection, decision.use_case)
    same = (d for d in found.decisions if d.kind == decision.kind == "promotion" and d.digest == decision.digest)
    if earlier := next(same, None):
        return earlier
    if decision.outcome in ("promoted", "waiting"):
        reason = _outdated(decision, found.champion) or (check(found) if check else None)
        decision = replace(decision, outcome="refused", reason=reason) if reason else decision
    values = {name: value for name, value in vars(decision).items() if name != "id"}
    inserted = connection.execute(database.decisions.insert().returning(database.decisions.c.id).values(values))
    decision = replace(decision, id=inserted.scalar_one())
    if decision.outcome == "promoted":
        _swap(connection, decision)
    return decision


def _outdated(decision: PromotionDecision, current: Champion | None) -> str | None:
    now = current.version if current else None
    if decision.champion_version != now:
        return (
            f"version {decision.model_version} was judged against {_named(decision.champion_version)}, but "
            f"{_named(now)} is in production now; evaluate it again"
        )
    if current and decision.as_of < current.since:
        return (
            f"version {decision.model_version} was judged as of {decision.as_of.isoformat()}, but version "
            f"{current.version} is in production since {current.since.isoformat()}; history is not rewritten"
        )
    return None


def _named(version: int | None) -> str:
    return "no champion" if version is None else f"version {version}"


def _swap(connection: sa.Connection, decision: PromotionDecision) -> None:
    from jobs.ledger import database

    table = database.champions
    standing = (table.c.use_case == decision.use_case) & table.c.until.is_(None)
    connection.execute(table.update().where(standing).values(until=decision.as_of, closed_by=decision.id))
    new = Champion(decision.use_case, decision.model_version, decision.sha256, decision.as_of, None, decision.id)
    connection.execute(table.insert().values(vars(new)))


def _book(connection: sa.Connection, use_case: str) -> LedgerView:
    from jobs.ledger import database

    def rows(table: sa.Table) -> sa.CursorResult[Any]:
        return connection.execute(table.select().where(table.c.use_case == use_case).order_by(table.c.id))

    return LedgerView(_read(rows(database.champions), Champion), _read(rows(database.decisions), PromotionDecision))


def _read(rows: Iterable[sa.Row[Any]], kind: type[Record]) -> list[Record]:
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    return [kind(**{name: row._mapping[name] for name in names}) for row in rows]

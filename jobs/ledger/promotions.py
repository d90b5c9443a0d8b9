"""Present and former champions and the decisions about them: a SQL database in which a promotion is one transaction.

SQLite under the home, or PostgreSQL by `Settings.ledger_url`. Rows are only added, except that a champion's row is
closed when the next one is inserted. For how a decision is made see `jobs.promotion.promote`.
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

DecisionKind = Literal["promotion", "approval", "rejection", "rollback"]
DecisionOutcome = Literal["promoted", "refused", "waiting", "rejected"]
Record = TypeVar("Record")


@dataclass(frozen=True)
class Evaluation:
    """The gate's verdict under the hash of what was compared: the same comparison is made once."""

    digest: str
    use_case: str
    as_of: datetime
    model_version: int
    sha256: str
    """Hash of the candidate's bundle."""
    champion_version: int | None
    """The champion that the candidate was compared with; None: there was none."""
    passed: bool
    needs_person: bool
    """Whether a person must approve a candidate that passed: declared so, or the champion could not be compared."""
    evidence: Mapping[str, Any]
    versions: Mapping[str, Any]


@dataclass(frozen=True)
class PromotionDecision:
    """A decision about a model version: by whom, and on what evidence."""

    use_case: str
    decided_at: datetime
    as_of: datetime
    """The moment of the use case's world; a promoted model is champion from then on."""
    kind: DecisionKind
    outcome: DecisionOutcome
    reason: str
    by: str
    authenticated: bool
    model_version: int
    sha256: str
    champion_version: int | None
    """The champion at the time of the decision, which a promotion replaces."""
    digest: str | None = None
    """Digest of the evaluation behind the decision; a second promotion with the same digest returns the first."""
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
    """The ledger's champions and decisions of a use case, oldest first."""

    champions: list[Champion]
    decisions: list[PromotionDecision]

    @property
    def champion(self) -> Champion | None:
        """The champion in production; None: there was never one."""
        return self.champions[-1] if self.champions else None

    @property
    def rolled_back(self) -> set[int]:
        """Versions whose last time in production ended with a rollback."""
        rollbacks = {d.id for d in self.decisions if d.kind == "rollback"}
        last = {period.version: period for period in self.champions}
        return {version for version, period in last.items() if period.closed_by in rollbacks}

    @property
    def provisional(self) -> bool:
        """Whether the evidence for the champion was too thin to judge it, and none has come since."""
        current = self.champion
        judged = [d for d in self.decisions if current and d.model_version == current.version and d.evidence]
        promoted = [d for d in judged if d.outcome == "promoted"]
        return bool(promoted and promoted[-1].evidence.get("provisional"))

    @property
    def previous(self) -> Champion | None:
        """The champion that a rollback restores: the last one of another version that was not rolled back itself."""
        others = (c for c in reversed(self.champions) if self.champion and c.version != self.champion.version)
        return next((c for c in others if c.version not in self.rolled_back), None)

    @property
    def waiting(self) -> list[int]:
        """Versions that wait for a person's approval."""
        last = {d.model_version: d for d in self.decisions}
        return sorted(version for version, decision in last.items() if decision.outcome == "waiting")

    def last(self, version: int) -> PromotionDecision | None:
        """The last decision about a model version."""
        return next((d for d in reversed(self.decisions) if d.model_version == version), None)


def view(settings: Settings, use_case: UseCase) -> LedgerView:
    """Champions and decisions, read at one moment."""
    from jobs.ledger import database

    with database.transaction(settings) as connection:
        return read_view(connection, use_case.name)


def champion(settings: Settings, use_case: UseCase, at: datetime | None = None) -> Champion | None:
    """The champion now, or `at` a moment of the use case's world; None: there is none."""
    periods = history(settings, use_case)
    if at is not None:
        periods = [p for p in periods if p.since <= at and (p.until is None or at < p.until)]
    return periods[-1] if periods else None


def history(settings: Settings, use_case: UseCase) -> list[Champion]:
    """All champions, oldest first."""
    return view(settings, use_case).champions


def decisions(settings: Settings, use_case: UseCase, kind: DecisionKind | None = None) -> list[PromotionDecision]:
    """All decisions (of one kind), oldest first."""
    return [d for d in view(settings, use_case).decisions if kind in (None, d.kind)]


def latest_moment(settings: Settings, use_case: UseCase) -> datetime | None:
    """The latest moment of the use case's world that the ledger knows: of a decision, or of a night's evidence."""
    import sqlalchemy as sa

    from jobs.ledger import database, schema

    with database.transaction(settings) as connection:
        moments = [
            connection.execute(sa.select(sa.func.max(table.c.as_of)).where(table.c.use_case == use_case.name)).scalar()
            for table in (schema.decisions, schema.evidence)
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
    """The evaluation recorded under a digest; None: this comparison was not made before."""
    from jobs.ledger import database, schema

    table = schema.evaluations
    with database.transaction(settings) as connection:
        stored = _read(connection.execute(table.select().where(table.c.digest == digest)), Evaluation)
    return stored[0] if stored else None


def record_evaluation(settings: Settings, evaluation: Evaluation) -> Evaluation:
    """Record an evaluation unless its comparison is recorded already; returns the recorded one."""
    from jobs.ledger import database, schema

    earlier = database.record_once(settings, schema.evaluations.c.digest, vars(evaluation))
    return evaluation if earlier is None else _read([earlier], Evaluation)[0]


def decide(
    settings: Settings, decision: PromotionDecision, check: Callable[[LedgerView], str | None] | None = None
) -> PromotionDecision:
    """Record a decision; if its outcome is "promoted", its model is champion from then on: in one transaction.

    A model is promoted (or waits) only if it was judged against the champion of this moment (compare and set): if
    `champion_version` is no longer in production, or the world's time went backwards, the outcome becomes "refused".

    Args:
        check: called with the ledger inside the transaction; returns a reason to refuse, or None.

    Returns:
        The decision as recorded; the earlier one if a promotion with this digest is recorded already.
    """
    from jobs.ledger import database

    return database.repeated(settings, lambda connection: decide_within(connection, decision, check))


def decide_within(
    connection: sa.Connection, decision: PromotionDecision, check: Callable[[LedgerView], str | None] | None = None
) -> PromotionDecision:
    """The same within a transaction."""
    from jobs.ledger import schema

    ledger = read_view(connection, decision.use_case)
    same = (d for d in ledger.decisions if d.kind == decision.kind == "promotion" and d.digest == decision.digest)
    if earlier := next(same, None):
        return earlier
    if decision.outcome in ("promoted", "waiting"):
        reason = _outdated(decision, ledger.champion) or (check(ledger) if check else None)
        decision = replace(decision, outcome="refused", reason=reason) if reason else decision
    values = {name: value for name, value in vars(decision).items() if name != "id"}
    inserted = connection.execute(schema.decisions.insert().returning(schema.decisions.c.id).values(values))
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
    from jobs.ledger import schema

    table = schema.champions
    in_production = (table.c.use_case == decision.use_case) & table.c.until.is_(None)
    connection.execute(table.update().where(in_production).values(until=decision.as_of, closed_by=decision.id))
    new = Champion(decision.use_case, decision.model_version, decision.sha256, decision.as_of, None, decision.id)
    connection.execute(table.insert().values(vars(new)))


def read_view(connection: sa.Connection, use_case: str) -> LedgerView:
    """The same within a transaction."""
    from jobs.ledger import schema

    def rows(table: sa.Table) -> sa.CursorResult[Any]:
        return connection.execute(table.select().where(table.c.use_case == use_case).order_by(table.c.id))

    return LedgerView(_read(rows(schema.champions), Champion), _read(rows(schema.decisions), PromotionDecision))


def _read(rows: Iterable[sa.Row[Any]], kind: type[Record]) -> list[Record]:
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    return [kind(**{name: row._mapping[name] for name in names}) for row in rows]

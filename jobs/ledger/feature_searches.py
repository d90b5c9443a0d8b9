"""Searches for features that the retraining loop offers: when one is due, by which numbers, and how that ended.

When one is due is decided in `jobs.retraining.search_offer`. At most one of a use case is due at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from jobs.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa

Outcome = Literal["searched", "recovered"]


@dataclass(frozen=True)
class DueSearch:
    """Quality that stays below what it was before a change, though the change was trained for."""

    changed_on: date
    objective: str
    """In words."""
    before: float
    """Mean of the mature days before the change."""
    after: float
    """Mean of the mature days `since` to `until`."""
    since: date
    until: date
    as_of: datetime
    """Moment of the use case's world at which the search was found to be due."""

    @property
    def message(self) -> str:
        """The numbers in one sentence."""
        return (
            f"a search for features is due: {self.objective} {self.after:.3f} from {self.since} to {self.until}, "
            f"after trainings for the change of {self.changed_on}, {self.before:.3f} before it"
        )


@dataclass(frozen=True)
class RecordedSearch:
    """A search that is or was due."""

    id: int
    due: DueSearch
    ended_at: datetime | None = None
    """None: it is due still."""
    outcome: Outcome | None = None
    result: str = ""


def record(settings: Settings, use_case: str, due: DueSearch, now: datetime) -> None:
    """Record that a search is due, unless one is."""
    from jobs.ledger import database, schema

    values = {**vars(due), "changed_on": str(due.changed_on), "since": str(due.since), "until": str(due.until)}
    values |= {"use_case": use_case, "recorded_at": now}

    def insert(connection: sa.Connection) -> None:
        if open_one(read(connection, use_case)) is None:
            connection.execute(schema.feature_searches.insert().values(values))

    database.repeated(settings, insert)


def end(settings: Settings, recorded: RecordedSearch, outcome: Outcome, result: str, now: datetime) -> None:
    """Record that a search is due no longer; the first end stands."""
    from jobs.ledger import database
    from jobs.ledger.schema import feature_searches as table

    mine = (table.c.id == recorded.id) & table.c.ended_at.is_(None)
    values = {"ended_at": now, "outcome": outcome, "result": result}
    database.repeated(settings, lambda connection: connection.execute(table.update().where(mine).values(values)))


def rows(settings: Settings, use_case: str) -> list[RecordedSearch]:
    """All of a use case, oldest first."""
    from jobs.ledger import database

    with database.transaction(settings) as connection:
        return read(connection, use_case)


def read(connection: sa.Connection, use_case: str) -> list[RecordedSearch]:
    """As `rows`, within a transaction."""
    from jobs.ledger.schema import feature_searches as table

    query = table.select().where(table.c.use_case == use_case).order_by(table.c.id)
    return [_row(row._mapping) for row in connection.execute(query)]


def open_one(recorded: Sequence[RecordedSearch]) -> RecordedSearch | None:
    """The one that is due; None: none is."""
    return next((row for row in recorded if row.ended_at is None), None)


def _row(stored: Any) -> RecordedSearch:
    days: Any = {name: date.fromisoformat(stored[name]) for name in ("changed_on", "since", "until")}
    due = DueSearch(**days, **{name: stored[name] for name in ("objective", "before", "after", "as_of")})
    return RecordedSearch(stored["id"], due, stored["ended_at"], stored["outcome"], stored["result"] or "")

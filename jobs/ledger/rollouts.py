"""Rollouts of models and every change of them: which arms there are, and what share of the traffic each one has.

A rollout has a part of the entities to itself, so that several at once never cross; a change is one row and one
transaction, and a rollout that ended changes no more. How a change is decided is in `jobs.rollouts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from jobs.errors import EvergreenError
from jobs.settings import Settings

if TYPE_CHECKING:
    import sqlalchemy as sa

ChangeKind = Literal["started", "changed", "paused", "resumed", "rolled back", "completed", "aborted"]
LAST: tuple[ChangeKind, ...] = ("rolled back", "completed", "aborted")
"""Changes that end a rollout."""


class Refused(EvergreenError, ValueError):
    """A rollout that cannot start, or a change of one that ended or changed meanwhile; nothing was changed."""


@dataclass(frozen=True)
class Arm:
    """A model version beside the champion."""

    name: str
    version: int
    bundle: str
    """Sha256 of its bundle."""
    sha256: str
    """Sha256 of the manifest of its export."""


@dataclass(frozen=True)
class Change:
    """One change of a rollout."""

    kind: ChangeKind
    shares: Mapping[str, float]
    """Arm -> its share of the rollout's entities from then on; the champion has the rest."""
    reason: str
    by: str
    changed_at: datetime
    authenticated: bool = True
    """Whether the name was checked: at a terminal the operating system did, in the Dagster UI nothing does."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0
    """From 1 on within its rollout."""


@dataclass(frozen=True)
class Rollout:
    """A rollout as it is now."""

    use_case: str
    name: str
    strategy: Mapping[str, Any]
    """As `jobs.rollout_strategy.Strategy` writes it."""
    arms: tuple[Arm, ...]
    champion_version: int
    """The champion of its start; with another one it does not go on."""
    champion_sha256: str
    low: float
    high: float
    """Which part of the entities takes part, as numbers from 0 to 1 (`jobs.rollouts.assignment`)."""
    started_at: datetime
    log_stamp: int
    """Stamp of the last record of the decision log at its start: what it shows comes later."""
    changes: tuple[Change, ...] = ()
    ended_at: datetime | None = None
    id: int = 0

    @property
    def shares(self) -> Mapping[str, float]:
        """Arm -> its share now; none while it is paused or once it ended."""
        return {} if self.state != "running" else self.last_running.shares

    @property
    def last_running(self) -> Change:
        """The last change that set shares."""
        return next(each for each in reversed(self.changes) if each.kind in ("started", "changed", "resumed"))

    @property
    def state(self) -> Literal["running", "paused", "rolled back", "completed", "aborted"]:
        kind = self.changes[-1].kind
        return "running" if kind in ("started", "changed", "resumed") else kind  # type: ignore[return-value]

    def arm(self, name: str) -> Arm:
        """An arm by its name."""
        return next(arm for arm in self.arms if arm.name == name)


def of_use_case(settings: Settings, use_case: str, *, live: bool = False) -> list[Rollout]:
    """Rollouts, oldest first; live: only those that have not ended."""
    from jobs.ledger import database

    with database.transaction(settings) as connection:
        return _read(connection, use_case, live)


def start(settings: Settings, rollout: Rollout, first: Change, width: float) -> Rollout:
    """Record a rollout that takes a share `width` of the entities that no other has; 0: it changes no answer.

    Raises Refused if one of its name is going on, others leave it no room, or another model is champion by now.
    """
    from jobs.ledger import database

    return database.repeated(settings, lambda connection: _start(connection, rollout, first, width))


def change(settings: Settings, rollout: Rollout, wanted: Change) -> Rollout:
    """Record a change of a rollout as it was read.

    Raises Refused if it ended or was changed since.
    """
    from jobs.ledger import database

    return database.repeated(settings, lambda connection: change_within(connection, rollout, wanted))


def _start(connection: sa.Connection, rollout: Rollout, first: Change, width: float) -> Rollout:
    from jobs.ledger import promotions, schema

    others = _read(connection, rollout.use_case, live=True)
    if any(other.name == rollout.name for other in others):
        raise Refused(
            f"rollout {rollout.name}: expected a name that no rollout going on has, found one; abort it, or take "
            "another"
        )
    champion = promotions.read_view(connection, rollout.use_case).champion
    if champion is None or champion.version != rollout.champion_version:
        now = "no model" if champion is None else f"version {champion.version}"
        raise Refused(f"rollout {rollout.name}: expected version {rollout.champion_version} in production, found {now}")
    low = free_part([(other.low, other.high) for other in others], width)
    values: dict[str, Any] = {each.name: getattr(rollout, each.name) for each in fields(Rollout)}
    values |= {"low": low, "high": low + width, "arms": [vars(arm) for arm in rollout.arms]}
    del values["changes"], values["id"]
    table = schema.rollouts
    number = connection.execute(table.insert().returning(table.c.id).values(values)).scalar_one()
    _insert(connection, number, first, 1)
    return _one(connection, number)


def free_part(taken: Sequence[tuple[float, float]], width: float) -> float:
    """Where the first part of the entities of this width begins that nobody has. Raises Refused if there is none."""
    start = 0.0
    for low, high in sorted(part for part in taken if part[0] < part[1]):
        if low - start >= width - _ROUNDING:
            return start
        start = max(start, high)
    if 1 - start >= width - _ROUNDING:
        return start
    raise Refused(
        f"rollout: expected {width:.0%} of the entities that no other rollout has, found too few left; end one, or "
        "take a smaller --traffic"
    )


_ROUNDING = 1e-9


def change_within(connection: sa.Connection, rollout: Rollout, wanted: Change) -> Rollout:
    """The same within a transaction."""
    from jobs.ledger import schema

    now = _one(connection, rollout.id)
    if now.ended_at is not None or len(now.changes) != len(rollout.changes):
        raise Refused(
            f"rollout {rollout.name}: expected it as it was read, found it {now.changes[-1].kind} by "
            f"{now.changes[-1].by} meanwhile; look at it again"
        )
    _insert(connection, rollout.id, wanted, len(now.changes) + 1)
    if wanted.kind in LAST:
        mine = schema.rollouts.c.id == rollout.id
        connection.execute(schema.rollouts.update().where(mine).values(ended_at=wanted.changed_at))
    return _one(connection, rollout.id)


def _insert(connection: sa.Connection, rollout: int, change: Change, number: int) -> None:
    from jobs.ledger.schema import rollout_changes

    connection.execute(rollout_changes.insert().values({**vars(change), "rollout": rollout, "number": number}))


def _one(connection: sa.Connection, number: int) -> Rollout:
    from jobs.ledger.schema import rollouts

    return _with_changes(connection, connection.execute(rollouts.select().where(rollouts.c.id == number)).one())


def _read(connection: sa.Connection, use_case: str, live: bool) -> list[Rollout]:
    from jobs.ledger.schema import rollouts

    query = rollouts.select().where(rollouts.c.use_case == use_case).order_by(rollouts.c.id)
    if live:
        query = query.where(rollouts.c.ended_at.is_(None))
    return [_with_changes(connection, row) for row in connection.execute(query).all()]


def _with_changes(connection: sa.Connection, row: sa.Row[Any]) -> Rollout:
    from jobs.ledger.schema import rollout_changes as table

    names = [each.name for each in fields(Change)]
    found = connection.execute(table.select().where(table.c.rollout == row.id).order_by(table.c.number)).all()
    changes = tuple(Change(**{name: each._mapping[name] for name in names}) for each in found)
    values = dict(row._mapping) | {"arms": tuple(Arm(**arm) for arm in row.arms), "changes": changes}
    return Rollout(**values)

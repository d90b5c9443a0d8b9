"""Looks at one question, numbered: whether a candidate is better than the champion. What a look may spend:
`jobs.stats.alpha_spending`.

Looks are counted from the moment a champion goes into production. A look is its evidence: asked again for the same
evidence, as after a kill, it is the same look. Two looks at once get two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobs.settings import Settings
from jobs.stats.alpha_spending import Look, following, ordinary

if TYPE_CHECKING:
    import sqlalchemy as sa

    from jobs.ledger.promotions import Champion

NOBODY = 0
"""The tenure in which no champion is in production; those of champions are the decisions that began them."""


@dataclass(frozen=True)
class Question:
    """What is looked at: under its digest, at a moment of the use case's world."""

    digest: str
    use_case: str
    champion: Champion | None
    """Whom a candidate is compared with; None: nobody is in production."""
    as_of: datetime
    alpha: float
    """Largest chance that equals ever replace this champion, over all looks."""
    doubted: bool = False
    """Whether an alarm speaks against the champion."""


def take(settings: Settings, question: Question) -> Look:
    """The look at a question: its own if it was taken before, the next one otherwise."""
    from jobs.ledger import database

    return database.repeated(settings, lambda connection: _take(connection, question))


def _take(connection: sa.Connection, question: Question) -> Look:
    from jobs.ledger.schema import looks as table

    mine = table.c.digest == question.digest
    if earlier := connection.execute(table.select().where(mine)).first():
        return _as_taken(earlier)
    tenure = question.champion.decision if question.champion else NOBODY
    look = _following(connection, question, tenure)
    row: dict[str, Any] = {"digest": question.digest, "use_case": question.use_case, "tenure": tenure}
    connection.execute(table.insert().values(row | {"as_of": question.as_of, **look.evidence}))
    return look


def _as_taken(row: sa.Row[Any]) -> Look:
    return Look(row.number, row.level, row.spent, row.alpha)


def _following(connection: sa.Connection, question: Question, tenure: int) -> Look:
    """The next look of a tenure. Releases that did not number looks left evaluations only, each of which was one."""
    import sqlalchemy as sa

    from jobs.ledger.schema import evaluations, looks

    mine = (looks.c.use_case == question.use_case) & (looks.c.tenure == tenure)
    last = connection.execute(looks.select().where(mine).order_by(looks.c.number.desc())).first()
    if last is not None:
        return following(_as_taken(last), question.alpha, question.doubted)
    if question.champion is None:
        return following(None, question.alpha, question.doubted)
    numbered = evaluations.c.digest.in_(sa.select(looks.c.digest))
    judged = (evaluations.c.use_case == question.use_case) & ~numbered & (evaluations.c.digest != question.digest)
    rivals = judged & (evaluations.c.champion_version == question.champion.version)
    since = rivals & (evaluations.c.as_of >= question.champion.since)
    taken = connection.execute(sa.select(sa.func.count()).select_from(evaluations).where(since)).scalar_one()
    return following(ordinary(taken, question.alpha) if taken else None, question.alpha, question.doubted)

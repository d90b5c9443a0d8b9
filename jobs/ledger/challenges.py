"""How a challenger did against the champion when it was trained: evidence that the gate reads, kept under a digest.

A challenger learns from the latest labels, so that no mature rows are left to judge it on. Its cross-fitted comparison
is made once, where it is trained, and recorded here; what the model's own manifest says of it counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobs.settings import Settings

if TYPE_CHECKING:
    from jobs.use_case import UseCase


@dataclass(frozen=True)
class ChallengeRecord:
    """One challenge: which bundle was compared with which champion, on which data, and what was found."""

    digest: str
    use_case: str
    as_of: datetime
    sha256: str
    """Of the challenger's bundle."""
    champion_version: int
    champion_sha256: str
    evidence: Mapping[str, Any]
    versions: Mapping[str, Any]


def keep(settings: Settings, record: ChallengeRecord) -> ChallengeRecord:
    """Record a challenge, unless one with its digest is recorded already; returns the one that is."""
    from jobs.ledger import database

    earlier = database.record_once(settings, database.challenges.c.digest, vars(record))
    return record if earlier is None else ChallengeRecord(**earlier._mapping)


def of_bundle(settings: Settings, use_case: UseCase, sha256: str) -> ChallengeRecord | None:
    """The latest challenge that a bundle was made in; None: it was trained in the usual way."""
    from jobs.ledger import database

    table = database.challenges
    mine = (table.c.use_case == use_case.name) & (table.c.sha256 == sha256)
    with database.transaction(settings) as connection:
        rows = connection.execute(table.select().where(mine).order_by(table.c.as_of.desc(), table.c.digest))
        latest = rows.first()
    return None if latest is None else ChallengeRecord(**latest._mapping)

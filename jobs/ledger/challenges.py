"""Comparisons of challengers with champions, made when a challenger is trained: evidence that the gate reads.

A challenger learns from the latest labels, so that no mature rows are left to judge it on. Its cross-fitted comparison
is made once, at its training, and recorded here; the gate never reads it from the model's own manifest.
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
    """Hash of the challenger's bundle."""
    champion_version: int
    champion_sha256: str
    evidence: Mapping[str, Any]
    versions: Mapping[str, Any]


def record(settings: Settings, challenge: ChallengeRecord) -> ChallengeRecord:
    """Record a challenge unless its digest is recorded already; returns the recorded one."""
    from jobs.ledger import database, schema

    earlier = database.record_once(settings, schema.challenges.c.digest, vars(challenge))
    return challenge if earlier is None else ChallengeRecord(**earlier._mapping)


def of_bundle(settings: Settings, use_case: UseCase, sha256: str) -> ChallengeRecord | None:
    """The latest challenge of a bundle; None: the bundle is of a usual training."""
    from jobs.ledger import database, schema

    table = schema.challenges
    mine = (table.c.use_case == use_case.name) & (table.c.sha256 == sha256)
    with database.transaction(settings) as connection:
        rows = connection.execute(table.select().where(mine).order_by(table.c.as_of.desc(), table.c.digest))
        latest = rows.first()
    return None if latest is None else ChallengeRecord(**latest._mapping)

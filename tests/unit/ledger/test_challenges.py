"""Challenges are recorded once and read by the bundle that they are about, on SQLite and a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from jobs.ledger import challenges
from jobs.ledger.challenges import ChallengeRecord
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from jobs.use_cases.returns import RETURNS

AS_OF = datetime(2026, 5, 5, tzinfo=UTC)
RECORD = ChallengeRecord(
    "d1", "fraud", AS_OF, "a" * 64, 1, "b" * 64, {"checks": [{"name": "better_than_champion"}]}, {"fraud.labels": 3}
)


def test_what_was_found_first_under_a_digest_stays(ledger_home: Settings) -> None:
    assert challenges.record(ledger_home, RECORD) == RECORD
    assert challenges.record(ledger_home, replace(RECORD, evidence={"checks": []})) == RECORD
    assert challenges.of_bundle(ledger_home, FRAUD, "a" * 64) == RECORD


def test_the_latest_challenge_of_a_bundle_counts_and_no_other_use_cases(ledger_home: Settings) -> None:
    later = replace(RECORD, digest="d2", as_of=AS_OF + timedelta(days=3))
    for record in (later, RECORD):
        challenges.record(ledger_home, record)
    assert challenges.of_bundle(ledger_home, FRAUD, "a" * 64) == later
    assert challenges.of_bundle(ledger_home, RETURNS, "a" * 64) is None
    assert challenges.of_bundle(ledger_home, FRAUD, "c" * 64) is None

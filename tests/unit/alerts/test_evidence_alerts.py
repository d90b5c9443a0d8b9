"""Alerts about evidence: told while a test alarms and not again; a rollback is told and over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs import settings
from jobs.alerts import evidence_alerts, outbox
from jobs.ledger import promotions
from jobs.retraining.policy import Evidence
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)
CALM = Evidence(NOW, {"drift": 0.4, "concept": 0.2}, NOW.date(), {}, {}, {"fraud.labels": 3})
ALARMED = replace(CALM, scores={"drift": 1.7, "concept": 0.2}, named={"drift": ("amount", "hour")})


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(tmp_path)})


def test_an_alarm_is_told_while_it_lasts_and_again_when_it_is_back(home: Settings) -> None:
    evidence_alerts.settle(home, FRAUD, CALM, NOW)
    assert outbox.recorded(home, resolved=True) == []
    for day in range(3):
        evidence_alerts.settle(home, FRAUD, ALARMED, NOW + day * DAY)
    [told] = outbox.recorded(home)
    assert (told.alert.kind, told.alert.subject, told.notifications) == ("change", "drift", 1)
    assert "amount, hour" in told.alert.message and told.alert.evidence["score"] == 1.7
    evidence_alerts.settle(home, FRAUD, CALM, NOW + 3 * DAY)
    assert outbox.recorded(home) == []
    evidence_alerts.settle(home, FRAUD, ALARMED, NOW + 4 * DAY)
    assert len(outbox.recorded(home)) == 1


def test_a_rollback_is_told_and_over(home: Settings) -> None:
    decision = promotions.PromotionDecision(
        "fraud", NOW, NOW, "rollback", "promoted", "worse on mature labels", "evergreen", True, 3, "a" * 64, 4
    )
    evidence_alerts.rolled_back(home, FRAUD, decision, NOW)
    [told] = outbox.recorded(home, resolved=True)
    assert "Version 4 of fraud was taken back, version 3 is in production again" in told.alert.message
    assert outbox.recorded(home) == [] and told.alert.severity == "error"

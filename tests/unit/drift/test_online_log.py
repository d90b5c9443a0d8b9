"""The asset of every hour: what the prediction log has of the service, judged, shown and alerted about."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from worlds.hours_of_decisions import FIRST, Change, Rows
from worlds.logged_decisions import fill

from assets import online_drift
from jobs.alerts import outbox
from jobs.drift import online_log
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.times import midnight
from jobs.use_cases.fraud import FRAUD

pytestmark = pytest.mark.embedded
HOURS = 33 * 24 + 15
"""A Saturday, 15 o'clock; the last hour that was logged began one hour before."""
NOW = midnight(FIRST) + timedelta(hours=HOURS, minutes=3)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def materialized(home: Settings, now: datetime = NOW) -> tuple[dict[str, Any], dg.AssetCheckEvaluation]:
    result = dg.materialize(online_drift.build(FRAUD), resources={"lakehouse": attach(home), "now": now})
    [event] = result.asset_materializations_for_node(result.get_asset_materialization_events()[0].node_name)
    [check] = result.get_asset_check_evaluations()
    return {name: value.value for name, value in event.metadata.items()}, check


def alerts(home: Settings) -> list[outbox.Alert]:
    return [each.alert for each in outbox.recorded(home, "fraud")]


def inverted(rows: Rows) -> Rows:
    return rows | {"score": 1 - rows["score"]}


def abroad(rows: Rows) -> Rows:
    return rows | {"is_away": np.ones_like(rows["is_away"])}


def last_hours(change: Change, count: int = 1) -> dict[int, Change]:
    return {HOURS - 1 - n: change for n in range(count)}


def test_nothing_decided_is_a_note(home: Settings) -> None:
    metadata, check = materialized(home)
    assert check.passed and metadata["notes"].startswith("no online decisions")
    fill(home, 24 * 3)
    metadata, check = materialized(home, midnight(FIRST) + timedelta(days=3))
    assert check.passed and "fewer than 14 days" in metadata["notes"] and metadata["decisions"] > 0
    metadata, check = materialized(home, midnight(FIRST) + timedelta(days=4, hours=5))
    assert check.passed and "0 decisions" in metadata["notes"]
    assert alerts(home) == []


def test_usual_hours_pass_and_are_shown(home: Settings) -> None:
    fill(home, HOURS)
    metadata, check = materialized(home)
    assert check.passed, check.description
    assert metadata["hours_judged"] == 48 and metadata["named"] == "none" and metadata["model_version"] == 3
    assert "data:image/png" in metadata["by_hour"] and "tx_amount" in metadata["features"]
    assert metadata["hour"] == (NOW.replace(minute=0) - timedelta(hours=1)).timestamp()
    assert alerts(home) == []


def test_a_fault_warns_names_features_and_alerts_until_it_is_over(home: Settings) -> None:
    fill(home, HOURS + 4, last_hours(inverted) | {HOURS - 2: abroad})
    metadata, check = materialized(home)
    assert not check.passed and check.severity is dg.AssetCheckSeverity.WARN
    assert "score" in metadata["named"] and "score" in (check.description or "")
    # What is over for an hour is still named.
    assert "is_away" in metadata["named"] and "country" in metadata["named"]
    [alert] = alerts(home)
    assert (alert.kind, alert.subject, alert.severity) == ("online_drift", "hours", "warning")
    assert "score" in alert.message and alert.evidence["model_version"] == 3
    materialized(home, NOW + timedelta(minutes=20))
    assert [each.notifications for each in outbox.recorded(home, "fraud")] == [1]
    metadata, check = materialized(home, NOW + timedelta(hours=3))
    assert check.passed and metadata["named"] == "none" and alerts(home) == []


def test_other_scores_of_a_new_champion_are_no_drift(home: Settings) -> None:
    fill(home, HOURS - 1)
    fill(home, HOURS, dict.fromkeys(range(HOURS), nothing) | last_hours(inverted), model_version=4)
    found = online_log.measure(attach(home), FRAUD, NOW)
    assert found is not None and found.model_version == 4
    assert "score" not in found.last.features and "tx_amount" in found.last.features and not found.named


def nothing(rows: Rows) -> Rows:
    return {name: values[:0] for name, values in rows.items()}


def test_decisions_of_fallbacks_are_missing_scores(home: Settings) -> None:
    fill(home, HOURS - 1)
    quiet = dict.fromkeys(range(HOURS - 1), nothing)
    fill(home, HOURS, quiet, score=None, model_version=None, fallback="rules", origin="again")
    found = online_log.measure(attach(home), FRAUD, NOW)
    assert found is not None and found.model_version == 3 and found.last.named == ("score",)


def test_nightly_rows_are_none_of_the_service(home: Settings) -> None:
    fill(home, 48, origin="nightly")
    assert online_log.measure(attach(home), FRAUD, midnight(FIRST) + timedelta(days=2)) is None

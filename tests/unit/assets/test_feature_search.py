"""The asset of a search for features: only its own job runs it, and it ends an offer and its alert."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from worlds.bursts import BURSTS, END

from assets import feature_search
from jobs import settings
from jobs.alerts import evidence_alerts, outbox
from jobs.feature_search import outcome
from jobs.feature_search.search import Found
from jobs.feature_search.selection import OUT_OF_TIME, Selection
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import feature_searches
from jobs.ledger.feature_searches import DueSearch
from jobs.tasks.binary import BINARY


def test_a_launched_search_ends_the_offer_and_its_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(lakehouse: Lakehouse, use_case: Any, as_of: Any, *_: Any) -> Found:
        return Found(as_of, BINARY, (), (0.1, 0.1), (0.1, 0.1), None, Selection(ended=OUT_OF_TIME), 10, 5, 0.1)

    monkeypatch.setattr(outcome, "search", found)
    monkeypatch.setattr(feature_search, "moment", lambda *_: END)
    own = settings.load({"EVERGREEN_HOME": str(tmp_path)})
    day = (END - timedelta(days=30)).date()
    due = DueSearch(day, "average precision", 0.7, 0.5, day, day, END - timedelta(days=1))
    feature_searches.record(own, "fraud", due, END)
    evidence_alerts.settle_search(own, BURSTS, due, END)
    assert [each.alert.kind for each in outbox.recorded(own)] == ["feature_search"]
    resources = {"lakehouse": Lakehouse(own), "now": END}
    with dg.DagsterInstance.ephemeral() as instance:
        made = dg.materialize(feature_search.build(BURSTS), resources=resources, instance=instance)
    [row] = feature_searches.rows(own, "fraud")
    assert made.success and row.outcome == "searched" and outbox.recorded(own) == []
    [check] = made.get_asset_check_evaluations()
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN, "its time was over"

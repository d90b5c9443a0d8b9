"""An evening computes what is new since the one before, and shows what one without a cache shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import write_deltalake
from worlds.small_history import START, world, write

from jobs import settings
from jobs.datasets import day_cache, history
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.models.catalog import new_model
from jobs.models.protocol import Examples
from jobs.registry import bundle, model_versions
from jobs.registry.bundle import Manifest
from jobs.registry.champion_bundles import ChampionModel, Champions
from jobs.retraining import measurements, nightly_evidence
from jobs.retraining.monitor import DailyEvidence
from jobs.retraining.policy import Evidence
from jobs.use_cases.fraud import FRAUD

DAY = timedelta(days=1)
CAME = 60
"""The day that the champion came."""
WORLD = world(seed=4, days=75)
NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Rows of each prediction."""
    rows: list[int] = []
    predict = ChampionModel.predict

    def counted(self: ChampionModel, features: Any) -> Any:
        rows.append(len(features))
        return predict(self, features)

    monkeypatch.setattr(ChampionModel, "predict", counted)
    yield rows


@pytest.fixture
def lakehouse(tmp_path: Path) -> Lakehouse:
    """A history until the evening on which a champion comes."""
    home = settings.load({"EVERGREEN_HOME": str(tmp_path)})
    labels = WORLD.labels_at(START + CAME * DAY) == 1
    model = new_model("boosted", {"rounds": 20, "num_leaves": 7})
    model.fit(Examples(WORLD.features, labels, None, WORLD.names), None, seed=0, device="cpu")
    names = tuple((name, "float32") for name in WORLD.names)
    manifest = Manifest("fraud", "boosted", names, 0.5, START.isoformat(), {})
    bundle.write(model_versions.bundle_folder(home, FRAUD, 1), model, manifest)
    return until(home, CAME)


def until(home: settings.Settings, day: int) -> Lakehouse:
    """The history as it is at the end of a day; only the last day's file is new."""
    lakehouse, name = Lakehouse(home), history.table(FRAUD)
    if not lakehouse.exists(name):
        write(home, WORLD, FRAUD, START + day * DAY)
        later = lakehouse.delta(name)
        later.delete(f"event_date >= '{(START + day * DAY).date()}'")
        return Lakehouse(home)
    scratch = write(settings.load({"EVERGREEN_HOME": str(home.home / "all")}), WORLD, FRAUD, START + day * DAY)
    rows = scratch.to_arrow(name, filters=[("event_date", "=", (START + (day - 1) * DAY).date())])
    write_deltalake(lakehouse.path(name), rows, mode="append", partition_by=["event_date"])
    return Lakehouse(home)


def promote(home: settings.Settings) -> None:
    sha256 = bundle.open_bundle(model_versions.bundle_folder(home, FRAUD, 1)).sha256
    moment = START + CAME * DAY
    row = promotions.PromotionDecision(
        "fraud", NOW, moment, "promotion", "promoted", "better", "evergreen", True, 1, sha256, None, "1"
    )
    assert promotions.decide(home, row).outcome == "promoted"


def evening(lakehouse: Lakehouse, day: int, cached: bool = True) -> tuple[Evidence, DailyEvidence]:
    if not cached:
        day_cache.path(lakehouse.settings, FRAUD, nightly_evidence.CACHE).unlink()
    champions, as_of = Champions(lakehouse.settings), START + day * DAY
    return nightly_evidence.evidence(lakehouse, FRAUD, champions, as_of)


def test_evenings_score_their_own_day_and_show_what_they_would_without_a_cache(
    lakehouse: Lakehouse, asked: list[int]
) -> None:
    home, as_of = lakehouse.settings, START + CAME * DAY
    evening(lakehouse, CAME)
    promote(home)
    nightly_evidence.prepare(lakehouse, FRAUD, Champions(home), as_of)
    assert len(asked) > 40
    for day in range(CAME + 1, CAME + 4):
        lakehouse = until(home, day)
        asked.clear()
        found, shown = evening(lakehouse, day)
        assert len(asked) == 1 and shown.drift is not None
        kept = measurements.last(home, FRAUD, found.as_of, shown.versions)
        again, shown_again = evening(Lakehouse(home), day, cached=False)
        assert (again, shown_again) == (found, shown) and len(asked) > 40
        anew = measurements.last(home, FRAUD, found.as_of, shown.versions)
        assert kept is not None and anew is not None and kept.stable is not None and anew.stable is not None
        assert np.array_equal(kept.stable.counts, anew.stable.counts)


def test_a_stable_day_that_was_corrected_is_computed_again(lakehouse: Lakehouse, asked: list[int]) -> None:
    home, name = lakehouse.settings, history.table(FRAUD)
    promote(home)
    lakehouse = until(home, CAME + 1)
    _, before = evening(lakehouse, CAME + 1)
    day = (START + 50 * DAY).date()
    rows = lakehouse.to_arrow(name, filters=[("event_date", "=", day)])
    moved = rows.set_column(rows.schema.get_field_index("a"), "a", rows["b"])
    write_deltalake(lakehouse.path(name), moved, mode="overwrite", predicate=f"event_date = '{day}'")
    asked.clear()
    _, after = evening(Lakehouse(home), CAME + 1)
    assert asked == [rows.num_rows] and after.drift != before.drift
    assert evening(Lakehouse(home), CAME + 1, cached=False)[1] == after

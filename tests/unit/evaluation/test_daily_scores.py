"""Scores kept from night to night are those of the served graph on the same rows, whatever was asked before."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from worlds.judged_rows import TABLE, rows_in
from worlds.judged_world import AS_OF, DAY, USE_CASE, fitted, write_training_set

from jobs import settings
from jobs.evaluation import daily_scores, evaluation_rows
from jobs.lakehouse.tables import Lakehouse
from jobs.models.runtime import score
from jobs.models.tables import features_of
from jobs.registry.bundle import Bundle


@pytest.fixture
def own(tmp_path: Path) -> Lakehouse:
    return write_training_set(settings.load({"EVERGREEN_HOME": str(tmp_path / "home")}), TABLE)


@pytest.fixture
def scored_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of rows of each call of the graph."""
    counts: list[int] = []

    def counted(session: object, features: np.ndarray) -> np.ndarray:
        counts.append(len(features))
        return score(session, features)

    monkeypatch.setattr(daily_scores, "score", counted)
    return counts


def expect_served(lakehouse: Lakehouse, model: Bundle, start: datetime, end: datetime) -> None:
    version = lakehouse.version(USE_CASE.training_set)
    assert version is not None
    rows = evaluation_rows.between(lakehouse, USE_CASE, version, start, end)
    served = score(model.session(), features_of(rows, model.manifest.names))
    np.testing.assert_array_equal(daily_scores.scores(lakehouse, USE_CASE, model, rows, version, "kept"), served)


def rows_of_day(start: datetime) -> int:
    times = TABLE["tx_datetime"].to_pylist()
    return sum(start < moment <= start + DAY for moment in times)


def test_the_next_night_scores_the_new_day_alone(own: Lakehouse, good: Bundle, scored_rows: list[int]) -> None:
    expect_served(own, good, AS_OF - 15 * DAY, AS_OF - 6 * DAY)
    assert len(scored_rows) == 9
    scored_rows.clear()
    expect_served(own, good, AS_OF - 14 * DAY, AS_OF - 5 * DAY)
    assert scored_rows == [rows_of_day(AS_OF - 6 * DAY)]


def test_a_part_of_a_day_is_not_taken_for_the_day(own: Lakehouse, good: Bundle) -> None:
    for hours in (0, 1, 12, 23, 24):
        expect_served(own, good, AS_OF - 9 * DAY + timedelta(hours=hours), AS_OF - 6 * DAY - timedelta(hours=hours))


def test_other_rows_of_a_day_and_another_model_are_scored(
    own: Lakehouse, good: Bundle, tmp_path: Path, scored_rows: list[int]
) -> None:
    start, end = AS_OF - 9 * DAY, AS_OF - 7 * DAY
    expect_served(own, good, start, end)
    other = fitted(tmp_path / "other", rows_in(40, 20), seed=1)
    expect_served(own, other, start, end)
    assert len(scored_rows) == 4 and other.sha256 != good.sha256
    amounts = TABLE["tx_amount"].to_numpy() + 1
    changed = TABLE.set_column(TABLE.column_names.index("tx_amount"), "tx_amount", [amounts])
    expect_served(write_training_set(replace(own.settings), changed), other, start, end)
    assert len(scored_rows) == 6

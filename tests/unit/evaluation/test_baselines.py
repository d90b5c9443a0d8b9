"""What a candidate has to beat: rules that rank, and a logistic regression of what was known."""

from __future__ import annotations

from worlds.judged_rows import START, rows_in
from worlds.judged_world import FEATURES, USE_CASE

from jobs.evaluation import baselines
from jobs.lakehouse.tables import Lakehouse
from jobs.models.features import values_of
from jobs.models.tables import examples_of


def test_the_logistic_baseline_learns_from_whole_latest_days_known_by_then(lakehouse: Lakehouse) -> None:
    version = lakehouse.version(USE_CASE.training_set)
    assert version is not None
    end = START - USE_CASE.label_maturity
    known = baselines.training_rows(lakehouse, USE_CASE, version, FEATURES, end, most=1000)
    days = 4  # of 300 rows each
    expected = examples_of(rows_in(20 + days, 20), FEATURES, "is_fraud")
    assert sorted(values_of(known.features)[:, 1]) == sorted(values_of(expected.features)[:, 1])
    everything = baselines.training_rows(lakehouse, USE_CASE, version, FEATURES, end, most=10**9)
    assert len(everything) == rows_in(40, 20).num_rows

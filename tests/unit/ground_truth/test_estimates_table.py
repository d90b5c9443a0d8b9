"""What an evening expects of its days, when the champion was not in production all of the time."""

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from worlds.small_history import START, world

from jobs.ground_truth import estimates_table
from jobs.ground_truth.concept_drift import concept_drift
from jobs.ground_truth.estimates_table import Expectation
from jobs.ground_truth.held_out_scores import HeldOutScores
from jobs.ground_truth.label_delay import learn_delay
from jobs.ground_truth.labelled_scores import LabelledEvents
from jobs.ground_truth.outcomes import Outcomes, RecentEvents
from jobs.ground_truth.performance import ScoredEvents
from jobs.ground_truth.performance_estimate import Calibration
from jobs.ground_truth.reports import labels
from jobs.models.features import values_of
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD, PROBLEM

DAY = timedelta(days=1)
AS_OF = START + 85 * DAY
HISTORY = world(seed=2, days=85)
SCORES = 1 / (1 + np.exp(-values_of(HISTORY.features)[:, 0].astype(np.float64)))


def expected(monkeypatch: pytest.MonkeyPatch, decided: Any) -> Expectation:
    """By the champion of version 1, which decided about these events; another one decided about the others."""

    def held_out(lakehouse: Any, use_case: Any, bundle: Any, since: datetime, until: datetime) -> HeldOutScores:
        inside = (HISTORY.times > microseconds(since)) & (HISTORY.times <= microseconds(until))
        return HeldOutScores(np.flatnonzero(inside), SCORES[inside])

    monkeypatch.setattr(estimates_table, "held_out", held_out)
    told, ids = HISTORY.labels, np.arange(len(HISTORY))
    known = labels(ids, told.rows, told.known_at, told.values, AS_OF, told.superseded_at)
    delay = learn_delay(HISTORY.times[known.positive], known.known_at[known.positive], AS_OF, FRAUD.label_maturity)
    of: Any = {"known_at": known.known_at, "positive": known.positive, "delay": delay, "as_of": AS_OF}
    events = RecentEvents(ids, LabelledEvents(times=HISTORY.times, **of), pa.table({}))
    scored = ScoredEvents(
        times=HISTORY.times,
        scores=np.where(decided, SCORES, 0.5),
        versions=np.where(decided, 1, 2),
        entities=HISTORY.blocks,
        amounts=HISTORY.amounts,
        **of,
    )
    outcomes, concept = Outcomes(events, scored, ()), concept_drift(scored)
    bundle: Any = SimpleNamespace(manifest=SimpleNamespace(learned_until=START))
    lakehouse: Any = None
    return estimates_table.expect(lakehouse, FRAUD, PROBLEM, (1, bundle), outcomes, concept)


@pytest.mark.parametrize(("gone", "back"), [(20, 84), (60, 70), (0, 80)])
def test_a_restored_champion_is_calibrated_as_if_it_had_never_been_away(
    gone: int, back: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = HISTORY.days - HISTORY.days[0]
    always = expected(monkeypatch, np.ones(len(HISTORY), dtype=bool))
    restored = expected(monkeypatch, (day < gone) | (day >= back))
    assert isinstance(restored.calibration, Calibration) and isinstance(always.calibration, Calibration)
    assert restored.calibration.positives == always.calibration.positives > 100
    np.testing.assert_allclose(restored.calibration.chance(SCORES), always.calibration.chance(SCORES))
    assert restored.calibration_drift == always.calibration_drift and always.calibration_drift.judged
    assert restored.days[-1] == always.days[-1]

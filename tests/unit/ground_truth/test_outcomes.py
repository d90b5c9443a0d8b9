"""Scores of the nightly log joined with what is known of their events, from hand-made tables."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.judged_world import PROBLEM

from jobs import settings
from jobs.drift import classifier_null
from jobs.ground_truth.daily_table import fingerprints
from jobs.ground_truth.outcomes import Outcomes, RecentEvents, events, outcomes
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Groups, Slice
from jobs.scoring import prediction_log
from jobs.scoring.logged_days import logged_days
from jobs.stats.domain_classifier import Null
from jobs.times import NEVER, microseconds
from jobs.use_cases.fraud import FRAUD

DAY, TIME = timedelta(days=1), pa.timestamp("us", "UTC")
AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
NOON = AS_OF - DAY / 2
SINCE = date(2026, 1, 1)
SLICES = (
    Slice("large", "tx_amount", minimum=100),
    Slice("new", "customer_tx_count_30d", maximum=10),
    Slice("risky", "terminal_risk_30d", minimum=0.5),
    Groups("region", "region", source="customers"),
)
EVENTS = pa.schema(
    {"transaction_id": pa.int64(), "tx_datetime": TIME, "customer_id": pa.int64(), "terminal_id": pa.int64(),
     "tx_amount": pa.float64(), "known_at": TIME, "version": pa.int32(), "superseded_at": TIME,
     "event_date": pa.date32()}
)  # fmt: skip
LABELS = pa.schema(
    {"transaction_id": pa.int64(), "is_fraud": pa.bool_(), "known_at": TIME, "superseded_at": TIME,
     "event_date": pa.date32()}
)  # fmt: skip
LOG = pa.schema(
    {"transaction_id": pa.int64(), "tx_datetime": TIME, "score": pa.float32(), "model_version": pa.int64(),
     "origin": pa.string(), "customer_tx_count_30d": pa.float32(), "event_date": pa.date32()}
)  # fmt: skip


def event(number: int, at: datetime = NOON, **more: Any) -> dict[str, Any]:
    row = {"transaction_id": number, "tx_datetime": at, "customer_id": number % 3, "terminal_id": 1, "tx_amount": 10.5}
    return {**row, "known_at": at, "version": 1, "superseded_at": None, "event_date": at.date(), **more}


def report(number: int, known: datetime, fraud: bool = True, until: datetime | None = None) -> dict[str, Any]:
    day = NOON.date()
    return {"transaction_id": number, "is_fraud": fraud, "known_at": known, "superseded_at": until, "event_date": day}


def scored(number: int, score: float, at: datetime = NOON, **more: Any) -> dict[str, Any]:
    row = {"transaction_id": number, "tx_datetime": at, "score": score, "model_version": 1, "origin": "nightly"}
    return {**row, "customer_tx_count_30d": 5.0, "event_date": at.date(), **more}


@pytest.fixture
def lakehouse(tmp_path: Path) -> Lakehouse:
    return Lakehouse(settings.load({"EVERGREEN_HOME": str(tmp_path / "home")}))


def put(lakehouse: Lakehouse, happened: list[Any], reports: list[Any], log: list[Any]) -> None:
    tables = (
        (FRAUD.events, happened, EVENTS),
        (FRAUD.labels, reports, LABELS),
        (prediction_log.table(FRAUD), log, LOG),
    )
    for name, rows, schema in tables:
        table = pa.Table.from_pylist(rows, schema=schema)
        write_deltalake(lakehouse.path(name), table, mode="overwrite", partition_by=["event_date"])


def look(lakehouse: Lakehouse, as_of: datetime = AS_OF, **more: Any) -> Outcomes:
    found = outcomes(lakehouse, FRAUD, PROBLEM, as_of, **more)
    assert found is not None
    return found


def test_a_score_meets_the_first_version_of_its_event_and_its_label(lakehouse: Lakehouse) -> None:
    corrected = event(1, tx_amount=900.0, version=2, known_at=AS_OF - DAY / 4)
    put(lakehouse, [event(0), event(1), corrected], [report(1, AS_OF - DAY / 3)], [scored(1, 0.9), scored(0, 0.2)])
    found = look(lakehouse)
    order = np.argsort(found.scored.scores)
    assert found.scored.amounts is not None
    assert found.scored.amounts[order].tolist() == [10.5, 10.5] and found.scored.positive[order].tolist() == [
        False,
        True,
    ]
    assert found.scored.known_at[order].tolist() == [NEVER, microseconds(AS_OF - DAY / 3)]
    assert found.scored.times.tolist() == [microseconds(NOON)] * 2 and len(found.known) == 2


def test_what_becomes_known_later_changes_nothing(lakehouse: Lakehouse) -> None:
    late = [event(2, known_at=AS_OF + DAY), event(3, at=AS_OF + DAY / 2)]
    put(lakehouse, [event(0)], [report(0, NOON, until=AS_OF + DAY)], [scored(0, 0.5)])
    before = look(lakehouse)
    reports = [report(0, NOON, until=AS_OF + DAY), report(0, AS_OF + DAY, fraud=False), report(2, AS_OF + DAY)]
    put(lakehouse, [event(0), *late], reports, [scored(0, 0.5), scored(2, 0.1), scored(3, 0.1, AS_OF + DAY / 2)])
    after = look(lakehouse)
    assert after.scored.positive.tolist() == before.scored.positive.tolist() == [True]
    assert fingerprints(after.scored, PROBLEM) == fingerprints(before.scored, PROBLEM)
    assert look(lakehouse, AS_OF + 2 * DAY).scored.positive.tolist().count(True) == 1


def test_old_days_are_left_out_and_what_was_decided_online_counts_before_the_night(lakehouse: Lakehouse) -> None:
    long_ago = NOON - 100 * DAY
    log = [scored(0, 0.5), scored(1, 0.6, long_ago), scored(2, 0.75, origin="online"), scored(2, 0.1)]
    put(lakehouse, [event(0), event(1, long_ago), event(2)], [], log)
    assert look(lakehouse).scored.scores.tolist() == [0.5, 0.75]
    assert len(events(lakehouse, FRAUD, AS_OF)) == 2 and len(events(lakehouse, FRAUD, AS_OF - 11 * DAY)) == 1


def test_events_are_read_once_for_the_steps_of_a_run_and_again_when_more_is_known(lakehouse: Lakehouse) -> None:
    put(lakehouse, [event(0)], [], [scored(0, 0.5)])
    first = events(lakehouse, FRAUD, AS_OF)
    assert look(lakehouse, slices=FRAUD.problem.slices if FRAUD.problem else ()).known is first
    assert events(lakehouse, FRAUD, AS_OF + DAY) is not first
    put(lakehouse, [event(0), event(1)], [report(0, NOON)], [scored(0, 0.5)])
    later = events(lakehouse, FRAUD, AS_OF)
    assert len(later) == 2 and later.labelled.positive.tolist() == [True, False]


def test_slices_are_of_events_of_features_and_of_profiles(lakehouse: Lakehouse) -> None:
    happened = [event(0, tx_amount=100.0), event(1), event(2)]
    log = [scored(0, 0.1), scored(1, 0.2, customer_tx_count_30d=50.0), scored(2, 0.3, customer_tx_count_30d=None)]
    put(lakehouse, happened, [], log)
    found = look(lakehouse, slices=SLICES)
    order = np.argsort(found.scored.scores)
    shown = {name: mask[order].tolist() for name, mask in found.scored.slices.items()}
    assert shown == {"large": [True, False, False], "new": [True, False, False]}
    assert found.left_out == (
        "slice risky: no model of these days used terminal_risk_30d",
        "slice region: customers was never loaded",
    )


def test_a_day_changes_with_its_labels_and_not_with_the_order_of_rows(lakehouse: Lakehouse) -> None:
    happened = [event(n) for n in range(20)] + [event(50, NOON - 30 * DAY)]
    log = [scored(n, n / 20) for n in range(20)] + [scored(50, 0.5, NOON - 30 * DAY)]
    put(lakehouse, happened, [], log)
    one = fingerprints(look(lakehouse).scored, PROBLEM)
    put(lakehouse, happened[::-1], [], log[::-1])
    assert fingerprints(look(lakehouse).scored, PROBLEM) == one
    put(lakehouse, happened, [report(3, NOON + DAY / 4)], log)
    other = fingerprints(look(lakehouse).scored, PROBLEM)
    assert [day for day in one if other[day] != one[day]] == [NOON.date()]


def test_without_scores_there_are_no_outcomes(lakehouse: Lakehouse) -> None:
    assert outcomes(lakehouse, FRAUD, PROBLEM, AS_OF) is None and logged_days(lakehouse, FRAUD, AS_OF, SINCE) is None
    put(lakehouse, [event(0)], [], [])
    assert outcomes(lakehouse, FRAUD, PROBLEM, AS_OF) is None and logged_days(lakehouse, FRAUD, AS_OF, SINCE) is None


def test_logged_days_are_those_of_the_last_days_model(lakehouse: Lakehouse) -> None:
    days = {n: NOON - n * DAY for n in range(4)}
    log = [scored(n, 0.5, at, model_version=1 if n > 1 else 2) for n, at in days.items()] + [scored(9, 0.5, days[0])]
    log += [scored(10, 0.5, days[0], model_version=2)]
    put(lakehouse, [], [], log)
    found = logged_days(lakehouse, FRAUD, AS_OF, SINCE)
    assert found is not None and found.model_version == 2
    assert found.rows == {days[1].date(): 1, days[0].date(): 2}
    earlier = logged_days(lakehouse, FRAUD, NOON - 2 * DAY + DAY / 4, SINCE)
    assert earlier is not None and (earlier.model_version, len(earlier.days)) == (1, 2)


def test_a_kept_null_is_that_of_its_model_alone(lakehouse: Lakehouse) -> None:
    assert classifier_null.last(lakehouse.settings, FRAUD, {"bundle": "one"}) == (False, None)
    for null in (Null(0.53, 0.01, 28), None):
        classifier_null.remember(lakehouse.settings, FRAUD, {"bundle": "one"}, null)
        assert classifier_null.last(lakehouse.settings, FRAUD, {"bundle": "one"}) == (True, null)
    assert classifier_null.last(lakehouse.settings, FRAUD, {"bundle": "another"}) == (False, None)


def test_places_of_ids_that_are_texts_and_of_none() -> None:
    labelled: Any = None
    events = RecentEvents(np.array(["a", "b"]), labelled, pa.table({}))
    assert [each.tolist() for each in events.places(np.array(["x", "b"]))] == [[1], [1]]
    assert [each.tolist() for each in events.places(np.array([], dtype=np.int64))] == [[], []]

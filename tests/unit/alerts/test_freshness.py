"""What is late, and how often it is told: by brute force, over random outages, and from real Delta tables."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from jobs.alerts import freshness as late
from jobs.alerts import outbox
from jobs.alerts.freshness import FreshnessFacts
from jobs.lakehouse.tables import Lakehouse
from jobs.ledger import promotions
from jobs.ledger.promotions import PromotionDecision
from jobs.scoring.prediction_log import table as log_of
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from jobs.use_cases.returns import RETURNS

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = date(2026, 11, 1)
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
SIX = 6 * HOUR


def days(*numbers: int) -> frozenset[date]:
    return frozenset(START + n * DAY for n in numbers)


def facts(events: Sequence[int], scored: Sequence[int], since: int | None = 0) -> FreshnessFacts:
    return FreshnessFacts(days(*events), days(*scored), None if since is None else MIDNIGHT + since * DAY)


def late_days(found: FreshnessFacts, as_of: datetime) -> list[str]:
    return [day for alert in late.late_predictions(FRAUD, found, as_of) for day in alert.evidence["days"]]


def test_a_day_is_late_from_its_deadline_on() -> None:
    found = facts(range(5), range(4))
    assert late_days(found, MIDNIGHT + 5 * DAY + SIX - timedelta(microseconds=1)) == []
    assert late_days(found, MIDNIGHT + 5 * DAY + SIX) == ["2026-11-05"]
    assert late_days(facts(range(5), range(5)), MIDNIGHT + 5 * DAY + SIX) == []


def test_a_day_that_never_arrived_is_late_too() -> None:
    assert late_days(facts(range(4), range(4)), MIDNIGHT + 5 * DAY + SIX) == ["2026-11-05"]


def test_a_day_without_events_is_not_late_once_a_later_one_has_some() -> None:
    assert late_days(facts((0, 1, 3), (0, 1, 3)), MIDNIGHT + 4 * DAY + SIX) == []


@given(
    events=st.sets(st.integers(0, 50)), scored=st.sets(st.integers(0, 50)), since=st.none() | st.integers(0, 50),
    hours=st.integers(0, 52 * 24), due=st.integers(0, 72),
)  # fmt: skip
def test_due_days_are_those_of_a_brute_force(
    events: set[int], scored: set[int], since: int | None, hours: int, due: int
) -> None:
    as_of = MIDNIGHT + hours * HOUR
    expected = []
    for n in range(-40, 60):
        end = MIDNIGHT + (n + 1) * DAY
        over = end + due * HOUR <= as_of and end + due * HOUR > as_of - late.LOOK_BACK - DAY
        may_have_events = n in events or n > max(events, default=-100)
        if over and may_have_events and since is not None and end >= MIDNIGHT + since * DAY:
            expected.append(START + n * DAY)
    found = late.expected(facts(sorted(events), sorted(scored), since), due * HOUR, as_of)
    assert found == expected
    runs = late.stretches(found, days(*scored))
    assert [day for run in runs for day in run] == [day for day in expected if day not in days(*scored)]
    for before, after in pairwise(runs):
        assert any(before[-1] < day < after[0] for day in days(*scored) & set(expected))


def test_before_the_first_champion_nobody_could_score() -> None:
    as_of = MIDNIGHT + 5 * DAY + SIX
    assert late_days(facts(range(5), (), since=None), as_of) == []
    assert late_days(facts(range(5), (), since=4), as_of) == ["2026-11-04", "2026-11-05"]


def test_what_is_a_month_old_is_history() -> None:
    assert late_days(facts(range(50), range(1, 50)), MIDNIGHT + 10 * DAY) == ["2026-11-01"]
    assert late_days(facts(range(50), range(1, 50)), MIDNIGHT + 40 * DAY) == []


def live(settings: Settings, scored_at: Mapping[int, datetime], until: int) -> list[str]:
    """Look every six hours; day n is scored at `scored_at[n]` (else an hour after its end). What was told."""
    for tick in range(until * 4):
        now = MIDNIGHT + tick * SIX
        over = [n for n in range(until) if MIDNIGHT + (n + 1) * DAY <= now]
        done = [n for n in over if scored_at.get(n, MIDNIGHT + (n + 1) * DAY + HOUR) <= now]
        known = outbox.open_subjects(settings, "fraud", late.PREDICTIONS)
        found = late.late_predictions(FRAUD, facts(over, done, since=1), now, known)
        if found or known:
            outbox.settle(settings, "fraud", late.PREDICTIONS, found, now)
    return [told.alert.message for told in outbox.recorded(settings, resolved=True)]


@pytest.mark.parametrize(
    ("outage", "tellings"),
    [
        ({}, 0),
        ({3: 5}, 1),  # one day late
        ({3: 7, 4: 7, 5: 7, 6: 7}, 1),  # four days in a row, caught up at once
        ({3: 7, 4: 7.3, 5: 7.6, 6: 8}, 1),  # ... day by day
        ({3: 8, 4: 7.6, 5: 7.3, 6: 7}, 1),  # ... from the last to the first
        ({2: 4, 6: 8}, 2),  # two outages
        ({2: 11, 6: 8}, 2),  # the second within the first
    ],
)
def test_an_outage_is_told_once(
    tmp_path_factory: pytest.TempPathFactory, outage: dict[int, float], tellings: int
) -> None:
    settings = Settings(tmp_path_factory.mktemp("home"))
    told = live(settings, {n: MIDNIGHT + done * DAY for n, done in outage.items()}, 12)
    assert len(told) == tellings, told
    assert outbox.recorded(settings) == []


def test_each_random_outage_is_told_at_least_once_and_at_most_once_a_stretch(tmp_path: Path) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        # Longer than the next day's deadline, so that what is late in a row is so without a break.
        outage = {int(n): MIDNIGHT + (int(n) + 2.5 + rng.random()) * DAY for n in rng.choice(12, 4, replace=False)}
        told = live(Settings(tmp_path / str(seed)), outage, 16)
        gaps = np.split(sorted(outage), np.flatnonzero(np.diff(sorted(outage)) > 1) + 1)
        assert 1 <= len(told) <= len(gaps), (seed, outage, told)


def test_an_alert_says_what_was_expected_what_was_found_and_what_to_do() -> None:
    [alert] = late.late_predictions(FRAUD, facts(range(9), range(3)), MIDNIGHT + 9 * DAY + SIX)
    assert alert.message == (
        "Predictions of fraud for 2026-11-04 and 5 later days were expected 6 hours after the day's end, but are not "
        "in the prediction log: look at the last nightly runs, and materialize batch_predictions of these days."
    )
    assert (alert.kind, alert.subject, alert.severity) == ("late_predictions", "2026-11-04", "error")


def test_features_are_stale_at_their_declared_age_and_told_together() -> None:
    found = FreshnessFacts(features={"f.customer_windows": START, "f.terminal_windows": START + DAY, "f.empty": None})
    end = MIDNIGHT + DAY
    assert late.stale_features(FRAUD, found, end + 36 * HOUR - timedelta(microseconds=1)) == []
    [alert] = late.stale_features(FRAUD, found, end + 36 * HOUR)
    assert alert.message == (
        "Features of fraud were expected to be younger than 36 hours, but the newest day in f.customer_windows is "
        "2026-11-01: look whether raw data arrives and runs succeed."
    )
    [both] = late.stale_features(FRAUD, found, end + 5 * DAY)
    assert both.subject == alert.subject == "fraud" and "2 of 3 feature tables are stale" in both.message
    assert late.stale_features(RETURNS, found, end + 60 * HOUR) == []
    assert late.stale_features(FRAUD, FreshnessFacts(), end) == []


def test_a_use_case_that_predicts_nothing_is_never_late() -> None:
    assert late.late_predictions(replace(FRAUD, problem=None), facts(range(9), ()), MIDNIGHT + 20 * DAY) == []


def write(lakehouse: Lakehouse, table: str, rows: Sequence[tuple[int, str]]) -> None:
    """Daily partitions with an origin per row."""
    data = pa.table({"event_date": [START + n * DAY for n, _ in rows], "origin": [origin for _, origin in rows]})
    write_deltalake(lakehouse.path(table), data, mode="append", partition_by=["event_date"])


def test_facts_come_from_the_tables_metadata(tmp_path: Path) -> None:
    lakehouse = Lakehouse(Settings(tmp_path))
    assert late.read(lakehouse, FRAUD) == FreshnessFacts()
    write(lakehouse, FRAUD.events, [(n, "") for n in range(5)])
    write(lakehouse, log_of(FRAUD), [(0, "nightly"), (1, "nightly"), (1, "online"), (2, "online")])
    write(lakehouse, log_of(FRAUD), [(0, "online"), (3, "nightly")])
    lakehouse.delta(log_of(FRAUD)).delete("event_date = '2026-11-04'")
    customers, terminals, _ = (FRAUD.window_table(windows) for windows in FRAUD.windows)
    write(lakehouse, customers, [(4, ""), (2, "")])
    write(lakehouse, terminals, [(1, "")])
    lakehouse.delta(terminals).delete()
    decision = PromotionDecision(
        "fraud", MIDNIGHT, MIDNIGHT + DAY, "promotion", "promoted", "", "evergreen", True, 1, "0" * 64, None
    )  # fmt: skip
    promotions.decide(lakehouse.settings, decision)
    assert late.read(lakehouse, FRAUD) == FreshnessFacts(
        days(0, 1, 2, 3, 4), days(0, 1), MIDNIGHT + DAY, {customers: START + 4 * DAY, terminals: None}
    )

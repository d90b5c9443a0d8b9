"""Daily partitions follow the registered input."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from jobs import settings
from jobs.ingest import registered_inputs, registration
from jobs.ingest.registered_inputs import InputError, Inputs
from jobs.use_cases.fraud import FRAUD
from orchestration import partitions


def registered(home: Path, first: date, last: date) -> settings.Settings:
    own = settings.load({"EVERGREEN_HOME": str(home)})
    registered_inputs.register(own, FRAUD, Inputs({"transactions": ("payments.parquet",)}, first, last))
    return own


def test_a_history_ends_with_its_last_day(tmp_path: Path) -> None:
    own = registered(tmp_path, date(2018, 4, 1), date(2018, 4, 30))
    found = keys(own)
    assert (found[0], found[-1], len(found)) == (date(2018, 4, 1), date(2018, 4, 30), 30)


def test_a_living_input_goes_on_after_its_last_day(tmp_path: Path) -> None:
    own = registered(tmp_path, date(2026, 11, 1), date(2026, 11, 20))
    days = partitions.daily(own, FRAUD, today=date(2026, 11, 22))
    assert days.start.date() == date(2026, 11, 1) and days.end is None


def test_without_an_input_the_built_in_one_counts(tmp_path: Path) -> None:
    own = settings.load({"EVERGREEN_HOME": str(tmp_path)})
    assert (keys(own)[0], keys(own)[-1]) == (FRAUD.first_day, FRAUD.last_day)


def from_days(home: Path, days: list[date]) -> settings.Settings:
    """A home whose input has an event at noon of each of some days."""
    times = [datetime(day.year, day.month, day.day, 12) for day in days]
    frame = pl.DataFrame({"TRANSACTION_ID": range(len(days)), "TX_DATETIME": times})
    frame = frame.with_columns(CUSTOMER_ID=1, TERMINAL_ID=1, TX_AMOUNT=1.0)
    frame.write_parquet(home / "payments.parquet")
    own = settings.load({"EVERGREEN_HOME": str(home)})
    inputs = registration.describe(FRAUD, {"transactions": [home / "payments.parquet"]}, None)
    registered_inputs.register(own, FRAUD, inputs)
    assert registered_inputs.registered(own, FRAUD) == inputs
    return own


def keys(own: settings.Settings) -> list[date]:
    found = partitions.daily(own, FRAUD, today=date(2026, 11, 22)).get_partition_keys()
    return [date.fromisoformat(key) for key in found]


def test_days_without_events_are_no_partitions(tmp_path: Path) -> None:
    days = [date(2025, 3, n) for n in (1, 2, 5, 6, 30)]
    own = from_days(tmp_path, days)
    assert keys(own) == days
    assert partitions.between(own, FRAUD, date(2025, 3, 3), date(2025, 3, 29)) == (days[2], days[3])
    assert partitions.last_until(own, FRAUD, date(2025, 3, 4)) == "2025-03-02"
    assert partitions.last_until(own, FRAUD, date(2020, 1, 1)) == "2025-03-01"


def test_a_single_event_of_long_ago_makes_no_partitions(tmp_path: Path) -> None:
    lately = [date(2025, 3, 1) + timedelta(days=n) for n in range(40)]
    assert keys(from_days(tmp_path, [date(1999, 1, 1), date(2007, 1, 1), *lately])) == lately


def test_rare_events_do_not_make_thousands_of_partitions(tmp_path: Path) -> None:
    weekly = [date(1999, 1, 1) + timedelta(days=7 * n) for n in range(1300)]
    found = keys(from_days(tmp_path, weekly))
    assert found[-1] == weekly[-1] and 366 <= len(found) <= 500


@pytest.mark.parametrize("as_of", [datetime(1, 1, 1), datetime(2025, 3, 1, 11, 59, 59), datetime(9999, 12, 31)])
def test_a_moment_before_the_first_event_or_to_come_is_refused(tmp_path: Path, as_of: datetime) -> None:
    inputs = registered_inputs.registered(from_days(tmp_path, [date(2025, 3, 1)]), FRAUD)
    assert inputs is not None
    now = datetime(2026, 11, 29, tzinfo=UTC)
    with pytest.raises(InputError, match=r"expected a time from 2025-03-01T12:00:00.* to 2026-11-29T00:00:00"):
        inputs.checked_as_of(as_of.replace(tzinfo=UTC), now)
    for good in (datetime(2025, 3, 1, 12, tzinfo=UTC), now):
        assert inputs.checked_as_of(good, now) == good

"""Daily partitions follow the registered input."""

from datetime import date
from pathlib import Path

from jobs import settings
from jobs.ingest import registered_inputs
from jobs.ingest.registered_inputs import Inputs
from jobs.use_cases.fraud import FRAUD
from orchestration import partitions


def registered(home: Path, first: date, last: date) -> settings.Settings:
    own = settings.load({"EVERGREEN_HOME": str(home)})
    registered_inputs.register(own, FRAUD, Inputs({"transactions": ("payments.parquet",)}, first, last))
    return own


def test_a_history_ends_with_its_last_day(tmp_path: Path) -> None:
    own = registered(tmp_path, date(2018, 4, 1), date(2018, 4, 30))
    keys = partitions.daily(own, FRAUD, today=date(2026, 11, 22)).get_partition_keys()
    assert (keys[0], keys[-1], len(keys)) == ("2018-04-01", "2018-04-30", 30)


def test_a_living_input_goes_on_after_its_last_day(tmp_path: Path) -> None:
    own = registered(tmp_path, date(2026, 11, 1), date(2026, 11, 20))
    days = partitions.daily(own, FRAUD, today=date(2026, 11, 22))
    assert days.start.date() == date(2026, 11, 1) and days.end is None


def test_without_an_input_the_built_in_one_counts(tmp_path: Path) -> None:
    own = settings.load({"EVERGREEN_HOME": str(tmp_path)})
    keys = partitions.daily(own, FRAUD, today=date(2026, 11, 22)).get_partition_keys()
    assert (keys[0], keys[-1]) == (FRAUD.first_day.isoformat(), FRAUD.last_day.isoformat())

"""What arrived at a date without a time is known at the end of that day, however the date is written."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from jobs.ingest import inspection
from jobs.ingest.arrival_dates import ENOUGH_MIDNIGHTS
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import columns_file
from jobs.ingest.parsing import Batch
from jobs.ingest.registered_inputs import InputError
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = [date(2026, 5, 1 + n % 9) for n in range(ENOUGH_MIDNIGHTS)]
MIDNIGHTS = [datetime(day.year, day.month, day.day) for day in DAYS]
ENDS = [datetime(day.year, day.month, day.day, 23, 59, 59, 999_999, UTC) for day in DAYS]


def read(path: Path, times: Sequence[Any] | pl.Series, **declared: Any) -> Batch:
    frame = pl.DataFrame({"TRANSACTION_ID": range(len(times)), "TX_FRAUD": 1, "FRAUD_REPORTED_AT": times})
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    names = columns_file(declared, FRAUD)
    inspected = inspection.inspect(FRAUD_REPORTS, [path], names, {})
    if inspected.problems:
        raise InputError("\n".join(inspected.problems))
    return read_batch(FRAUD_REPORTS, inspected, names, {}, NOW)


def known(batch: Batch) -> list[datetime]:
    return list(batch.frame["known_at"])


WRITTEN: dict[str, list[Any]] = {
    "dates": DAYS,
    "text": [f"{day}" for day in DAYS],
    "times": MIDNIGHTS,
    "times with a zone": [time.replace(tzinfo=UTC) for time in MIDNIGHTS],
    "ISO": [f"{time:%Y-%m-%dT%H:%M:%S}" for time in MIDNIGHTS],
    "ISO with a zone": [f"{time:%Y-%m-%dT%H:%M:%S}.000Z" for time in MIDNIGHTS],
    "minutes": [f"{time:%Y-%m-%d %H:%M}" for time in MIDNIGHTS],
}


@pytest.mark.parametrize("how", WRITTEN)
def test_dates_of_any_type_mean_the_end_of_the_day(tmp_path: Path, how: str) -> None:
    batch = read(tmp_path / "a.parquet", WRITTEN[how])
    assert known(batch) == ENDS and batch.dates_alone == len(DAYS)
    assert batch.midnights == (() if how in ("dates", "text") else ("fraud_reported_at",))


def test_days_are_those_of_the_columns_own_zone_or_of_the_declared_one(tmp_path: Path) -> None:
    berlin = pl.Series(MIDNIGHTS).dt.replace_time_zone("Europe/Berlin")
    ends = [end - timedelta(hours=2) for end in ENDS]
    assert known(read(tmp_path / "a.parquet", berlin)) == ends
    assert known(read(tmp_path / "a.parquet", MIDNIGHTS, timezone="Europe/Berlin")) == ends


def test_one_time_of_day_makes_all_of_them_moments_and_so_do_few(tmp_path: Path) -> None:
    for times in ([*MIDNIGHTS[:-1], MIDNIGHTS[-1] + timedelta(seconds=1)], MIDNIGHTS[1:]):
        batch = read(tmp_path / "a.parquet", times)
        assert known(batch) == [time.replace(tzinfo=UTC) for time in times]
        assert (batch.dates_alone, batch.midnights) == (0, ())


def test_few_midnights_are_dates_if_the_format_has_no_time_of_day(tmp_path: Path) -> None:
    declared = {"fraud_reports": {"fraud_reported_at": {"format": "%Y-%m-%dT00:00:00"}}}
    assert (
        known(read(tmp_path / "a.csv", [f"{time:%Y-%m-%dT%H:%M:%S}" for time in MIDNIGHTS[:3]], **declared)) == ENDS[:3]
    )


def test_a_declared_format_says_whether_a_value_is_a_date(tmp_path: Path) -> None:
    text = [f"{time:%d/%m/%Y}" for time in MIDNIGHTS]
    declared = {"fraud_reports": {"fraud_reported_at": {"format": ["%d/%m/%Y %H:%M", "%d/%m/%Y"]}}}
    assert known(read(tmp_path / "a.csv", text, **declared)) == ENDS
    batch = read(tmp_path / "a.csv", [f"{value} 00:00" for value in text], **declared)
    assert known(batch) == [time.replace(tzinfo=UTC) for time in MIDNIGHTS]
    assert (batch.dates_alone, batch.midnights) == (0, ())


def test_a_date_that_is_an_integer_is_the_date_that_it_is_in_text(tmp_path: Path) -> None:
    numbers = [int(f"{day:%Y%m%d}") for day in DAYS]
    declared = {"fraud_reports": {"fraud_reported_at": {"format": ["%Y%m%d", "s"]}}}
    for path in (tmp_path / "a.csv", tmp_path / "a.parquet"):
        batch = read(path, numbers, **declared)
        assert known(batch) == ENDS and batch.dates_alone == len(DAYS)
    with pytest.raises(InputError, match=r'found Int64; .* say how they are written there: .*\{format: "%Y%m%d"\}'):
        read(tmp_path / "a.parquet", numbers)


def test_a_zone_that_is_none_makes_no_time_without_one(tmp_path: Path) -> None:
    batch = read(tmp_path / "a.csv", ["2026-05-01T10:00:00Z", "2026-05-01 10:00:00 CET", "2026-05-01 99:00"])
    assert known(batch) == [datetime(2026, 5, 1, 10, tzinfo=UTC), None, None]


def test_times_with_and_without_a_zone_in_one_file_are_refused_until_the_zone_is_said(tmp_path: Path) -> None:
    times = ["2026-05-01 10:00:00", "2026-05-01T10:00:00+02:00"]
    with pytest.raises(InputError, match=r"found '2026-05-01 10:00:00' in line 2 and .* say in which zone"):
        read(tmp_path / "a.csv", times)
    said = {"fraud_reports": {"fraud_reported_at": {"timezone": "America/New_York"}}}
    assert [time.hour for time in known(read(tmp_path / "a.csv", times, **said))] == [14, 8]
    assert [time.hour for time in known(read(tmp_path / "a.csv", times, timezone="UTC"))] == [10, 8]

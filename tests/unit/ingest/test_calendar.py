"""Times at the ends of the calendar and beyond it stop nothing, and are kept as the file has them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.ingest import calendar, contracts, inspection, load_warnings, quarantine
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile
from jobs.ingest.contracts import REASONS
from jobs.use_cases.fraud import CUSTOMERS, TRANSACTIONS

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ROW = {"TRANSACTION_ID": 1, "CUSTOMER_ID": 1, "TERMINAL_ID": 5, "TX_AMOUNT": 10.5}
FACES = [-(2**63) + 1, -(2**62), -62_135_596_800_000_001, -62_135_596_800_000_000, -1, 0, 2**62, 2**63 - 1]


def judged(path: Path, zone: str = "UTC") -> tuple[list[int], dict[int, str]]:
    """Ids of the good rows, and of the bad ones the reasons; all of them can be put into quarantine."""
    names = ColumnsFile(zone)
    batch = read_batch(TRANSACTIONS, inspection.inspect(TRANSACTIONS, [path], names, {}), names, {}, NOW)
    checks = contracts.row_checks(TRANSACTIONS, batch.frame.columns, zone, NOW)
    good, bad, _ = contracts.split(batch.frame, checks)
    assert quarantine.entries(bad, batch.files, NOW).height == bad.height
    reasons = bad.select("transaction_id", pl.col(REASONS).list.join("; ")).rows()
    return good["transaction_id"].to_list(), dict(reasons)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_a_year_of_two_digits_is_no_timestamp(tmp_path: Path, zone: str) -> None:
    texts = ["2026-05-01 10:00:00", "26-05-02 11:00:00", "3-5-26 11:00", "26-05-02T11:00:00Z", "026-05-02", "+26-05-02"]
    frame = pl.DataFrame([{**ROW, "TRANSACTION_ID": n, "TX_DATETIME": text} for n, text in enumerate(texts)])
    frame.write_csv(tmp_path / "in.csv")
    good, reasons = judged(tmp_path / "in.csv", zone)
    assert good == [0] and sorted(reasons) == [1, 2, 3, 4, 5]
    assert all(reason.startswith("tx_datetime: no timestamp") for reason in reasons.values())


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0001-01-01 00:00:00", "tx_datetime: implausible, more than 30 years ago"),
        ("0000-01-01 00:00:00", "tx_datetime: implausible, more than 30 years ago"),
        ("1900-01-01", "tx_datetime: implausible, more than 30 years ago"),
        ("1970-01-01T00:00:00Z", "tx_datetime: implausible, more than 30 years ago"),
        ("9999-12-31", "tx_datetime: in the future"),
        ("9999-12-31 23:59:59", "tx_datetime: in the future"),
        ("2262-04-11 23:47:16", "tx_datetime: in the future"),
    ],
)
def test_an_implausible_event_is_quarantined_for_that(tmp_path: Path, text: str, reason: str, zone: str) -> None:
    rows = [{**ROW, "TX_DATETIME": "2026-05-01 10:00:00"}, {**ROW, "TRANSACTION_ID": 2, "TX_DATETIME": text}]
    pl.DataFrame(rows).write_csv(tmp_path / "in.csv")
    assert judged(tmp_path / "in.csv", zone) == ([1], {2: reason})


@given(
    st.lists(st.one_of(st.sampled_from(FACES), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=5),
    st.sampled_from(["ms", "us", "ns"]),
    st.sampled_from([None, "UTC", "Asia/Tokyo"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)
@with_examples(40)
def test_any_number_that_a_file_calls_a_time_is_judged(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], unit: str, zone_in_file: str | None, zone: str
) -> None:
    times = pl.Series(numbers, dtype=pl.Int64).cast(pl.Datetime(unit, zone_in_file))  # type: ignore[arg-type]
    rows = pl.DataFrame([{**ROW, "TRANSACTION_ID": n} for n in range(len(numbers))])
    path = tmp_path_factory.mktemp("times") / "in.parquet"
    rows.with_columns(TX_DATETIME=times).write_parquet(path)
    good, reasons = judged(path, zone)
    assert sorted([*good, *reasons]) == list(range(len(numbers)))


@pytest.mark.parametrize("number", [-(2**31), 2**31 - 1, -719_162, 2_932_896])
def test_any_number_that_a_file_calls_a_date_is_judged(tmp_path: Path, number: int) -> None:
    dates = pl.Series([number], dtype=pl.Int32).cast(pl.Date)
    pl.DataFrame([ROW]).with_columns(TX_DATETIME=dates).write_parquet(tmp_path / "in.parquet")
    good, reasons = judged(tmp_path / "in.parquet")
    assert (good, list(reasons)) == ([], [1])


def test_a_time_beyond_the_calendar_is_kept_as_its_number() -> None:
    kind = pl.Datetime("us")
    frame = pl.DataFrame({"at": pl.Series([2**63 - 1, 0, None], dtype=pl.Int64).cast(kind)})
    kept = frame.select(calendar.as_text(pl.col("at"), kind))["at"].to_list()
    assert kept == ["9223372036854775807", "1970-01-01 00:00:00.000000", None]


def test_a_profile_may_be_older_than_an_event(tmp_path: Path) -> None:
    assert CUSTOMERS.plausible_age > 2 * TRANSACTIONS.plausible_age


@pytest.mark.parametrize("day", [date(1, 1, 1), date(1, 1, 5), date(2026, 5, 1), date(9999, 12, 31)])
def test_the_weeks_before_a_day_end_where_the_calendar_begins(day: date) -> None:
    current, before = load_warnings.reference_days([day])
    assert current == [day]
    assert before == [day - timedelta(days=n) for n in range(28, 0, -1) if (day - date.min).days >= n]

"""What messages advise about values that do not parse works when it is done."""

import re
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from jobs.ingest import contracts, inspection, quarantine
from jobs.ingest.advice import advice
from jobs.ingest.batches import read_batch
from jobs.ingest.columns_file import ColumnsFile, columns_file, read_columns_file
from jobs.ingest.registered_inputs import InputError
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TIME = next(c for c in TRANSACTIONS.columns if c.name == "tx_datetime")
AMOUNT = next(c for c in TRANSACTIONS.columns if c.name == "tx_amount")
LABEL = next(c for c in FRAUD_REPORTS.columns if c.name == "tx_fraud")


@pytest.mark.parametrize(
    ("values", "choices"),
    [
        (["01/02/2026 10:00:00"], ["%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"]),
        (["01/02/2026", "31/01/2026"], ["%d/%m/%Y"]),
        (["1777716000"], ["s"]),
        (["1777716000000"], ["ms"]),
        (["3.5.26 11:00"], ["%d.%m.%y %H:%M"]),
        (["05/03/26"], ["%d/%m/%y", "%m/%d/%y", "%y/%m/%d"]),
        (["20260502"], ["%Y%m%d"]),
    ],
)
def test_the_choices_for_times_are_all_that_fit(values: list[str], choices: list[str]) -> None:
    said = advice(TRANSACTIONS, TIME, pl.Series(values))
    assert re.findall('format: "(.*?)"', said)[: len(choices)] == choices


def test_a_choice_names_a_value_that_tells_it_from_the_others() -> None:
    said = advice(TRANSACTIONS, TIME, pl.Series(["01.01.2026", "01.02.2026", "05.06.2026"]))
    assert """%d.%m.%Y"}}` ('01.02.2026' is then 2026-02-01""" in said
    assert """%m.%d.%Y"}}` ('01.02.2026' is then 2026-01-02""" in said


def test_values_of_the_whole_column_decide_which_choices_fit() -> None:
    minutes = pl.datetime_range(datetime(2026, 1, 1), datetime(2026, 1, 31), "7m", eager=True)
    assert "%m" not in advice(TRANSACTIONS, TIME, minutes.dt.strftime("%d/%m/%Y %H:%M")).split("%d/")[0]
    assert advice(TRANSACTIONS, TIME, minutes.dt.strftime("%d/%m/%Y %H:%M")).count("format") == 1


def test_marks_and_words_are_named() -> None:
    assert 'decimal: ",", thousands: "."' in advice(TRANSACTIONS, AMOUNT, pl.Series(["12,50", "1.234,5"]))
    assert 'decimal: ".", thousands: ","' in advice(TRANSACTIONS, AMOUNT, pl.Series(["1,234.50"]))
    assert "true: [WORDS]" in advice(FRAUD_REPORTS, LABEL, pl.Series(["Y"]))


@pytest.mark.parametrize(
    ("column", "value"), [("TX_DATETIME", "01/02/2026 10:00"), ("TX_DATETIME", "1777716000"), ("TX_AMOUNT", "12,50")]
)
def test_a_file_of_which_nothing_parses_can_be_read_by_what_the_error_says(
    tmp_path: Path, column: str, value: str
) -> None:
    good = {"TRANSACTION_ID": 1, "TX_DATETIME": "2026-05-01", "CUSTOMER_ID": 1, "TERMINAL_ID": 1, "TX_AMOUNT": "1.5"}
    path = tmp_path / "in.csv"
    pl.DataFrame([{**good, column: value}]).write_csv(path)

    def read(names: ColumnsFile) -> pl.DataFrame:
        batch = read_batch(TRANSACTIONS, inspection.inspect(TRANSACTIONS, [path], names, {}), names, {}, NOW)
        checks = contracts.row_checks(TRANSACTIONS, batch.frame.columns, "UTC", NOW)
        good, bad, _ = contracts.split(batch.frame, checks)
        if good.is_empty():
            raise quarantine.no_valid_rows(TRANSACTIONS, batch, quarantine.reason_counts(bad))
        return good

    with pytest.raises(InputError, match=f"{value!r} in line 2 is no ") as caught:
        read(ColumnsFile())
    said = re.findall(r"`(transactions: \{.*?\}\})`", str(caught.value))
    assert said
    for choice in said:
        columns = tmp_path / "columns.yaml"
        columns.write_text(choice)
        assert read(columns_file(read_columns_file(columns), FRAUD)).height == 1

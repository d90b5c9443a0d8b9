"""`evergreen check` tells what a load would do, exits as a load would, and writes nothing."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from orchestration.cli import main

GOOD = "1,2026-05-01 10:00:00,1,5,10.5,0"
HEADER = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "in.csv"


def check(monkeypatch: pytest.MonkeyPatch, file: Path, *lines: str, more: tuple[str, ...] = ("--json",)) -> Result:
    file.write_text("\n".join([HEADER, *lines]))
    return run(monkeypatch, file.parent, "--transactions", str(file), *more)


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> Result:
    home = folder / "home"
    monkeypatch.setenv("EVERGREEN_HOME", str(home))
    before = sorted(folder.rglob("*"))
    result = CliRunner().invoke(main, ["check", *arguments])
    assert sorted(folder.rglob("*")) == before and not home.exists()
    return result


def found(result: Result, name: str = "transactions") -> dict[str, Any]:
    return json.loads(result.stdout)["inputs"][name]


def test_counts_reasons_columns_and_times_are_told(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    bad = ["2,2026-05-02 10:00:00,1,5,much,0", "", "3,2026-05-02,1,5,1.5,0,9", "4,2026-05-03,1,5,-2,0"]
    result = check(monkeypatch, file, GOOD, *bad, "5,2026-05-04 10:00:00,2,5,1.5,1", more=("--json", "--rows", "1"))
    assert (result.exit_code, result.stderr) == (0, "")
    transactions = found(result)
    assert (transactions["read"], transactions["good"]) == (5, 2)
    assert transactions["quarantined"] == [
        {"reason": "tx_amount: no number", "rows": 1, "first": {"file": str(file), "line": 3, "value": "much"}},
        {
            "reason": "more fields than the header has columns",
            "rows": 1,
            "first": {"file": str(file), "line": 5, "value": "3, 2026-05-02, 1, 5, 1.5"},
        },
        {"reason": "tx_amount: below 0", "rows": 1, "first": {"file": str(file), "line": 6, "value": "-2"}},
    ]
    assert transactions["columns"]["tx_datetime"] == {
        "in_file": "TX_DATETIME",
        "kind": "timestamp",
        "format": "%Y-%m-%d %H:%M:%S in UTC, %Y-%m-%d in UTC",
    }
    assert (transactions["first_event"], transactions["last_event"]) == (
        "2026-05-01T10:00:00+00:00",
        "2026-05-04T10:00:00+00:00",
    )
    rows = json.loads(result.stdout)["rows"]
    assert rows["transactions"] == [
        {
            "transaction_id": 1, "tx_datetime": "2026-05-01T10:00:00Z", "customer_id": 1, "terminal_id": 5,
            "tx_amount": 10.5, "known_at": "2026-05-01T10:00:00Z", "event_date": "2026-05-01", "loaded_in": 1,
        }
    ]  # fmt: skip
    # Labels without a date are known a week later, and so after the end of this input.
    assert rows["reports"] == []


def test_a_report_about_an_unknown_payment_is_quarantined_as_a_load_would(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    reports = file.parent / "reports.csv"
    reports.write_text("TRANSACTION_ID,TX_FRAUD,FRAUD_REPORTED_AT\n1,1,2026-05-01T20:00\n77,1,2026-05-01T21:00\n")
    result = check(monkeypatch, file, GOOD, more=("--reports", str(reports), "--json"))
    told = found(result, "reports")
    assert (result.exit_code, told["read"], told["good"]) == (0, 2, 1)
    assert told["quarantined"][0]["reason"] == "unknown transaction_id"
    assert told["quarantined"][0]["first"] == {"file": str(reports), "line": 3, "value": "77"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['1,2026-05-01,1,5,"10.5,0', GOOD], "quote in line 2"),
        (["1,01/02/2026,1,5,10.5,0"], "%d/%m/%Y"),
        (["1,2026-05-01,1,5,1.234,0"], "which is 1.234 or 1234"),
        (["1,1777716000,1,5,10.5,0"], 'format: "s"'),
        ([], "expected rows of transactions"),
    ],
)
def test_what_a_load_would_refuse_ends_with_3_and_the_reason_on_stderr(
    monkeypatch: pytest.MonkeyPatch, file: Path, lines: list[str], message: str
) -> None:
    for more in (("--json",), ()):
        result = check(monkeypatch, file, *lines, more=more)
        assert result.exit_code == 3
        assert message in result.stderr and "Traceback" not in result.stderr
    assert result.stdout.count("\n") < 40


def test_a_refused_file_is_reported_as_far_as_it_could_be_read(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    transactions = found(check(monkeypatch, file, "1,01/02/2026,1,5,10.5,0"))
    assert (transactions["read"], transactions["good"]) == (1, 0)
    assert transactions["quarantined"][0]["first"]["value"] == "01/02/2026"


def test_what_is_suspicious_is_told(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    lines = [
        "1,2026-05-01 10:00:00,C1 ,5,10.5,0", *["2,2026-05-02 10:00:00,C1,5,10.5,0"] * 2,
        "3,03/05/2026,C2,5,10.5,0",
    ]  # fmt: skip
    told = "\n".join(found(check(monkeypatch, file, *lines))["suspicious"])
    for part in (
        "1 values have blanks around them, the first 'C1 ' in line 2; 1 differ from others by blanks only",
        "1 values are no timestamp, the first '03/05/2026' in line 5",
        '%m/%d/%Y"}}` (the first is then 2026-03-05',
        "1 rows repeat another one exactly",
    ):
        assert part in told


def test_a_file_without_labels_is_good_and_what_a_run_needs_is_said(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    pl.DataFrame(
        {"TRANSACTION_ID": [1], "TX_DATETIME": ["2026-05-01"], "CUSTOMER_ID": [1], "TERMINAL_ID": [1], "TX_AMOUNT": [1]}
    ).write_parquet(file.with_suffix(".parquet"))
    result = run(monkeypatch, file.parent, "--transactions", str(file.with_suffix(".parquet")))
    assert result.exit_code == 0
    assert "fraud_reports: a run needs them too" in result.stderr


def test_a_column_twice_in_parquet_is_left_out_if_it_is_not_declared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*HEADER.split(","), "NOTE", "NOTE"]
    values: list[list[object]] = [[1], ["2026-05-01"], [1], [1], [1.5], [0], ["a"], ["b"]]
    pq.write_table(pa.table([pa.array(v) for v in values], names=names), tmp_path / "in.parquet")
    result = run(monkeypatch, tmp_path, "--transactions", str(tmp_path / "in.parquet"), "--json")
    assert result.exit_code == 0 and found(result)["good"] == 1
    pq.write_table(
        pa.table([pa.array(v) for v in values[:7]], names=[*names[:6], "TX_AMOUNT"]), tmp_path / "in.parquet"
    )
    result = run(monkeypatch, tmp_path, "--transactions", str(tmp_path / "in.parquet"), "--json")
    assert result.exit_code == 3 and "expected one column TX_AMOUNT, found TX_AMOUNT, TX_AMOUNT;" in result.stderr


def test_without_a_file_there_must_be_a_registered_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run(monkeypatch, tmp_path)
    assert result.exit_code == 2 and "--transactions FILE" in result.stderr


@pytest.mark.parametrize("name", ["my home", "ho[m]e", "a%20b/c d"])
def test_a_home_that_needs_a_link_is_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    user = tmp_path / "user"
    user.mkdir()
    (tmp_path / "in.csv").write_text(f"{HEADER}\n{GOOD}")
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / name))
    result = CliRunner().invoke(main, ["check", "--transactions", str(tmp_path / "in.csv")])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "user"]
    assert not list(user.iterdir())

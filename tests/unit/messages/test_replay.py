"""Files as messages: each good row is sent as it is in the file, when it became known, and no other."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.errors import Invalid
from jobs.ingest.registered_inputs import registered
from jobs.messages import replay, replay_files
from jobs.messages.replay import Replay, Sent
from jobs.messages.replay_order import Disturbance
from jobs.messages.topics import Topics
from jobs.settings import Settings
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD

NOW = datetime(2026, 6, 1, tzinfo=UTC)
START = datetime(2026, 5, 1, tzinfo=UTC)
PAYMENTS: list[dict[str, Any]] = [
    {"TRANSACTION_ID": 2**53 + 1, "TX_DATETIME": START, "CUSTOMER_ID": 7, "TERMINAL_ID": 1, "TX_AMOUNT": 0.1},
    {"TRANSACTION_ID": 2, "TX_DATETIME": START + timedelta(microseconds=1), "CUSTOMER_ID": 7, "TERMINAL_ID": 2,
     "TX_AMOUNT": 1 / 3},
    {"TRANSACTION_ID": 3, "TX_DATETIME": START + timedelta(days=1, seconds=1), "CUSTOMER_ID": 8, "TERMINAL_ID": 1,
     "TX_AMOUNT": 57.0},
]  # fmt: skip


def planned(folder: Path, files: dict[str, list[dict[str, Any]]], **how: Any) -> Replay:
    """The replay of files with these rows; `how`: the disturbance, `first` and `last`."""
    first, last = how.pop("first", None), how.pop("last", None)
    paths = {}
    for name, rows in files.items():
        paths[name] = [folder / f"{name}.parquet"]
        pl.DataFrame(rows).write_parquet(paths[name][0])
    rows_read = replay_files.read(FRAUD, replay_files.given(FRAUD, paths, None), NOW)
    return replay.plan(Topics(FRAUD), rows_read, Disturbance(**how), first, last)


def moment(message: Sent) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=message.arrived)


def test_a_message_holds_its_row_to_the_last_digit_by_the_names_that_are_declared(tmp_path: Path) -> None:
    messages = list(planned(tmp_path, {"transactions": PAYMENTS}).messages())
    assert [message.topic for message in messages] == ["fraud.transactions"] * 3
    assert [message.key for message in messages] == ["9007199254740993", "2", "3"]
    assert [moment(message) for message in messages] == [row["TX_DATETIME"] for row in PAYMENTS]
    for message, row in zip(messages, PAYMENTS, strict=True):
        sent = json.loads(message.value)
        assert sent.pop("tx_datetime").endswith("Z")
        assert sent == {name.lower(): value for name, value in row.items() if name != "TX_DATETIME"}
        assert datetime.fromisoformat(json.loads(message.value)["tx_datetime"]) == row["TX_DATETIME"]


def test_sources_are_mixed_in_the_order_in_which_rows_became_known(tmp_path: Path) -> None:
    at = START + timedelta(hours=1)
    reports = [{"TRANSACTION_ID": 2, "TX_FRAUD": 1, "FRAUD_REPORTED_AT": at}]
    sent = list(planned(tmp_path, {"transactions": PAYMENTS, "reports": reports}).messages())
    assert [message.topic.partition(".")[2] for message in sent] == [
        "transactions", "transactions", "fraud_reports", "transactions",
    ]  # fmt: skip
    assert json.loads(sent[2].value) == {
        "transaction_id": 2, "tx_fraud": True, "fraud_reported_at": "2026-05-01T01:00:00Z",
    }  # fmt: skip


def test_labels_that_another_file_carries_are_sent_when_they_are_known(tmp_path: Path) -> None:
    carrying = [{**row, "TX_FRAUD": number % 2} for number, row in enumerate(PAYMENTS)]
    sent = [m for m in planned(tmp_path, {"transactions": carrying}).messages() if m.topic == "fraud.fraud_reports"]
    assert [moment(message) for message in sent] == [row["TX_DATETIME"] + timedelta(days=7) for row in PAYMENTS]
    assert [json.loads(message.value)["tx_fraud"] for message in sent] == [False, True, False]


def test_rows_that_break_the_contract_are_counted_and_not_sent(tmp_path: Path) -> None:
    bad = {**PAYMENTS[0], "TRANSACTION_ID": 4, "TX_AMOUNT": -1.0}
    found = planned(tmp_path, {"transactions": [*PAYMENTS, bad]})
    assert [rows.bad for rows in found.rows] == [1] and len(list(found.messages())) == 3


def test_reports_alone_need_no_payments(tmp_path: Path) -> None:
    reports = [{"TRANSACTION_ID": 2, "TX_FRAUD": 1, "FRAUD_REPORTED_AT": START}]
    assert len(list(planned(tmp_path, {"reports": reports}).messages())) == 1


@given(st.integers(0, 60), st.integers(0, 600), st.floats(0, 1), st.integers(0, 2**32 - 1))
@with_examples(20)
def test_days_sent_one_by_one_are_the_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int, late: int, duplicates: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("replay")
    rows = [
        {**PAYMENTS[0], "TRANSACTION_ID": n, "TX_DATETIME": START + timedelta(hours=7 * n % 300)} for n in range(200)
    ]
    how: dict[str, Any] = {"late": timedelta(minutes=late), "duplicates": duplicates, "seed": seed}
    day = date(2026, 4, 30) + timedelta(days=cut % 14)
    whole = list(planned(folder, {"transactions": rows}, **how).messages())
    parts = [planned(folder, {"transactions": rows}, **how, last=day)]
    parts.append(planned(folder, {"transactions": rows}, **how, first=day + timedelta(days=1)))
    assert {m for part in parts for m in part.messages()} == set(whole)
    before = {json.loads(m.value)["tx_datetime"][:10] <= str(day) for m in parts[0].messages()}
    assert before <= {True}
    known = {m.key: microseconds(START + timedelta(hours=7 * int(m.key) % 300)) for m in whole}
    assert all(0 <= m.arrived - known[m.key] <= late * 60_000_000 for m in whole)
    once = list(dict.fromkeys(whole))
    assert once == sorted(once, key=lambda m: m.arrived) and {int(m.key) for m in once} == set(range(200))


def test_without_files_the_built_in_input_is_sent_and_not_registered(tmp_path: Path) -> None:
    def made(folder: Path, _: Any) -> dict[str, Path]:
        folder.mkdir(parents=True)
        pl.DataFrame(PAYMENTS).write_parquet(folder / "payments.parquet")
        return {"transactions": folder / "payments.parquet"}

    home, use_case = Settings(tmp_path), replace(FRAUD, default_input=made)
    rows = replay_files.read(use_case, replay_files.usual(home, use_case), NOW)
    assert [each.frame.height for each in rows] == [3] and registered(home, use_case) is None
    with pytest.raises(Invalid, match="expected files, found none registered, and no built-in input"):
        replay_files.usual(home, replace(FRAUD, default_input=None))

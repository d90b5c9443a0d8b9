"""Review queues and verdicts on real tables: asked once, answered as reports, with reasons when that cannot be."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from click.testing import CliRunner

from assets import actions
from assets.run_context import AS_OF_TAG
from jobs.actions import live_verdict_files, review_queue, verdicts
from jobs.ingest import input_removal, load, registered_inputs
from jobs.ingest.registered_inputs import InputError, Inputs, verdict_folder
from jobs.lakehouse.tables import PARTITION, Lakehouse, attach
from jobs.scoring import live_verdicts
from jobs.scoring.prediction_log import DECIDED, event_columns, table
from jobs.settings import Settings
from jobs.use_case import review_of
from jobs.use_cases.fraud import FRAUD
from orchestration.cli import main

pytestmark = pytest.mark.embedded
DAY = date(2026, 5, 4)
NOW = datetime(2026, 5, 5, 2, tzinfo=UTC)
CAPACITY = review_of(FRAUD).capacity
EVENTS = 400


def moment(hour: float) -> datetime:
    return datetime(2026, 5, 4, tzinfo=UTC) + timedelta(hours=hour)


@pytest.fixture
def scored(lakehouse: Lakehouse) -> Lakehouse:
    """A day of predictions, the labels of three of its riskiest payments, and a day of an online model."""
    rng = np.random.default_rng(0)
    scores = rng.beta(0.5, 5, EVENTS).astype(np.float32)
    rows = {
        "transaction_id": np.arange(EVENTS),
        "customer_id": rng.integers(0, 200, EVENTS),
        "terminal_id": rng.integers(0, 50, EVENTS),
        "tx_datetime": [moment(n / EVENTS * 24) for n in range(EVENTS)],
        "score": scores,
        "model_version": np.ones(EVENTS, np.int64),
        "origin": ["nightly"] * EVENTS,
        PARTITION: [DAY] * EVENTS,
        "tx_amount": rng.exponential(50, EVENTS).astype(np.float32),
    }
    kinds = {name: kind for name, (kind, _) in DECIDED.items()}
    made = pa.table({name: pa.array(values, kinds.get(name)) for name, values in rows.items()})
    made = made.set_column(3, "tx_datetime", made["tx_datetime"].cast(pa.timestamp("us", "UTC")))
    lakehouse.write(table(FRAUD), made, mode="append", schema=made.schema, partition_by=[PARTITION])
    known = pa.table(
        {"transaction_id": risk(made)[:3], "known_at": pa.array([moment(20)] * 3, made["tx_datetime"].type)}
    )
    lakehouse.write(FRAUD.labels, known, mode="append", schema=known.schema)
    return lakehouse


def risk(log: pa.Table) -> list[int]:
    """Ids by expected loss."""
    loss = log["score"].to_numpy() * log["tx_amount"].to_numpy()
    return log["transaction_id"].to_numpy()[np.argsort(-loss, kind="stable")].tolist()


def test_a_day_is_asked_about_once_and_never_of_what_is_known(scored: Lakehouse) -> None:
    found = review_queue.make_queue(scored, FRAUD, DAY, NOW)
    asked = found[FRAUD.event_id].to_pylist()
    assert found.num_rows == CAPACITY == len(set(asked))
    by_risk = risk(scored.to_arrow(table(FRAUD)).sort_by("transaction_id"))
    assert asked[0] == by_risk[3] and not set(by_risk[:3]) & set(asked)
    assert set(found["reason"].to_pylist()) == {"risk", "uncertainty", "random"}
    assert found.schema.names[: len(event_columns(FRAUD))] == list(event_columns(FRAUD))
    version = scored.version(review_queue.table(FRAUD))
    assert review_queue.make_queue(scored, FRAUD, DAY, NOW + timedelta(days=9)).equals(found)
    assert scored.version(review_queue.table(FRAUD)) == version


def judged(lakehouse: Lakehouse, verdicts: list[tuple[int, str, datetime]]) -> None:
    """Verdicts that the decision service took."""
    schema = live_verdicts.schema(FRAUD, pa.int64())
    rows = [
        {"transaction_id": id, "judged_at": at, "verdict": word, "reviewer": "ann", PARTITION: at.date()}
        for id, word, at in verdicts
    ]
    made = pa.Table.from_pylist(rows, schema=schema)
    lakehouse.write(
        live_verdicts.table(FRAUD), made, mode="append", schema=schema, rows=len(rows), partition_by=[PARTITION]
    )


def test_what_was_judged_live_is_left_out_and_takes_its_part_of_the_day(scored: Lakehouse) -> None:
    by_risk = risk(scored.to_arrow(table(FRAUD)).sort_by("transaction_id"))[3:]
    on_day = [(id, "unsure", moment(9)) for id in by_risk[:30]]
    twice, morning_after = (by_risk[0], "positive", moment(10)), (by_risk[30], "negative", moment(25))
    too_late = (by_risk[31], "positive", NOW + timedelta(seconds=1))
    judged(scored, [*on_day, twice, morning_after, too_late])
    found = review_queue.make_queue(scored, FRAUD, DAY, NOW)
    asked = found[FRAUD.event_id].to_pylist()
    assert found.num_rows == CAPACITY - 30 and asked[0] == by_risk[31] and not set(by_risk[:31]) & set(asked)
    reasons = found["reason"].to_pylist()
    assert (reasons.count("risk"), reasons.count("uncertainty"), reasons.count("random")) == (45, 20, 5)


def test_a_day_without_predictions_is_said(scored: Lakehouse) -> None:
    with pytest.raises(review_queue.NothingScored, match="expected predictions of 2026-05-05"):
        review_queue.make_queue(scored, FRAUD, DAY + timedelta(days=1), NOW)


def test_the_asset_shows_the_queue_and_says_when_there_is_none(scored: Lakehouse) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        [asset] = actions.build(FRAUD, dg.DailyPartitionsDefinition(start_date=DAY.isoformat()), {"nodes": {}})
    registered_inputs.register(scored.settings, FRAUD, Inputs({}, DAY, DAY + timedelta(days=1)))
    shown = []
    for day in (DAY, DAY + timedelta(days=1)):
        result = dg.materialize(
            [asset], partition_key=day.isoformat(), tags={AS_OF_TAG: NOW.isoformat()}, resources={"lakehouse": scored}
        )
        [event] = result.get_asset_materialization_events()
        shown.append({k: v.value for k, v in event.step_materialization_data.materialization.metadata.items()})
    assert shown[0]["rows_of_the_last_day"] == CAPACITY and "uncertainty" in str(shown[0]["queue"])
    assert "nothing of" in str(shown[1]["notes"])


def test_the_command_writes_a_file_that_reviewers_fill_in(
    scored: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(scored.settings.home))
    monkeypatch.setenv("EVERGREEN_WAREHOUSE", scored.warehouse)
    out = tmp_path / "queue.csv"
    said = CliRunner().invoke(main, ["review", "list", "--day", str(DAY), "--out", str(out)], catch_exceptions=False)
    assert said.exit_code == 0 and f"{CAPACITY} events of {DAY}" in said.output
    rows = pl.read_csv(out)
    assert rows.height == CAPACITY and {"verdict", "reviewed_at"} <= set(rows.columns)
    assert verdicts._read(out, FRAUD.event_id, NOW, str) == []
    latest = CliRunner().invoke(main, ["review", "list"], catch_exceptions=False)
    assert latest.exit_code == 0 and f"{CAPACITY} events of {DAY}" in latest.output
    listed = json.loads(CliRunner().invoke(main, ["review", "list", "--json"]).stdout)
    assert [row["place"] for row in listed] == list(range(1, CAPACITY + 1))
    missing = CliRunner().invoke(main, ["review", "list", "--day", "2026-05-09"])
    assert missing.exit_code == 1 and "expected predictions of 2026-05-09" in missing.output


@pytest.fixture
def fed(lakehouse: Lakehouse, tmp_path: Path) -> Iterator[Lakehouse]:
    """A home with 20 payments and a report of the first."""
    pl.DataFrame(
        {
            "TRANSACTION_ID": range(20), "TX_DATETIME": [moment(n) for n in range(20)], "CUSTOMER_ID": [1] * 20,
            "TERMINAL_ID": [2] * 20, "TX_AMOUNT": [9.0] * 20,
        }
    ).write_parquet(tmp_path / "transactions.parquet")  # fmt: skip
    pl.DataFrame({"TRANSACTION_ID": [0], "TX_FRAUD": [1], "FRAUD_REPORTED_AT": [moment(21)]}).write_parquet(
        tmp_path / "reports.parquet"
    )
    files = {name: (str(tmp_path / f"{name}.parquet"),) for name in ("transactions", "reports")}
    registered_inputs.register(lakehouse.settings, FRAUD, Inputs(files, DAY, DAY))
    yield lakehouse
    shutil.rmtree(lakehouse.settings.home / "input" / "fraud" / "verdicts", ignore_errors=True)


def loaded(lakehouse: Lakehouse) -> list[tuple[object, ...]]:
    known = registered_inputs.registered(lakehouse.settings, FRAUD)
    assert known is not None
    for name in ("transactions", "fraud_reports"):
        load.load(lakehouse, FRAUD, FRAUD.source(name), known, as_of=NOW, now=NOW)
    kept = ["transaction_id", "tx_fraud", "fraud_reported_at"]
    return sorted(pl.DataFrame(lakehouse.to_arrow("fraud_raw.fraud_reports", columns=kept)).rows())


def test_verdicts_come_back_as_reports(fed: Lakehouse, tmp_path: Path) -> None:
    before = loaded(fed)
    file = tmp_path / "verdicts.csv"
    file.write_text(
        "transaction_id,score,verdict,reviewed_at\n"
        "3,0.9,positive,2026-05-04T22:00:00Z\n4,0.5,Negative,2026-05-04 23:30:00\n5,0.4,unsure,2026-05-04T22:00:00Z\n"
        "6,0.4,,\n0,0.8,negative,2026-05-04T23:00:00Z\n999,0.1,positive,2026-05-04T22:30:00Z\n"
    )
    assert verdicts.register(fed.settings, FRAUD, file, NOW) == 4
    after = loaded(fed)
    assert set(after) - set(before) == {
        (3, True, moment(22)), (4, False, moment(23.5)), (0, False, moment(23)),
    }  # fmt: skip
    # The unknown payment waits in quarantine; the same file again, and a new registration of files, change nothing.
    known = registered_inputs.registered(fed.settings, FRAUD)
    assert verdicts.register(fed.settings, FRAUD, file, NOW) == 4
    assert known == registered_inputs.registered(fed.settings, FRAUD) and loaded(fed) == after
    assert known is not None
    bare = Inputs({name: files[:1] for name, files in known.files.items()}, DAY, DAY)
    assert verdicts.joined(fed.settings, FRAUD, bare).files == known.files


def test_verdicts_of_the_service_come_back_as_reports_each_once(fed: Lakehouse) -> None:
    before, folder = loaded(fed), fed.settings.home / "input" / "fraud" / "verdicts"
    assert live_verdict_files.register(fed, FRAUD) == 0
    judged(fed, [(3, "positive", moment(22)), (5, "unsure", moment(22.1)), (999, "positive", moment(22.2))])
    assert live_verdict_files.register(fed, FRAUD) == 1 and live_verdict_files.register(fed, FRAUD) == 0
    first = [*before, (3, True, moment(22))]
    assert loaded(fed) == sorted(first)  # the unknown payment waits in quarantine
    # The day goes on, and another one begins; the process dies before it is written down that files are there.
    judged(fed, [(3, "negative", moment(23)), (4, "negative", moment(23.5)), (6, "positive", moment(25))])
    memory = fed.settings.state / "fraud" / "live_verdicts.json"
    memory.unlink()
    assert live_verdict_files.register(fed, FRAUD) == 2
    memory.unlink()
    assert live_verdict_files.register(fed, FRAUD) == 0
    more = [(3, False, moment(23)), (4, False, moment(23.5)), (6, True, moment(25))]
    assert loaded(fed) == sorted([*first, *more]) == loaded(fed)
    assert sorted(file.name for file in folder.iterdir()) == ["live-2026-05-04.csv", "live-2026-05-05.csv"]
    # What a person takes back stays away.
    input_removal.remove(fed.settings, FRAUD, ["live-2026-05-04.csv"], NOW)
    judged(fed, [(7, "positive", moment(26))])
    assert live_verdict_files.register(fed, FRAUD) == 1
    assert [file.name for file in folder.iterdir()] == ["live-2026-05-05.csv"]


@pytest.mark.embedded
def test_verdicts_of_the_service_wait_for_files_that_they_can_join(home: Settings, tmp_path: Path) -> None:
    lakehouse = attach(home)
    judged(lakehouse, [(3, "positive", moment(22))])
    assert live_verdict_files.register(lakehouse, FRAUD) == 0
    registered_inputs.register(home, FRAUD, Inputs({"transactions": ("t.parquet",)}, DAY, DAY))
    with pytest.raises(InputError, match="expected files of their own"):
        live_verdict_files.register(lakehouse, FRAUD)
    registered_inputs.register(
        home, FRAUD, Inputs({"transactions": ("t.parquet",), "reports": ("r.parquet",)}, DAY, DAY)
    )
    assert live_verdict_files.register(lakehouse, FRAUD) == 1
    known = registered_inputs.registered(home, FRAUD)
    assert known is not None and known.files["reports"] == ("r.parquet", str(verdict_folder(home, FRAUD).absolute()))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("3,maybe,2026-05-04T22:00:00Z", "expected a verdict among positive, negative, unsure, found 'maybe'"),
        ("3,positive,yesterday", "expected reviewed_at as"),
        ("3,positive,2027-01-01T00:00:00Z", "a review in the past"),
        (",positive,2026-05-04T22:00:00Z", "expected an event"),
    ],
)
def test_lines_that_cannot_be_used_are_named(home: Settings, tmp_path: Path, line: str, wanted: str) -> None:
    files = {"transactions": ("t.parquet",), "reports": ("r.parquet",)}
    registered_inputs.register(home, FRAUD, Inputs(files, DAY, DAY))
    file = tmp_path / "verdicts.csv"
    file.write_text(f"transaction_id,verdict,reviewed_at\n7,negative,2026-05-04T22:00:00Z\n{line}\n")
    with pytest.raises(InputError, match=f"line 3: .*{wanted}"):
        verdicts.register(home, FRAUD, file, NOW)
    assert registered_inputs.registered(home, FRAUD) == Inputs(files, DAY, DAY)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("transaction_id,verdict,reviewed_at\nabc,positive,2026-05-04T22:00:00Z\n", "to be integers .*, found 'abc'"),
        ("transaction_id,verdict,reviewed_at\n3.0,positive,2026-05-04T22:00:00Z\n", "to be integers .*, found '3.0'"),
        ("transaction_id,verdict,reviewed_at\n007,positive,2026-05-04T22:00:00Z\n", "to be integers .*, found '007'"),
        ("transaction_id,verdict,reviewed_at\n999,positive,2026-05-04T22:00:00Z\n", "found none of the 1 ids"),
        ("transaction_id,verdict,reviewed_at\n3,positive,2026-05-04T01:00:00Z\n", "expected a review after its event"),
        ("transaction_id,verdict,reviewed_at\n3,positive,0001-01-01T00:00:00+05:00\n", "expected reviewed_at as"),
        ("transaction_id,verdict,reviewed_at\n3,positive,26-05-04 22:00\n", "expected reviewed_at as"),
        ("transaction_id,verdict,reviewed_at\n3,positive,9999-12-31\n", "expected reviewed_at as"),
        ("transaction_id,verdict,reviewed_at\n3,positive,2026-05-04T22:00:00Z,x\n", "line 2: expected 3 fields"),
        ("transaction_id,verdict,reviewed_at\n3,positive\n", "line 2: expected 3 fields"),
        (
            "transaction_id,verdict,verdict,reviewed_at\n3,positive,negative,2026-05-04T22:00:00Z\n",
            "every column once, found verdict",
        ),
        ('transaction_id,verdict,reviewed_at\n"3,positive,2026-05-04T22:00:00Z\n', "expected a readable CSV file"),
        ("\n\n", "expected lines with the columns"),
    ],
)
@pytest.mark.embedded
def test_a_file_of_verdicts_is_refused_before_anything_is_registered(
    fed: Lakehouse, tmp_path: Path, text: str, wanted: str
) -> None:
    loaded(fed)
    before = registered_inputs.registered(fed.settings, FRAUD)
    file = tmp_path / "verdicts.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=wanted):
        verdicts.register(fed.settings, FRAUD, file, NOW)
    assert registered_inputs.registered(fed.settings, FRAUD) == before
    assert not list((fed.settings.home / "input" / "fraud" / "verdicts").glob("*"))


@pytest.mark.embedded
def test_verdicts_need_loaded_events_and_a_date_alone_is_its_end(fed: Lakehouse, tmp_path: Path) -> None:
    file = tmp_path / "verdicts.csv"
    file.write_text("transaction_id,verdict,reviewed_at\n3,positive,2026-05-04\n")
    files = {name: (str(tmp_path / f"{name}.parquet"),) for name in ("transactions", "reports")}
    bare = replace(fed.settings, home=tmp_path / "bare")
    registered_inputs.register(bare, FRAUD, Inputs(files, DAY, DAY))
    with pytest.raises(InputError, match="found no event yet"):
        verdicts.register(bare, FRAUD, file, NOW)
    before = loaded(fed)
    assert verdicts.register(fed.settings, FRAUD, file, NOW) == 1
    known = min(moment(24) - timedelta(microseconds=1), NOW)
    assert (3, True, known) in loaded(fed) and (3, True, known) not in before


@pytest.mark.embedded
def test_a_registered_file_can_be_taken_back(fed: Lakehouse, tmp_path: Path) -> None:
    """Also a file of verdicts that stops every run: registered by an earlier version, or damaged since."""
    loaded(fed)
    bad = fed.settings.home / "input" / "fraud" / "verdicts" / "0123.csv"
    bad.parent.mkdir(parents=True, exist_ok=True)
    bad.write_text("TRANSACTION_ID,TX_FRAUD,FRAUD_REPORTED_AT\nabc,true,x\n\xff")
    inputs = registered_inputs.registered(fed.settings, FRAUD)
    assert inputs is not None
    registered_inputs.register(fed.settings, FRAUD, verdicts.joined(fed.settings, FRAUD, inputs))
    listed = input_removal.files(fed.settings, FRAUD)
    assert [file.path.name for file in listed] == ["transactions.parquet", "reports.parquet", "0123.csv"]
    with pytest.raises(InputError, match=r"expected one of the registered files .* found no such file"):
        input_removal.remove(fed.settings, FRAUD, ["nothing.csv"], NOW)
    gone = input_removal.remove(fed.settings, FRAUD, ["0123.csv"], NOW)
    assert [file.path for file in gone] == [bad] and not bad.exists()
    left = registered_inputs.registered(fed.settings, FRAUD)
    assert left is not None and left.files == inputs.files
    assert verdicts.joined(fed.settings, FRAUD, left) == left
    (tmp_path / "transactions.parquet").write_bytes(b"damaged")
    input_removal.remove(fed.settings, FRAUD, [str(tmp_path / "transactions.parquet")], NOW)
    assert [file.path.name for file in input_removal.files(fed.settings, FRAUD)] == ["reports.parquet"]
    with pytest.raises(InputError, match="expected a file"):
        loaded(fed)


def test_labels_inside_the_payments_cannot_be_joined(home: Settings, tmp_path: Path) -> None:
    registered_inputs.register(home, FRAUD, Inputs({"transactions": ("t.parquet",)}, DAY, DAY))
    file = tmp_path / "verdicts.csv"
    file.write_text("transaction_id,verdict,reviewed_at\n7,negative,2026-05-04T22:00:00Z\n")
    with pytest.raises(InputError, match="expected files of their own"):
        verdicts.register(home, FRAUD, file, NOW)
    file.write_text("id,verdict\n")
    registered_inputs.register(
        home, FRAUD, Inputs({"transactions": ("t.parquet",), "reports": ("r.parquet",)}, DAY, DAY)
    )
    with pytest.raises(InputError, match="expected lines with the columns transaction_id, verdict, reviewed_at"):
        verdicts.register(home, FRAUD, file, NOW)

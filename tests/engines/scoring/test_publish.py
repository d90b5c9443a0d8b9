"""The table of predictions follows the log day by day: whole days, nothing twice. SQLite, and a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs import settings
from jobs.lakehouse.tables import Lakehouse
from jobs.scoring import prediction_log, publish
from jobs.scoring.predictions_database import PredictionsUnreachable, database
from jobs.use_cases.fraud import FRAUD

FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(3)]
NAMES = ["transaction_id", "customer_id", "terminal_id", "tx_datetime", *publish.COLUMNS]
LOG = prediction_log.table(FRAUD)
EVENT = {"transaction_id": pa.int64(), "customer_id": pa.int64(), "terminal_id": pa.string()}
SCHEMA = prediction_log.schema(FRAUD, EVENT | {"tx_datetime": prediction_log.TIME}, {"tx_amount": "float32"})
Row = dict[str, Any]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lakehouse]:
    """A home with its own database of predictions; no engine is needed."""
    environment = {"EVERGREEN_HOME": str(tmp_path / "home")}
    if request.param == "postgresql":
        import psycopg

        server, name = request.getfixturevalue("postgresql"), f"p{abs(hash(tmp_path))}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        environment["EVERGREEN_PREDICTIONS"] = server.replace("/postgres", f"/{name}")
    yield Lakehouse(settings.load(environment))


def row(number: int, day: date, **more: Any) -> Row:
    at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=9, microseconds=number)
    found = {
        "transaction_id": number,
        "customer_id": number % 3,
        "terminal_id": f't"{number % 2}, é',
        "tx_datetime": at,
    }
    found |= {"scored_at": at + timedelta(days=1), "score": number / 7, "decision": number % 2 == 0, "model_version": 4}
    found |= {"bundle_sha256": "s", "feature_versions": "{}", "arm": "champion", "propensity": 1.0, "origin": "nightly"}
    return found | {"event_date": day, "tx_amount": 1.5} | more


def log(lake: Lakehouse, rows: list[Row], days: list[date]) -> None:
    """Replace these days of the log."""
    listed = ", ".join(f"'{day}'" for day in days)
    there = {"mode": "overwrite", "predicate": f"event_date in ({listed})"} if lake.exists(LOG) else {}
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    write_deltalake(lake.path(LOG), table, partition_by=["event_date"], **there)  # type: ignore[call-overload]


def asked(lake: Lakehouse, query: str) -> list[tuple[Any, ...]]:
    with database(lake.settings) as source, source.connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def there(lake: Lakehouse) -> list[Row]:
    """The rows of the database as Python values, whatever the database made of them."""
    rows = asked(lake, f"select {', '.join(NAMES)} from fraud_predictions order by transaction_id")
    found = [dict(zip(NAMES, values, strict=True)) for values in rows]
    for each in found:
        for name in ("tx_datetime", "scored_at"):
            value = each[name]
            each[name] = (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)
        value = each["event_date"]
        each["event_date"] = date.fromisoformat(value) if isinstance(value, str) else value
        each["decision"] = bool(each["decision"])
    return found


def expected(rows: list[Row]) -> list[Row]:
    return [{name: r[name] for name in NAMES} | {"score": pytest.approx(r["score"], rel=1e-6)} for r in rows]


def test_days_arrive_as_logged_and_only_once(lake: Lakehouse) -> None:
    rows = [row(n, DAYS[n % 2]) for n in range(30)]
    log(lake, rows, DAYS)
    assert publish.publish(lake, FRAUD, DAYS) == {DAYS[0]: 15, DAYS[1]: 15}
    assert there(lake) == expected(rows)
    assert publish.publish(lake, FRAUD, DAYS) == {}


def test_a_day_that_was_scored_again_is_replaced(lake: Lakehouse) -> None:
    log(lake, [row(n, DAYS[n % 2]) for n in range(6)], DAYS)
    publish.publish(lake, FRAUD, DAYS)
    again = [row(n, DAYS[0], score=0.25, model_version=5) for n in (0, 2, 8)]
    log(lake, again, DAYS[:1])
    assert publish.publish(lake, FRAUD, DAYS) == {DAYS[0]: 3}
    assert there(lake) == expected(
        sorted([*again, *(row(n, DAYS[1]) for n in (1, 3, 5))], key=lambda r: r["transaction_id"])
    )
    log(lake, [], DAYS[:1])
    assert publish.publish(lake, FRAUD, DAYS) == {DAYS[0]: 0}
    assert [r["transaction_id"] for r in there(lake)] == [1, 3, 5]


def test_what_was_decided_online_is_not_published(lake: Lakehouse) -> None:
    log(lake, [row(1, DAYS[0]), row(1, DAYS[0], origin="online"), row(2, DAYS[0], origin="online")], DAYS)
    assert publish.publish(lake, FRAUD, DAYS) == {DAYS[0]: 1}


def test_a_day_is_there_whole_or_not_at_all(lake: Lakehouse) -> None:
    log(lake, [row(n, DAYS[0]) for n in range(4)], DAYS)
    publish.publish(lake, FRAUD, DAYS)
    batch = pa.RecordBatch.from_pylist(
        [{n: row(9, DAYS[0])[n] for n in NAMES}], pa.schema([SCHEMA.field(n) for n in NAMES])
    )
    reached, go_on = threading.Event(), threading.Event()

    def broken() -> Iterator[pa.RecordBatch]:
        yield batch
        reached.set()
        assert go_on.wait(30)
        raise OSError("the log's store went away")

    def write() -> None:
        with database(lake.settings) as target:
            target.replace("fraud_predictions", DAYS[0], "new", broken())

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        assert reached.wait(30)
        assert [r["transaction_id"] for r in there(lake)] == [0, 1, 2, 3]
        go_on.set()
        with pytest.raises(OSError, match="went away"):
            writing.result()
    assert [r["transaction_id"] for r in there(lake)] == [0, 1, 2, 3]
    assert publish.publish(lake, FRAUD, DAYS) == {}


KILLED = """
import sys
from datetime import date
import pyarrow as pa
from jobs import settings
from jobs.scoring.predictions_database import database

day = date.fromisoformat(sys.argv[1])

def batches():
    for number in range(100, 10_000_000):
        yield pa.RecordBatch.from_pylist([{"transaction_id": number, "event_date": day}])
        print(number, flush=True)

with database(settings.load()) as target:
    target.replace("fraud_predictions", day, "new", batches())
"""


def test_a_killed_process_leaves_the_day_as_it_was(lake: Lakehouse) -> None:
    log(lake, [row(n, DAYS[0]) for n in range(4)], DAYS)
    publish.publish(lake, FRAUD, DAYS)
    environment = {**os.environ, "EVERGREEN_HOME": str(lake.settings.home)}
    environment |= (
        {"EVERGREEN_PREDICTIONS": lake.settings.predictions_url.reveal()} if lake.settings.predictions_url else {}
    )
    command = [sys.executable, "-c", KILLED, DAYS[0].isoformat()]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(50)][-1] == "149\n"
        process.kill()
    assert there(lake) == expected([row(n, DAYS[0]) for n in range(4)])
    log(lake, [row(7, DAYS[0])], DAYS[:1])
    assert publish.publish(lake, FRAUD, DAYS) == {DAYS[0]: 1}
    assert there(lake) == expected([row(7, DAYS[0])])


# Of the release that wrote through sqlite3 and psycopg.
OLD_TABLES = {
    "sqlite": """
create table if not exists "fraud_predictions" ("transaction_id" integer, "customer_id" integer, "terminal_id" text,
"tx_datetime" text, "event_date" text, "scored_at" text, "score" real, "decision" integer, "model_version" integer,
primary key (event_date, "transaction_id"));
create table if not exists "fraud_predictions_days" (day text primary key, source text, rows bigint);
insert into "fraud_predictions" values (0, 0, 't"0, é', '2026-03-01 09:00:00.000000+00:00', '2026-03-01',
'2026-03-02 09:00:00.000000+00:00', 0.0, 1, 4);
insert into "fraud_predictions" values (1, 1, 't"1, é', '2026-03-02 09:00:00.000001+00:00', '2026-03-02',
'2026-03-03 09:00:00.000001+00:00', 0.1428571492433548, 0, 4);
insert into "fraud_predictions_days" values ('2026-03-01', 'old', 1);
insert into "fraud_predictions_days" values ('2026-03-02', '{source}', 1)""",
    "postgresql": """
create table if not exists "fraud_predictions" ("transaction_id" bigint, "customer_id" bigint, "terminal_id" text,
"tx_datetime" timestamptz, "event_date" date, "scored_at" timestamptz, "score" real, "decision" boolean,
"model_version" bigint, primary key (event_date, "transaction_id"));
create table if not exists "fraud_predictions_days" (day text primary key, source text, rows bigint);
insert into "fraud_predictions" values (0, 0, 't"0, é', '2026-03-01 09:00:00+00:00', '2026-03-01',
'2026-03-02 09:00:00+00:00', 0.0, true, 4);
insert into "fraud_predictions" values (1, 1, 't"1, é', '2026-03-02 09:00:00.000001+00:00', '2026-03-02',
'2026-03-03 09:00:00.000001+00:00', 0.1428571492433548, false, 4);
insert into "fraud_predictions_days" values ('2026-03-01', 'old', 1);
insert into "fraud_predictions_days" values ('2026-03-02', '{source}', 1)""",
}


def test_a_table_of_an_older_release_goes_on(lake: Lakehouse) -> None:
    log(lake, [row(n, DAYS[n % 2]) for n in range(4)], DAYS)
    source = publish._sources(lake, LOG, lake.version(LOG))[DAYS[1]]
    old = OLD_TABLES["sqlite" if lake.settings.predictions_url is None else "postgresql"].format(source=source)
    with database(lake.settings) as target, target.connection.cursor() as cursor:
        for statement in old.split(";\n"):
            cursor.execute(statement)
    assert publish.publish(lake, FRAUD, DAYS) == {DAYS[0]: 2}
    assert there(lake) == expected([row(n, DAYS[n % 2]) for n in (0, 1, 2)])
    if lake.settings.predictions_url is None:
        kinds = asked(lake, "select distinct typeof(tx_datetime), length(tx_datetime), typeof(score), typeof(decision) "
                            "from fraud_predictions")  # fmt: skip
        assert kinds == [("text", 32, "real", "integer")]


def test_two_at_once_end_in_one_copy(lake: Lakehouse) -> None:
    log(lake, [row(n, DAYS[0]) for n in range(2000)], DAYS)
    batches = lake.to_arrow(LOG, columns=NAMES).select(NAMES).to_batches()
    publish.publish(lake, FRAUD, [])

    def write(number: int) -> int:
        # Two homes may share one database: no file lock keeps them apart.
        with database(lake.settings) as target:
            return target.replace("fraud_predictions", DAYS[0], f"{number}", iter(batches))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(4))) == [2000] * 4
    assert len(there(lake)) == 2000


def test_rows_stream(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "BATCH_ROWS", 100)
    log(lake, [row(n, DAYS[0]) for n in range(1050)], DAYS)
    columns = [*prediction_log.event_columns(FRAUD), *publish.COLUMNS]
    sizes = [batch.num_rows for batch in publish._rows(lake, LOG, lake.version(LOG), columns, DAYS[0])]
    assert max(sizes) <= 100 and sum(sizes) == 1050
    assert publish.publish(lake, FRAUD, DAYS) == {DAYS[0]: 1050}


def test_it_can_be_queried_by_customer_and_time(lake: Lakehouse) -> None:
    log(lake, [row(n, DAYS[n % 2]) for n in range(30)], DAYS)
    publish.publish(lake, FRAUD, DAYS)
    query = f"select count(*) from fraud_predictions where customer_id = 1 and tx_datetime >= '{DAYS[1]}' and score > 1"
    assert asked(lake, query) == [(sum(1 for n in range(30) if n % 3 == 1 and n % 2 == 1 and n / 7 > 1),)]


def test_without_a_log_there_is_nothing_to_publish(lake: Lakehouse) -> None:
    assert publish.publish(lake, FRAUD, DAYS) == {}


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://someone:secret@127.0.0.1:1/nowhere"
    lake = Lakehouse(settings.load({"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_PREDICTIONS": url}))
    log(lake, [row(1, DAYS[0])], DAYS)
    with pytest.raises(PredictionsUnreachable, match="EVERGREEN_PREDICTIONS") as caught:
        publish.publish(lake, FRAUD, DAYS)
    assert "secret" not in str(caught.value)


def test_a_database_of_another_kind_is_refused_without_its_password(tmp_path: Path) -> None:
    url = "mysql://someone:secret@h/db"
    with pytest.raises(ValueError, match=r"EVERGREEN_PREDICTIONS: expected postgresql://.*found mysql") as caught:
        settings.load({"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_PREDICTIONS": url})
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    lake = Lakehouse(settings.load({"EVERGREEN_HOME": str(tmp_path)}))
    log(lake, [row(1, DAYS[0])], DAYS)
    lake.settings.serving.mkdir()
    (lake.settings.serving / "predictions.sqlite").write_bytes(b"not a database, but text of some length" * 50)
    with pytest.raises(PredictionsUnreachable, match=r"predictions\.sqlite"):
        publish.publish(lake, FRAUD, DAYS)

"""dbt's marts of `fraud`, load by load: at each moment a label is where its payment was believed to be then.

Payments and reports that are deleted are not there until a further version brings them back.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.ingest.parsing import table_schema
from jobs.lakehouse import dbt_models
from jobs.lakehouse.envelope import DELETED, DELETIONS
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Source
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS

START, HOUR = datetime(2026, 3, 1, tzinfo=UTC), timedelta(hours=1)
PLACE = ("customer_id", "terminal_id", "tx_datetime")
Row = dict[str, Any]


def versions(chance: Random, load: int) -> tuple[list[Row], list[Row]]:
    """Rows of payments and of reports that a load brings: of known and unknown payments, known in any order."""
    payments: list[Row] = []
    reports: list[Row] = []
    for number in chance.sample(range(12), 8):
        at = START + chance.randrange(60) * HOUR
        known = at + chance.randrange(200) * HOUR + timedelta(minutes=load)
        place = {"customer_id": chance.randrange(3), "terminal_id": chance.randrange(2), "tx_datetime": at}
        payments.append({"transaction_id": number, **place, "tx_amount": 1.0, "known_at": known, "loaded_in": load})
    there = chance.sample(payments, 5)
    for payment in there:
        when = payment["tx_datetime"] + chance.randrange(1, 200) * HOUR + timedelta(minutes=load)
        reports.append(
            {"transaction_id": payment["transaction_id"], "tx_fraud": chance.random() < 0.6, "fraud_reported_at": when}
            | {"known_at": when, "loaded_in": load}
        )
    return payments, reports


def deletions(chance: Random, load: int, rows: list[Row]) -> list[Row]:
    """Deletions of some rows, known at any time, also when they are unknown or deleted already."""
    return [
        {"transaction_id": row["transaction_id"], "known_at": row["known_at"] + chance.randrange(-40, 90) * HOUR / 7}
        | {"loaded_in": load, DELETED: True}
        for row in chance.sample(rows, 4)
    ]


def put(lakehouse: Lakehouse, source: Source, rows: list[Row]) -> None:
    schema = table_schema(source, {})
    schema = pa.unify_schemas([schema, DELETIONS]) if any(DELETED in row for row in rows) else schema
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame = frame.with_columns(event_date=pl.coalesce(source.event_time, "known_at").dt.date())
    table = frame.select(schema.names).to_arrow().cast(schema)
    write_deltalake(
        lakehouse.path(FRAUD.raw_table(source)), table, partition_by=["event_date"], mode="append", schema_mode="merge"
    )


def standing(rows: list[Row], moment: datetime) -> Row | None:
    """The version that holds at a moment, of rows in the order in which they became known."""
    last = next((row for row in reversed(rows) if row["known_at"] <= moment), None)
    return None if last is None or DELETED in last else last


def told(payments: list[Row], reports: list[Row], number: int) -> Iterator[tuple[datetime, Row | None]]:
    """Of a payment each moment at which something of it became known, and its label then."""
    mine, about = (
        sorted((row for row in rows if row["transaction_id"] == number), key=lambda row: row["known_at"])
        for rows in (payments, reports)
    )
    first = next(row for row in mine if DELETED not in row)
    for moment in {row["known_at"] for row in (*mine, *about)}:
        report, payment = standing(about, moment), first if moment < first["known_at"] else standing(mine, moment)
        if report is None or payment is None:
            yield moment, None
        else:
            yield moment, {name: payment[name] for name in PLACE} | {"is_fraud": report["tx_fraud"]}


def numbered(lakehouse: Lakehouse) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Of each version of a payment what further versions change, and the load that did last."""
    names = ["transaction_id", "known_at", "version", "superseded_at", "first_event_date", "loaded_in"]
    rows = pl.DataFrame(lakehouse.to_arrow(FRAUD.events, columns=names)).rows()
    return {row[:2]: row[2:] for row in rows}


@pytest.mark.embedded
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_at_each_moment_a_label_is_where_its_payment_was_believed_to_be(lakehouse: Lakehouse, seed: int) -> None:
    chance, parsed = Random(seed), dbt_models.manifest(lakehouse.settings)
    payments: list[Row] = []
    reports: list[Row] = []
    for load in (1, 2, 3):
        new = versions(chance, load)
        for source, known, more in zip((TRANSACTIONS, FRAUD_REPORTS), (payments, reports), new, strict=True):
            # The table of reports gets its first deletion with the second load, that of payments with the third.
            gone = deletions(chance, load, known) if load > (2 if source is TRANSACTIONS else 1) else []
            put(lakehouse, source, [*more, *gone])
            known.extend([*more, *gone])
        before = numbered(lakehouse) if load > 1 else {}
        done = dbt_models.build(lakehouse, FRAUD, parsed, ["--select", "+fraud__labels"])
        assert not done.errors
        now = numbered(lakehouse)
        changed = [key for key, row in now.items() if before.get(key, ())[:-1] != row[:-1]]
        assert changed == [key for key, row in now.items() if row[-1] == load]
        found = pl.DataFrame(lakehouse.to_arrow(FRAUD.labels)).to_dicts()
        for number in {row["transaction_id"] for row in payments}:
            rows = [row for row in found if row["transaction_id"] == number]
            for moment, label in told(payments, reports, number):
                holds = [
                    {name: row[name] for name in (*PLACE, "is_fraud")} for row in rows
                    if row["known_at"] <= moment and (row["superseded_at"] or moment + HOUR) > moment
                ]  # fmt: skip
                assert holds == ([] if label is None else [label]), (load, number, moment)

"""A world of payments that come over topics: history in tables, messages in any order, and marts as SQL makes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import polars as pl
from deltalake import write_deltalake
from worlds.marts import EVENT_SCHEMA, LABEL_SCHEMA

from jobs.ingest.parsing import table_schema
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import Lakehouse
from jobs.messages.message import Message
from jobs.messages.position import Position
from jobs.settings import Settings
from jobs.times import microseconds, moment_of
from jobs.use_case import Source
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS

START = datetime(2026, 3, 1, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
PAYMENTS, REPORTS = "fraud.transactions", "fraud.fraud_reports"
Row = dict[str, Any]


BROKEN = 10_000
"""Ids above it are of payments that break the contract."""


class ListReader:
    """Topics of one partition each that a test fills; what is read is never gone."""

    def __init__(self, positions: Sequence[Position], messages: list[Message], chance: Random) -> None:
        self._next = {position.topic: dict(position.next).get(0, 0) for position in positions}
        self._messages, self._chance = messages, chance

    def poll(self, most: int, seconds: float) -> list[Message]:
        waiting = [message for message in self._messages if message.offset >= self._next[message.topic]]
        found = waiting[: self._chance.randint(1, 25)]
        for message in found:
            self._next[message.topic] = message.offset + 1
        return found

    def position(self, topic: str) -> Position:
        return Position(topic, "one", {0: self._next[topic]})

    def lag(self) -> dict[str, int]:
        return {
            topic: sum(m.topic == topic and m.offset >= start for m in self._messages)
            for topic, start in self._next.items()
        }

    def close(self) -> None:
        """There is nothing to let go of."""


@dataclass
class World:
    """A home, what its topics hold, and the moment that it is."""

    settings: Settings
    chance: Random
    messages: list[Message] = field(default_factory=list)
    now: datetime = START

    def __post_init__(self) -> None:
        self.lakehouse = Lakehouse(self.settings)

    def history(self, events: int) -> None:
        """Payments and reports of the month before, in raw tables and marts, as files brought them."""
        rows = [
            self.payment(number, START - timedelta(minutes=self.chance.randrange(30 * 1440)))
            for number in range(events)
        ]
        reports = [self.report(row, row["tx_datetime"] + timedelta(days=self.chance.randrange(1, 9)))
                   for row in rows if self.chance.random() < 0.3]  # fmt: skip
        reports = [row for row in reports if row["fraud_reported_at"] < START]
        self.put_raw(TRANSACTIONS, [row | {"known_at": row["tx_datetime"]} for row in rows])
        self.put_raw(FRAUD_REPORTS, [row | {"known_at": row["fraud_reported_at"]} for row in reports])
        self.night()

    def payment(self, number: int, happened: datetime) -> Row:
        return {
            "transaction_id": number, "tx_datetime": happened, "customer_id": self.chance.randrange(6),
            "terminal_id": 100 + self.chance.randrange(5),
            "tx_amount": self.chance.choice([0.0, 12.5, 1e9, self.chance.uniform(1, 200)]),
        }  # fmt: skip

    def report(self, payment: Row, at: datetime) -> Row:
        return {
            "transaction_id": payment["transaction_id"],
            "tx_fraud": self.chance.random() < 0.6,
            "fraud_reported_at": at,
        }

    def send(self, topic: str, row: Row | bytes | None, arrived: datetime | None = None) -> None:
        """Put a message into a topic, of None a tombstone; arrived: when it was first seen."""
        value = row if isinstance(row, bytes | None) else as_json(row)
        headers = () if arrived is None else (("evergreen-known-at", str(microseconds(arrived)).encode()),)
        offset = sum(message.topic == topic for message in self.messages)
        self.messages.append(Message(topic, 0, offset, -1, None, value, headers))

    def change(self, topic: str, op: str, row: Row, arrived: datetime) -> None:
        """Put a change event of Debezium into a topic."""
        side = {"before": row, "after": None} if op == "d" else {"before": None, "after": row}
        self.send(topic, {"op": op, **side}, arrived)

    def put_raw(self, source: Source, rows: list[Row] | pl.DataFrame, mode: Any = "error") -> None:
        """Let files have brought these rows, which bear `known_at`."""
        schema = table_schema(source, {})
        frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, infer_schema_length=None)
        frame = frame.with_columns(
            pl.col(source.event_time).dt.date().alias("event_date"), pl.lit(1).alias("loaded_in")
        )
        write_deltalake(
            self.lakehouse.path(FRAUD.raw_table(source)), frame.select(schema.names).to_arrow().cast(schema),
            partition_by=["event_date"], commit_properties=keeping({"loaded_in": 1}), mode=mode,
        )  # fmt: skip

    def night(self) -> None:
        """Make the marts of the raw tables anew, as their SQL does."""
        events = versions(self._raw(TRANSACTIONS), "transaction_id")
        reports = (
            versions(self._raw(FRAUD_REPORTS), "transaction_id").rename({"tx_fraud": "is_fraud"}).drop("event_date")
        )
        places = events.select(
            "transaction_id", "customer_id", "terminal_id", "tx_datetime", event_date="first_event_date",
            since=pl.when(pl.col("version") > 1).then("known_at"), until="superseded_at",
        )  # fmt: skip
        labels = reports.join(places, on="transaction_id").with_columns(
            known_at=pl.max_horizontal("known_at", "since"), superseded_at=pl.min_horizontal("superseded_at", "until")
        )
        labels = labels.filter(pl.col("superseded_at").is_null() | (pl.col("known_at") < pl.col("superseded_at")))
        for table, rows, schema in ((FRAUD.events, events, EVENT_SCHEMA), (FRAUD.labels, labels, LABEL_SCHEMA)):
            write_deltalake(
                self.lakehouse.path(table), rows.select(schema.names).to_arrow().cast(schema), mode="overwrite",
                partition_by=["event_date"],
            )  # fmt: skip

    def _raw(self, source: Source) -> pl.DataFrame:
        return pl.DataFrame(self.lakehouse.to_arrow(FRAUD.raw_table(source)))


def as_json(row: Row) -> bytes:
    return json.dumps(row, default=lambda time: time.isoformat()).encode()


def versions(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Rows of a raw table as its mart has them."""
    rows = rows.sort(key, "known_at")
    if "row_deleted" not in rows.columns:
        rows = rows.with_columns(row_deleted=pl.lit(None, pl.Boolean))
    is_kept = ~pl.col("row_deleted").fill_null(False)
    following = pl.col("known_at").shift(-1).over(key)
    loaded = pl.max_horizontal("loaded_in", pl.col("loaded_in").shift(-1).over(key))
    return rows.with_columns(
        version=is_kept.cum_sum().over(key), superseded_at=following, loaded_in=loaded,
        first_event_date=pl.col("event_date").first().over(key),
    ).filter(is_kept)  # fmt: skip


def busy_days(world: World, events: int, first: int = 1000) -> None:
    """Payments late, twice, out of order and corrected, reports that may come before them, a few broken ones.

    first: id of the first payment.
    """
    chance, moment = world.chance, START + timedelta(minutes=5) * (first - 1000)
    sent: list[Row] = []
    for number in range(first, first + events):
        moment += timedelta(seconds=chance.randrange(1, 600))
        payment = world.payment(number, moment - timedelta(seconds=chance.choice([0, 0, 5, 3600])))
        report = world.report(payment, moment)
        if chance.random() < 0.1:
            world.send(REPORTS, report, moment)
        world.send(PAYMENTS, payment, moment)
        sent.append(payment)
        if chance.random() < 0.2:
            world.send(PAYMENTS, chance.choice(sent), moment)
        if chance.random() < 0.1:
            corrected = chance.choice(sent) | {"tx_amount": chance.uniform(1, 90)}
            world.send(PAYMENTS, corrected, moment + SECOND)
        if chance.random() < 0.3:
            world.send(REPORTS, world.report(chance.choice(sent), moment), moment + SECOND)
        if chance.random() < 0.05:
            world.send(PAYMENTS, payment | {"transaction_id": BROKEN + number, "tx_amount": -1}, moment)


def deletions(world: World, chance_of_one: float) -> None:
    """Between the messages that there are: payments and reports that are deleted, some of them twice or of no row, with
    tombstones behind them, and brought back as they were or otherwise."""
    chance, before, world.messages = world.chance, world.messages, []
    sent: dict[str, list[Row]] = {PAYMENTS: [], REPORTS: []}
    deleted: list[tuple[str, Row]] = []
    for message in before:
        moment = moment_of(int(message.headers[0][1] or b""))
        world.send(message.topic, message.value or b"", moment)
        row = json.loads(message.value or b"")
        sent[message.topic] += [row] if row["transaction_id"] < BROKEN else []
        if chance.random() >= chance_of_one:
            continue
        if deleted and chance.random() < 0.4:
            topic, row = chance.choice(deleted)
            other = row | {"customer_id": 1, "tx_amount": 7.0} if topic == PAYMENTS else row | {"tx_fraud": True}
            world.change(topic, chance.choice("cu"), chance.choice([row, other]), moment)
            continue
        topic = chance.choice([message.topic, PAYMENTS])
        row = chance.choice(sent[topic] or [world.payment(3, moment)])
        told = chance.choice([row, {"transaction_id": row["transaction_id"]}, row | {"tx_amount": None}])
        for _ in range(chance.choice([1, 1, 2])):
            world.change(topic, "d", told, moment)
        if chance.random() < 0.5:
            world.send(topic, None, moment)
        deleted.append((topic, row))


def contents(world: World, topic: str) -> list[tuple[Any, ...]]:
    """The different rows that a topic holds, each once."""
    rows = [json.loads(message.value or b"") for message in world.messages if message.topic == topic]
    return sorted({tuple(map(str, row.values())) for row in rows if row["transaction_id"] < BROKEN})


def stored(world: World, source: Source) -> list[tuple[Any, ...]]:
    """The rows that the raw table has of a topic."""
    columns = [column.name for column in source.columns]
    rows = world.lakehouse.to_arrow(FRAUD.raw_table(source), None, columns, [("stream_topic", "!=", "")]).to_pylist()
    return sorted(tuple(v.isoformat() if isinstance(v, datetime) else str(v) for v in row.values()) for row in rows)

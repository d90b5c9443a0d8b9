"""A stream whose producer retypes a column: its messages wait with the dead letters, the others go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from worlds.registered_messages import avro_body, framed, record_of, registered
from worlds.streamed_world import PAYMENTS, START, ListReader, World

from jobs.ingest.columns_file import ColumnsFile
from jobs.messages import json_values
from jobs.messages.dead_letters import DeadLetter
from jobs.messages.debezium import RowChange
from jobs.messages.message import Decoded, Message
from jobs.messages.position import Position
from jobs.messages.registered_values import RegisteredValues
from jobs.messages.topics import Topics
from jobs.settings import Settings
from jobs.streams import starting
from jobs.streams.held_versions import first_version, hold_versions
from jobs.streams.stream import Stream
from jobs.use_cases.fraud import FRAUD, TRANSACTIONS

FIRST = record_of(
    transaction_id="long", tx_datetime={"type": "long", "logicalType": "timestamp-micros"}, customer_id="long",
    terminal_id="long", tx_amount="double",
)  # fmt: skip
RETYPED = {**FIRST, "fields": [*FIRST["fields"][:-1], {"name": "tx_amount", "type": "string"}]}
WIDER = {**FIRST, "fields": [*FIRST["fields"], {"name": "channel", "type": "string"}]}
SCHEMAS = {7: registered(FIRST), 2: registered(RETYPED), 9: registered(WIDER)}
HELD = "a schema version that is held: transactions.tx_amount: expected number, found text"


@dataclass
class Letters:
    """Dead letters that are kept."""

    kept: list[DeadLetter] = field(default_factory=list)

    def add(self, letter: DeadLetter) -> None:
        self.kept.append(letter)

    def send(self, positions: Sequence[Position]) -> int:
        return 0

    def close(self) -> None:
        """There is nothing to let go of."""


def decode(messages: Sequence[Message]) -> Decoded:
    of_values = RegisteredValues(SCHEMAS.get, json_values.rows, RowChange)
    return of_values([message.value for message in messages])


def run(world: World) -> tuple[Stream, list[DeadLetter]]:
    """A stream from where the last one ended to the end of the topics, and its dead letters."""
    topics, letters = Topics(FRAUD), Letters()
    reader = ListReader(starting.positions(world.lakehouse, topics), world.messages, world.chance)
    one = starting.open_stream(world.lakehouse, topics, reader, decode, ColumnsFile())
    one.dead_letters = letters
    hold_versions(one, SCHEMAS.get)
    while one.step(0):
        pass
    one.commit()
    one.close()
    return one, letters.kept


def send(world: World, number: int, schema: int, **more: Any) -> None:
    row = world.payment(number, START + timedelta(minutes=number)) | {"tx_amount": 1.5} | more
    body = avro_body({7: FIRST, 2: RETYPED, 9: WIDER}[schema], row)
    world.send(PAYMENTS, framed(schema, body))


def test_a_version_is_held_against_the_first_also_by_a_stream_that_starts_again(tmp_path: Path) -> None:
    world = World(Settings(home=tmp_path), Random(1))
    world.history(5)
    table = FRAUD.raw_table(TRANSACTIONS)
    assert first_version(world.lakehouse, table) is None
    send(world, 1001, 7)
    send(world, 1002, 9, channel="web")
    _, letters = run(world)
    assert letters == [] and first_version(world.lakehouse, table) == "7"
    send(world, 1003, 2, tx_amount="1.5")
    send(world, 1004, 9, channel="web")
    _, letters = run(world)
    assert [(letter.message, letter.reason) for letter in letters] == [(world.messages[2], HELD)]
    rows = world.lakehouse.to_arrow(table, columns=["transaction_id", "stream_schema"]).to_pylist()
    came = {row["transaction_id"]: row["stream_schema"] for row in rows if row["stream_schema"]}
    assert came == {1001: "7", 1002: "9", 1004: "9"}

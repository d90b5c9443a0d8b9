"""Messages as a query on Spark leaves them in a Delta table, batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.messages.message import Message
from jobs.spark_streams import arrived
from jobs.spark_streams.arrived import Arrived

SCHEMA = pa.schema(
    [("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()), ("at", pa.int64()),
     ("key", pa.binary()), ("value", pa.binary()), ("names", pa.list_(pa.string())),
     ("said", pa.list_(pa.binary()))]
)  # fmt: skip
MESSAGES = [
    Message("a", 0, 7, 1_700_000_000_000, b"\x00key", b"\xff{", (("h", b"\x01"), ("h", None), ("", b""))),
    Message("a", 0, 9, -1, None, None),
    Message("b", 3, 2**40, 0, b"", b"", (("one", b"1"),)),
]


def batch(path: Path, messages: list[Message]) -> None:
    """A batch as Spark writes it: a message without headers has none at all."""
    rows: list[dict[str, Any]] = [
        {**each._asdict(), "at": each.timestamp, "names": [name for name, _ in each.headers] or None,
         "said": [value for _, value in each.headers] or None}
        for each in messages
    ]  # fmt: skip
    write_deltalake(path, pa.Table.from_pylist(rows, SCHEMA), mode="append")


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrived, "LOOK_EVERY", 0.0)


@pytest.mark.parametrize("most", [1, 2, 100])
def test_messages_come_as_they_were_in_the_order_of_batches(most: int, tmp_path: Path) -> None:
    path, found = tmp_path / "messages", list[Message]()
    one = Arrived(str(path))
    assert not one.look() and one.take(most) == []
    for messages in (MESSAGES[:2], MESSAGES[2:], MESSAGES):
        batch(path, messages)
    while one.look():
        while came := one.take(most):
            assert len(came) <= most
            found += came
    assert found == [*MESSAGES, *MESSAGES] and one.batches == 3
    batch(path, MESSAGES[:1])
    assert one.look() and one.take(most) == MESSAGES[:1]


def test_a_commit_of_which_nothing_is_written_yet_is_none(tmp_path: Path) -> None:
    one = Arrived(str(tmp_path / "messages"))
    batch(tmp_path / "messages", MESSAGES)
    commit = tmp_path / "messages" / "_delta_log" / f"{0:020}.json"
    content = commit.read_bytes()
    commit.write_bytes(b"")
    assert not one.look()
    commit.write_bytes(content)
    assert one.look() and one.take(9) == MESSAGES

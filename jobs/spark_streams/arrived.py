"""Messages that a query on Spark lands in a Delta table, batch by batch, as this process reads them."""

from __future__ import annotations

import json
import time
from collections import deque
from itertools import islice
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.lakehouse import table_log
from jobs.messages.message import Message

COLUMNS = (
    "topic", "partition", "offset", "unix_millis(timestamp) as at", "key", "value",
    "transform(headers, each -> each.key) as names", "transform(headers, each -> each.value) as said",
)  # fmt: skip
"""Columns of such a table, as SQL makes them of Spark's source of Kafka."""
LOOK_EVERY = 0.1
"""Seconds between looks for a further batch."""


class Arrived:
    """The messages of a table that one query makes, from its first batch on."""

    def __init__(self, path: str) -> None:
        self._store, self._folder = table_log.located(path)
        self._waiting: deque[Message] = deque()
        self._looked = 0.0
        self.batches = 0
        """So many were read: as many commits has the table, at least."""

    def look(self) -> bool:
        """Whether a further batch came, once that before is taken."""
        now = time.monotonic()
        if self._waiting or now - self._looked < LOOK_EVERY:
            return False
        self._waiting.extend(self._next())
        self._looked = 0.0 if self._waiting else now
        return bool(self._waiting)

    def take(self, most: int) -> list[Message]:
        """The next messages of a batch, in the order of each partition; none if all are taken."""
        found = list(islice(self._waiting, most))
        for _ in found:
            self._waiting.popleft()
        return found

    def _next(self) -> list[Message]:
        """The messages of the next batch; none if it did not come."""
        commit = f"{self._folder}/_delta_log/{self.batches:020}.json"
        if not self._store.get_file_info(commit).size:
            return []
        self.batches += 1
        with self._store.open_input_stream(commit) as stream:
            actions = [json.loads(line) for line in stream.read().splitlines() if line]
        added = [unquote(action["add"]["path"]) for action in actions if "add" in action]
        return [message for path in added for message in self._messages(path)]

    def _messages(self, path: str) -> list[Message]:
        with self._store.open_input_file(f"{self._folder}/{path}") as file:
            return messages_of(pq.read_table(file))


def messages_of(rows: pa.Table) -> list[Message]:
    """Rows of a table with `COLUMNS`, as messages."""
    names, said = rows.column("names").to_pylist(), rows.column("said").to_pylist()
    headers = [tuple(zip(*each, strict=True)) if each[0] else () for each in zip(names, said, strict=True)]
    columns = [rows.column(name).to_pylist() for name in ("topic", "partition", "offset", "at", "key", "value")]
    return [Message(*row) for row in zip(*columns, headers, strict=True)]

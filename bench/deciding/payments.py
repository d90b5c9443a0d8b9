"""Requests to the decision service: payments of the customers and terminals of a day, each of which is a new one."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from deciding.home import Day
from deciding.load import request

PATH = "/v1/fraud/decisions"


class Payments:
    """Makes payments that happen now, by the clock of a server that is ready when this is made."""

    def __init__(self, day: Day, port: int, seed: int = 0) -> None:
        self.pairs = [(row["customer_id"], row["terminal_id"]) for row in day.payments]
        self._chance, self._began, self._as_of = random.Random(seed), time.monotonic(), day.ends.replace(tzinfo=None)
        self._chance.shuffle(self.pairs)
        self._head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        self.count = 0

    def __call__(self) -> bytes:
        """The next one."""
        self.count += 1
        customer, terminal = self.pairs[self.count % len(self.pairs)]
        now = (self._as_of + timedelta(seconds=time.monotonic() - self._began)).isoformat()
        body = (
            f'{{"transaction_id":{10**13 + self.count},"customer_id":{customer},"terminal_id":{terminal},'
            f'"tx_amount":{self._chance.randrange(100, 50_000) / 100},"tx_datetime":"{now}Z"}}'
        )
        return f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def of_row(row: dict[str, Any], port: int) -> bytes:
    """A payment of a file as a request."""
    happened = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=row["tx_datetime"])
    event = {name: row[name] for name in ("transaction_id", "customer_id", "terminal_id", "tx_amount")}
    return request(port, PATH, json.dumps(event | {"tx_datetime": happened.isoformat()}).encode())

"""Clients of the decision service that send payments and ask again until they are answered, as payment systems do."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

PATIENCE = 60.0
Row = dict[str, Any]


@dataclass
class Clients:
    """What some clients at once were told about events."""

    addresses: Sequence[str]
    """Of servers, which they take in turns."""
    answers: dict[Any, list[Row]] = field(default_factory=dict)
    """By id of the event, every answer with status 200."""
    refusals: list[tuple[int, str]] = field(default_factory=list)
    """Other statuses, and what was said."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, events: Sequence[Row], threads: int = 4) -> None:
        """Send all events, each until it is decided."""
        parts = [events[n::threads] for n in range(threads)]
        running = [threading.Thread(target=self._send_all, args=(part,)) for part in parts]
        for each in running:
            each.start()
        for each in running:
            each.join()

    def _send_all(self, events: Sequence[Row]) -> None:
        with httpx.Client(timeout=PATIENCE) as client:
            for number, event in enumerate(events):
                self._until_decided(client, number, event)

    def _until_decided(self, client: httpx.Client, number: int, event: Row) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            number += 1
            address = self.addresses[number % len(self.addresses)]
            try:
                answer = client.post(f"{address}/v1/fraud/decisions", json=event)
            except httpx.TransportError:
                # Nobody knows whether it was decided.
                time.sleep(0.02)
                continue
            with self.lock:
                if answer.status_code == 200:
                    self.answers.setdefault(event["transaction_id"], []).append(answer.json())
                    return
                self.refusals.append((answer.status_code, answer.text))
            time.sleep(0.05)
        raise AssertionError(f"{event} was not decided")

"""Rows a processor second from Kafka to the raw Delta table: contract, repetitions, stamps and the commit included."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import polars as pl
from common import spread

from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from streaming.topics import PAYMENTS, broker, opened, read_all, send, texts

ROWS = 400_000


def measured(frame: pl.DataFrame, folder: Path, rounds: int) -> dict[str, Any]:
    rates, values = [], texts(frame.head(ROWS))
    with broker(folder / "kafka") as address:
        send(address, PAYMENTS, values)
        for number in range(rounds + 1):
            one = opened(Lakehouse(Settings(home=folder / f"home{number}")), address)
            start = time.process_time()
            read_all(one, len(values))
            rates.append(len(values) / (time.process_time() - start))
            assert one.counts.new == len(values)
            one.close()
    return {"rows": len(values), "rows_per_cpu_second": spread(rates[1:], 0)}

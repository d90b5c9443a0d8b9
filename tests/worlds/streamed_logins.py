"""Payments and logins of a bank that come over topics: history in tables, messages in any order, marts as SQL makes
them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import write_deltalake
from worlds import profiled_world
from worlds.login_world import LOGINS, MART, SCHEMA, SHOP
from worlds.profiled_world import PAYMENTS
from worlds.streamed_world import DAY, SECOND, START, World, versions

from jobs.ingest.parsing import table_schema
from jobs.settings import Settings
from jobs.use_case import Source

OF_PAYMENTS, OF_LOGINS = f"{SHOP.name}.payments", f"{SHOP.name}.logins"
Row = dict[str, Any]


@dataclass
class Bank(World):
    """The same of a bank with logins."""

    def history(self, events: int) -> None:
        payments = [self.paid(n, START - self.chance.random() * 6 * DAY) for n in range(events)]
        logins = [self.login(f"h{n}", START - self.chance.random() * 6 * DAY) for n in range(events)]
        self._put(PAYMENTS, [row | {"known_at": row["paid_at"]} for row in payments])
        self._put(LOGINS, [row | {"known_at": row["logged_in_at"]} for row in logins])
        self.night()

    def paid(self, number: int, happened: datetime) -> Row:
        return {"payment_id": number, "paid_at": happened, "customer_id": self.chance.randrange(4), "amount": 5.0}

    def login(self, id: str, happened: datetime) -> Row:
        draw = self.chance
        return {
            "login_id": id, "logged_in_at": happened, "customer_id": draw.choice([0, 1, 2, None]),
            "failures": draw.choice([0, 1, 5, None]), "seconds": draw.choice([1.5, 1e9, 0.01, draw.random()]),
            "country": draw.choice(["at", "de", None]), "browser": "x",
        }  # fmt: skip

    def night(self) -> None:
        for source, table, schema in (
            (PAYMENTS, SHOP.events, profiled_world.EVENTS), (LOGINS, MART, SCHEMA),
        ):  # fmt: skip
            raw = pl.DataFrame(self.lakehouse.to_arrow(SHOP.raw_table(source)))
            self._mart(table, versions(raw, source.key[0]).select(schema.names).to_arrow(), schema)
        self._mart(SHOP.labels, profiled_world.LABELS.empty_table(), profiled_world.LABELS)

    def busy_days(self, steps: int) -> None:
        """Payments, and logins that are late, twice, corrected, deleted and brought back."""
        moment, sent = START, list[Row]()
        for number in range(steps):
            moment += timedelta(seconds=self.chance.randrange(1, 1200))
            self.send(OF_PAYMENTS, self.paid(1000 + number, moment), moment)
            late = self.chance.choice([timedelta(0), 5 * SECOND, timedelta(hours=5), -timedelta(minutes=2)])
            sent.append(self.login(f"m{number}", moment - late))
            self.send(OF_LOGINS, sent[-1], moment + SECOND)
            old = self.chance.choice(sent)
            kind = self.chance.random()
            if kind < 0.2:
                self.send(OF_LOGINS, old, moment + 2 * SECOND)
            elif kind < 0.5:
                fresh = self.login(old["login_id"], old["logged_in_at"] - self.chance.choice([0, 1]) * SECOND)
                self.send(OF_LOGINS, fresh, moment + 2 * SECOND)
            elif kind < 0.7:
                self.change(OF_LOGINS, "d", old, moment + 2 * SECOND)
            elif kind < 0.8:
                self.change(OF_LOGINS, "c", old, moment + 2 * SECOND)

    def _mart(self, table: str, rows: pa.Table, schema: pa.Schema) -> None:
        path = self.lakehouse.path(table)
        write_deltalake(path, rows.cast(schema), mode="overwrite", partition_by=["event_date"])

    def _put(self, source: Source, rows: Sequence[Row]) -> None:
        schema = table_schema(source, {})
        frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(
            event_date=pl.col(source.event_time).dt.date(), loaded_in=pl.lit(1)
        )
        path = self.lakehouse.path(SHOP.raw_table(source))
        write_deltalake(path, frame.select(schema.names).to_arrow().cast(schema), partition_by=["event_date"])


def made(folder: Path, seed: int) -> Bank:
    bank = Bank(Settings(home=folder), Random(seed))
    bank.history(60)
    return bank

"""Tables as a sound night leaves them, written without an engine, for a test to damage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from deltalake import write_deltalake

from jobs.datasets import history
from jobs.lakehouse.tables import Lakehouse
from jobs.scoring import prediction_log
from jobs.use_cases.fraud import FRAUD

DAY, DAYS, A_DAY = timedelta(days=1), 40, 60
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")
STATE = {"as_of": AS_OF.isoformat(), "features": ["customer_tx_count_1d", "customer_amount_mean_7d"], "versions": {}}
Tamper = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass
class CheckedTables:
    lakehouse: Lakehouse

    def put(self, table: str, rows: pl.DataFrame) -> None:
        path = self.lakehouse.path(table)
        write_deltalake(path, rows.to_arrow(), mode="overwrite", schema_mode="overwrite", partition_by=["event_date"])

    def tamper(self, table: str, change: Tamper) -> None:
        self.put(table, change(pl.DataFrame(self.lakehouse.to_arrow(table))))


def write_tables(lakehouse: Lakehouse) -> CheckedTables:
    """Forty days of payments, every tenth of them fraud that is reported a day later; the last days are scored."""
    tables, events = CheckedTables(lakehouse), _events()
    frauds = events.filter(pl.col("transaction_id") % 10 == 0)
    reports = frauds.select("transaction_id", "customer_id", "terminal_id", "tx_datetime", "event_date").with_columns(
        is_fraud=True, known_at=pl.col("tx_datetime") + DAY, superseded_at=pl.lit(None, TIME), loaded_in=1
    )
    values = events.select("transaction_id", "tx_datetime", "customer_id", "tx_amount", "event_date", "known_at")
    generator = np.random.default_rng(1)
    features = {name: generator.normal(size=events.height) for name in STATE["features"]}
    rows = values.with_columns(**{name: pl.Series(v) for name, v in features.items()})
    known = reports.filter(pl.col("known_at") <= AS_OF).select("transaction_id", reported="is_fraud")
    mature = pl.col("tx_datetime") <= AS_OF - FRAUD.label_maturity
    label = pl.coalesce("reported", pl.when(mature).then(False))
    labelled = rows.join(known, on="transaction_id", how="left").with_columns(is_fraud=label)
    scored = values.filter(pl.col("event_date") >= (AS_OF - 5 * DAY).date()).drop("tx_amount")
    tables.put(FRAUD.events, events)
    tables.put(FRAUD.labels, reports)
    tables.put(FRAUD.training_set, labelled.filter(pl.col("is_fraud").is_not_null()).drop("reported", "known_at"))
    tables.put(history.table(FRAUD), rows.with_columns(event_known_at=pl.col("known_at").dt.epoch("us")))
    score = pl.Series(generator.random(scored.height).astype(np.float32))
    log = scored.with_columns(score=score, origin=pl.lit("nightly"), model_version=1, scored_at=pl.lit(AS_OF))
    tables.put(prediction_log.table(FRAUD), log.drop("known_at"))
    return tables


def _events() -> pl.DataFrame:
    rows = DAYS * A_DAY
    times = [AS_OF - DAYS * DAY + timedelta(seconds=n * 86_400 // A_DAY) for n in range(rows)]
    columns: dict[str, Any] = {
        "transaction_id": np.arange(rows), "tx_datetime": times, "customer_id": np.arange(rows) % 7,
        "terminal_id": np.arange(rows) % 5, "tx_amount": 1.0 + np.arange(rows) % 90, "known_at": times,
        "version": np.ones(rows, np.int64), "superseded_at": pl.Series([None] * rows, dtype=TIME),
        "loaded_in": np.ones(rows, np.int64), "event_date": [time.date() for time in times],
    }  # fmt: skip
    return pl.DataFrame(columns, schema_overrides={"tx_datetime": TIME, "known_at": TIME})

"""A prediction log as the decision service fills it: simulated decisions of many hours as its rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake
from worlds.hours_of_decisions import FIRST, Change, Rhythm, decisions

from jobs.drift.hourly_counts import HOURS
from jobs.lakehouse.tables import attach
from jobs.scoring import prediction_log
from jobs.settings import Settings
from jobs.times import midnight
from jobs.use_cases.fraud import FRAUD

FEATURES = ("tx_amount", "amount_to_mean", "is_away", "terminal_fraud_count_28d", "country")
TIMES = {
    "transaction_id": pa.int64(),
    "customer_id": pa.int64(),
    "terminal_id": pa.int64(),
    "tx_datetime": pa.timestamp("us", "UTC"),
}
RHYTHM = Rhythm(by_day=70, by_night=35)
KINDS = dict.fromkeys(FEATURES[:-1], "float32") | {"country": "category"}
SCHEMA = prediction_log.schema(FRAUD, TIMES, KINDS)


def fill(
    settings: Settings,
    hours: int,
    changes: Mapping[int, Change] | None = None,
    **decided: Any,
) -> None:
    """Write the decisions of the first hours.

    Args:
        changes: what becomes of the decisions of an hour, by its number.
        decided: columns of all rows that are other than usual.
    """
    chance, tables, count = np.random.default_rng(1), [], 0
    for number in range(hours):
        made = decisions(chance, number // HOURS, number % HOURS, RHYTHM)
        made = (changes or {}).get(number, lambda rows: rows)(made)
        rows = _rows(made, number, count, chance) | decided
        count += len(made["score"])
        tables.append(pa.table([_column(rows[f.name], f, len(made["score"])) for f in SCHEMA], SCHEMA))
    path = attach(settings).path(prediction_log.table(FRAUD))
    write_deltalake(path, pa.concat_tables(tables), mode="append", partition_by=["event_date"])


def _rows(made: Mapping[str, Any], number: int, count: int, chance: np.random.Generator) -> dict[str, Any]:
    rows = len(made["score"])
    moment = midnight(FIRST) + timedelta(hours=number)
    at = [moment + timedelta(seconds=float(second)) for second in np.sort(chance.random(rows)) * 3599]
    country = np.where(made["is_away"] > 0, "PT", "DE").astype(object)
    features = [made[name] for name in ("amount", "amount_to_mean", "is_away", "frauds_28d")]
    fixed = {"decision": False, "verdict": "approve", "model_version": 3, "bundle_sha256": "0" * 64, "arm": "champion",
             "feature_versions": "{}", "propensity": 1.0, "origin": "online", "latency": 900, "fallback": None,
             "event_date": moment.date()}  # fmt: skip
    return {
        **fixed, **dict(zip(FEATURES, [*features, country], strict=True)), "score": made["score"],
        "scored_at": at, "tx_datetime": at, "transaction_id": np.arange(count, count + rows),
        "customer_id": 1, "terminal_id": 2,
    }  # fmt: skip


def _column(values: Any, field: pa.Field, rows: int) -> pa.Array:
    values = [values] * rows if values is None or isinstance(values, str) or np.ndim(values) == 0 else values
    array = pa.array(values, from_pandas=True)
    return array.cast(field.type, safe=False)

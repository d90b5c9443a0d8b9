"""A small training set as a Delta table, without an engine: payments of which large ones at night tend to be fraud."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import Lakehouse
from jobs.problem import Family, Problem, Range, Review, Rule, Slice
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD

DAY = timedelta(days=1)
AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
FEATURES = ["hour", "risk", "seldom", "kind"]
"""Of the feature service; `kind` is a category, which says nothing of the label."""

PROBLEM = Problem(
    review=Review(threshold=0.5, capacity=5, cost=1.0, cards=5),
    amount="tx_amount",
    cluster_key="customer_id",
    inputs=("tx_amount",),
    families=(
        Family("logistic"),
        Family(
            "boosted",
            fixed={"rounds": 40, "patience": 10, "min_data_in_leaf": 5},
            search={"learning_rate": Range(0.05, 0.4, log=True), "num_leaves": Range(2, 16, integer=True)},
        ),
    ),
    rules=(Rule("risk_then_amount", ("risk", "tx_amount")),),
    slices=(
        Slice("small", "tx_amount", maximum=20),
        Slice("large", "tx_amount", minimum=20),
        Slice("of_kind_a", "kind", values=("a",)),
    ),
    trials=6,
)
DEMO = replace(FRAUD, label_maturity=7 * DAY, problem=PROBLEM)


def with_problem(**changes: Any) -> UseCase:
    return replace(DEMO, problem=replace(PROBLEM, **changes))


def payments(days: int = 80, a_day: int = 40, seed: int = 0, as_of: datetime = AS_OF) -> pa.Table:
    random, rows = np.random.default_rng(seed), days * a_day
    amount, hour, risk = random.exponential(30, rows), random.uniform(0, 24, rows), random.random(rows)
    seldom = np.where(random.random(rows) < 0.3, np.nan, random.normal(size=rows))
    logit = 0.05 * amount + 3 * (hour < 5) + 3 * risk + (np.nan_to_num(seldom) > 1) - 5.5
    start = as_of - days * DAY
    times = [start + timedelta(seconds=float(s)) for s in np.sort(random.uniform(0, days * 86400, rows))]
    return pa.table(
        {
            "transaction_id": pa.array(range(rows), pa.int64()),
            "tx_datetime": pa.array(times, pa.timestamp("us", "UTC")),
            "customer_id": pa.array(random.integers(0, 100, rows)),
            "tx_amount": amount,
            "hour": hour,
            "risk": risk,
            "seldom": seldom,
            "kind": pa.array(random.choice(["a", "b"], rows).tolist()),
            "is_fraud": random.random(rows) < 1 / (1 + np.exp(-logit)),
            "event_date": pa.array([t.date() for t in times]),
        }
    )


def put(lakehouse: Lakehouse, table: pa.Table, as_of: datetime = AS_OF, declarations: str = "one") -> int:
    """Write it as the training set of DEMO, with the state that `jobs.datasets.training_set` records."""
    state = {
        "versions": {"fraud.transactions": 3, "fraud.labels": 4},
        "feature_service": "fraud",
        "features": FEATURES,
        "declarations": declarations,
        "as_of": as_of.isoformat(),
    }
    write_deltalake(
        lakehouse.path(DEMO.training_set), table, mode="overwrite", schema_mode="overwrite",
        partition_by=["event_date"], commit_properties=keeping(state),
    )  # fmt: skip
    version = lakehouse.version(DEMO.training_set)
    assert version is not None
    return version

"""A small history whose truth is known: frauds are rows with a high first feature, after a change a high second one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from jobs.datasets.history import History, LabelVersions, table
from jobs.lakehouse.commit_state import keeping
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings
from jobs.times import NEVER, microseconds
from jobs.use_case import UseCase

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
A_DAY = 86_400_000_000
DAYS, A_DAYS_ROWS = 40, 150


def world(
    seed: int = 0, changed_on: int = 10**4, delay_days: float = 4.0, days: int = DAYS, shift: float = 0.0
) -> History:
    """Reports come after an exponential delay; from day `changed_on` on the third feature is larger by `shift`."""
    rng = np.random.default_rng(seed)
    count = days * A_DAYS_ROWS
    times = np.sort(rng.integers(0, days * A_DAY, count)) + microseconds(START)
    features = rng.normal(size=(count, 3)).astype(np.float32)
    after = times >= microseconds(START + changed_on * DAY)
    features[after, 2] += shift
    fraud = np.where(after, features[:, 1], features[:, 0]) > 1.5
    rows = np.flatnonzero(fraud)
    known = times[rows] + (rng.exponential(delay_days, len(rows)) * A_DAY).astype(np.int64)
    labels = LabelVersions(rows, np.ones(len(rows), np.bool_), known, np.full(len(rows), NEVER))
    blocks = rng.integers(0, 300, count)
    return History(
        ("a", "b", "c"), features, times, times, blocks, np.ones(count), labels, {},
    )  # fmt: skip


def write(settings: Settings, history: History, use_case: UseCase, as_of: datetime) -> Lakehouse:
    """The tables that a history is read from and the training set of a moment, as Delta tables of this home."""
    lakehouse = Lakehouse(settings)
    ids = np.arange(len(history))
    labels = history.labels
    moments = pa.timestamp("us", "UTC")
    events = pa.table(
        {
            use_case.event_id: ids,
            use_case.event_timestamp: pa.array(history.times).cast(moments),
            "event_known_at": history.known_at,
            "customer_id": history.blocks,
            "tx_amount": history.amounts,
            **{name: history.features[:, n] for n, name in enumerate(history.names)},
            "event_date": pa.array(history.times.astype("datetime64[us]").astype("datetime64[D]")),
        }
    )
    told = pa.table(
        {
            use_case.event_id: ids[labels.rows],
            use_case.label: labels.values,
            "known_at": pa.array(labels.known_at).cast(moments),
            "superseded_at": pa.array(labels.superseded_at, mask=labels.superseded_at == NEVER).cast(moments),
        }
    )
    write_deltalake(lakehouse.path(use_case.labels), told, mode="overwrite")
    versions = {use_case.events: 0, use_case.labels: lakehouse.version(use_case.labels)}
    state = {"versions": versions, "features": list(history.names), "as_of": as_of.isoformat()}
    write_deltalake(
        lakehouse.path(table(use_case)), events, mode="overwrite", partition_by=["event_date"],
        commit_properties=keeping(state),
    )  # fmt: skip
    known = history.labels_at(as_of)
    mature = (history.times <= microseconds(as_of - use_case.label_maturity)) | (known >= 0)
    chosen = history.known(as_of) & mature
    labelled = events.filter(pa.array(chosen)).append_column(use_case.label, pa.array(known[chosen] == 1))
    write_deltalake(
        lakehouse.path(use_case.training_set), labelled, mode="overwrite", partition_by=["event_date"],
        commit_properties=keeping(state),
    )  # fmt: skip
    return lakehouse

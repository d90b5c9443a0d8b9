"""Histograms counted in the engine are those of the same rows counted here."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from jobs.drift.drift_kernel import counter, edges_of
from jobs.drift.histograms import count, histograms
from jobs.lakehouse.tables import Lakehouse


def test_counts_in_the_engine_are_those_of_the_kernel(lakehouse: Lakehouse) -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=30_000)
    rows = pa.table(
        {
            "event_date": [date(2026, 1, 1) + timedelta(days=int(n)) for n in generator.integers(0, 9, len(values))],
            "some": pa.array(values, pa.float32(), mask=values > 1.5),
            "other": pa.array(generator.integers(0, 4, len(values)), pa.int64()),
        }
    )
    lakehouse.write("drift.rows", rows, mode="overwrite", schema=rows.schema, partition_by=["event_date"])
    edges = {name: edges_of(rows.column(name).to_numpy()) for name in ("some", "other")}
    found = count(lakehouse, lakehouse.read("drift.rows"), edges, "event_date")
    here = histograms(pa.Table.from_batches(counter(edges, "event_date")(iter(rows.to_batches()))), edges)
    assert found.days == here.days and found.features == here.features
    assert (found.counts == here.counts).all() and found.rows.sum() == len(values)

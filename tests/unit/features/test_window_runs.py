"""Frames of facts in this process: what they hold does not depend on which columns a feature names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from jobs.features import window_runs
from jobs.windows import FACT_ID, Aggregate, WindowFeatures

pytestmark = pytest.mark.embedded
START, DAY = datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=1)


def rows(**more: Any) -> pl.LazyFrame:
    times = [START, START + DAY, START + DAY]
    frame = pl.DataFrame({"id": [1, 2, 3], "customer_id": [7, 7, 8], "at": times, "known_at": times, **more})
    return frame.with_columns(superseded_at=pl.lit(None, pl.Datetime("us", "UTC"))).lazy()


def found(features: WindowFeatures, *frames: pl.LazyFrame, **named: Any) -> dict[str, list[Any]]:
    reader = window_runs.run(None, features, *frames, **named)  # type: ignore[arg-type]
    assert isinstance(reader, pa.RecordBatchReader)
    table: dict[str, list[Any]] = reader.read_all().sort_by("id").to_pydict()
    return table


def test_a_feature_may_count_its_own_entity_beside_labels() -> None:
    features = WindowFeatures("w", "customer_id", "id", "at", (
        Aggregate("distinct", "customer_id", (3 * DAY,), name="own"), Aggregate("count", "id", (3 * DAY,), name="ids"),
        Aggregate("count", of="labels", where=("is_bad", True), windows=(3 * DAY,), name="bad"),
    ))  # fmt: skip
    labels = rows(is_bad=[True, False, True])
    table = found(features, rows(), labels)
    assert (table["own_3d"], table["ids_3d"], table["bad_3d"]) == ([1, 1, 1], [1, 2, 1], [0, 1, 0])


def test_facts_apart_may_be_counted_by_their_entity() -> None:
    features = WindowFeatures(
        "w", "customer_id", "id", "at", (Aggregate("distinct", "customer_id", (3 * DAY,)),), facts="f"
    )
    facts = rows().rename({"id": FACT_ID}).filter(pl.col("customer_id") == 7)
    assert found(features, rows(), facts=facts)["customer_id_distinct_3d"] == [1, 1, 0]

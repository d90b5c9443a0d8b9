"""The whole lineage, dbt's models included, on the embedded engine and on Apache Spark: the same tables."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs import settings
from jobs.lakehouse import engine
from jobs.simulate import simulator
from jobs.use_cases.fraud import FRAUD

pytestmark = [pytest.mark.spark, pytest.mark.timeout(1200)]

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
# Models are trained without the engine; what Spark takes grows with the days.
USE_CASE = replace(FRAUD, problem=None, label_maturity=timedelta(days=4))
Tables = Callable[..., Mapping[str, list[tuple[Any, ...]]]]


def test_both_engines_make_the_same_tables_from_nothing_and_from_more_days(
    tmp_path: Path, spark_remote: str, tables: Tables
) -> None:
    from orchestration import run_command as run

    made = simulator.write(simulator.scenario("stable", days=9, customers=100, terminals=75), tmp_path / "input")
    files = {name: (path,) for name, path in made.items()}
    homes = {
        "sail": settings.load({"EVERGREEN_HOME": str(tmp_path / "sail")}),
        "spark": settings.load({"EVERGREEN_HOME": str(tmp_path / "spark"), "SPARK_REMOTE": spark_remote}),
    }
    try:
        for days in (7, 9):
            for home in homes.values():
                assert run.run(home, USE_CASE, files, None, FIRST + timedelta(days=days), show=False) == 0
            sail, spark = (tables(home.home) for home in homes.values())
            assert {table: len(rows) for table, rows in sail.items()} == {t: len(rows) for t, rows in spark.items()}
            assert [table for table in sail if sail[table] != spark[table]] == []
            assert len(sail["fraud_features.training_set"]) > 50 and sail["fraud.customers"]
    finally:
        engine.stop(homes["sail"])

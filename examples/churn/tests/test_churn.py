"""What is declared holds together, and the sample has what is declared."""

from pathlib import Path

import polars as pl
from use_cases.churn import CHURN
from use_cases.churn import online_retail as sample


def test_the_sample_has_the_columns_that_are_declared(tmp_path: Path) -> None:
    files = sample(tmp_path)
    for source in CHURN.sources:
        rows = pl.read_parquet(files[source.input])
        assert set(rows.columns) == {column.file_name for column in source.columns}


def test_targets_are_each_customer_on_mondays() -> None:
    assert CHURN.schedule is not None and CHURN.schedule.entities_of == "orders"
    assert CHURN.entities == ("customer_id",) and CHURN.events == "churn.targets"

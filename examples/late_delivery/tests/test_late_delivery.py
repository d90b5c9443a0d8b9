"""What is declared holds together, and the sample has what is declared."""

from pathlib import Path

import polars as pl
from use_cases.late_delivery import LATE_DELIVERY
from use_cases.late_delivery_sample import write as sample


def test_the_sample_has_the_columns_that_are_declared(tmp_path: Path) -> None:
    files = sample(tmp_path)
    for source in LATE_DELIVERY.sources:
        rows = pl.read_parquet(files[source.input])
        assert set(rows.columns) == {column.file_name for column in source.columns}


def test_a_carrier_that_changed_has_two_versions(tmp_path: Path) -> None:
    carriers = pl.read_parquet(sample(tmp_path)["carriers"])
    assert carriers.group_by("CARRIER_ID").len()["len"].unique().to_list() == [2]
    assert not carriers.select("CARRIER_ID", "VALID_FROM").is_duplicated().any()

"""What is declared holds together, and the sample has what is declared."""

from pathlib import Path

import polars as pl
from use_cases.support_tickets import SUPPORT_TICKETS
from use_cases.support_tickets_sample import write as sample


def test_the_sample_has_the_columns_that_are_declared(tmp_path: Path) -> None:
    files = sample(tmp_path)
    for source in SUPPORT_TICKETS.sources:
        rows = pl.read_parquet(files[source.input])
        assert set(rows.columns) == {column.file_name for column in source.columns}


def test_every_team_is_learned_of(tmp_path: Path) -> None:
    solutions = pl.read_parquet(sample(tmp_path)["solutions"])
    assert solutions["TEAM"].n_unique() == 4 and solutions["TICKET_ID"].is_unique().all()

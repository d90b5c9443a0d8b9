"""The mart of profiles that follows from declarations, load by load: versions, and what a load of late rows changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds import profiled_world as world
from worlds.profiled_world import BANK, CUSTOMERS, DAY, HOUR, PROFILE, START, Row, profile

from jobs.ingest.parsing import table_schema
from jobs.lakehouse import dbt_models
from jobs.lakehouse.tables import Lakehouse, attach

pytestmark = pytest.mark.embedded


def put(lakehouse: Lakehouse, rows: list[Row]) -> None:
    schema = table_schema(CUSTOMERS, {})
    table = pa.Table.from_pylist([row | {"event_date": row["changed_at"].date()} for row in rows], schema=schema)
    write_deltalake(lakehouse.path(BANK.raw_table(CUSTOMERS)), table, mode="append")


def mart(lakehouse: Lakehouse) -> dict[tuple[Any, ...], Row]:
    rows = pl.DataFrame(lakehouse.to_arrow(BANK.profile_table(PROFILE))).to_dicts()
    return {(row["customer_id"], row["known_at"]): row for row in rows}


def test_each_load_adds_its_versions_and_ends_those_before(lakehouse: Lakehouse, tmp_path: Path) -> None:
    settings = replace(lakehouse.settings, dbt_project=world.dbt_project(lakehouse.settings, tmp_path))
    bank, parsed = attach(settings), dbt_models.manifest(settings)
    first = [profile(0, START, START, 1), profile(1, START, START, 2)]
    late = [profile(1, START - DAY, START + HOUR, 3, load=2), profile(1, START + DAY, START + DAY, 4, load=2)]
    for rows in (first, late):
        put(bank, rows)
        done = dbt_models.build(bank, BANK, parsed, ["--select", "bank__customers"])
        assert not done.errors, done.errors
    found = mart(bank)
    assert set(found[0, START]) == {"customer_id", "changed_at", *PROFILE.columns, "known_at", "superseded_at",
                                    "loaded_in"}  # fmt: skip
    ends = {key: (row["superseded_at"], row["loaded_in"]) for key, row in found.items()}
    assert ends == {
        (0, START): (None, 1),
        (1, START): (START + HOUR, 2),
        (1, START + HOUR): (START + DAY, 2),
        (1, START + DAY): (None, 2),
    }
    assert {key: row["limit"] for key, row in found.items()} == {
        (row["customer_id"], row["known_at"]): row["limit"] for row in (*first, *late)
    }
    assert found[1, START]["born_at"] == START - timedelta(days=3)

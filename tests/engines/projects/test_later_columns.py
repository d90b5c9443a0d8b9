"""A column that is declared on a living home: what comes of it is what a new home would have had from the start."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from engines.projects.test_standard_targets import house_of
from worlds.churn import CHURN, CUSTOMERS, ORDERS

from jobs import settings
from jobs.errors import Invalid
from jobs.ingest import later_columns, load, registration
from jobs.lakehouse import dbt_models, model_refresh
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.use_case import Column, UseCase

START, DAY = datetime(2026, 3, 2, 9, tzinfo=UTC), timedelta(days=1)
BEFORE = replace(
    CHURN,
    sources=(CUSTOMERS, replace(ORDERS, columns=ORDERS.columns[:-1])),
    horizon_label=None,
    schedule=None,
    windows=(),
    events="churn.orders",
    event_id="order_id",
    event_timestamp="ordered_at",
)
WEIGHT = Column("weight", "number", nullable=True, optional=True)
AFTER = replace(BEFORE, sources=(CUSTOMERS, replace(ORDERS, columns=(*ORDERS.columns, WEIGHT))))


def files(folder: Path, days: int, corrected: int | None = None) -> dict[str, list[Path]]:
    """Orders of some days, of which one may have another amount than before; the same customers."""
    folder.mkdir(exist_ok=True)
    rows = []
    for n in range(4 * days):
        amount, channel = n + (0.5 if n == corrected else 0), ["web", "gift", None][n % 3]
        row = {"ORDER_ID": n, "ORDERED_AT": START + n * DAY / 4, "CUSTOMER_ID": n % 3, "AMOUNT": amount}
        rows.append(row | {"CHANNEL": channel, "WEIGHT": n / 7})
    customers = [{"CUSTOMER_ID": n, "JOINED_AT": START - DAY, "LEFT_AT": None} for n in range(3)]
    pl.DataFrame(rows).write_parquet(folder / "orders.parquet")
    pl.DataFrame(customers, schema_overrides={"LEFT_AT": pl.Datetime}).write_parquet(folder / "customers.parquet")
    return {name: [folder / f"{name}.parquet"] for name in ("orders", "customers")}


def night(house: Lakehouse, use_case: UseCase, given: dict[str, list[Path]], day: int) -> list[str]:
    """A load and dbt, as a nightly run has them; returns the models that were made anew."""
    now = START + day * DAY
    inputs = registration.describe(use_case, given, None, now)
    for source in use_case.sources:
        load.load(house, use_case, source, inputs, as_of=now, now=now)
    parsed = dbt_models.manifest(house.settings)
    nodes = json.loads(parsed.read_text())
    built, models = dbt_models.Built(house, use_case, parsed, nodes), dbt_models.models(nodes, use_case)
    anew = built.changed(models)
    others = [model for model in models if model not in anew]
    done = dbt_models.build(house, use_case, parsed, dbt_models.selection(nodes, others))
    done = done.and_then(model_refresh.refresh(house, use_case, parsed, nodes, anew)) if anew else done
    assert not done.errors
    built.remember(done, models)
    return anew


def rows_of(house: Lakehouse, table: str) -> list[dict[str, Any]]:
    frame = pl.DataFrame(house.to_arrow(table))
    return frame.select(sorted(frame.columns)).sort("order_id", "known_at").to_dicts()


@pytest.mark.embedded
def test_a_column_declared_later_belongs_to_the_versions_that_were_known(lakehouse: Lakehouse, tmp_path: Path) -> None:
    first, corrected = files(tmp_path / "first", 5), files(tmp_path / "later", 7, corrected=3)
    house = house_of(lakehouse, BEFORE, tmp_path / "dbt")
    assert night(house, BEFORE, first, 5) == [] and night(house, BEFORE, corrected, 7) == []
    before = rows_of(house, "churn.orders")
    assert len(before) == 29 and max(row["version"] for row in before) == 2
    house = house_of(house, AFTER, tmp_path / "dbt")
    anew = night(house, AFTER, corrected, 8)
    assert [name.split(".")[-1] for name in anew] == ["stg_churn__orders", "churn__orders"]
    after = rows_of(house, "churn.orders")
    assert [{n: row[n] for n in before[0]} for row in after] == before, "no row is another version than before"
    fresh = house_of(attach(settings.load({"EVERGREEN_HOME": str(tmp_path / "fresh")})), AFTER, tmp_path / "dbt")
    night(fresh, AFTER, first, 5)
    night(fresh, AFTER, corrected, 7)
    # The first file is not given any more: the version that only it had keeps null.
    wanted = [
        row | {"channel": None, "weight": None} if row["superseded_at"] else row
        for row in rows_of(fresh, "churn.orders")
    ]
    assert after == wanted
    assert night(house, AFTER, corrected, 9) == [] and rows_of(house, "churn.orders") == after
    assert house.refreshed("churn.orders") is not None and house.refreshed("churn.customers") is None


@pytest.mark.embedded
def test_a_key_that_is_declared_later_is_refused(lakehouse: Lakehouse, tmp_path: Path) -> None:
    house = house_of(lakehouse, BEFORE, tmp_path / "dbt")
    night(house, BEFORE, files(tmp_path / "first", 1), 1)
    source = replace(ORDERS, key=("weight",), columns=(*ORDERS.columns, Column("weight", "string")))
    with pytest.raises(Invalid, match=r"orders: expected key and times that its table has, found \['weight'\]"):
        later_columns.without(source, later_columns.of(house, CHURN, source))

"""A home under another declaration than the one that made it: refused in one line, and nothing is written."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from engines.projects.test_later_columns import AFTER, DAY, START, files, night
from engines.projects.test_standard_targets import house_of
from worlds.churn import CUSTOMERS

from jobs import settings
from jobs.errors import Invalid
from jobs.ingest import check
from jobs.lakehouse import engine
from jobs.lakehouse.tables import Lakehouse, attach
from jobs.use_case import Column, Kind, UseCase

pytestmark = pytest.mark.embedded
ORDERS = AFTER.source("orders")
TABLES = ["churn_raw.orders", "churn.orders"]


def of_kind(name: str, kind: Kind) -> tuple[Column, ...]:
    return tuple(replace(each, kind=kind) if each.name == name else each for each in ORDERS.columns)


def with_orders(**changes: object) -> UseCase:
    return replace(AFTER, sources=(CUSTOMERS, replace(ORDERS, **changes)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changed")


@pytest.fixture(scope="module")
def house(folder: Path) -> Iterator[Lakehouse]:
    """After a night of two days of files; no test changes it."""
    own = attach(settings.load({"EVERGREEN_HOME": str(folder / "home")}))
    house = house_of(own, AFTER, folder / "dbt")
    night(house, AFTER, files(folder / "first", 2), 2)
    yield house
    engine.stop(house.settings)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (with_orders(columns=of_kind("channel", "number")), "column channel as number where the table has string"),
        (with_orders(columns=of_kind("amount", "string")), "column amount as string where the table has double"),
        (with_orders(columns=of_kind("customer_id", "category")), "column customer_id as category where .* int64"),
        (with_orders(columns=tuple(each for each in ORDERS.columns if each.name != "channel")), "no column channel"),
        (with_orders(key=("order_id", "customer_id")), r"key \['order_id', 'customer_id'\] and not \['order_id'\]"),
        (with_orders(daily=False), "daily False and not True"),
    ],
    ids=["string_to_number", "number_to_string", "identifier_to_category", "removed", "key", "daily"],
)
def test_what_rows_were_written_by_is_declared_for_good(
    house: Lakehouse, folder: Path, changed: UseCase, said: str
) -> None:
    given, before = files(folder / "first", 2), house.versions(TABLES)
    with pytest.raises(Invalid, match=rf"orders: expected what its table was made by, found {said}; .*new home"):
        night(house, changed, given, 3)
    now = START + 3 * DAY
    [refusal] = check.check_files(house.settings, changed, given, None, now, now).refusals
    assert "expected what its table was made by" in refusal
    assert house.versions(TABLES) == before


def test_a_declaration_that_comes_back_goes_on_with_its_tables(house: Lakehouse, folder: Path) -> None:
    before = house.versions(TABLES)
    with pytest.raises(Invalid):
        night(house, with_orders(daily=False), files(folder / "first", 2), 3)
    assert night(house, AFTER, files(folder / "first", 2), 4) == [] and house.versions(TABLES) == before
    night(house, AFTER, files(folder / "later", 3), 5)
    assert house.to_arrow("churn.orders").num_rows == 12

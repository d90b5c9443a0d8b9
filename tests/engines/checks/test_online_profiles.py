"""Profiles online: brought to what is known by every run, however late a row came, and compared with their table."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from worlds import profiled_world as world
from worlds.profiled_world import BANK, DAY, HOUR, START, payment, profile

from jobs.checks import online_store
from jobs.feature_store import materialization
from jobs.feature_store.store import open_store, quiet
from jobs.lakehouse.tables import Lakehouse
from jobs.settings import Settings

AS_OF = START + 3 * DAY
PAYMENTS = [payment(n, START + n * HOUR, n % 4) for n in range(48)]
FIRST = [
    profile(0, START, START, 8),
    profile(1, START - 9000 * DAY, START - 9000 * DAY, 2),
    profile(2, START, START, 7),
]
pytestmark = pytest.mark.embedded


@pytest.fixture
def bank(home: Settings, tmp_path: Path) -> Lakehouse:
    lakehouse = world.home_of(home, tmp_path)
    world.put_payments(lakehouse, PAYMENTS, AS_OF)
    world.put_profiles(lakehouse, FIRST)
    return lakehouse


def visits(lakehouse: Lakehouse) -> list[int | None]:
    """What is online of customers 0 to 3."""
    with quiet():
        found = open_store(lakehouse, BANK).get_online_features(
            features=["customers:visits"], entity_rows=[{"customer_id": n} for n in range(4)]
        )
    values: list[int | None] = found.to_dict()["visits"]
    return values


def test_all_views_of_the_service_come_online_and_follow_late_rows(bank: Lakehouse) -> None:
    done = materialization.materialize(bank, BANK, AS_OF)
    assert set(done) == {"customer_windows", "customers"} and visits(bank) == [8, 2, None, None]
    late = [profile(1, START - DAY, START - DAY, 3), profile(0, START - DAY, START + DAY, 4)]
    later = [profile(2, AS_OF + HOUR, AS_OF, 5), profile(3, AS_OF, AS_OF + HOUR, 6)]
    world.put_profiles(bank, [*FIRST, *late, *later])
    done = materialization.materialize(bank, BANK, AS_OF)
    assert done["customers"].startswith("known from 2026-02-28 00:00") and visits(bank) == [8, 3, None, None]
    materialization.materialize(bank, BANK, AS_OF + DAY)
    assert visits(bank) == [8, 3, 5, 6]
    assert materialization.materialize(bank, BANK, AS_OF + DAY)["customers"] == "up to date"
    assert materialization.materialize(bank, BANK, AS_OF)["customers"] == "up to date" and visits(bank) == [8, 3, 5, 6]


def test_a_profile_that_was_changed_online_is_found(bank: Lakehouse) -> None:
    materialization.materialize(bank, BANK, AS_OF)
    sound = online_store.equals_tables(bank, BANK, AS_OF)
    assert sound.passed and sound.numbers["rows"] == 4 + 3  # customers who paid, and profiles
    with closing(sqlite3.connect(bank.settings.home / "feast" / "online.db")) as store, store:
        [table] = [name for (name,) in store.execute("select name from sqlite_master where type = 'table'")
                   if name.endswith("_customers")]  # fmt: skip
        store.execute(f"update \"{table}\" set value = (select value from \"{table}\" where feature_name = 'limit') "
                      "where feature_name = 'region'")  # fmt: skip
    changed = online_store.equals_tables(bank, BANK, AS_OF)
    assert not changed.passed and "entities of customers differ" in changed.found

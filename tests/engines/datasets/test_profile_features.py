"""Profile features in rows of events: as known at each one's moment, and the days that a late profile makes stale."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from worlds import profiled_world as world
from worlds.examples import with_examples
from worlds.profiled_world import BANK, DAY, HOUR, NAMES, START, Row, expected, payment, profile

from jobs.datasets import event_rows, history, training_set
from jobs.errors import Invalid
from jobs.feature_store.store import open_store
from jobs.lakehouse.tables import Lakehouse

pytestmark = pytest.mark.embedded
AS_OF = START + 12 * DAY
Moments = st.integers(0, 40).map(lambda n: START + n * 6 * HOUR)


@pytest.fixture
def bank(lakehouse: Lakehouse, tmp_path: Path) -> Lakehouse:
    for kept in (lakehouse.settings.state / "bank", lakehouse.settings.home / "feast"):
        shutil.rmtree(kept, ignore_errors=True)
    return world.home_of(lakehouse.settings, tmp_path)


@st.composite
def profiles(draw: st.DrawFn) -> list[Row]:
    """Versions of three customers: late ones, corrections of the same moment, ones that come into force later."""
    times = draw(st.lists(st.tuples(st.integers(0, 2), Moments, Moments), max_size=12))
    known = {(customer, known_at): (customer, at, known_at) for customer, at, known_at in times}
    return [profile(*each, number) for number, each in enumerate(known.values(), 1)]


def rows_of(lakehouse: Lakehouse) -> dict[int, Row]:
    table = lakehouse.to_arrow(history.table(BANK)).select(["payment_id", "paid_at", "customer_id", *NAMES])
    return {row["payment_id"]: row for row in table.to_pylist()}


PAYMENTS = [payment(n, START + n * 5 * HOUR, (None, 0, 1, 2, 3)[n % 5]) for n in range(50)]


@with_examples(12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(profiles())
def test_every_row_has_the_profile_that_was_known_at_its_moment(bank: Lakehouse, versions: list[Row]) -> None:
    if not bank.exists(BANK.events):
        world.put_payments(bank, PAYMENTS, AS_OF)
    world.put_profiles(bank, versions)
    history.build(bank, BANK, AS_OF)
    for number, row in rows_of(bank).items():
        found = {name: row[name] for name in NAMES}
        assert found == expected(versions, row["customer_id"], row["paid_at"]), number


LATE = profile(1, START + 2 * DAY, START + 2 * DAY + HOUR, 33)
FIRST = [profile(0, START, START, 8), profile(1, START, START, 2), profile(1, START + 6 * DAY, START + 6 * DAY, 3)]


def test_a_late_profile_makes_the_days_stale_on_which_it_is_the_answer(bank: Lakehouse) -> None:
    world.put_payments(bank, PAYMENTS, AS_OF)
    world.put_profiles(bank, FIRST)
    for build in (history.build, training_set.build):
        build(bank, BANK, AS_OF)
    last = bank.state(history.table(BANK))
    world.put_profiles(bank, [*FIRST, LATE])
    now = event_rows.inputs(bank, BANK, [BANK.events, BANK.labels], AS_OF, "rows")
    store = open_store(bank, BANK, now.versions)
    affected = {
        world.day_of(each) for each in PAYMENTS
        if each["customer_id"] == 1 and START + 2 * DAY + HOUR <= each["paid_at"] < START + 6 * DAY
    }  # fmt: skip
    reached = event_rows.reached(bank, BANK, store, last, now)
    assert sorted(reached or ()) == [(day, day) for day in sorted(affected)] and affected
    built = history.build(bank, BANK, AS_OF)
    assert built["days_written"] == len(affected)
    training_set.build(bank, BANK, AS_OF)
    brought = [cells(bank, table) for table in (history.table(BANK), BANK.training_set)]
    assert {row["region"] for row in brought[0] if row["payment_id"] == 12} == {"r3"}
    for table in (history.table(BANK), BANK.training_set):
        shutil.rmtree(bank.path(table))
    for build in (history.build, training_set.build):
        build(bank, BANK, AS_OF)
    assert brought == [cells(bank, table) for table in (history.table(BANK), BANK.training_set)]


def test_a_profile_table_that_was_written_again_with_the_same_rows_makes_nothing_stale(bank: Lakehouse) -> None:
    world.put_payments(bank, PAYMENTS, AS_OF)
    for _ in range(2):
        world.put_profiles(bank, FIRST)
        built = history.build(bank, BANK, AS_OF)
    assert built["days_written"] <= 1  # the last day, which is written whenever a version changed


def test_rows_without_a_profile_table_are_refused(bank: Lakehouse) -> None:
    world.put_payments(bank, PAYMENTS, AS_OF)
    with pytest.raises(Invalid, match=r"bank\.customers"):
        history.build(bank, BANK, AS_OF)


def cells(lakehouse: Lakehouse, table: str) -> list[Row]:
    return sorted(lakehouse.to_arrow(table).to_pylist(), key=lambda row: row["payment_id"])

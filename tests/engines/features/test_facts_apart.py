"""Window features of facts that are no targets, on tables: an update gives what a full run gives, on both engines."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake
from worlds.mart_rows import plain, same, versions

from jobs.errors import Invalid
from jobs.features import window_tables
from jobs.features.window_kernel import compute
from jobs.lakehouse.tables import Lakehouse
from jobs.window_lengths import Last
from jobs.windows import FACT_ID, Aggregate, FactMart, Ratio, WindowFeatures

DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
MONDAYS, ORDERS = "weekly.mondays", FactMart("weekly.orders", "order_id", "ordered_at")
TARGET, INSTANT = "weekly_features.order_windows", pl.Datetime("us", "UTC")
TIMES: dict[str, Any] = {"known_at": INSTANT, "superseded_at": INSTANT, "version": pl.Int32, "loaded_in": pl.Int64}
TARGET_TYPES = {"target_id": pl.String, "customer_id": pl.Int64, "at": INSTANT, **TIMES, "event_date": pl.Date}
ORDER_TYPES = {
    "order_id": pl.Int64,
    "customer_id": pl.Int64,
    "ordered_at": INSTANT,
    "amount": pl.Float64,
    "at": pl.String,
    **TIMES,
    "event_date": pl.Date,
}
"""A column of orders bears the name that targets have for their time."""
FEATURES = WindowFeatures(
    "order_windows",
    "customer_id",
    "target_id",
    "at",
    (
        Aggregate("count", windows=(DAY, 7 * DAY), name="orders"),
        Aggregate("sum", "amount", (7 * DAY, 10 * DAY)),
        Aggregate("last_age", windows=(10 * DAY,)),
        Aggregate("mean", "amount", (Last(2, 10 * DAY),)),
        Aggregate("max", "to_level", (7 * DAY,)),
    ),
    ratios=(Ratio("to_level", "amount", Aggregate("mean", "amount", (3 * DAY,), SECOND)),),
    facts="orders",
)


class World:
    """Targets at some mornings, and versions of orders, load by load: late ones, corrected and withdrawn ones."""

    def __init__(self, seed: int) -> None:
        self.random, self.load = random.Random(seed), 0
        self.targets: list[dict[str, Any]] = []
        self.orders: list[dict[str, Any]] = []

    def grow(self, day: int) -> None:
        """One load of the two days that end at a morning, and its targets."""
        chance, self.load = self.random, self.load + 1
        for _ in range(chance.randint(2, 9)):
            happened = START + chance.uniform(day - 2, day) * DAY - chance.choice([0, 0, 0, 3, 6]) * DAY
            happened = happened.replace(microsecond=0)
            self._order(len({row["order_id"] for row in self.orders}), happened, chance.choice([0, 0, 0, 1, 4]) * DAY)
        for order in chance.sample(self.orders, min(2, len(self.orders))):
            moved = order["ordered_at"] + chance.choice([0, 0, -1, 2]) * DAY
            self._order(order["order_id"], moved, order["known_at"] - moved + chance.choice([0.4, 2, 5]) * DAY)
        at = START + day * DAY + 6 * HOUR
        for customer in (1, 2, 3, 4):
            row = {"target_id": f"{customer}@{day}", "customer_id": customer, "at": at, "known_at": at}
            self.targets.append(row | {"superseded_at": None, "version": 1, "loaded_in": self.load})

    def _order(self, number: int, happened: datetime, late: timedelta) -> None:
        known = happened + late
        if any(row["order_id"] == number and row["known_at"] == known for row in self.orders):
            return
        values = {"customer_id": self.random.choice([1, 1, 2, 3, None]), "amount": self.random.choice([1e12, 0.1, 7.5])}
        times = {"ordered_at": happened, "known_at": known, "loaded_in": self.load}
        self.orders.append({"order_id": number, "at": "web", **values, **times})

    def marts(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        orders = [row | {"event_date": row["ordered_at"].date()} for row in versions(self.orders, "order_id")]
        targets = [row | {"event_date": row["at"].date()} for row in self.targets]
        return pl.DataFrame(targets, schema=TARGET_TYPES), pl.DataFrame(orders, schema=ORDER_TYPES)


def put(lakehouse: Lakehouse, world: World) -> tuple[pl.DataFrame, pl.DataFrame]:
    targets, orders = world.marts()
    for table, frame in ((MONDAYS, targets), (ORDERS.table, orders)):
        write_deltalake(lakehouse.path(table), frame.to_arrow(), mode="overwrite", partition_by=["event_date"])
    return targets, orders


def update(lakehouse: Lakehouse, as_of: datetime) -> window_tables.Result:
    return window_tables.update(lakehouse, FEATURES, MONDAYS, None, TARGET, as_of, facts=ORDERS)


def expected(targets: pl.DataFrame, orders: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The kernel over everything that was known."""
    known = targets.filter(pl.max_horizontal("known_at", "at") <= as_of).with_columns(is_target=pl.lit(True))
    facts = orders.filter(pl.max_horizontal("known_at", "ordered_at") <= as_of).drop("at")
    facts = facts.rename({"order_id": FACT_ID, "ordered_at": "at"})
    return pl.DataFrame(compute(FEATURES, plain(known), None, plain(facts))).sort("target_id")


def stored(lakehouse: Lakehouse) -> pl.DataFrame:
    return pl.DataFrame(lakehouse.to_arrow(TARGET)).sort("target_id")


WORLDS = [
    *(pytest.param("sail", seed, 5) for seed in range(5)),
    pytest.param("spark", 0, 2, marks=pytest.mark.spark),
]


@pytest.mark.parametrize(("engine_name", "seed", "steps"), WORLDS, indirect=["engine_name"])
def test_updates_after_late_and_corrected_facts_equal_a_full_recomputation(
    lakehouse: Lakehouse, seed: int, steps: int
) -> None:
    world = World(seed)
    for step in range(steps):
        world.grow(2 * step)
        targets, orders = put(lakehouse, world)
        as_of = START + 2 * step * DAY + 8 * HOUR
        result = update(lakehouse, as_of)
        same(stored(lakehouse), expected(targets, orders, as_of))
        assert update(lakehouse, as_of).rows_written == 0
        assert lakehouse.version(TARGET) == result.version


@pytest.mark.embedded
def test_targets_of_a_silent_time_are_computed_although_no_fact_came(lakehouse: Lakehouse) -> None:
    world = World(0)
    world.grow(0)
    put(lakehouse, world)
    update(lakehouse, START + DAY)
    orders = list(world.orders)
    world.grow(1)
    world.orders = orders
    targets, facts = put(lakehouse, world)
    assert update(lakehouse, START + 2 * DAY).rows_written >= 4
    same(stored(lakehouse), expected(targets, facts, START + 2 * DAY))


@pytest.mark.embedded
def test_facts_without_their_table_are_refused(lakehouse: Lakehouse) -> None:
    with pytest.raises(Invalid, match="order_windows counts the facts orders: pass their table"):
        window_tables.update(lakehouse, FEATURES, MONDAYS, None, TARGET, START)


def test_what_counts_other_facts_has_no_labels_and_hides_no_column_of_targets() -> None:
    with pytest.raises(Invalid, match="expected aggregates of the facts orders, found some of labels"):
        replace(FEATURES, aggregates=(Aggregate("count", of="labels", where=("churned", True)),))
    with pytest.raises(Invalid, match=r"named otherwise than those that say which target it is, found \['at'\]"):
        replace(FEATURES, aggregates=(Aggregate("distinct", "at"),))

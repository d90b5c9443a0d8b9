"""dbt's marts of a schedule and of a rule for labels, load by load, against plain loops over what was known."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from worlds.churn import CHURN, CUSTOMERS, ORDERS

from jobs.features import window_tables
from jobs.ingest.parsing import table_schema
from jobs.lakehouse import dbt_models
from jobs.lakehouse.envelope import DELETED, DELETIONS
from jobs.lakehouse.tables import Lakehouse
from jobs.projects import assembly
from jobs.projects.standard_models import standard_models
from jobs.targets import HorizonLabel
from jobs.use_case import Source, UseCase

START, HOUR, DAY = datetime(2026, 3, 20, tzinfo=UTC), timedelta(hours=1), timedelta(days=1)
LONDON = ZoneInfo("Europe/London")
Row = dict[str, Any]


def house_of(lakehouse: Lakehouse, use_case: UseCase, folder: Path) -> Lakehouse:
    """The lakehouse with a dbt project of what follows from the use case's declarations."""
    files = {n: text for n, text in assembly.base_files("dbt_project") if not n.startswith("models/")}
    files |= {f"models/{name}": text.encode() for name, text in standard_models(use_case).items()}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    settings = replace(lakehouse.settings, dbt_project=folder)
    object.__setattr__(lakehouse, "settings", settings)
    return lakehouse


def put(lakehouse: Lakehouse, source: Source, rows: list[Row]) -> None:
    schema = table_schema(source, {})
    schema = pa.unify_schemas([schema, DELETIONS]) if any(DELETED in row for row in rows) else schema
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame = frame.with_columns(event_date=pl.coalesce(source.event_time, "known_at").dt.date())
    missing = [pl.lit(None).alias(name) for name in schema.names if name not in frame.columns]
    table = frame.with_columns(missing).select(schema.names).to_arrow().cast(schema)
    write_deltalake(lakehouse.path(CHURN.raw_table(source)), table, mode="append", schema_mode="merge")


def loaded(chance: Random, load: int, known: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Rows of a load: new, late, corrected and deleted customers and orders, of the days up to its own."""
    today = START + 9 * load * DAY

    def late(at: datetime) -> datetime:
        return min(today, at + chance.choice([0, 0, 0, 2, 6, 15]) * DAY + load * timedelta(minutes=1))

    customers, orders = [], []
    for number in chance.sample(range(8), 4):
        joined = today - chance.randrange(1, 40) * DAY - chance.randrange(24) * HOUR
        left = joined + chance.randrange(1, 30) * DAY if chance.random() < 0.4 else None
        customers.append({"customer_id": number, "joined_at": joined, "left_at": left, "known_at": late(joined)})
    for _ in range(12):
        number = chance.randrange(40)
        at = today - chance.randrange(0, 20) * DAY - chance.randrange(24) * HOUR
        values = {"amount": chance.randrange(9) + 0.1, "channel": chance.choice(["web", "gift", None])}
        order = {"order_id": number, "ordered_at": at, "customer_id": chance.randrange(8), "known_at": late(at)}
        orders.append(order | values)
    gone = {
        "customers": [{"customer_id": row["customer_id"], "known_at": today} for row in known["customers"][:1]],
        "orders": [{"order_id": row["order_id"], "known_at": today - DAY / 3} for row in known["orders"][:2]],
    }
    new = {"customers": customers, "orders": orders}
    for name, key in (("customers", "customer_id"), ("orders", "order_id")):
        rows = [row | {"loaded_in": load} for row in new[name]]
        rows += [row | {DELETED: True, "loaded_in": load} for row in gone[name]]
        seen = {(row[key], row["known_at"]) for row in known[name]}
        new[name] = [r for n, r in enumerate(rows) if (r[key], r["known_at"]) not in seen
                     and all((r[key], r["known_at"]) != (o[key], o["known_at"]) for o in rows[:n])]  # fmt: skip
    return new


def standing(rows: list[Row], key: str, moment: datetime) -> list[Row]:
    """The version of each key that holds at a moment."""
    held: dict[Any, Row] = {}
    for row in sorted(rows, key=lambda row: row["known_at"]):
        if row["known_at"] <= moment:
            held[row[key]] = row
    return [row for row in held.values() if DELETED not in row]


def mondays(first: datetime, last: datetime) -> list[datetime]:
    """Mondays at six in London, by the hour."""
    hours = (first.replace(minute=0, second=0) + n * HOUR for n in range(int((last - first) / HOUR) + 2))
    local = ((at, at.astimezone(LONDON)) for at in hours)
    return [at for at, there in local if there.weekday() == 0 and there.hour == 6 and first <= at <= last]


def expected_targets(known: dict[str, list[Row]]) -> set[tuple[int, datetime]]:
    newest = max(row["known_at"] for rows in known.values() for row in rows)
    found = set()
    for at in mondays(START - 60 * DAY, newest):
        for row in standing(known["customers"], "customer_id", at):
            if row["joined_at"] <= at and (row["left_at"] is None or at < row["left_at"]):
                found.add((row["customer_id"], at))
    return found


def label_at(known: dict[str, list[Row]], target: tuple[int, datetime], moment: datetime) -> list[Row]:
    """The orders that count for a target, as known at a moment."""
    customer, at = target
    orders = standing(known["orders"], "order_id", moment)
    mine = [row for row in orders if row["customer_id"] == customer and at < row["ordered_at"] <= at + 10 * DAY]
    return [row for row in mine if row["channel"] not in ("gift", None)]


def ruled(**declared: Any) -> UseCase:
    """The use case with another rule for labels."""
    return replace(CHURN, horizon_label=HorizonLabel("orders", 10 * DAY, where=("channel", "!=", "gift"), **declared))


RULES = {
    "none": (CHURN, lambda orders: not orders),
    "sum": (ruled(value="sum", column="amount"), lambda orders: sum(row["amount"] for row in orders)),
    "count": (ruled(value="count"), len),
}


@pytest.mark.parametrize(
    ("engine_name", "rule"),
    [*(pytest.param("sail", rule) for rule in RULES), pytest.param("spark", "sum", marks=pytest.mark.spark)],
    indirect=["engine_name"],
)
def test_targets_and_labels_are_what_was_known_load_by_load(lakehouse: Lakehouse, rule: str, tmp_path: Path) -> None:
    use_case, of_orders = RULES[rule]
    house, chance = house_of(lakehouse, use_case, tmp_path / "dbt"), Random(rule)
    parsed = dbt_models.manifest(house.settings)
    known: dict[str, list[Row]] = {"customers": [], "orders": []}
    for load in range(1, 5 if rule == "none" else 3):
        new = loaded(chance, load, known)
        for source in (CUSTOMERS, ORDERS):
            put(house, source, new[source.name])
            known[source.name].extend(new[source.name])
        before = rows_of(house, use_case.events) if load > 1 else []
        done = dbt_models.build(house, use_case, parsed, ["--select", "fqn:*"])
        assert not done.errors
        now = rows_of(house, use_case.events)
        newest = max(row["known_at"] for rows in known.values() for row in rows)
        visible = [row for row in now if row["superseded_at"] is None and row["at"] <= newest]
        assert {(row["customer_id"], row["at"]) for row in visible} == expected_targets(known)
        assert all(row["known_at"] == row["at"] and row["version"] == 1 for row in now)
        assert len({row["target_id"] for row in now}) == len(now)
        changed_rows(before, now)
        check_labels(house, use_case, known, expected_targets(known), of_orders)


@pytest.mark.embedded
def test_labels_of_events_are_of_their_first_versions(lakehouse: Lakehouse, tmp_path: Path) -> None:
    of_orders = replace(ruled(value="any"), schedule=None, windows=(), events="churn.orders", event_id="order_id",
                        event_timestamp="ordered_at")  # fmt: skip
    house, chance = house_of(lakehouse, of_orders, tmp_path / "dbt"), Random(3)
    known: dict[str, list[Row]] = {"customers": [], "orders": []}
    for load in (1, 2, 3):
        new = loaded(chance, load, known)
        for source in (CUSTOMERS, ORDERS):
            put(house, source, new[source.name])
            known[source.name].extend(new[source.name])
        assert not dbt_models.build(house, of_orders, dbt_models.manifest(house.settings), ["--select", "fqn:*"]).errors
    first: dict[int, Row] = {}
    for row in sorted(known["orders"], key=lambda row: row["known_at"]):
        if DELETED not in row:
            first.setdefault(row["order_id"], row)
    newest = max(row["known_at"] for row in known["orders"])
    labels = rows_of(house, of_orders.labels)
    mature = {id for id, row in first.items() if row["ordered_at"] + 10 * DAY <= newest}
    assert {row["order_id"] for row in labels} == mature and len(mature) > 10
    for id in mature:
        target, ends = (first[id]["customer_id"], first[id]["ordered_at"]), first[id]["ordered_at"] + 10 * DAY
        moments = [ends, *(row["known_at"] for row in known["orders"] if row["known_at"] > ends)]
        for moment in moments:
            [held] = [
                row["stays_away"] for row in labels
                if row["order_id"] == id and row["known_at"] <= moment
                and (row["superseded_at"] is None or moment < row["superseded_at"])
            ]  # fmt: skip
            assert held == bool(label_at(known, target, moment)), (id, moment)


def changed_rows(before: list[Row], now: list[Row]) -> None:
    """What is new or otherwise has a greater number than all before, and nothing else has."""
    last = max((row["loaded_in"] for row in before), default=0)
    held = {row["target_id"]: row["superseded_at"] for row in before}
    for row in now:
        same = row["target_id"] in held and held[row["target_id"]] == row["superseded_at"]
        assert same == (row["loaded_in"] <= last), row


def check_labels(
    house: Lakehouse, use_case: UseCase, known: dict[str, list[Row]], targets: set[tuple[int, datetime]], value: Any
) -> None:
    newest = max(row["known_at"] for row in known["orders"])
    mature = {target for target in targets if target[1] + 10 * DAY <= newest}
    labels = rows_of(house, use_case.labels)
    assert {(row["customer_id"], row["at"]) for row in labels} == mature and mature
    moments = sorted({row["known_at"] for row in known["orders"]})
    for target in mature:
        mine = [row for row in labels if (row["customer_id"], row["at"]) == target]
        for moment in [target[1] + 10 * DAY, *(m for m in moments if m > target[1] + 10 * DAY)]:
            [held] = [
                row[use_case.label] for row in mine
                if row["known_at"] <= moment and (row["superseded_at"] is None or moment < row["superseded_at"])
            ]  # fmt: skip
            assert held == pytest.approx(value(label_at(known, target, moment))), (target, moment)


def rows_of(house: Lakehouse, table: str) -> list[Row]:
    return pl.DataFrame(house.to_arrow(table)).to_dicts()


@pytest.mark.embedded
def test_a_schedule_over_an_empty_table_has_no_targets_until_there_are_entities(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    house, known = house_of(lakehouse, CHURN, tmp_path / "dbt"), loaded(Random(0), 1, {"customers": [], "orders": []})
    for source in (CUSTOMERS, ORDERS):
        write_deltalake(house.path(CHURN.raw_table(source)), table_schema(source, {}).empty_table())
    parsed, windows = dbt_models.manifest(house.settings), CHURN.windows[0]
    steps: list[dict[str, list[Row]]] = [
        {"customers": [], "orders": []},
        {"customers": [], "orders": known["orders"]},
        known,
    ]
    for rows in steps:
        for source in (CUSTOMERS, ORDERS):
            if rows[source.name] and (source is CUSTOMERS or rows is not known):
                put(house, source, rows[source.name])
        assert not dbt_models.build(house, CHURN, parsed, ["--select", "fqn:*"]).errors
        result = window_tables.update(
            house, windows, CHURN.events, CHURN.labels, "churn_features.windows", START + 40 * DAY,
            facts=CHURN.fact_mart(windows),
        )  # fmt: skip
        targets = [row for row in rows_of(house, CHURN.events) if row["at"] <= START + 40 * DAY]
        assert len(rows_of(house, "churn_features.windows")) == len(targets) == result.rows_written
        assert bool(targets) == bool(rows["customers"])

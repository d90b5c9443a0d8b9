"""Loading files into raw tables, on both engines: idempotent, versioned, in one commit, for any use case."""

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.ingest import contracts
from jobs.ingest import load as ingest
from jobs.ingest.load_memory import LoadResult
from jobs.ingest.registered_inputs import Inputs
from jobs.lakehouse import dbt_models
from jobs.lakehouse.tables import Lakehouse
from jobs.use_case import Column, Source, UseCase

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
START = datetime(2026, 5, 1, tzinfo=UTC)
ORDERS = Source(
    name="orders",
    key=("order_id",),
    event_time="placed_at",
    latency=timedelta(hours=1),
    columns=(
        Column("order_id", "identifier"),
        Column("placed_at", "timestamp"),
        Column("amount", "number", minimum=0),
        Column("note", "string", nullable=True, optional=True),
    ),
)
RETURNS = Source(
    name="returns",
    key=("order_id",),
    event_time="returned_at",
    known_at="returned_at",
    references={"order_id": "orders.order_id"},
    carried_by="orders",
    carried_delay=3 * DAY,
    columns=(
        Column("order_id", "identifier"),
        Column("returned", "boolean"),
        Column("returned_at", "timestamp"),
    ),
)
SHOPS = Source(
    name="shops",
    key=("shop_id",),
    event_time="opened_at",
    required=False,
    columns=(Column("shop_id", "identifier"), Column("order_id", "identifier"), Column("opened_at", "timestamp")),
)
USE_CASE = UseCase(
    name="shop", description="", owners=(), sources=(ORDERS, RETURNS, SHOPS), first_day=START.date(), events="e",
    labels="l", event_id="order_id", event_timestamp="placed_at", entities=(), label="returned",
    label_maturity=3 * DAY, windows=(), feature_service="shop", training_window=30 * DAY,
    last_day=START.date(),
)  # fmt: skip


@dataclass
class Shop:
    """A use case of its own on one lakehouse, and the files that feed it."""

    lakehouse: Lakehouse
    folder: Path
    use_case: UseCase = field(default_factory=lambda: replace(USE_CASE, name=f"shop_{uuid.uuid4().hex[:8]}"))
    columns: dict[str, Any] = field(default_factory=dict)

    def write(self, name: str, rows: Sequence[Mapping[str, object]]) -> Path:
        path = self.folder / f"{name}.parquet"
        self.folder.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(list(rows), infer_schema_length=None).write_parquet(path)
        return path

    def load(
        self,
        rows: Sequence[Mapping[str, object]] | Path,
        as_of: datetime = NOW,
        source: Source = ORDERS,
        days: tuple[date, date] | None = None,
        file_of: Source | None = None,
    ) -> LoadResult:
        path = rows if isinstance(rows, Path) else self.write(uuid.uuid4().hex, rows)
        inputs = Inputs({(file_of or source).input: (str(path),)}, START.date(), START.date(), self.columns)
        result = ingest.load(self.lakehouse, self.use_case, source, inputs, as_of=as_of, now=NOW, days=days)
        assert result.unaccounted == 0, "of every row it is known what became of it"
        return result

    def rows(self, source: Source = ORDERS, loads: bool = False) -> list[tuple[Any, ...]]:
        found = pl.DataFrame(self.lakehouse.to_arrow(self.use_case.raw_table(source)))
        names = [c.name for c in source.columns] + ["known_at"] + (["loaded_in"] if loads else [])
        return sorted(found.select(names).rows(), key=repr)

    def quarantine(self, source: Source = ORDERS) -> list[tuple[Any, ...]]:
        table = f"{self.use_case.raw_table(source)}_quarantine"
        if not self.lakehouse.exists(table):
            return []
        return sorted(pl.DataFrame(self.lakehouse.to_arrow(table)).select("reasons", "row").rows())


@pytest.fixture
def shop(lakehouse: Lakehouse, tmp_path: Path) -> Shop:
    return Shop(lakehouse, tmp_path / "files")


def order(number: int, day: int, amount: float = 1.0, **more: object) -> dict[str, object]:
    return {"ORDER_ID": f"o{number}", "PLACED_AT": START + day * DAY, "AMOUNT": amount, **more}


def test_a_load_is_one_commit_of_daily_partitions_with_its_state(shop: Shop) -> None:
    path = shop.write("orders", [order(n, n % 3, NOTE="x", SECRET=7) for n in range(30)])
    result = shop.load(path)
    table = shop.use_case.raw_table(ORDERS)
    assert (result.appended, result.version, result.undeclared) == (30, 0, ("SECRET",))
    assert result.days == tuple((START + d * DAY).date() for d in range(3))
    delta = shop.lakehouse.delta(table)
    assert delta.metadata().partition_columns == ["event_date"]
    assert set(shop.lakehouse.schema(table).names) == {
        "order_id", "placed_at", "amount", "note", "known_at", "event_date", "loaded_in",
    }  # fmt: skip
    state = shop.lakehouse.state(table)
    assert (state["loaded_in"], state["as_of"], list(state["files"])) == (1, NOW.isoformat(), [str(path)])
    assert shop.lakehouse.read(table).where("event_date = date'2026-05-02'").count() == 10


@pytest.mark.embedded
def test_the_same_file_or_day_twice_adds_nothing(shop: Shop) -> None:
    path = shop.write("orders", [order(n, n) for n in range(4)])
    first = shop.load(path)
    copy = shop.write("copy", [order(n, n) for n in range(4)])
    day = (START + 2 * DAY).date()
    for again in (shop.load(path), shop.load(copy), shop.load(copy, days=(day, day))):
        assert (again.appended, again.version) == (0, first.version)
    assert shop.load(copy).already_known == 4


@pytest.mark.embedded
def test_a_file_that_changes_while_it_is_loaded_is_loaded_again(shop: Shop) -> None:
    path = shop.write("orders", [order(n, n) for n in range(4)])
    inputs = Inputs({ORDERS.input: (str(path),)}, START.date(), START.date())

    def grow(step: int, _: int) -> None:
        if step == 1:  # its rows were read
            shop.write("orders", [order(n, n) for n in range(6)])

    ingest.load(shop.lakehouse, shop.use_case, ORDERS, inputs, as_of=NOW, now=NOW, progress=grow)
    assert shop.load(path).appended == 2


@pytest.mark.embedded
def test_a_load_waits_while_models_are_built(shop: Shop) -> None:
    table = shop.use_case.raw_table(ORDERS)
    loading = threading.Thread(target=shop.load, args=([order(1, 1)],), daemon=True)
    with dbt_models.loads_wait(shop.lakehouse, shop.use_case):
        loading.start()
        loading.join(3)
        assert loading.is_alive() and not shop.lakehouse.exists(table)
    loading.join(60)
    assert shop.lakehouse.row_count(table) == 1


@pytest.mark.embedded
def test_days_bring_only_their_events(shop: Shop) -> None:
    path = shop.write("orders", [order(n, n) for n in range(5)])
    result = shop.load(path, days=((START + DAY).date(), (START + 2 * DAY).date()))
    assert [r[0] for r in shop.rows()] == ["o1", "o2"]
    assert result.days == ((START + DAY).date(), (START + 2 * DAY).date())
    assert shop.load(path).appended == 3


@pytest.mark.embedded
def test_rows_known_later_come_with_a_later_as_of(shop: Shop) -> None:
    path = shop.write("orders", [order(n, n) for n in range(4)])
    early = shop.load(path, as_of=START + 2 * DAY)
    assert (early.appended, early.not_yet_known) == (2, 2)
    assert shop.load(path, as_of=START + 2 * DAY).appended == 0
    at_the_moment = shop.load(path, as_of=START + 2 * DAY + timedelta(hours=1))
    assert (at_the_moment.appended, at_the_moment.not_yet_known) == (1, 1)
    assert shop.load(path).appended == 1
    assert [r[-1] for r in shop.rows(loads=True)] == [1, 1, 2, 3]


@pytest.mark.embedded
def test_a_grown_file_brings_its_new_rows_and_late_ones(shop: Shop) -> None:
    rows = [order(n, n % 5) for n in range(50)]
    shop.load(rows)
    result = shop.load([*rows, order(50, 5), order(51, 0)])
    assert (result.appended, result.already_known) == (2, 50)
    assert [r[:1] for r in shop.rows(loads=True) if r[-1] == 2] == [("o50",), ("o51",)]


def test_a_corrected_row_moves_to_its_day_as_a_new_version(shop: Shop) -> None:
    shop.load([order(1, 0, 1.0), order(2, 0)], as_of=START + 3 * DAY)
    result = shop.load([order(1, 2, 9.0)], as_of=START + 5 * DAY)
    hour = timedelta(hours=1)
    assert result.days == ((START + 2 * DAY).date(),)
    assert [r for r in shop.rows() if r[0] == "o1"] == [
        ("o1", START, 1.0, None, START + hour),
        ("o1", START + 2 * DAY, 9.0, None, START + 5 * DAY),
    ]


@pytest.mark.embedded
def test_contradictions_go_to_quarantine_with_their_reason_once(shop: Shop) -> None:
    path = shop.write("orders", [order(1, 0, 1.0), order(1, 0, 2.0), order(2, 0, -1.0), order(2, 1)])
    for _ in range(2):
        result = shop.load(path)
        assert result.quarantined == {"duplicate key with different content": 1, "amount: below 0": 1}
    later = shop.load(path, as_of=NOW + DAY)
    assert later.quarantined == result.quarantined
    reasons = [reason for reason, _ in shop.quarantine()]
    assert reasons == ["amount: below 0", "duplicate key with different content"]
    failed = {f.name for f in result.findings if not f.passed}
    assert failed == {"ranges", "uniqueness"}
    assert {f.name for f in result.findings} == set(contracts.CHECKS)


@pytest.mark.embedded
def test_an_arrival_column_makes_versions(shop: Shop) -> None:
    shop.columns = {"orders": {"known_at": "arrived", "amount": "total"}}
    rows = [{"ORDER_ID": 1, "PLACED_AT": START, "total": float(n), "arrived": START + n * DAY} for n in (1, 2, 3)]
    shop.load(rows[1:], as_of=START + 2 * DAY)
    shop.load(rows)
    assert [(r[2], r[-1]) for r in shop.rows()] == [(float(n), START + n * DAY) for n in (1, 2, 3)]


def test_reports_wait_in_quarantine_until_what_they_are_about_arrives(shop: Shop) -> None:
    shop.load([order(1, 0)])
    reports = [
        {"ORDER_ID": f"o{n}", "RETURNED": n % 2, "RETURNED_AT": START + timedelta(days=9, microseconds=n)}
        for n in (1, 2, 3)
    ]
    first = shop.load(reports, source=RETURNS)
    assert (first.appended, first.quarantined) == (1, {"unknown order_id": 2})
    shop.load([order(2, 0)])
    other = shop.load([reports[0]], source=RETURNS)
    assert (other.appended, other.released) == (1, 1)
    shop.load([order(3, 0)])
    same = shop.load(reports, source=RETURNS)
    assert (same.appended, same.quarantined) == (1, {})
    assert shop.rows(RETURNS) == [
        (f"o{n}", bool(n % 2), *[START + timedelta(days=9, microseconds=n)] * 2) for n in (1, 2, 3)
    ]


def test_what_was_known_before_its_event_is_quarantined_and_what_was_known_with_it_is_told(shop: Shop) -> None:
    shop.load([order(n, 5) for n in range(4)])
    happened = START + 5 * DAY
    known = [happened - timedelta(microseconds=1), happened, happened + DAY, happened - 14 * DAY]
    rows = [{"ORDER_ID": f"o{n}", "RETURNED": 1, "RETURNED_AT": at} for n, at in enumerate(known)]
    reports = shop.write("reports", rows)
    result = shop.load(reports, source=RETURNS)
    assert (result.appended, result.known_at_event) == (2, 1)
    assert result.quarantined == {"returned_at: before its event": 2}
    assert {row[0] for row in shop.rows(RETURNS)} == {"o1", "o2"}
    assert [finding.passed for finding in result.findings if finding.name == "known_after_event"] == [False]
    assert shop.load(reports, source=RETURNS).appended == 0 and len(shop.quarantine(RETURNS)) == 2


@pytest.mark.embedded
def test_a_report_of_an_event_that_was_moved_may_lie_after_the_earlier_time_only(shop: Shop) -> None:
    shop.load([order(1, 5)])
    shop.load([order(1, 3)], as_of=NOW - DAY)
    report = {"ORDER_ID": "o1", "RETURNED": 1, "RETURNED_AT": START + 4 * DAY}
    assert shop.load([report], source=RETURNS).appended == 1


@pytest.mark.embedded
def test_a_report_that_waited_is_judged_by_its_time_too(shop: Shop) -> None:
    report = {"ORDER_ID": "o1", "RETURNED": 1, "RETURNED_AT": START}
    shop.load([order(2, 0)])
    assert shop.load([report], source=RETURNS).quarantined == {"unknown order_id": 1}
    shop.load([order(1, 5)])
    assert shop.load([{**report, "ORDER_ID": "o2"}], source=RETURNS).quarantined == {"returned_at: before its event": 1}
    assert [row[0] for row in shop.rows(RETURNS)] == ["o2"]


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("zone", "end"), [("UTC", START + 6 * DAY), ("Europe/Berlin", START + 5 * DAY + timedelta(hours=22))]
)
@pytest.mark.parametrize("as_text", [True, False])
def test_a_date_alone_is_known_at_its_end(shop: Shop, zone: str, end: datetime, as_text: bool) -> None:
    shop.columns = {"timezone": zone}
    shop.load([order(1, 5, PLACED_AT=START + 5 * DAY + timedelta(hours=14))])
    day = (START + 5 * DAY).date()
    report = {"ORDER_ID": "o1", "RETURNED": 1, "RETURNED_AT": day.isoformat() if as_text else day}
    result = shop.load([report], source=RETURNS)
    assert (result.appended, result.dates_alone, result.known_at_event) == (1, 1, 0)
    assert shop.rows(RETURNS) == [("o1", True, *[end - timedelta(microseconds=1)] * 2)]


@pytest.mark.embedded
def test_a_report_of_today_waits_for_the_end_of_the_day(shop: Shop) -> None:
    shop.load([order(1, 5)])
    report = {"ORDER_ID": "o1", "RETURNED": 1, "RETURNED_AT": NOW.date().isoformat()}
    result = shop.load([report], source=RETURNS)
    assert (result.appended, result.not_yet_known, result.quarantined) == (0, 1, {})


@pytest.mark.embedded
def test_labels_in_the_same_file_are_known_after_the_delay(shop: Shop) -> None:
    path = shop.write("orders", [order(n, n, RETURNED=label) for n, label in enumerate((0, 1, None))])
    shop.load(path)
    result = shop.load(path, source=RETURNS, file_of=ORDERS, as_of=START + 3 * DAY)
    assert (result.appended, result.not_yet_known) == (1, 1)
    shop.load(path, source=RETURNS, file_of=ORDERS)
    assert shop.rows(RETURNS) == [
        ("o0", False, START + 3 * DAY, START + 3 * DAY),
        ("o1", True, START + 4 * DAY, START + 4 * DAY),
    ]


@pytest.mark.embedded
def test_labels_in_the_same_file_that_say_when_are_known_then_or_never(shop: Shop) -> None:
    reported = START + 20 * DAY
    rows = [
        order(0, 0, RETURNED=1, RETURNED_AT=reported),
        order(1, 0, RETURNED=1, RETURNED_AT=None),
        order(2, 0, RETURNED=0, RETURNED_AT=reported),
        order(3, 0, RETURNED=0, RETURNED_AT=None),
    ]
    path = shop.write("orders", rows)
    assert shop.load(path).undeclared == ()
    shop.load(path, source=RETURNS, file_of=ORDERS)
    assert shop.rows(RETURNS) == [("o0", True, reported, reported), ("o2", False, reported, reported)]


@pytest.mark.embedded
def test_immediate_labels_are_known_with_their_event(shop: Shop) -> None:
    ratings = Source(
        name="ratings", key=("order_id",), event_time="placed_at", carried_by="orders",
        references={"order_id": "orders.order_id"},
        columns=(Column("order_id", "identifier"), Column("placed_at", "timestamp"), Column("stars", "integer")),
    )  # fmt: skip
    shop.use_case = replace(shop.use_case, sources=(ORDERS, ratings))
    rows = [order(0, 0, STARS=5), order(1, 3, STARS=1), order(2, 0, STARS=None), order(3, 0, -1.0, STARS=3)]
    path = shop.write("orders", rows)
    as_of = START + 3 * DAY
    shop.load(path, as_of=as_of + DAY)
    result = shop.load(path, source=ratings, file_of=ORDERS, as_of=as_of)
    assert result.quarantined == {"unknown order_id": 1}
    assert shop.rows(ratings) == [("o0", START, 5, START), ("o1", as_of, 1, as_of)]


def test_a_source_without_a_file_has_an_empty_table_with_the_ids_of_the_others(shop: Shop) -> None:
    shop.load([order(1, 0)])
    inputs = Inputs({}, START.date(), START.date())
    for _ in range(2):
        result = ingest.load(shop.lakehouse, shop.use_case, SHOPS, inputs, as_of=NOW, now=NOW)
        assert (result.appended, result.version) == (0, 0)
    schema = shop.lakehouse.schema(shop.use_case.raw_table(SHOPS))
    assert [str(schema.field(n).type) for n in ("shop_id", "order_id")] == ["int64", "string"]
    assert shop.lakehouse.read(shop.use_case.raw_table(SHOPS)).count() == 0
    opened = [{"SHOP_ID": "s1", "ORDER_ID": "o1", "OPENED_AT": START}]
    assert shop.load(opened, source=SHOPS).appended == 1
    assert shop.rows(SHOPS) == [("s1", "o1", START, START)]
    assert shop.lakehouse.read(shop.use_case.raw_table(SHOPS)).select("shop_id").collect()[0][0] == "s1"


@pytest.mark.embedded
@given(
    rows=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=15),
    parts=st.lists(st.integers(0, 2), min_size=15, max_size=15),
    moments=st.tuples(st.integers(0, 10), st.integers(0, 10), st.integers(0, 10)),
    order_of_files=st.permutations(range(3)),
    by_day=st.booleans(),
)
@with_examples(8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_split_over_files_loads_and_days_ends_in_the_same_table(
    shop: Shop,
    rows: list[tuple[int, int, int]],
    parts: list[int],
    moments: tuple[int, int, int],
    order_of_files: list[int],
    by_day: bool,
) -> None:
    made = {
        (n, day + late): order(n, day, 10.0 * day + late, ARRIVED=START + (day + late) * DAY) for n, day, late in rows
    }
    files = [[r for r, part in zip(made.values(), parts, strict=False) if part == n] for n in range(3)]
    names = {"orders": {"known_at": "arrived"}}
    at_once = Shop(shop.lakehouse, shop.folder, columns=names)
    at_once.load(list(made.values()))
    split = Shop(shop.lakehouse, shop.folder, columns=names)
    paths = [split.write(f"{uuid.uuid4().hex}", part) if part else None for part in files]
    for number, moment in zip(order_of_files, sorted(moments), strict=True):
        if path := paths[number]:
            split.load(path, as_of=START + moment * DAY)
    for path in filter(None, paths):
        days = sorted({r["PLACED_AT"].date() for r in made.values()}) if by_day else [None]  # type: ignore[attr-defined]
        for day in days:
            split.load(path, days=(day, day) if day else None)
    assert split.rows() == at_once.rows()
    assert len(at_once.rows()) == len(made)

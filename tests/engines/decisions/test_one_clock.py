"""What the service decided from and what a night makes of the same events, brought by a file later: the same cells."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake
from worlds.decided_world import DAY, SECOND, START, Row, World, decide, server, worker
from worlds.marts import TIME

from assets import decisions, features
from assets.keys import Keys
from assets.run_context import AS_OF_TAG
from jobs.checks import online_decisions, online_store, rows_of_events
from jobs.datasets import history, training_set
from jobs.decisions import shipping
from jobs.decisions.log_contents import Decided
from jobs.decisions.opened import log_file
from jobs.feature_store import materialization
from jobs.features import window_tables
from jobs.ingest import registered_inputs
from jobs.lakehouse.tables import Lakehouse
from jobs.scoring import prediction_log
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD

LOG, EPOCH = prediction_log.table(FRAUD), datetime(1970, 1, 1, tzinfo=UTC)
ONE_SECOND = microseconds(START) + 60 * SECOND
AS_OF = START + 45 * DAY


@pytest.fixture
def world(lakehouse: Lakehouse) -> Iterator[World]:
    place = log_file(lakehouse.settings, FRAUD).parent
    shutil.rmtree(place, ignore_errors=True)
    made = World(lakehouse.settings)
    made.write(events=150, future=0)
    yield made
    shutil.rmtree(place, ignore_errors=True)


class Day:
    """Events that were decided, and what a file says of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.decided: dict[Any, Decided] = {}
        self.rows: list[Row] = []
        self.names: list[str] = []

    def decide(self, bodies: list[Row], every: int = SECOND) -> None:
        """Each body as it comes; without its time the event happens when it is decided."""
        with server(self.world), worker(self.world) as one:
            self.names = list(one.rows.computed)
            for body in bodies:
                self.world.now += every
                made = decide(one, body)
                came = one.came(made.id)
                assert came is not None
                self.decided[made.id] = made
                happened = EPOCH + timedelta(microseconds=came.time(made.decided_at))
                self.rows.append(self.world.event(made.id, happened) | came.values)

    def load(self, late: tuple[timedelta, ...] = (timedelta(0),)) -> None:
        """The file, in any order; some of it comes late."""
        rows = [row | {"known_at": row["tx_datetime"] + self.world.chance.choice(late), "loaded_in": 2}
                for row in self.rows if row["tx_datetime"] < AS_OF]  # fmt: skip
        self.world.chance.shuffle(rows)
        self.world.put(rows, [], mode="append")

    def differing(self, rows: list[Row]) -> list[str]:
        """Cells of rows of the tables that are not those that the decision was made of."""
        wrong = []
        for row in (row for row in rows if row["transaction_id"] in self.decided):
            made = self.decided[row["transaction_id"]]
            for name, value in zip(self.names, made.features, strict=True):
                if name in row and row[name] != value:
                    wrong.append(f"{name} of {made.id}: decided {value}, nightly {row[name]}")
        return wrong


def night(lakehouse: Lakehouse, as_of: datetime = AS_OF) -> list[window_tables.Result]:
    return [
        window_tables.update(
            lakehouse, windows, FRAUD.events, FRAUD.labels, FRAUD.window_table(windows), as_of, decisions=LOG
        )
        for windows in FRAUD.windows
    ]


def cells(lakehouse: Lakehouse) -> list[list[Row]]:
    tables = [FRAUD.window_table(windows) for windows in FRAUD.windows]
    return [lakehouse.to_arrow(table).sort_by("transaction_id").to_pylist() for table in tables]


def told_by_the_mart(lakehouse: Lakehouse, day: Day) -> None:
    """The file says itself when each event was known and decided."""
    events = lakehouse.to_arrow(FRAUD.events)
    stamps = [day.decided[id].decided_at if id in day.decided else None for id in events["transaction_id"].to_pylist()]
    decided = pa.array(stamps, pa.int64()).cast(TIME)
    known = pc.coalesce(decided, events["known_at"])
    events = events.set_column(events.column_names.index("known_at"), "known_at", known)
    write_deltalake(
        lakehouse.path(FRAUD.events), events.append_column("decided_at", decided), mode="overwrite",
        schema_mode="overwrite", partition_by=["event_date"],
    )  # fmt: skip


def hostile(world: World) -> list[Row]:
    """Late, crossing, simultaneous events, clocks that are ahead and that are far off."""
    return [world.given() for _ in range(60)]


@pytest.mark.embedded
def test_cells_of_the_night_are_those_of_the_decisions(lakehouse: Lakehouse, world: World) -> None:
    day = Day(world)
    day.decide(hostile(world))
    shipping.ship(lakehouse, FRAUD)
    day.load((timedelta(0), timedelta(seconds=10), 3 * DAY))
    night(lakehouse)
    tables = cells(lakehouse)
    assert all(len(table) == 150 + len(day.decided) - missing(day) for table in tables)
    assert [day.differing(table) for table in tables] == [[]] * len(tables)


def missing(day: Day) -> int:
    return sum(row["tx_datetime"] >= AS_OF for row in day.rows)


def shipped_after_the_night(lakehouse: Lakehouse, world: World) -> None:
    """A night of files, and the next, which knows of the decisions too and has their cells."""
    day = Day(world)
    day.decide(hostile(world))
    day.load()
    night(lakehouse)
    assert any(day.differing(table) for table in cells(lakehouse)), "files alone know of no decision"
    shipping.ship(lakehouse, FRAUD)
    assert all(result.rows_written for result in night(lakehouse))
    assert [day.differing(table) for table in cells(lakehouse)] == [[]] * len(FRAUD.windows)


def test_decisions_that_are_shipped_after_the_night_change_what_they_reach(lakehouse: Lakehouse, world: World) -> None:
    shipped_after_the_night(lakehouse, world)


@pytest.mark.embedded
def test_a_night_after_that_writes_nothing_and_one_of_new_tables_the_same(lakehouse: Lakehouse, world: World) -> None:
    shipped_after_the_night(lakehouse, world)
    tables = cells(lakehouse)
    assert [result.rows_written for result in night(lakehouse)] == [0] * len(tables)
    for windows in FRAUD.windows:
        shutil.rmtree(lakehouse.path(FRAUD.window_table(windows)))
    night(lakehouse)
    assert cells(lakehouse) == tables, "an update gives what a computation of everything gives"


@pytest.mark.embedded
def test_what_was_decided_after_the_moment_of_a_night_counts_in_later_nights(
    lakehouse: Lakehouse, world: World
) -> None:
    """A service that goes by the clock on the wall, and nights of a past that files bring."""
    day, later = Day(world), AS_OF + 10 * DAY
    world.now = microseconds(later)
    times = [START - DAY + n * timedelta(minutes=7) for n in range(40)]
    day.decide([world.given(tx_datetime=each.isoformat()) for each in times])
    day.load()
    night(lakehouse)
    of_files = cells(lakehouse)
    assert day.decided.keys() <= {row["transaction_id"] for row in of_files[0]}
    shipping.ship(lakehouse, FRAUD)
    night(lakehouse)
    assert cells(lakehouse) == of_files
    night(lakehouse, later + DAY)
    tables = cells(lakehouse)
    assert tables != of_files
    assert [day.differing(table) for table in tables] == [[]] * len(tables)
    assert [result.rows_written for result in night(lakehouse, later + DAY)] == [0] * len(tables)


@pytest.mark.embedded
def test_an_event_that_tables_knew_stays_where_it_is_when_it_is_decided_again(
    lakehouse: Lakehouse, world: World
) -> None:
    night(lakehouse)
    before = cells(lakehouse)
    rows = lakehouse.to_arrow(FRAUD.events, filters=[("tx_datetime", "<", START - DAY), ("known_at", "<", START)])
    known = [row for row in rows.to_pylist() if row["version"] == 1 and row["superseded_at"] is None][:20]
    day = Day(world)
    columns = ("transaction_id", "customer_id", "terminal_id", "tx_amount")
    day.decide([{n: row[n] for n in columns} | {"tx_datetime": row["tx_datetime"].isoformat()} for row in known])
    shipped = shipping.ship(lakehouse, FRAUD)
    assert online_decisions.all_shipped(lakehouse, FRAUD, shipped).passed and shipped.rows == len(known)
    night(lakehouse)
    assert cells(lakehouse) == before
    log = lakehouse.to_arrow(LOG)
    assert set(log["origin"].to_pylist()) == {prediction_log.AGAIN}
    assert len(prediction_log.one_per_event(FRAUD, log)) == 0
    assert online_decisions.judged(lakehouse, FRAUD).passed


@pytest.mark.embedded
@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_requests_in_one_second_the_later_sees_the_earlier(
    lakehouse: Lakehouse, world: World, swapped: bool
) -> None:
    day, at = Day(world), EPOCH + timedelta(microseconds=ONE_SECOND)
    same = {"customer_id": 1, "terminal_id": 100, "tx_amount": 5.0}
    bodies = [same | {"transaction_id": n, "tx_datetime": at.isoformat()} for n in (70_001, 70_002)]
    world.now = ONE_SECOND
    day.decide(bodies[::-1] if swapped else bodies, every=1)
    shipping.ship(lakehouse, FRAUD)
    day.load()
    night(lakehouse)
    tables = cells(lakehouse)
    assert [day.differing(table) for table in tables] == [[]] * len(tables)
    counts = {row["transaction_id"]: row["customer_tx_count_10m"] for row in tables[0]}
    first, second = (70_002, 70_001) if swapped else (70_001, 70_002)
    assert (counts[first], counts[second]) == (1, 2)


@pytest.mark.embedded
def test_history_and_training_set_have_the_cells_of_the_decisions(lakehouse: Lakehouse, world: World) -> None:
    day = Day(world)
    day.decide(hostile(world))
    shipping.ship(lakehouse, FRAUD)
    day.load()
    night(lakehouse)
    for table, build in ((history.table(FRAUD), history.build), (FRAUD.training_set, training_set.build)):
        build(lakehouse, FRAUD, AS_OF)
        rows = lakehouse.to_arrow(table).to_pylist()
        assert len({row["transaction_id"] for row in rows} & day.decided.keys()) == len(day.decided) - missing(day)
        assert day.differing(rows) == []


@pytest.mark.embedded
@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_in_the_lineage_windows_come_after_decisions_and_keep_their_checks(lakehouse: Lakehouse, world: World) -> None:
    day = Day(world)
    # Around midnight: events of a day that are decided on the next.
    world.now = microseconds(START + DAY / 2) - 20 * SECOND
    day.decide(hostile(world))
    day.load((timedelta(0), 3 * DAY))
    days = dg.DailyPartitionsDefinition(start_date=(START - 90 * DAY).date().isoformat())
    last = max(row["event_date"] for row in day.rows if row["tx_datetime"] < AS_OF)
    registered_inputs.register(lakehouse.settings, FRAUD, registered_inputs.Inputs({}, START.date(), last))
    windows = [asset for asset in features.build(FRAUD, days) if asset.key in Keys(FRAUD).window_tables.values()]
    result = dg.materialize(
        [*decisions.build(FRAUD), *windows], partition_key=last.isoformat(), tags={AS_OF_TAG: AS_OF.isoformat()},
        resources={"lakehouse": lakehouse},
    )  # fmt: skip
    judged = result.get_asset_check_evaluations()
    assert [each.check_name for each in judged if not each.passed] == []
    assert {each.check_name for each in judged} >= {"rows_equal_events", "no_future", "decisions_all_shipped"}
    assert [day.differing(table) for table in cells(lakehouse)] == [[]] * len(windows)
    history.build(lakehouse, FRAUD, AS_OF)
    rows = rows_of_events.EventRows(history.table(FRAUD), FRAUD.event_timestamp, "event_known_at")
    outcomes = rows_of_events.judge(lakehouse, FRAUD, rows, AS_OF, sorted({row["event_date"] for row in day.rows}))
    assert [(each.passed, each.found) for each in outcomes if not each.passed] == []


@pytest.mark.embedded
def test_a_file_may_bring_the_stamps_itself(lakehouse: Lakehouse, world: World) -> None:
    day = Day(world)
    day.decide(hostile(world))
    day.load()
    told_by_the_mart(lakehouse, day)
    night(lakehouse)
    history.build(lakehouse, FRAUD, AS_OF)
    tables = [*cells(lakehouse), lakehouse.to_arrow(history.table(FRAUD)).to_pylist()]
    assert [day.differing(table) for table in tables] == [[]] * len(tables)
    assert "decided_at" not in lakehouse.schema(history.table(FRAUD)).names


@pytest.mark.embedded
@pytest.mark.parametrize(
    "events",
    [
        pytest.param([(-1, timedelta(seconds=-2))], id="a clock that is ahead"),
        pytest.param([(5, timedelta(0)), (9, 20 * DAY)], id="decided long after"),
    ],
)
def test_the_online_store_follows_events_whose_day_is_not_that_of_their_decision(
    lakehouse: Lakehouse, world: World, events: list[tuple[int, timedelta]]
) -> None:
    midnight = START + DAY / 2
    night(lakehouse, midnight)
    materialization.materialize(lakehouse, FRAUD, midnight)
    day = Day(world)
    for away, late in events:
        world.now = microseconds(midnight) + away * SECOND
        at = midnight + timedelta(seconds=away) - late
        day.decide([world.given(customer_id=1, terminal_id=100, tx_datetime=at.isoformat())], every=0)
    shipping.ship(lakehouse, FRAUD)
    day.load()
    night(lakehouse, midnight + DAY)
    materialization.materialize(lakehouse, FRAUD, midnight + DAY)
    outcome = online_store.equals_tables(lakehouse, FRAUD, midnight + DAY)
    assert outcome.passed and outcome.numbers["rows"], outcome.text

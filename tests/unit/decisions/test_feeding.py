"""Servers that run learn what nightly tables gain: each thing once, and in every cell as the batch kernel has it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from worlds import decided_world
from worlds.decided_world import SECOND, World, decide, server, worker
from worlds.nightly_loads import NightlyLoads

from assets import decisions
from jobs.decisions import base_tables, consistency, feeding, log_contents, opened, told
from jobs.decisions.decider import Decider
from jobs.decisions.feeding import Fed
from jobs.decisions.log_contents import EventCame, LabelCame, VersionCame
from jobs.decisions.told import Standing
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.times import microseconds
from jobs.use_cases.fraud import FRAUD

pytestmark = pytest.mark.embedded


def feed(world: World) -> Fed:
    return feeding.feed(attach(world.settings), FRAUD, world.clock)


def total(fed: Fed) -> int:
    return sum(fed.told.values())


def differences(world: World) -> list[consistency.Difference]:
    with opened.log_of(world.settings, FRAUD, world.clock) as log:
        base, _ = opened.last_base(log)
        assert base is not None
        house = attach(world.settings)
        rows = base_tables.feature_row(house, FRAUD, base.tables)
        found = consistency.compare(house, rows, base, log.records())
    assert found.decisions and not found.undecided
    return found.examples


def decided(world: World) -> dict[int, tuple[int, EventCame]]:
    """Every event of the log."""
    with opened.log_of(world.settings, FRAUD, world.clock) as log:
        contents = [(record.stamp, log_contents.decode(record.content)) for record in log.records()]
    return {each.id: (stamp, each) for stamp, each in contents if isinstance(each, EventCame)}


def play(world: World, loads: NightlyLoads, workers: list[Decider], steps: int) -> None:
    """Decisions, and what clients tell of payments of tables, of the night and of their own."""
    chance = world.chance
    for _ in range(steps):
        world.now += chance.choice([1, SECOND, 600 * SECOND, 3600 * SECOND])
        one, kind = chance.choice(workers), chance.random()
        id = chance.choice([row["transaction_id"] for row in loads.events] + [*range(10_001, world.ids + 1)])
        standing = Standing.of(one, id).event()
        if kind < 0.6 or standing is None:
            decide(one, world.given())
        elif kind < 0.7 and one.came(id) is None:
            # What a file brought, or somebody told, is decided after all.
            decide(one, world.given(transaction_id=id, **standing.entities))
        elif kind < 0.85:
            told.report(one, id, {"is_fraud": chance.random() < 0.5})
        elif kind < 0.95:
            told.correct(one, one.schema.read(world.given(transaction_id=id)))
        elif Standing.of(one, id).label() is not None:
            told.withdraw(one, "labels", id)


@pytest.mark.parametrize("seed", range(2))
def test_every_cell_is_the_batch_kernels_after_nights_feedings_and_starts(home: Settings, seed: int) -> None:
    world = decided_world.made(home, seed, events=150)
    loads, chance = NightlyLoads(world), world.chance
    for _ in range(3):
        with server(world), worker(world) as one, worker(world) as other:
            for _ in range(2):
                play(world, loads, [one, other], 30)
                loads.night(decided(world))
                if chance.random() < 0.8:
                    feed(world)
                    assert total(feed(world)) == 0
            play(world, loads, [one, other], 30)
            assert not differences(world)
        world.now += chance.choice([SECOND, 86_400 * SECOND])


def features(world: World, one: Decider, **given: Any) -> dict[str, Any]:
    world.now += SECOND
    body = world.given(customer_id=5, terminal_id=103, tx_amount=1.0, tx_datetime=None, **given)
    return dict(zip(one.rows.computed, decide(one, body).features, strict=True))


def test_a_running_server_counts_what_the_night_brought(home: Settings) -> None:
    world = decided_world.made(home, events=20, future=0)
    world.now += 40 * 86_400 * SECOND
    loads = NightlyLoads(world)
    known = loads.now - timedelta(hours=1)
    mine: dict[str, Any] = {"customer_id": 5, "terminal_id": 103, "tx_amount": 10.0}
    with server(world), worker(world) as one:
        before = features(world, one)
        loads.loads += 1
        loads.report(loads.event(known=known, tx_datetime=loads.now - timedelta(days=9), **mine))
        loads.labels[-1] |= {"known_at": known, "is_fraud": True}
        loads.write()
        fed = feed(world)
        assert fed.told == {"events": 1, "corrections": 0, "reports": 1, "withdrawals": 0}
        assert fed.until[FRAUD.events] > fed.since[FRAUD.events]
        after = features(world, one)
        assert after["customer_tx_count_30d"] == before["customer_tx_count_30d"] + 2
        assert (after["terminal_known_frauds_30d"] or 0) == (before["terminal_known_frauds_30d"] or 0) + 1
        # The report is withdrawn, the payment turns out to be another customer's.
        loads.loads += 1
        loads.labels[-1] |= {"superseded_at": loads.now, "loaded_in": loads.loads}
        corrected = loads.now
        loads.version(loads.events[-1], corrected, customer_id=1, terminal_id=100)
        loads.write()
        world.now += SECOND
        fed = feed(world)
        assert fed.told == {"events": 0, "corrections": 1, "reports": 0, "withdrawals": 1}
        last = features(world, one)
        assert last["customer_tx_count_30d"] == after["customer_tx_count_30d"]
        assert (last["terminal_known_frauds_30d"] or 0) == (before["terminal_known_frauds_30d"] or 0)
        with opened.log_of(world.settings, FRAUD, world.clock) as log:
            contents = [log_contents.decode(record.content) for record in log.records()]
        reported = {each.reported for each in contents if isinstance(each, LabelCame)}
        # The payment took its report along, which then turned out not to be.
        assert reported == {microseconds(loads.labels[-1]["known_at"]), microseconds(corrected)}
    assert not differences(world)


def test_a_death_before_the_position_was_kept_tells_nothing_twice(home: Settings) -> None:
    world = decided_world.made(home, events=60, future=5)
    loads = NightlyLoads(world)
    with server(world), worker(world) as one:
        for _ in range(10):
            world.now += 3600 * SECOND
            decide(one, world.given())
        loads.night(decided(world))
        assert total(feed(world)) > 10
        feeding.position_file(world.settings, FRAUD).unlink()
        assert total(feed(world)) == 0
    assert not differences(world)


def test_what_clients_said_later_than_tables_stays(home: Settings) -> None:
    world = decided_world.made(home, events=20, future=0)
    loads = NightlyLoads(world)
    with server(world), worker(world) as one:
        world.now += 3600 * SECOND
        id = loads.event(known=loads.now - timedelta(hours=1))["transaction_id"]
        loads.write()
        feed(world)
        told.correct(one, one.schema.read(world.given(transaction_id=id, tx_amount=77.0)))
        feeding.position_file(world.settings, FRAUD).unlink()
        assert total(feed(world)) == 0
        assert amount(one, id) == 77.0
        # A version that became known after what the client said counts again.
        world.now += 3600 * SECOND
        loads.loads += 1
        loads.version(loads.events[-1], loads.now, tx_amount=78.0)
        loads.write()
        world.now += SECOND
        assert feed(world).told["corrections"] == 1
        assert amount(one, id) == 78.0


def amount(one: Decider, id: int) -> Any:
    event = Standing.of(one, id).event()
    return None if event is None else event.values["tx_amount"]


def test_what_becomes_known_later_is_told_then(home: Settings) -> None:
    world = decided_world.made(home, events=20, future=0)
    loads = NightlyLoads(world)
    with server(world):
        loads.loads += 1
        loads.event(known=loads.now + timedelta(hours=2))
        loads.write()
        assert total(feed(world)) == 0
        world.now += 3 * 3600 * SECOND
        assert feed(world).told["events"] == 1


def test_nothing_is_told_where_no_server_is(tmp_path: Path) -> None:
    world = decided_world.made(tmp_path, events=20, future=0)
    loads = NightlyLoads(world)
    assert "no server has decided here" in feed(world).notes
    assert not opened.log_file(world.settings, FRAUD).exists()
    with server(world), worker(world) as one:
        decide(one, world.given())
    size = opened.log_file(world.settings, FRAUD).stat().st_size
    loads.night({})
    assert "no server is running" in feed(world).notes
    assert opened.log_file(world.settings, FRAUD).stat().st_size == size


def test_columns_of_tables_are_not_computed_again(tmp_path: Path) -> None:
    world = decided_world.made(tmp_path, events=20, future=0)
    with server(world), worker(world) as one:
        of_client = VersionCame(1, {"customer_id": 1, "terminal_id": 100, "tx_amount": 5.0}, 0)
        of_tables = VersionCame(1, {"item_id": "85123A"}, 0, known=7)
        assert one.schema.columns(of_tables) == {"item_id": "85123A"}
        assert one.schema.columns(of_client) == one.schema.complete(of_client.values)


def test_the_asset_says_what_was_told_and_from_which_versions(tmp_path: Path) -> None:
    world = decided_world.made(tmp_path, events=20, future=0)
    loads, [asset, _] = NightlyLoads(world), decisions.build(FRAUD)
    world.now = opened.wall_clock()

    def metadata() -> dict[str, Any]:
        context = dg.build_asset_context(resources={"lakehouse": attach(world.settings)})
        made: Any = asset(context)
        return dict(made.metadata)

    assert "no server has decided here yet" in str(metadata()["notes"])
    with server(world):
        loads.loads += 1
        loads.event(known=loads.now - timedelta(hours=1))
        loads.write()
        told_now = metadata()
    assert told_now["notes"] == "servers that run were told 1 events" and "0 to 1" in str(told_now["versions"])

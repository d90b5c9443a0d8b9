"""Decisions count facts that are no events, as their stamps know them: those of tables, of clients, and of nights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from worlds import login_world
from worlds.login_world import CUSTOMERS, MART, SHOP, World, differences, served
from worlds.profiled_world import DAY, HOUR

from jobs.decisions import base_tables, feeding, opened, other_facts, table_comparison
from jobs.decisions.decider import Decider
from jobs.decisions.log_contents import FactCame
from jobs.decisions.told import UnknownEvent
from jobs.errors import Invalid
from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.windows import Aggregate

pytestmark = pytest.mark.embedded


def tell(world: World, decider: Decider) -> None:
    """A client tells of a new login, of another version of one that somebody knows, or that one was not."""
    world.now += timedelta(seconds=1)
    chance = world.chance
    id = chance.choice([f"c{chance.randint(0, 9)}", *(row["login_id"] for row in world.rows)])
    if chance.random() < 0.75:
        happened = world.clock() - chance.choice([0, 3600 * 1_000_000, -60 * 1_000_000])
        other_facts.put(decider, FactCame("logins", id, happened, world.values()))
    elif other_facts.known(decider, other_facts.columns_of(decider, "logins"), id) is not None:
        other_facts.withdraw(decider, "logins", id)


@pytest.mark.parametrize("seed", range(4))
def test_every_cell_is_the_batch_kernels_after_tellings_nights_and_starts(home: Settings, seed: int) -> None:
    world = login_world.made(home, seed)
    for _ in range(2):
        with served(world) as one, served(world) as other:
            workers = [one, other]
            for _ in range(2):
                for _ in range(25):
                    worker = world.chance.choice(workers)
                    if world.chance.random() < 0.6:
                        world.decide(worker, world.chance.choice([*CUSTOMERS, None]))
                    else:
                        tell(world, worker)
                world.loads += 1
                world.ship(one)
                for _ in range(3):
                    world.login(world.now - HOUR)
                world.correct(world.now)
                world.write()
                if world.chance.random() < 0.7:
                    world.now += timedelta(seconds=1)
                    feeding.feed(attach(home), SHOP, world.clock)
                    assert not any(feeding.feed(attach(home), SHOP, world.clock).told.values())
            world.decide(one, 1)
            assert not differences(world)
        world.now += world.chance.choice([timedelta(seconds=1), DAY])


def test_a_login_counts_from_when_it_is_told(home: Settings) -> None:
    world = login_world.made(home, 9)
    told: dict[str, Any] = {"customer_id": 1, "failures": 3, "seconds": 2.0, "country": "at"}
    with served(world) as one, served(world) as other:
        before = world.decide(one, 1)
        came = FactCame("logins", "c1", world.clock(), told)
        known = other_facts.put(one, came)
        assert other_facts.put(other, came) == known, "the same login again is told once"
        after = world.decide(other, 1)
        assert after["logins_3d"] == before["logins_3d"] + 1 and after["austria_3d"] is not None
        # It turns out to be another customer's, then not to be at all.
        other_facts.put(one, FactCame("logins", "c1", came.happened, told | {"customer_id": 2}))
        two = world.decide(other, 2)
        assert world.decide(other, 1)["logins_3d"] == before["logins_3d"]
        other_facts.withdraw(other, "logins", "c1")
        assert world.decide(one, 2)["logins_3d"] == two["logins_3d"] - 1
        with pytest.raises(UnknownEvent, match="logins 'c1': expected one that is known"):
            other_facts.withdraw(one, "logins", "c1")
        with pytest.raises(Invalid, match=r"facts visits: expected one of \['logins'\]|facts 'visits'"):
            other_facts.put(one, FactCame("visits", "c1", 0, told))
        with pytest.raises(Invalid, match="column seconds: expected a number up to"):
            other_facts.put(one, FactCame("logins", "c2", world.clock(), told | {"seconds": 1e300}))
        assert one.told("c2", "facts/logins") == []
    assert not differences(world)


def test_what_tables_gain_is_told_to_servers_that_run(home: Settings) -> None:
    world = login_world.made(home, 11)
    with served(world) as one:
        before = world.decide(one, 7)
        world.loads += 1
        world.login(world.now - HOUR, timedelta(0))
        world.rows[-1] |= {"customer_id": 7}
        world.write()
        fed = feeding.feed(attach(home), SHOP, world.clock)
        assert fed.told["facts"] == 1 and "1 facts" in fed.sentence
        assert fed.until[MART] > fed.since[MART]
        assert world.decide(one, 7)["logins_3d"] == before["logins_3d"] + 1
        world.rows[-1] |= {"superseded_at": world.now, "loaded_in": 3}
        world.write()
        world.now += timedelta(seconds=1)
        assert feeding.feed(attach(home), SHOP, world.clock).told["withdrawals"] == 1
        assert world.decide(one, 7)["logins_3d"] == before["logins_3d"]
    assert not differences(world)


def test_decisions_are_what_the_night_makes_of_the_same_logins(home: Settings) -> None:
    world = login_world.made(home, 13)
    with served(world) as one:
        for _ in range(10):
            tell(world, one)
            world.decide(one, world.chance.choice(CUSTOMERS))
        world.loads += 1
        world.ship(one)
        world.write()
    compared = table_comparison.compare(attach(home), SHOP)
    assert compared is not None and not compared.different


def test_an_altered_login_is_found(home: Settings) -> None:
    world = login_world.made(home, 6)
    with served(world) as one:
        one.states.base.others["facts/logins"].columns["failures"][:] = 77
        for customer in CUSTOMERS:
            world.decide(one, customer)
    assert "failures_max_last_2_3d" in {each.feature for each in differences(world)}


def test_servers_do_not_mix_declarations_of_facts(home: Settings) -> None:
    world = login_world.made(home, 7)
    with served(world) as one:
        mine = opened.fingerprint(one.rows)
    house = attach(home)
    versions = base_tables.current_versions(house, SHOP)
    assert MART in versions and opened.fingerprint(base_tables.feature_row(house, SHOP, versions)) == mine
    fewer = replace(SHOP, windows=(replace(login_world.WINDOWS, aggregates=login_world.WINDOWS.aggregates[:1]),))
    assert opened.fingerprint(base_tables.feature_row(house, fewer, versions)) != mine


def test_facts_that_are_declared_later_are_counted_after_the_next_start(home: Settings) -> None:
    world = login_world.made(home, 8)
    before = replace(SHOP, windows=SHOP.windows[:1])
    with opened.lease(home, before) as handle:
        opened.renew(home, before, handle, world.clock)
        with pytest.raises(Invalid, match="expected the declarations that the running servers decide by, found others"):
            opened.open_decider(home, SHOP, world.clock)
    with served(world) as one:
        assert world.decide(one, 1)["logins_3d"] is not None
    house = attach(home)
    shutil.rmtree(house.path(MART))
    with pytest.raises(Invalid, match=r"logins_bank: expected the table logins_bank\.logins, found none"):
        base_tables.feature_row(house, SHOP, {SHOP.events: 0, SHOP.labels: 0})


def test_decisions_of_other_declarations_are_told_by_the_names_of_now(home: Settings) -> None:
    """The same features in another order; a new one is unknown of what was decided before."""
    world = login_world.made(home, 4)
    before = replace(SHOP, windows=(SHOP.windows[1], replace(SHOP.windows[0], aggregates=(Aggregate("count"),))))
    with opened.lease(home, before) as handle:
        opened.renew(home, before, handle, world.clock)
        decider = opened.open_decider(home, before, world.clock)
        found, id = world.decide(decider, 1), world.ids
        decider.close()
    with served(world) as one:
        again = one.decided(id)
        assert again is not None
        features = dict(zip(one.rows.computed, again.features, strict=True))
        assert {name: features[name] for name in found} == found and features["payments_1d"] is None
        world.decide(one, 2)
    compared = table_comparison.compare(attach(home), SHOP)
    assert compared is not None and not compared.different and compared.decisions + compared.in_no_table == 1

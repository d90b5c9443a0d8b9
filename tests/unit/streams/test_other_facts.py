"""Facts that are no events over topics of their own: features of payments count them, in every cell as a batch does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from worlds import login_world, streamed_logins
from worlds.login_world import LOGINS, SHOP, WINDOWS
from worlds.profiled_world import DAY
from worlds.streamed_logins import OF_LOGINS, OF_PAYMENTS
from worlds.streamed_runs import run
from worlds.streamed_world import START

from jobs.decisions import entity_states, other_facts, shipping
from jobs.decisions.log_contents import FactCame
from jobs.lakehouse.envelope import DELETED, TOPIC
from jobs.secret import ClusterUrl
from jobs.settings import Settings
from jobs.streams import opening, verify
from jobs.windows import Aggregate


@pytest.mark.parametrize("many", [entity_states.MANY, 2])
@pytest.mark.parametrize("seed", range(4))
def test_every_cell_is_what_a_batch_makes_of_it_after_nights_and_deaths(
    tmp_path: Path, seed: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """many: events that are answered at once by the batch kernel, or one by one."""
    monkeypatch.setattr(entity_states, "MANY", many)
    bank = streamed_logins.made(tmp_path, seed)
    bank.busy_days(80)
    everything, bank.messages = bank.messages, []
    for part in (0.3, 0.6, 1.0):
        bank.messages = everything[: int(part * len(everything))]
        run(bank, steps=bank.chance.randrange(4), use_case=SHOP)
        assert not run(bank, use_case=SHOP).note
        if bank.chance.random() < 0.6:
            bank.night()
    bank.night()
    found = verify.verify(bank.lakehouse, SHOP, verify.days_of(bank.lakehouse, SHOP))
    assert (found.different, found.examples) == (0, [])
    assert (found.events, found.not_in_marts, found.decided_elsewhere) == (80, 0, 0)
    assert found.cells == 80 * sum(len(windows.names) for windows in SHOP.windows)


def test_a_login_that_was_not_so_counts_no_more(tmp_path: Path) -> None:
    bank = streamed_logins.made(tmp_path, 0)
    minute, counts = timedelta(minutes=1), []
    login = bank.login("m1", START + minute) | {"customer_id": 3}
    for number, tell in enumerate([
        lambda at: None, lambda at: bank.send(OF_LOGINS, login, at), lambda at: bank.change(OF_LOGINS, "d", login, at),
    ]):  # fmt: skip
        at = START + 10 * number * minute
        tell(at + minute)
        bank.send(OF_PAYMENTS, bank.paid(1000 + number, at + 2 * minute) | {"customer_id": 3}, at + 2 * minute)
        run(bank, use_case=SHOP)
        rows = bank.lakehouse.to_arrow(SHOP.stream_table(WINDOWS)).to_pylist()
        [row] = [row for row in rows if row["payment_id"] == 1000 + number]
        counts.append(row["logins_3d"])
    assert counts == [0, 1, 0]


@pytest.mark.parametrize("seed", range(2))
def test_logins_that_clients_tell_reach_tables_through_the_log_and_every_cell_is_that_of_decisions(
    tmp_path: Path, seed: int
) -> None:
    bank = streamed_logins.made(tmp_path, seed)
    settings = replace(bank.settings, stream_url=ClusterUrl("decisions://"))
    world = login_world.World(settings, Random(seed), now=START + DAY)
    decided: dict[int, dict[str, Any]] = {}
    with login_world.served(world) as one:
        for number in range(60):
            features = world.decide(one, world.chance.choice([0, 1, 2, 7]))
            decided[world.ids] = features
            told = f"c{world.chance.randrange(12)}"
            came = FactCame("logins", told, world.clock() - 3_600_000_000, world.values() | {"failures": number})
            if world.chance.random() < 0.7:
                other_facts.put(one, came)
            elif other_facts.known(one, other_facts.columns_of(one, "logins"), told) is not None:
                other_facts.withdraw(one, "logins", told)
            if number % 25 == 24:
                streamed(settings)
    streamed(settings)
    shipping.ship(bank.lakehouse, SHOP)
    bank.night()
    raw = pl.DataFrame(bank.lakehouse.to_arrow(SHOP.raw_table(LOGINS), filters=[(TOPIC, "!=", "")]))
    assert raw[DELETED].sum() and raw.height > 30
    rows = bank.lakehouse.to_arrow(SHOP.stream_table(WINDOWS)).to_pylist()
    assert {row["payment_id"]: {name: row[name] for name in WINDOWS.names} for row in rows} == decided
    found = verify.verify(bank.lakehouse, SHOP, verify.days_of(bank.lakehouse, SHOP))
    assert (found.different, found.examples, found.events, found.not_in_marts) == (0, [], 60, 0)


def streamed(settings: Settings) -> None:
    """Read the log to its end."""
    one = opening.open_of(settings, SHOP)
    one.publish = None
    while one.step(0):
        pass
    one.commit()
    assert not one.note
    one.close()


def test_columns_that_no_topic_brings_are_told_and_rows_are_kept_all_the_same(tmp_path: Path) -> None:
    bank = streamed_logins.made(tmp_path, 0)
    of_sql = replace(WINDOWS, aggregates=(Aggregate("max", "score_of_sql", (DAY,)),), ratios=())
    bank.send(OF_PAYMENTS, bank.paid(1000, START), START)
    one = run(bank, use_case=replace(SHOP, windows=(of_sql,)))
    assert one.note.startswith("logins_of_customers: expected columns of logins that come over its topic, found")
    assert one.counts.new == 1

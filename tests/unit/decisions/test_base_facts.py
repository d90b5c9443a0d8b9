"""Facts of tables in little memory: each is what its table has, of whatever size ids and times are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.decided_world import START, Row, World, server, worker

from jobs.decisions.base_facts import BaseFacts
from jobs.settings import Settings
from jobs.times import NEVER, microseconds

pytestmark = pytest.mark.embedded
IDS = {
    "small and in order": [-3, 0, 5, 6, 127],
    "in another order": [70_000, 2, -70_000, 5, 1],
    "large": [2**62, 7, -(2**62), 10**13, 2**53 + 1],
}


def base_of(world: World, rows: list[Row]) -> BaseFacts:
    world.put(rows, [world.label(rows[0])])
    with server(world), worker(world) as one:
        return one.states.base


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_each_fact_is_what_its_table_has(tmp_path: Path, ids: list[int]) -> None:
    world = World(Settings(home=tmp_path))
    rows = [world.event(id, START - timedelta(hours=9 - n)) for n, id in enumerate(ids)]
    rows[1]["superseded_at"] = START - timedelta(minutes=3)
    rows.append(rows[1] | {"version": 2, "known_at": rows[1]["superseded_at"], "superseded_at": None, "tx_amount": 4.5})
    base = base_of(world, rows)
    for id in ids:
        held = [_fact(base, row) for row in base.events.rows_of(id)]
        assert sorted(held) == sorted(_row(row) for row in rows if row["transaction_id"] == id)
    last = base.row_of("events", ids[1], base.moment)
    assert last is not None and base.events.value("tx_amount", last) == 4.5


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_an_id_that_tables_lack_has_no_row(tmp_path: Path, ids: list[int]) -> None:
    world = World(Settings(home=tmp_path))
    base = base_of(world, [world.event(id, START - timedelta(hours=1)) for id in ids])
    for absent in {n for id in ids for n in (id - 1, id + 1, id % 256, id + 2**32, 2**63 - 1, -(2**63))} - {*ids}:
        assert base.row_of("events", absent, base.moment) is None


def test_entities_are_told_by_their_last_event_the_latest_first(tmp_path: Path) -> None:
    world = World(Settings(home=tmp_path))
    rows = [
        world.event(n, START - timedelta(hours=9 - n)) | {"customer_id": customer, "terminal_id": 7}
        for n, customer in enumerate((1, 2, 1, 3, 2))
    ]
    told = list(base_of(world, rows).heard_of_last(2))
    assert [key for number, key in told if number == 0] == [(2,), (3,)]
    assert [key for number, key in told if number == 1] == [(7,)]


def test_a_fact_takes_few_bytes(tmp_path: Path) -> None:
    world = World(Settings(home=tmp_path))
    rows = [world.event(n, START - timedelta(days=20) + timedelta(minutes=n)) for n in range(1000)]
    base = base_of(world, rows)
    arrays = [base.events.happened, base.events.lags, base.events.flags, *base.events.columns.values()]
    assert sum({id(each): each.nbytes for each in arrays}.values()) <= 28 * len(rows)
    # None holds what it was made of, which would be all columns of a table.
    assert all(each.base is None for each in arrays)


def _row(row: Row) -> tuple[Any, ...]:
    known, gone = row["known_at"], row["superseded_at"]
    happened = microseconds(row["tx_datetime"])
    return happened, microseconds(known), NEVER if gone is None else microseconds(gone), row["tx_amount"]


def _fact(base: BaseFacts, row: int) -> tuple[Any, ...]:
    facts, at = base.events, np.array([row])
    amount = facts.value("tx_amount", row)
    return int(facts.happened[row]), int(facts.known(at)[0]), int(facts.gone(at)[0]), amount

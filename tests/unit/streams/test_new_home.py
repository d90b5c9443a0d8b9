"""A home without tables that topics fill: identifiers are of the kind of the first that came."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from worlds.streamed_runs import opened
from worlds.streamed_world import PAYMENTS, REPORTS, START, World

from jobs.ingest import quarantine
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS


def ids(world: World, table: str) -> list[Any]:
    return sorted(world.lakehouse.to_arrow(table, columns=["transaction_id"]).column(0).to_pylist())


@pytest.mark.parametrize(
    ("sent", "kept", "refused"),
    [
        (["a-1", "7", "007", "8.0"], ["007", "7", "8", "a-1"], 0),
        ([1, "2", 3.0, 2**53 + 1, "x", 9.5], [1, 2, 3, 2**53 + 1], 2),
        (["2", "x"], [2], 1),
    ],
)
def test_identifiers_stay_of_the_kind_that_came_first(
    tmp_path: Path, sent: list[Any], kept: list[Any], refused: int
) -> None:
    world = World(Settings(home=tmp_path), Random(0))
    one = opened(world)
    for number, id in enumerate(sent):
        payment = world.payment(0, START + timedelta(minutes=number)) | {"transaction_id": id}
        world.send(PAYMENTS, payment)
        world.send(REPORTS, world.report(payment, START + timedelta(hours=1)))
        while one.step(0):
            pass
        if number % 2:
            one.commit()
    one.commit()
    one.close()
    assert one.note
    assert ids(world, FRAUD.raw_table(TRANSACTIONS)) == kept
    assert ids(world, FRAUD.raw_table(FRAUD_REPORTS)) == kept
    assert one.counts.bad == 2 * refused
    again = opened(world)
    assert again.intakes["transactions"].types["transaction_id"] == (
        "string" if isinstance(kept[0], str) else "integer"
    )
    again.close()
    for source in (TRANSACTIONS, FRAUD_REPORTS):
        table = quarantine.table_of(FRAUD.raw_table(source))
        rows = world.lakehouse.to_arrow(table).num_rows if world.lakehouse.exists(table) else 0
        assert rows == refused

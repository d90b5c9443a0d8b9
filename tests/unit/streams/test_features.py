"""Features of single facts: what cannot be held stops nothing, and what is made ready before changes nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from worlds.streamed_runs import made, opened
from worlds.streamed_world import PAYMENTS

from jobs.decisions import entity_states
from jobs.streams import starting
from jobs.streams.event_facts import Came, Report
from jobs.times import microseconds


@pytest.mark.parametrize(
    "poison",
    [
        lambda row: Came(row.pop("transaction_id"), row.pop("tx_datetime"), row | {"tx_amount": 1e300}, True),
        lambda row: Came(1, row.pop("tx_datetime"), row | {"tx_amount": 1e300}, False),
        lambda row: Came(row.pop("transaction_id"), row.pop("tx_datetime"), row | {"customer_id": "x"}, True),
        lambda row: Report(1, {"is_fraud": "perhaps"}),
    ],
)
def test_what_the_evaluator_cannot_hold_is_counted_and_others_go_on(tmp_path: Path, poison: Any) -> None:
    world = made(tmp_path, 0)
    one, at = opened(world), microseconds(world.now)
    starting.start_features(one, at)
    features = one.features
    assert features is not None
    rows = [world.payment(5000 + number, world.now) | {"tx_datetime": at} for number in range(3)]
    good = [Came(row.pop("transaction_id"), row.pop("tx_datetime"), row, True) for row in (rows[0], rows[2])]
    came = [(at + 1, good[0]), (at + 2, poison(rows[1])), (at + 3, good[1])]
    assert [each.id for each in features.take(came)] == [5000, 5002]
    assert features.not_held == 1
    world.send(PAYMENTS, world.payment(5003, world.now), world.now + timedelta(hours=1))
    one.clock.last, one.start = at + 10, None
    assert one.step(0) == 1
    one.commit()
    assert (one.counts.new, one.counts.not_held) == (1, 1)
    one.close()


@pytest.mark.parametrize("many", [entity_states.MANY, 2])
def test_entities_that_are_made_ready_before_answer_the_same_and_stay_ready(
    tmp_path: Path, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """many: events that the batch kernel answers at once where entities are not ready, or one by one."""
    monkeypatch.setattr(entity_states, "MANY", many)
    found = []
    for seconds in (0.0, 60.0):
        world = made(tmp_path / str(seconds), 1)
        one, at = opened(world), microseconds(world.now)
        starting.start_features(one, at)
        features = one.features
        assert features is not None
        rows = [world.payment(5000 + number, world.now) | {"tx_datetime": at} for number in range(100)]
        came = [
            (at + place, Came(row.pop("transaction_id"), row.pop("tx_datetime"), row, True))
            for place, row in enumerate(rows, 1)
        ]
        computed = list(features.take(came[:50]))
        features.make_ready(seconds)
        assert any(features.states.make_ready()) == (not seconds)
        found.append([*computed, *features.take(came[50:])])
        customers = [features.states.entity(0, (number,)) for number in range(6)]
        assert not seconds or all(customer.is_ready for customer in customers)
        one.close()
    assert found[0] == found[1]

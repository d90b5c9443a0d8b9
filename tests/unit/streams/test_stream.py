"""What comes over topics: every message accounted for, and features that are the batch kernel's in every cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from worlds.streamed_runs import made, run
from worlds.streamed_world import PAYMENTS, REPORTS, busy_days, contents, stored

from jobs.streams import verify
from jobs.use_cases.fraud import FRAUD, FRAUD_REPORTS, TRANSACTIONS


@pytest.mark.parametrize("seed", range(4))
def test_every_cell_is_what_a_batch_makes_of_it_after_nights_and_deaths(tmp_path: Path, seed: int) -> None:
    world = made(tmp_path, seed)
    busy_days(world, 100)
    everything, world.messages = world.messages, []
    for part in (0.3, 0.6, 1.0):
        world.messages = everything[: int(part * len(everything))]
        run(world, steps=world.chance.randrange(4))
        assert not run(world).note
        if world.chance.random() < 0.6:
            world.night()
    world.night()
    assert stored(world, TRANSACTIONS) == contents(world, PAYMENTS)
    assert stored(world, FRAUD_REPORTS) == contents(world, REPORTS)
    found = verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD))
    assert (found.different, found.examples) == (0, [])
    assert (found.events, found.not_in_marts, found.decided_elsewhere) == (100, 0, 0)
    assert found.cells == 100 * sum(len(windows.names) for windows in FRAUD.windows)

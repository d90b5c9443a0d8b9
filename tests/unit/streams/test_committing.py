"""Commits that are made beside the steps that follow: what is in them, and what stops them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from worlds.streamed_runs import made, opened, run
from worlds.streamed_world import PAYMENTS, World, busy_days, contents, stored

from jobs.lakehouse import arrow_writer
from jobs.streams import verify
from jobs.use_cases.fraud import FRAUD, TRANSACTIONS

pytestmark = pytest.mark.embedded
Save = Callable[..., Any]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = made(tmp_path, 1)
    busy_days(world, 40)
    one = opened(world)
    assert one.step(0) and one.commit()
    one.close()
    return world


def instead(monkeypatch: pytest.MonkeyPatch, made: Callable[[Save], Save]) -> None:
    """Let what saves rows be another."""
    monkeypatch.setattr(arrow_writer, "save", made(arrow_writer.save))


def test_steps_beside_a_commit_are_no_part_of_it_and_are_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, leave = stored(world, TRANSACTIONS), Event()
    one = opened(world)
    instead(monkeypatch, lambda save: lambda *given: leave.wait(60) and save(*given))
    assert one.step(0)
    at = one.counts.new
    assert one.begin_commit()
    while one.step(0):
        pass
    assert one.is_committing and one.rows > 0
    assert stored(world, TRANSACTIONS) == before
    leave.set()
    # It ends without a further commit, as one that is killed does a moment later.
    one.close()
    assert len(stored(world, TRANSACTIONS)) <= len(before) + at < len(contents(world, PAYMENTS))
    run(world)
    world.night()
    assert stored(world, TRANSACTIONS) == contents(world, PAYMENTS)
    assert verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD)).different == 0


def test_what_stops_a_commit_is_raised_by_the_next_and_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        raise OSError("No space left on device")

    one = opened(world)
    assert one.step(0)
    with monkeypatch.context() as patched:
        instead(patched, lambda save: full)
        assert one.begin_commit()
        one.step(0)
        with pytest.raises(OSError, match="No space left"):
            one.begin_commit()
    one.close()
    run(world)
    world.night()
    assert stored(world, TRANSACTIONS) == contents(world, PAYMENTS)
    assert verify.verify(world.lakehouse, FRAUD, verify.days_of(world.lakehouse, FRAUD)).different == 0

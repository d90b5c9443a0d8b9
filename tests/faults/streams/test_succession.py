"""Declarations that change while a stream runs: a second process makes all features anew, and takes over."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from worlds import changed_declarations
from worlds.changed_declarations import PROGRAM
from worlds.changed_streams import assert_switched, declarations_change, heard_of_another, night, streamed
from worlds.draws import drawn
from worlds.stream_processes import StreamProcess, Topics, has_read
from worlds.streamed_world import World, busy_days

from jobs.settings import Settings
from jobs.streams import control
from jobs.streams.stored_features import declared
from jobs.use_cases.fraud import FRAUD

pytestmark = pytest.mark.servers


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(Settings(home=tmp_path / "home"), drawn("declarations that change"))
    made.history(200)
    busy_days(made, 300)
    night(made, FRAUD)
    return made


def test_a_night_by_other_declarations_lets_a_later_process_take_over_without_a_stop(
    world: World, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = Topics(world, kafka)
    topics.fill(len(world.messages) // 3)
    with StreamProcess(world, topics.url, program=PROGRAM) as one:
        declarations_change(world, topics, one)
        topics.fill(2 * len(world.messages) // 3)
        one.heard(has_read(topics.sent))
        assert streamed(world) == declared(FRAUD)
        heard_of_another(world, one, topics.sent)
        topics.fill()
        said = heard_of_another(world, one, topics.sent)
        assert (said.condition, said.why, one.process.poll()) == ("running", "", None)
        told = one.end()
        assert one.process.returncode == 0, told
    last = control.heartbeat(world.settings, FRAUD)
    assert last is not None and last.condition == "ended"
    assert_switched(world, monkeypatch)


def test_a_later_process_that_is_killed_on_the_way_leaves_the_one_that_runs(
    world: World, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = Topics(world, kafka)
    topics.fill(len(world.messages) // 2)
    with StreamProcess(world, topics.url, program=PROGRAM) as one:
        declarations_change(world, topics, one)
        for _ in range(4):
            with StreamProcess(world, topics.url, program=PROGRAM):
                time.sleep(world.chance.uniform(1.5, 4.0))
            if one.process.poll() is not None:
                break  # it took over before it was killed
        topics.fill()
        if one.heard_or_ended(has_read(topics.sent)):  # it may end later than who told it to was killed
            assert streamed(world) == declared(FRAUD)
        with StreamProcess(world, topics.url, program=PROGRAM) as other:
            # After half a minute the first one starts a later process of its own, and no two take over.
            heard_of_another(world, one, topics.sent)
            (other if other.process.poll() is None else one).end()
    assert_switched(world, monkeypatch)


def test_a_process_whose_declarations_no_night_has_is_refused(world: World, kafka: str) -> None:
    topics = Topics(world, kafka)
    topics.fill(20)
    with StreamProcess(world, topics.url, program=PROGRAM) as one:
        one.heard(has_read(20))
        changed_declarations.change(world.settings.home)
        with StreamProcess(world, topics.url, program=PROGRAM) as other:
            assert f"found process {one.process.pid}" in other.process.communicate(timeout=60)[0]
            assert other.process.returncode == 1
        one.heard(lambda said: said.condition == "running")

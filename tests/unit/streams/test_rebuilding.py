"""Streamed features whose declaration changed: made beside those that are served, and switched to whole."""

from __future__ import annotations

import contextlib
from pathlib import Path
from threading import Event

import pytest
from worlds.changed_declarations import CHANGED, changed
from worlds.changed_streams import night as night_by
from worlds.streamed_runs import made, opened, run
from worlds.streamed_world import World, busy_days

from jobs.lakehouse import replacement
from jobs.streams import control, features, rebuilding, succession, verify
from jobs.streams.rebuilding import Rebuilding
from jobs.streams.stored_features import beside, fingerprints
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD

TABLE = FRAUD.stream_table(FRAUD.windows[0])
EVENTS = 90


def streamed(folder: Path, seed: int = 0, part: float = 0.6) -> World:
    """A world whose topics hold all its messages once the first part of them is read, and features of it stored."""
    world = made(folder, seed)
    busy_days(world, EVENTS)
    everything, world.messages = world.messages, world.messages[: int(part * 2 * EVENTS)]
    run(world)
    world.messages = everything
    return world


def assert_whole(world: World, use_case: UseCase) -> None:
    """Tables have each event once, with the columns of these declarations alone, each cell as a batch makes it."""
    world.night()
    found = verify.verify(world.lakehouse, use_case, verify.days_of(world.lakehouse, use_case))
    assert (found.events, found.different, found.examples, found.not_in_marts) == (EVENTS, 0, [], 0)
    for windows in use_case.windows:
        rows = world.lakehouse.to_arrow(use_case.stream_table(windows))
        assert rows.num_rows == len(set(rows["transaction_id"].to_pylist())) == EVENTS
        assert [name for name in rows.column_names if name in windows.names] == list(windows.names)
    assert not any(map(world.lakehouse.exists, map(beside, map(use_case.stream_table, use_case.windows))))


@pytest.mark.parametrize("night", [False, True])
def test_a_start_with_another_declaration_makes_all_features_anew(tmp_path: Path, night: bool) -> None:
    world = streamed(tmp_path)
    if night:
        world.night()
    run(world, use_case=CHANGED)
    assert_whole(world, CHANGED)


def test_what_is_served_stays_while_others_are_made_beside_and_goes_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "SLICE", 15)
    monkeypatch.setattr(rebuilding, "FEW", 3)
    monkeypatch.setattr(features, "REBASED_AFTER", 20)
    world = streamed(tmp_path, 1)
    world.night()
    one, others = opened(world), Rebuilding(world.lakehouse, CHANGED)
    others.catch_up(lambda: False)
    before = world.lakehouse.row_count(TABLE)
    assert fingerprints(world.lakehouse, [TABLE]) == [FRAUD.windows[0].fingerprint]
    for _ in range(3):
        one.step(0)
        one.commit()
        others.catch_up(lambda: False)
    assert world.lakehouse.row_count(TABLE) > before
    one.commit()
    one.close()
    other = opened(world, CHANGED, others)
    assert other.features is others.features
    while other.step(0):
        pass
    other.commit()
    other.close()
    assert_whole(world, CHANGED)


@pytest.mark.parametrize("switched", range(len(FRAUD.windows)))
def test_a_death_between_tables_leaves_each_of_one_declaration_and_the_next_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switched: int
) -> None:
    world, put = streamed(tmp_path, 2), replacement.put_in_place
    left = [switched]

    def dies(*arguments: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        put(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(replacement, "put_in_place", dies)
    with pytest.raises(KeyboardInterrupt):
        opened(world, CHANGED)
    monkeypatch.undo()
    for number, (old, new) in enumerate(zip(FRAUD.windows, CHANGED.windows, strict=True)):
        table, columns = FRAUD.stream_table(old), world.lakehouse.schema(FRAUD.stream_table(old)).names
        assert set(new.names if number < switched else old.names) <= set(columns)
        assert fingerprints(world.lakehouse, [table]) == [(new if number < switched else old).fingerprint]
    run(world, use_case=CHANGED)
    assert_whole(world, CHANGED)


def test_what_was_begun_for_a_declaration_that_was_taken_back_leaves_no_trace(tmp_path: Path) -> None:
    world = streamed(tmp_path, 3)
    begun = Rebuilding(world.lakehouse, CHANGED)
    begun.catch_up(lambda: False)
    begun.close()
    assert world.lakehouse.exists(beside(TABLE))
    run(world)
    assert_whole(world, FRAUD)


def test_of_two_declarations_that_were_begun_the_last_counts(tmp_path: Path) -> None:
    world = streamed(tmp_path, 4)
    begun = Rebuilding(world.lakehouse, changed(CHANGED))
    begun.catch_up(lambda: False)
    begun.close()
    run(world, use_case=CHANGED)
    assert_whole(world, CHANGED)


def test_no_two_processes_take_a_stream_over_at_a_time(tmp_path: Path) -> None:
    world = streamed(tmp_path, 5)
    night_by(world, CHANGED)
    settings, end = world.settings, Event()
    with control.only_one(settings, FRAUD), control.only_successor(settings, FRAUD):
        with pytest.raises(control.Taken, match="expected no other process to take the stream over, found one"):
            succession.turn(world.lakehouse, CHANGED, end).__enter__()
        assert not world.lakehouse.exists(beside(TABLE))
    held = contextlib.ExitStack()
    held.enter_context(control.only_successor(settings, FRAUD))
    Rebuilding(world.lakehouse, CHANGED, held.close).finish()
    # Who would take it over finds features as they are declared, and the way free for others.
    with (
        control.only_successor(settings, FRAUD),
        control.only_one(settings, FRAUD),
        pytest.raises(control.Taken, match="expected no stream of this use case to run"),
    ):
        succession.turn(world.lakehouse, CHANGED, end).__enter__()

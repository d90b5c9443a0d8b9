"""Decisions against tables: the same cells where tables know the same, and named features where they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from worlds import decided_world
from worlds.decided_world import DAY, SECOND, World, decide, server, worker

from assets import online_skew as asset
from jobs.checks import online_skew
from jobs.checks.online_skew import OnlineSkew
from jobs.decisions import consistency, table_comparison
from jobs.lakehouse.tables import attach
from jobs.times import moment_of
from jobs.use_cases.fraud import FRAUD

pytestmark = pytest.mark.embedded
Cells = dict[Any, dict[str, Any]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return decided_world.made(tmp_path, events=120, future=0)


def decided(world: World, count: int = 40) -> list[decided_world.Row]:
    """Decide events that happen as they come; returns them as a file brings them later."""
    rows = []
    with server(world), worker(world) as one:
        for _ in range(count):
            world.now += 60 * SECOND
            made = decide(one, world.given(tx_datetime=moment_of(world.now).isoformat()))
            came = one.came(made.id)
            assert came is not None
            at = moment_of(came.time(made.decided_at))
            rows.append(world.event(made.id, at) | came.values | {"tx_datetime": at, "known_at": at + DAY})
    return rows


def measured(world: World) -> OnlineSkew:
    found = online_skew.measure(attach(world.settings), FRAUD)
    assert found is not None
    return found


def faulty(monkeypatch: pytest.MonkeyPatch, change: Callable[[Cells], None]) -> None:
    """The lakehouse's side of the comparison, as if serving had made other values than it."""
    sound = consistency.recomputed

    def recomputed(*arguments: Any) -> Cells:
        cells = sound(*arguments)
        change(cells)
        return cells

    monkeypatch.setattr(table_comparison, "recomputed", recomputed)


def test_nothing_served_and_nothing_in_the_tables_is_not_judged(world: World) -> None:
    assert online_skew.measure(attach(world.settings), FRAUD) is None
    rows = decided(world, 3)
    found = measured(world)
    assert (found.against.decisions, found.against.in_no_table) == (0, 3)
    outcome = online_skew.no_skew(found)
    assert outcome.passed and outcome.found.startswith("not judged")
    world.put(rows[:2], [], mode="append")
    found = measured(world)
    assert (found.against.decisions, found.against.in_no_table) == (2, 1)


def test_what_the_file_says_later_is_what_was_decided_from(world: World) -> None:
    world.put(decided(world), [], mode="append")
    found = measured(world)
    assert found.against.decisions == 40 and found.against.cells == 40 * len(found.against.features)
    assert found.against.different == 0 and found.features == ()
    assert online_skew.no_skew(found).passed


def test_reports_that_tables_knew_earlier_are_told_from_events(world: World) -> None:
    rows = decided(world)
    # A report about each event, which tables say was known at once and the service never heard of.
    labels = [world.label(row) | {"is_fraud": True, "known_at": row["tx_datetime"]} for row in rows]
    world.put(rows, labels, mode="append")
    found = measured(world)
    assert found.against.different and set(found.against.differing) <= FRAUD.label_features
    assert {each.feature for each in found.features} <= set(found.against.differing)


def test_an_event_that_no_file_brought_shows_in_what_came_after(world: World) -> None:
    rows = decided(world)
    world.put(rows[20:], [], mode="append")
    found = measured(world)
    assert found.against.in_no_table == 20
    assert found.against.differing and not set(found.against.differing) & FRAUD.label_features
    outcome = online_skew.no_skew(found)
    assert not outcome.passed and found.skewed[0].feature in outcome.found


def test_a_unit_is_named_with_its_diagnosis(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(decided(world), [], mode="append")
    name = "customer_tx_count_1d"

    def hundredfold(cells: Cells) -> None:
        for row in cells.values():
            row[name] = row[name] * 100

    faulty(monkeypatch, hundredfold)
    found = measured(world)
    assert [each.feature for each in found.features] == [name] and found.features[0].diagnosis == "unit"
    outcome = online_skew.no_skew(found)
    assert not outcome.passed and f"{name} others in 100.0% of them (unit" in outcome.found
    assert outcome.check.severity == "warning" and outcome.numbers["different"] == 40


def test_a_difference_in_few_decisions_is_shown_and_does_not_warn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put(decided(world), [], mode="append")

    def once(cells: Cells) -> None:
        row = cells[max(cells)]
        row["customer_tx_count_1d"] += 3

    faulty(monkeypatch, once)
    found = measured(world)
    assert len(found.features) == 1 and online_skew.no_skew(found).passed
    result = dg.materialize(asset.build(FRAUD), resources={"lakehouse": attach(world.settings)})
    [check], [made] = result.get_asset_check_evaluations(), result.get_asset_materialization_events()
    metadata = made.materialization.metadata
    assert check.passed and metadata["features_that_differ"].value == 1
    assert metadata["share_of_cells_that_differ"].value == pytest.approx(1 / found.against.cells, abs=1e-3)
    assert "customer_tx_count_1d" in str(metadata["differences"].value)


def test_an_event_that_tables_knew_is_not_compared(world: World) -> None:
    lakehouse = attach(world.settings)
    names = ["transaction_id", "customer_id", "terminal_id", "tx_amount", "tx_datetime"]
    known = lakehouse.to_arrow(FRAUD.events, columns=names, filters=[("version", "=", 1)]).to_pylist()[:5]
    with server(world), worker(world) as one:
        for row in known:
            world.now += SECOND
            decide(one, row | {"tx_datetime": row["tx_datetime"].isoformat()})
    found = measured(world)
    assert (found.against.decisions, found.against.in_no_table) == (0, 0)

"""Decisions in the prediction log: each once, whatever happens between, and read like nightly rows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from worlds import decided_world
from worlds.decided_world import START, World, decide, server, worker

from assets import decisions
from assets.run_context import AS_OF_TAG
from jobs.checks import online_decisions
from jobs.decisions import opened, shadow_shipping, shipping, table_comparison, told
from jobs.decisions.live_reviews import LiveReviews, LiveVerdict
from jobs.decisions.log_contents import Shadow
from jobs.decisions.opened import log_file
from jobs.decisions.outcome import Outcome
from jobs.ingest import registered_inputs
from jobs.ingest.registered_inputs import Inputs
from jobs.lakehouse.tables import PARTITION, Lakehouse, attach
from jobs.scoring import live_verdicts, prediction_log
from jobs.scoring.logged_days import logged_days
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from jobs.windows import Aggregate

LOG = prediction_log.table(FRAUD)


@pytest.fixture
def world(lakehouse: Lakehouse) -> Iterator[World]:
    place = log_file(lakehouse.settings, FRAUD).parent
    shutil.rmtree(place, ignore_errors=True)
    made = World(lakehouse.settings)
    made.write(events=120, future=0)
    yield made
    shutil.rmtree(place, ignore_errors=True)


def decided(world: World, count: int) -> list[Any]:
    with server(world), worker(world) as one:
        found = []
        for _ in range(count):
            world.now += 60 * decided_world.SECOND
            found.append(decide(one, world.given()))
        return found


def rows(lakehouse: Lakehouse) -> list[dict[str, Any]]:
    return lakehouse.to_arrow(LOG).sort_by("scored_at").to_pylist()


def test_each_decision_is_shipped_once(lakehouse: Lakehouse, world: World) -> None:
    assert shipping.ship(lakehouse, FRAUD) == shipping.Shipped(0, None)
    first = decided(world, 12)
    shipped = shipping.ship(lakehouse, FRAUD)
    assert (shipped.rows, shipped.decisions, shipped.waiting) == (12, 12, 0)
    assert online_decisions.all_shipped(lakehouse, FRAUD, shipped).passed
    assert shipped.last == datetime.fromtimestamp(0, UTC) + timedelta(microseconds=first[-1].decided_at)
    assert shipping.ship(lakehouse, FRAUD).rows == 0
    # A death after the commit, before it was noted how far the log is shipped.
    log_file(lakehouse.settings, FRAUD).with_name("shipped.json").unlink()
    more = decided(world, 5)
    assert shipping.ship(lakehouse, FRAUD).rows == 5
    found = rows(lakehouse)
    assert [row["transaction_id"] for row in found] == [each.id for each in (*first, *more)]
    names = decided_names(world)
    for row, each in zip(found, (*first, *more), strict=True):
        features = dict(zip(names, each.features, strict=True))
        assert (row["origin"], row["verdict"], row["decision"], row["model_version"]) == ("online", "approve", False, 1)
        assert row["score"] == 0.25 and row["fallback"] is None and row["latency"] > 0
        assert row["scored_at"].timestamp() * 1e6 == pytest.approx(each.decided_at, abs=1)
        for name, value in features.items():
            assert row[name] == (None if value is None else float(np.float32(value))), name


def test_decisions_are_shipped_by_the_names_that_features_had_then(lakehouse: Lakehouse, world: World) -> None:
    first, names = decided(world, 3), decided_names(world)
    windows = FRAUD.windows[0]
    more = replace(windows, aggregates=(Aggregate("count", name="new"), *windows.aggregates[1:]))
    shipping.ship(lakehouse, replace(FRAUD, windows=(more, *FRAUD.windows[1:])))
    for row, each in zip(rows(lakehouse), first, strict=True):
        features = dict(zip(names, each.features, strict=True))
        for name in set(names) - set(windows.names) | set(more.names):
            value = features.get(name)
            assert row[name] == (None if value is None else float(np.float32(value))), name
    assert "new_1d" in rows(lakehouse)[0]


def decided_names(world: World) -> list[str]:
    with server(world), worker(world) as one:
        return one.rows.computed


def test_an_event_that_was_decided_online_counts_once_beside_nightly_rows(lakehouse: Lakehouse, world: World) -> None:
    online = decided(world, 6)
    shipping.ship(lakehouse, FRAUD)
    table = lakehouse.to_arrow(LOG)
    nightly = [row | {"origin": "nightly", "score": 0.9, "verdict": None} for row in table.to_pylist()[:4]]
    nightly += [nightly[0] | {"transaction_id": 1, "tx_datetime": START, PARTITION: START.date()}]
    schema = lakehouse.schema(LOG)
    lakehouse.write(LOG, pa.Table.from_pylist(nightly, schema=schema), mode="append", schema=schema)
    once = prediction_log.one_per_event(FRAUD, lakehouse.to_arrow(LOG))
    assert sorted(once["transaction_id"].to_pylist()) == sorted([1, *(each.id for each in online)])
    scores = dict(zip(once["transaction_id"].to_pylist(), once["score"].to_pylist(), strict=True))
    assert scores[online[0].id] == 0.25 and scores[1] == pytest.approx(0.9)
    logged = logged_days(lakehouse, FRAUD, START + timedelta(days=900), START.date() - timedelta(days=90))
    assert logged is not None and logged.has_online
    in_engine = logged.of(lakehouse, FRAUD, logged.days).select("transaction_id", "score").collect()
    assert len(in_engine) == sum(logged.rows.values())
    assert {row[0]: round(row[1], 6) for row in in_engine}[online[0].id] == 0.25


def test_the_check_of_the_champion_finds_what_differs(lakehouse: Lakehouse, world: World) -> None:
    assert online_decisions.equal_batch(online_decisions.compared(lakehouse, FRAUD)).expected == ""
    decided(world, 8)
    outcome = online_decisions.equal_batch(online_decisions.compared(lakehouse, FRAUD))
    assert outcome.passed and outcome.numbers["cells"] == 8 * len(decided_names(world))
    found = table_comparison.compare(lakehouse, FRAUD)
    assert found is not None and (found.cells, found.in_no_table) == (0, 8)
    # The file of the night brings the same payments, and says nothing else of them than the log does.
    with server(world), worker(world) as one:
        log = [(id, one.came(id)) for id in range(world.ids - 7, world.ids + 1)]
    events = []
    for id, came in log:
        assert came is not None
        event = world.event(id, START) | {
            name: came.values[name] for name in ("customer_id", "terminal_id", "tx_amount")
        }
        events.append(event | {"tx_datetime": START if came.happened is None else at(came.happened)})
    world.put([event | {"event_date": event["tx_datetime"].date()} for event in events], [], mode="append")
    found = table_comparison.compare(lakehouse, FRAUD)
    assert found is not None and found.in_no_table == 0 and found.cells == 8 * len(decided_names(world))


def at(moment: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=moment)


def test_a_log_is_trimmed_once_shipped_and_goes_on(
    lakehouse: Lakehouse, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "TRIM_BYTES", 0)
    old = decided(world, 5)
    shipping.ship(lakehouse, FRAUD)
    world.now += 100 * 86_400 * decided_world.SECOND
    # The server that starts next stands on newer tables, which reach no further back.
    world.put([world.event(77, START)], [], mode="append")
    new = decided(world, 4)
    with opened.log_of(lakehouse.settings, FRAUD) as log:
        ids = [record.id for record in log.records()]
    assert f"event/{old[0].id}" not in ids and f"decision/{new[0].id}" in ids and ids[:2] == ["base/1", "base/2"]
    assert shipping.ship(lakehouse, FRAUD).rows == 4
    assert [row["transaction_id"] for row in rows(lakehouse)] == [each.id for each in (*old, *new)]
    assert online_decisions.judged(lakehouse, FRAUD).passed


def test_shadows_have_a_table_of_their_own_each_once(lakehouse: Lakehouse, world: World) -> None:
    with server(world), worker(world) as one:
        found = [decide(one, world.given()) for _ in range(3)]
        shadows = [
            Shadow(each.id, each.decided_at, 4, arm, Outcome(0.75, "review"), "9", 30) for each in found for arm in "ab"
        ]
        broken = Shadow(found[0].id, found[0].decided_at, 5, "c", Outcome(None), "", failure="it failed")
        one.keep_shadows([*shadows, broken])
        one.keep_shadows(shadows[:1])  # another worker that resumed the same event
    shipping.ship(lakehouse, FRAUD)
    log_file(lakehouse.settings, FRAUD).with_name("shipped.json").unlink()
    assert shipping.ship(lakehouse, FRAUD).decisions == 3
    rows_ = lakehouse.to_arrow(shadow_shipping.table(FRAUD)).to_pylist()
    assert sorted((row["transaction_id"], row["rollout"], row["arm"]) for row in rows_) == sorted(
        (each.id, each.rollout, each.arm) for each in (*shadows, broken)
    )
    [failed] = [row for row in rows_ if row["rollout"] == 5]
    assert (failed["score"], failed["model_version"], failed["failure"]) == (None, None, "it failed")
    stamps = {row["scored_at"] for row in rows(lakehouse)}
    assert {row["scored_at"] for row in rows_} == stamps and {row["verdict"] for row in rows_} == {"review", None}


def test_verdicts_have_a_table_of_their_own_each_once(lakehouse: Lakehouse, world: World) -> None:
    with server(world), worker(world) as one:
        ids = [decide(one, world.given()).id for _ in range(3)]
        reviews = LiveReviews(FRAUD, one, 5)
        told.report(one, ids[2], {"is_fraud": True})  # of a client, which is no verdict
        first = [reviews.judge(id, word, "ann") for id, word in zip(ids, get_args(LiveVerdict), strict=True)]
    assert shipping.ship(lakehouse, FRAUD).verdicts == 3
    log_file(lakehouse.settings, FRAUD).with_name("shipped.json").unlink()
    with server(world), worker(world) as one:
        second = LiveReviews(FRAUD, one, 5).judge(ids[0], "negative", "bob")
    assert shipping.ship(lakehouse, FRAUD).verdicts == 1 and shipping.ship(lakehouse, FRAUD).verdicts == 0
    rows_ = lakehouse.to_arrow(live_verdicts.table(FRAUD)).sort_by("judged_at").drop(PARTITION).to_pylist()
    whole = [*zip(ids, get_args(LiveVerdict), ["ann"] * 3, first, strict=True), (ids[0], "negative", "bob", second)]
    assert rows_ == [
        {"transaction_id": id, "judged_at": at(judged.moment), "verdict": word, "reviewer": who}
        for id, word, who, judged in whole
    ]


@pytest.mark.embedded
def test_the_asset_makes_verdicts_input_of_the_next_run_or_says_why_it_cannot(home: Settings) -> None:
    lakehouse, world, [_, asset] = attach(home), decided_world.made(home), decisions.build(FRAUD)

    def metadata() -> dict[str, Any]:
        made = dg.materialize([asset], tags={AS_OF_TAG: START.isoformat()}, resources={"lakehouse": lakehouse})
        [event] = made.get_asset_materialization_events()
        return {k: v.value for k, v in event.step_materialization_data.materialization.metadata.items()}

    inputs = Inputs({"transactions": ("t.csv",)}, START.date(), START.date())
    registered_inputs.register(home, FRAUD, inputs)
    with server(world), worker(world) as one:
        LiveReviews(FRAUD, one, 5).judge(decide(one, world.given()).id, "positive", "ann")
    found = metadata()
    assert found["verdicts_written"] == 1 and "expected files of their own" in str(found["verdict_files"])
    registered_inputs.register(home, FRAUD, replace(inputs, files={**inputs.files, "reports": ("r.csv",)}))
    assert [metadata()["verdict_files"] for _ in range(2)] == [1, 0]

"""Topics and streamed tables in the graph of assets, and the comparison that holds back what follows the champion."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from deltalake import write_deltalake
from worlds.streamed_runs import made, run
from worlds.streamed_world import World, busy_days

from assets import streams
from assets.keys import Keys
from jobs import settings
from jobs.lakehouse.commit_state import keeping
from jobs.settings import Settings
from jobs.streams import control
from jobs.streams.control import Heartbeat
from jobs.use_cases.fraud import FRAUD
from orchestration.definitions import build_definitions

KEYS, NAME = Keys(FRAUD), "stream_equals_batch"


def graph(own: Settings) -> dg.Definitions:
    return build_definitions(settings=own, use_cases=(FRAUD,))


@pytest.mark.parametrize("by_url", [True, False])
def test_topics_feed_raw_tables_which_feed_streamed_features(tmp_path: Path, by_url: bool) -> None:
    url = {"EVERGREEN_STREAM": "kafka://127.0.0.1:1?topics=fraud.transactions:payments"} if by_url else {}
    own = settings.load({"EVERGREEN_HOME": str(tmp_path), **url})
    if not by_url:
        control.beat(own, FRAUD, Heartbeat(0.0, "1@0.00", "ended"))
    specs = {spec.key: spec for spec in graph(own).resolve_all_asset_specs()}
    found = graph(own).get_repository_def().asset_graph
    assert {found.get(key).is_external for key in [*KEYS.topics.values(), *KEYS.stream_tables.values()]} == {True}
    for name, topic in KEYS.topics.items():
        assert topic in {dep.asset_key for dep in specs[KEYS.raw[name]].deps}
    for key in KEYS.stream_tables.values():
        deps = {dep.asset_key for dep in specs[key].deps}
        assert deps == {KEYS.raw["transactions"], KEYS.raw["fraud_reports"]}
    named = "payments" if by_url else "fraud.transactions"
    assert specs[KEYS.topics["transactions"]].metadata["topic"] == named
    columns = specs[KEYS.stream_tables["customer_windows"]].metadata["dagster/column_schema"].columns
    assert all(column.description for column in columns)


def test_every_new_asset_has_a_check_and_jobs_stay_as_they_are(tmp_path: Path) -> None:
    plain = graph(settings.load({"EVERGREEN_HOME": str(tmp_path)}))
    streamed = graph(settings.load({"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_STREAM": "kafka://127.0.0.1:1"}))
    checked = {key.asset_key for key in streamed.get_repository_def().asset_graph.asset_check_keys}
    assert {*KEYS.topics.values(), *KEYS.stream_tables.values()} <= checked
    for name in ("fraud_lineage", "fraud_monitoring", "fraud_retraining"):
        before, after = (d.resolve_job_def(name).asset_layer.executable_asset_keys for d in (plain, streamed))
        assert before == after
    assert "fraud_stream" not in {sensor.name for sensor in plain.get_repository_def().sensor_defs}
    checks = streamed.resolve_job_def("fraud_lineage").asset_layer.asset_graph.asset_check_keys
    assert dg.AssetCheckKey(KEYS.champion, NAME) in checks


@pytest.mark.parametrize("differs", [False, True])
def test_a_cell_that_differs_from_batch_holds_back_what_follows_the_champion(tmp_path: Path, differs: bool) -> None:
    world = made(tmp_path, 1)
    busy_days(world, 10)
    run(world)
    world.night()
    if differs:
        _tamper(world)

    @dg.asset(key=KEYS.champion)
    def champion() -> None: ...

    @dg.asset(deps=[KEYS.champion])
    def follows() -> None: ...

    own = dg.AssetCheckKey(KEYS.champion, NAME)
    [check] = [each for each in streams.build(world.settings, FRAUD) if own in each.check_keys]
    resources = {"lakehouse": world.lakehouse, "now": datetime.now(UTC)}
    with dg.DagsterInstance.ephemeral() as instance:
        ended = dg.materialize([champion, follows, check], instance=instance, resources=resources, raise_on_error=False)
        made_keys = {event.asset_key.to_user_string() for event in ended.get_asset_materialization_events()}  # type: ignore[union-attr]
    assert ("follows" in made_keys) is not differs and ended.success is not differs


def _tamper(world: World) -> None:
    """Change a cell of streamed features."""
    windows = FRAUD.windows[0]
    table, name = FRAUD.stream_table(windows), windows.names[0]
    rows = pl.DataFrame(world.lakehouse.to_arrow(table))
    rows = rows.with_columns(pl.when(pl.int_range(pl.len()) == 0).then(pl.col(name) + 1).otherwise(pl.col(name)))
    state = keeping(world.lakehouse.state(table))
    write_deltalake(world.lakehouse.path(table), rows.to_arrow(), mode="overwrite", commit_properties=state)

"""Runs launched as the UI launches them, through GraphQL on a real instance: each has the tag of its use case."""

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_graphql.test.utils import execute_dagster_graphql

from jobs.alerts import outbox
from jobs.ingest import registered_inputs
from jobs.lakehouse import dbt_models
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration import alert_sensors
from orchestration.instance import home

pytestmark = [
    pytest.mark.embedded,
    # Dagster's own answer to a backfill uses a name that it deprecated.
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources` is deprecated"),
]

LOCATION = "orchestration.definitions"
LAUNCHER = "run_launcher: {module: dagster._core.test_utils, class: MockedRunLauncher}\n"
LAUNCH = """mutation ($executionParams: ExecutionParams!) { launchPipelineExecution(executionParams: $executionParams) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation ($backfillParams: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $backfillParams) {
        __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
CHECKS = """query ($assetKeys: [AssetKeyInput!]) { assetNodes(assetKeys: $assetKeys) {
    assetChecksOrError { ... on AssetChecks { checks { name assetKey { path } } } } } }"""
TRAINING_SET, TRANSACTIONS = ["fraud", "features", "training_set"], ["fraud", "raw", "transactions"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home of an earlier release, whose queue knows no use cases, with four days of input."""
    own = Settings(tmp_path)
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    days = registered_inputs.Inputs({"transactions": ("x.parquet",)}, date(2026, 9, 1), date(2026, 9, 4))
    registered_inputs.register(own, FRAUD, days)
    dbt_models.manifest(own)  # the code server then need not parse
    configuration = home(own) / "dagster.yaml"
    ours = "module: orchestration.run_queue\n  class: UseCaseRunCoordinator"
    former = "module: dagster.core.run_coordinator\n  class: QueuedRunCoordinator"
    assert ours in configuration.read_text()
    configuration.write_text(configuration.read_text().replace(ours, former) + LAUNCHER)
    return own


@pytest.fixture
def workspace(settings: Settings) -> Iterator[WorkspaceProcessContext]:
    """What a webserver answers from."""
    with (
        dg.DagsterInstance.from_config(str(home(settings))) as instance,
        WorkspaceProcessContext(
            instance, ModuleTarget(LOCATION, attribute=None, working_directory=None, location_name=LOCATION)
        ) as process,
    ):
        yield process


def _materialize(workspace: WorkspaceProcessContext, *assets: list[str]) -> str:
    """Launch a run as the page of assets does, which selects their checks too."""
    selector = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__", "pipelineName": "__ASSET_JOB"}
    keys = [{"path": path} for path in assets]
    nodes = execute_dagster_graphql(workspace.create_request_context(), CHECKS, {"assetKeys": keys}).data["assetNodes"]
    checks = [check for node in nodes for check in node["assetChecksOrError"]["checks"]]
    chosen = {
        "assetSelection": keys,
        "assetCheckSelection": [{"assetKey": check["assetKey"], "name": check["name"]} for check in checks],
    }
    variables = {"executionParams": {"mode": "default", "runConfigData": "{}", "selector": {**selector, **chosen}}}
    answer = execute_dagster_graphql(workspace.create_request_context(), LAUNCH, variables)
    launched = answer.data["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def _backfill(workspace: WorkspaceProcessContext, asset: list[str], *days: str) -> None:
    parameters = {"assetSelection": [{"path": asset}], "partitionNames": days}
    answer = execute_dagster_graphql(workspace.create_request_context(), BACKFILL, {"backfillParams": parameters})
    launched = answer.data["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    list(execute_backfill_iteration(workspace, logging.getLogger("backfill")))


def _runs(workspace: WorkspaceProcessContext) -> list[Any]:
    return list(workspace.instance.get_runs(ascending=True))


def test_materialize_and_backfill_wait_for_each_other_and_alert(
    settings: Settings, workspace: WorkspaceProcessContext
) -> None:
    first = _materialize(workspace, TRAINING_SET)
    _backfill(workspace, TRANSACTIONS, "2026-09-02", "2026-09-03")
    assert [run.tags.get("use_case") for run in _runs(workspace)] == ["fraud", "fraud"]
    list(QueuedRunCoordinatorDaemon(interval_seconds=1).run_iteration(workspace))
    launched = [run.run_id for run in workspace.instance.run_launcher.queue()]  # type: ignore[attr-defined]
    assert launched == [first]
    now = datetime(2026, 9, 5, tzinfo=UTC)
    for name, run in zip(("training_set", "transactions"), _runs(workspace), strict=True):
        workspace.instance.report_run_failed(run)
        alert_sensors.settle_job(workspace.instance, FRAUD, settings, run, now)
        assert outbox.recorded(settings)[-1].alert.subject.endswith(name)

"""Evaluation, champion and approval as Dagster materializes them, and the commands that people type."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from worlds import rollout_log
from worlds.judged_world import AS_OF, PROBLEM, USE_CASE, FileRegistry, fitted, table_of, write_training_set
from worlds.pictures import rendered
from worlds.rollout_traffic import BETTER, START, traffic

from assets import promotion
from assets.keys import Keys
from assets.run_context import AS_OF_TAG
from jobs import settings
from jobs.display import written
from jobs.ingest import registered_inputs
from jobs.ingest.registered_inputs import Inputs
from jobs.lakehouse.tables import attach
from jobs.ledger import promotions
from jobs.promotion import export_onnx
from jobs.registry import model_versions as registry
from jobs.registry.bundle import Bundle
from jobs.registry.champion_bundles import Champions
from jobs.rollout_strategy import Strategy
from jobs.rollouts import steps, waiting
from jobs.rollouts.conduct import By
from jobs.rollouts.rollout_logs import RolloutLogs
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD
from orchestration import cli
from orchestration.instance import open_instance

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01")
MANUAL = replace(USE_CASE, problem=replace(PROBLEM, approval="manual"))
ROLLED_OUT = replace(
    USE_CASE, problem=replace(PROBLEM, approval="rollout", rollout=Strategy(step_hours=1.0, least_events=200))
)
TABLE = table_of(seed=1, rows=12_000)


@dataclass
class Home:
    settings: settings.Settings
    registry: FileRegistry
    models: list[Bundle]

    def run(self, *names: str, use_case: UseCase = USE_CASE, config: Any = None) -> dg.ExecuteInProcessResult:
        resources = {
            "lakehouse": write_training_set(self.settings, TABLE), "registry": self.registry, "now": NOW
        }  # fmt: skip
        definitions = dg.Definitions(assets=promotion.build(use_case, DAYS), resources=resources)
        keys = [getattr(Keys(use_case), name) for name in names]
        job = dg.define_asset_job("job", selection=dg.AssetSelection.assets(*keys))
        found = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("job")
        return found.execute_in_process(tags={AS_OF_TAG: AS_OF.isoformat()}, run_config=config, raise_on_error=False)

    def metadata(self, result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
        [event] = result.asset_materializations_for_node(f"fraud__promotion__{name}")
        return {key: value.value for key, value in event.metadata.items()}

    def evergreen(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
        monkeypatch.setenv("EVERGREEN_HOME", str(self.settings.home))
        for name in ("fetch", "set_aliases", "latest_candidate"):
            monkeypatch.setattr(registry, name, getattr(self.registry, name))
        return CliRunner(env={"COLUMNS": "200"}).invoke(cli.main, list(arguments))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    folder = tmp_path_factory.mktemp("models")
    names = (("x1", "x3"), ("x1", "x2"), ("tx_amount", "x1", "x2", "x3"))
    return [fitted(folder / str(n), table_of(seed=2, rows=12_000), chosen) for n, chosen in enumerate(names)]


@pytest.fixture
def home(tmp_path: Path, models: list[Bundle]) -> Home:
    own = settings.load({"EVERGREEN_HOME": str(tmp_path / "home")})
    registered_inputs.register(own, FRAUD, Inputs({"transactions": ("x.parquet",)}, AS_OF.date(), AS_OF.date()))
    return Home(own, FileRegistry(tmp_path / "registry"), models)


def test_a_promotion_shows_why_and_who_is_in_production(home: Home) -> None:
    home.registry.add(1, home.models[1])
    assert home.run("evaluation", "champion").success
    home.registry.add(2, home.models[2])
    with rendered():
        result = home.run("evaluation", "champion")
    shown = home.metadata(result, "evaluation")
    assert shown["verdict"].startswith("**Passed**") and shown["candidate"] == "version 2"
    assert "better_than_champion" in shown["checks"] and "logistic regression" in shown["metrics"]
    assert shown["differences"].startswith("![differences](data:image/png;base64,")
    assert len(shown["differences"]) > 2_000  # rendered
    assert shown["notes"] == "slice region: customers was never loaded"
    assert {check.check_name: check.passed for check in result.get_asset_check_evaluations()} == {
        "better_beyond_noise": True, "champion_loads": True, "decisions_equal_batch": True
    }  # fmt: skip
    standing = home.metadata(result, "champion")
    assert (standing["version"], standing["since"]) == ("2", written(AS_OF))
    assert "promotion: average precision" in standing["history"] and "promoted" in standing["last_decisions"]
    assert home.registry.aliases == {"candidate": 2, "champion": 2, "previous": 1}


def test_a_refusal_is_a_warning_and_no_failure(home: Home) -> None:
    home.registry.add(1, home.models[1])
    assert home.run("evaluation", "champion").success
    home.registry.add(2, home.models[0])
    result = home.run("evaluation", "champion")
    assert result.success
    [check] = [each for each in result.get_asset_check_evaluations() if each.check_name == promotion.CHECK]
    assert not check.passed and check.severity is dg.AssetCheckSeverity.WARN
    assert "not better beyond noise" in (check.description or "")
    assert home.metadata(result, "evaluation")["verdict"].startswith("**Refused**")
    standing = home.metadata(result, "champion")
    assert standing["decision"].startswith("refused: ") and standing["version"] == "1"


def test_without_a_candidate_there_is_nothing_to_say(home: Home) -> None:
    result = home.run("evaluation", "champion")
    assert result.success
    assert home.metadata(result, "evaluation") == {"verdict": "there is no candidate yet"}
    assert home.metadata(result, "champion")["decision"] == "there is no candidate yet"


def test_an_approval_in_the_ui_is_recorded_as_unauthenticated(home: Home) -> None:
    home.registry.add(1, home.models[1])
    assert home.run("evaluation", "champion", use_case=MANUAL).success
    config = {"ops": {"fraud__promotion__approval": {"config": {"model_version": 1, "by": "anna"}}}}
    result = home.run("approval", use_case=MANUAL, config=config)
    assert result.success and home.metadata(result, "approval")["version"] == "1"
    last = promotions.decisions(home.settings, FRAUD)[-1]
    assert (last.kind, last.by, last.authenticated) == ("approval", "anna", False)
    assert home.registry.aliases["champion"] == 1
    again = home.run("approval", use_case=MANUAL, config=config)
    assert not again.success and promotions.decisions(home.settings, FRAUD)[-1] == last


def test_a_use_case_without_a_problem_has_none_of_it() -> None:
    assert promotion.build(replace(USE_CASE, problem=None), DAYS) == []


def test_a_candidate_that_passed_enters_as_a_canary_and_earns_its_place(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night judges, looks at the log bring it in, and its own export is in service at the end."""
    monkeypatch.setattr(registry, "fetch", home.registry.fetch)
    monkeypatch.setattr(registry, "get", home.registry.fetch)
    for version in (1, 2):
        home.registry.add(version, home.models[version])
        assert home.run("evaluation", "champion", use_case=ROLLED_OUT).success
    last = promotions.decisions(home.settings, FRAUD)[-1]
    assert (last.model_version, last.outcome) == (2, "waiting")
    lakehouse, champions = attach(home.settings), Champions(home.settings)
    rollout, why = waiting.start_waiting(lakehouse, ROLLED_OUT, champions, By("evergreen", START))
    assert rollout is not None and rollout.shares == {"v2": 0.01}, why
    drawn = traffic(BETTER, 0.1, 30, 700, 5)
    rollout_log.write(home.settings, rollout, drawn, reported=drawn.outcomes.labels)
    with contextlib.closing(RolloutLogs(home.settings, ROLLED_OUT)) as logs:
        for hour in (1, 3, 5, 7, 24 * 45):
            now = START + timedelta(days=1, hours=hour)
            [looked] = steps.step(lakehouse, ROLLED_OUT, home.registry, now, logs)
            if looked.rollout.ended_at:
                break
    assert looked.rollout.state == "completed", looked.verdict.reason
    assert [change.shares.get("v2") for change in looked.rollout.changes] == [0.01, 0.1, 0.5, 1.0, None]
    last = promotions.decisions(home.settings, FRAUD)[-1]
    assert (last.model_version, last.outcome, last.by) == (2, "promoted", "evergreen")
    assert last.reason.startswith("rollout version_2: ") and last.evidence["checks"]  # those of the night
    assert home.registry.aliases == {"candidate": 2, "champion": 2, "previous": 1}
    online = export_onnx.current(home.settings, FRAUD)
    assert online is not None and (online.version, online.bundle.sha256) == (2, home.models[2].sha256)
    assert home.run("evaluation", "champion", use_case=ROLLED_OUT).success
    assert waiting.start_waiting(lakehouse, ROLLED_OUT, champions, By("evergreen", now)) == (None, "no candidate waits")


def test_people_approve_reject_and_roll_back_at_the_terminal(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    said = home.evergreen(monkeypatch, "models")
    assert said.exit_code == 0 and "Nothing was decided about models of fraud yet" in said.output
    for version in (1, 2):
        home.registry.add(version, home.models[version])
        assert home.run("evaluation", "champion", use_case=MANUAL if version == 1 else USE_CASE).success
        if version == 1:
            approved = home.evergreen(monkeypatch, "approve", "1", "--by", "anna")
            assert approved.exit_code == 0 and "fraud version 1: promoted (approved by anna" in approved.output
    assert home.registry.aliases["champion"] == 2
    refused = home.evergreen(monkeypatch, "approve", "2", "--by", "anna")
    assert refused.exit_code == 1 and "expected one that waits for a person" in refused.output
    back = home.evergreen(monkeypatch, "rollback", "--by", "ben", "--reason", "odd scores")
    assert back.exit_code == 0 and "fraud version 1: champion again" in back.output
    assert home.registry.aliases == {"candidate": 2, "champion": 1}
    with open_instance(home.settings) as instance:
        shown = instance.get_latest_materialization_event(Keys(FRAUD).champion)
    assert shown and shown.asset_materialization
    page = {name: value.value for name, value in shown.asset_materialization.metadata.items()}
    assert page["decision"] == "rollback: promoted: odd scores" and page["version"] == "1"
    status = " ".join(home.evergreen(monkeypatch, "status").output.split())
    assert "brought back by ben instead of version 2: odd scores" in status
    table = home.evergreen(monkeypatch, "models").output
    assert "champions of fraud" in table and "rollback" in table and "ben" in table and "odd scores" in table
    home.registry.add(3, home.models[2])
    assert home.run("evaluation", "champion", use_case=MANUAL).success
    rejected = home.evergreen(monkeypatch, "reject", "3", "--by", "ben", "--reason", "not on a Friday")
    assert rejected.exit_code == 0 and "fraud version 3: rejected (not on a Friday)" in rejected.output


def test_a_rollback_stands_though_the_registry_is_down(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in (1, 2):
        home.registry.add(version, home.models[version])
        assert home.run("evaluation", "champion").success
    home.registry.down = True
    said = home.evergreen(monkeypatch, "rollback", "--by", "ben", "--reason", "odd scores")
    assert said.exit_code == 0 and "The registry does not follow yet" in said.output
    current = promotions.champion(home.settings, FRAUD)
    assert current and current.version == 1

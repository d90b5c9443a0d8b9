"""What `evergreen status` tells on one screen, and what it must leave alone."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from click.testing import CliRunner
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from deltalake import write_deltalake

from jobs import settings
from jobs.alerts import outbox
from jobs.lakehouse import engine_process
from jobs.ledger import promotions
from jobs.ledger.promotions import PromotionDecision
from jobs.processes import this_process
from jobs.retraining import decisions
from jobs.retraining.policy import Evidence
from jobs.settings import Settings
from jobs.streams import control
from jobs.streams.control import Heartbeat
from jobs.use_cases.fraud import FRAUD
from orchestration import nights
from orchestration.cli import main
from orchestration.instance import PROCESS_TAG, from_configuration, open_instance

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
NAMES = ["data", "champion", "last night", "next night", "alerts", "training", "feature search", "drift", "engine"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))

    def started(*_: object) -> None:
        raise AssertionError("an engine was started")

    monkeypatch.setattr(engine_process, "_start", started)
    return settings.load()


def printed(*options: str) -> str:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["status", *options])
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines()[1:])) <= 80
    return " ".join(result.output.split())


def told() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(CliRunner().invoke(main, ["status", "--json"]).stdout)
    return answer


def test_a_home_without_anything_is_told_in_sentences_and_stays_without_anything(home: Settings) -> None:
    text = printed()
    assert "nothing is loaded yet; `evergreen run` loads" in text and "none is open" in text
    assert "champion none yet" in text and "no run yet" in text and "nothing is decided yet" in text
    answer = told()
    assert list(answer)[3:] == [name.replace(" ", "_") for name in NAMES]
    assert all(answer[name.replace(" ", "_")]["text"] for name in NAMES)
    assert answer["champion"]["version"] is None and answer["alerts"]["open"] == 0
    assert not home.home.exists()


def test_what_the_state_holds_is_told(home: Settings) -> None:
    days = [date(2026, 11, 20), date(2026, 11, 21)]
    rows = pa.table({"transaction_id": [1, 2], "event_date": days})
    write_deltalake(f"{home.warehouse}/fraud/transactions", rows, partition_by=["event_date"])
    promotions.decide(
        home, PromotionDecision("fraud", NOW, NOW, "promotion", "promoted", "better", "run", True, 7, "a" * 64, None)
    )
    evidence = Evidence(NOW, {"drift": 1.25, "concept": 0.5}, date(2026, 11, 15), {}, {"drift": ["tx_amount"]})
    digest = decisions.record_evidence(home, FRAUD, evidence, NOW)
    decisions.decide(home, FRAUD, digest, "run", datetime.now(UTC))
    outbox.send(home, outbox.Alert("fraud", "change", "[/x]", "a message", "error", NOW), NOW)
    text = printed()
    assert "data until 2026-11-21, 2 days" in text and "version 7 since 2026-11-22 12:30" in text
    assert "1 open; `evergreen alerts` prints them error: change, [/x]" in text
    assert "alarm (drift), change of 2026-11-15" in text and "drift 1.25, concept 0.50" in text and "tx_amount" in text
    assert "training due as of 2026-11-22 12:30 (nothing was trained yet): under way" in text
    answer = told()
    assert (answer["data"]["until"], answer["champion"]["version"]) == ("2026-11-21", 7)
    assert answer["champion"]["since"] == NOW.isoformat() and answer["training"]["due"] is True
    assert answer["alerts"]["latest"][0]["subject"] == "[/x]" and answer["drift"]["scores"]["drift"] == 1.25


def test_a_stream_that_ran_has_a_line(home: Settings) -> None:
    assert "stream" not in told()
    said = Heartbeat(
        NOW.timestamp(), "1@0.00", "running", "no marts yet", {"messages": 1234}, {"fraud.transactions": 7}
    )
    control.beat(home, FRAUD, said)
    assert "dead, heard at 2026-11-22 12:30; 1,234 messages since it started, 7 wait; no marts yet" in printed()
    assert (told()["stream"]["state"], told()["stream"]["lag"]) == ("dead", {"fraud.transactions": 7})


def test_damage_is_told_in_its_place_and_hides_nothing_else(home: Settings) -> None:
    (home.state / "fraud").mkdir(parents=True)
    (home.state / "fraud" / "inputs.json").write_text("{")
    home.dagster_home.mkdir()
    (home.dagster_home / "dagster.yaml").write_text("run_storage: 3")
    answer = told()
    assert "inputs.json" in answer["data"]["error"] and "dagster.yaml" in answer["last_night"]["error"]
    assert "error" not in answer["champion"] and "error" not in answer["engine"]


def test_a_run_whose_process_is_gone_is_called_killed(home: Settings) -> None:
    with open_instance(home) as instance:
        arguments = {"job_name": "fraud_lineage", "status": DagsterRunStatus.STARTED}
        create_run_for_test(instance, **arguments, tags={PROCESS_TAG: this_process()})  # type: ignore[arg-type]
        alive = nights.read(home, FRAUD, NOW)[0]
        create_run_for_test(instance, **arguments, tags={PROCESS_TAG: "1@0"})  # type: ignore[arg-type]
        gone = nights.read(home, FRAUD, NOW)[0]
    assert alive is not None and alive.status == "started"
    assert gone is not None and gone.status == "killed"
    assert "killed" in printed()


def test_the_next_night_needs_a_schedule_that_is_on_and_a_daemon_that_is_alive(home: Settings) -> None:
    with open_instance(home) as instance:
        assert not nights.read(home, FRAUD, NOW)[1].scheduled
        instance.add_instigator_state(
            InstigatorState(
                _origin(), InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, ScheduleInstigatorData("0 2 * * *")
            )
        )
        following = nights.read(home, FRAUD, NOW)[1]
        assert following.scheduled and not following.daemon and "no daemon runs" in printed()
        instance.add_daemon_heartbeat(DaemonHeartbeat(NOW.timestamp() - 30, "SCHEDULER", "one", None))
        following = nights.read(home, FRAUD, NOW)[1]
    assert following.daemon and following.at == datetime(2026, 11, 23, 2, tzinfo=UTC)


def test_the_history_is_opened_once(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    open_instance(home).dispose()
    opened = []

    def counted(own: Settings) -> dg.DagsterInstance:
        opened.append(own)
        return from_configuration(own)

    monkeypatch.setattr(nights, "from_configuration", counted)
    told()
    assert len(opened) == 1


def _origin() -> RemoteInstigatorOrigin:
    process = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="orchestration.definitions"))
    return RemoteInstigatorOrigin(RemoteRepositoryOrigin(process, "__repository__"), "fraud_nightly")

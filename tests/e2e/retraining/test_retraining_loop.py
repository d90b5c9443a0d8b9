"""The loop, night by night in Dagster: nothing is trained without a reason, a change is learned, a row says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from jobs import settings
from jobs.drift import evidently_report
from jobs.lakehouse import engine
from jobs.ledger import promotions
from jobs.limits import Limits
from jobs.problem import Family
from jobs.retraining import decisions, nightly_evidence
from jobs.settings import Settings
from jobs.simulate.simulator import write
from jobs.simulate.world import CHANGE, scenario
from jobs.use_case import UseCase
from jobs.use_cases.fraud import FRAUD, PROBLEM
from orchestration import run_command as runner
from orchestration import sensors
from orchestration.definitions import build_definitions
from orchestration.instance import PROCESS_TAG
from orchestration.lineage_run import RunOutcome, execute

pytestmark = pytest.mark.embedded
FIRST = CHANGE - timedelta(days=72)
SMALL = replace(
    FRAUD,
    problem=replace(
        PROBLEM,
        families=(Family("boosted", fixed={"rounds": 60, "num_leaves": 15}),),
        validation_window=timedelta(days=7),
        evaluation_window=timedelta(days=14),
        slices=(),
        fairness=(),
        limits=Limits(latency_ms=1000.0, training_noise=0.0),
    ),
)


def midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


@dataclass
class World:
    settings: Settings
    use_case: UseCase

    def night(self, as_of: datetime) -> RunOutcome:
        day = (as_of - timedelta(microseconds=1)).date()
        return execute(self.settings, self.use_case, as_of, (day, day), (self.use_case,), show=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("loop")
    made = write(scenario("abrupt", start=FIRST, days=80, customers=700, seed=5, terminals=525), str(folder / "raw"))
    own = settings.load({"EVERGREEN_HOME": str(folder / "home")})
    files = {name: (path,) for name, path in made.items()}
    runner.registered(own, SMALL, files, None)
    with pytest.MonkeyPatch.context() as patched:
        # Two alarms; Evidently's page is looked at in `e2e/ground_truth/test_monitoring_assets.py`.
        patched.setattr(evidently_report, "draw", lambda sample: sample)
        yield World(own, SMALL)
    engine.stop(own)


def shown(outcome: RunOutcome, name: str) -> dict[str, Any]:
    assert outcome.success, outcome.errors
    return outcome.assets[f"fraud/{name}"]


def test_the_loop(world: World) -> None:
    first = world.night(midnight(CHANGE - timedelta(days=2)))
    assert shown(first, "monitoring/retraining")["trigger"] == "first"
    champion = promotions.champion(world.settings, SMALL)
    assert champion is not None and champion.version == 1, shown(first, "promotion/evaluation")
    # A quiet day: looked at, decided about, nothing trained.
    quiet = world.night(midnight(CHANGE))
    said = shown(quiet, "monitoring/retraining")
    assert not said["retrain"] and "no alarm" in said["reason"]
    assert shown(quiet, "training/candidate")["reason"] == "no training is due"
    assert "drift" in shown(quiet, "monitoring/evidence")["tests"]
    # The evening of the change: seen, waits for positives.
    alarm = world.night(midnight(CHANGE + timedelta(days=1)))
    assert shown(alarm, "monitoring/evidence")["alarms"] == "drift"
    said = shown(alarm, "monitoring/retraining")
    assert f"change of {CHANGE}" in said["reason"] and not said["retrain"]
    # A week later its positives are known: a challenger, judged on them.
    learned = world.night(midnight(CHANGE + timedelta(days=7)))
    said = shown(learned, "monitoring/retraining")
    assert said["retrain"] and said["trigger"] == "alarm"
    assert "half-life" in shown(learned, "training/candidate")["reason"]
    assert "since" in shown(learned, "promotion/evaluation")["checks"]
    rows = decisions.rows(world.settings, SMALL)
    assert [row.decision.retrain for row in rows] == [True, False, False, True]
    assert rows[-1].model_version == 2 and not rows[-1].open
    assert {row.by for row in rows} == {"run"} and rows[-1].decision.episode == CHANGE


def test_the_same_night_again_decides_nothing_anew(world: World) -> None:
    before = decisions.rows(world.settings, SMALL)
    again = world.night(midnight(CHANGE + timedelta(days=7)))
    rows = decisions.rows(world.settings, SMALL)
    # A champion that came of it is another world; the same champion is the same evidence.
    assert len(rows) - len(before) == int(promotions.champion(world.settings, SMALL).version == 2)  # type: ignore[union-attr]
    assert shown(again, "training/candidate")["reason"] == "no training is due"


def evaluated(world: World, name: str, instance: dg.DagsterInstance | None = None) -> Any:
    definitions = build_definitions(settings=world.settings, use_cases=(world.use_case,))
    sensor = definitions.resolve_sensor_def(name)
    return sensor.evaluate_tick(
        dg.build_sensor_context(definitions=definitions, instance=instance or dg.DagsterInstance.ephemeral())
    )


def test_a_sensor_launches_what_was_decided_and_died(world: World) -> None:
    kept = decisions.latest(world.settings, SMALL)
    assert kept is not None
    alarming = replace(kept[1], as_of=kept[1].as_of + timedelta(days=3), scores={"drift": 2.0})
    grown = {day: 5 * count for day, count in alarming.positives.items()}
    now = datetime.now(UTC)
    decisions.record_evidence(world.settings, SMALL, replace(alarming, positives=grown), now)
    ticks = [evaluated(world, "fraud_drift") for _ in range(2)]
    keys = [[request.run_key for request in tick.run_requests] for tick in ticks]
    [row] = [row for row in decisions.rows(world.settings, SMALL) if row.by == "fraud_drift"]
    # Nothing was launched: the tick after a killed one asks for the same run, under the same key.
    assert row.open and keys == [[f"fraud retraining {row.id} {row.digest[:16]}"]] * 2
    assert evaluated(world, "fraud_performance").skip_message == "no alarm in the latest evidence"
    # Evidence that says no since does not make the training forgotten, nor does a run that was killed.
    newer = replace(alarming, scores={"drift": 0.1}, versions={**alarming.versions, "later": 1})
    decisions.decide(world.settings, SMALL, decisions.record_evidence(world.settings, SMALL, newer, now), "run", now)
    with dg.DagsterInstance.ephemeral() as instance:
        for attempt, state in enumerate((DagsterRunStatus.STARTED, DagsterRunStatus.FAILURE), 1):
            [request] = evaluated(world, "fraud_drift", instance).run_requests
            assert request.run_key == keys[0][0] + (f" attempt {attempt}" if attempt > 1 else "")
            run = create_run_for_test(instance, tags=dict(request.tags), status=state)
            if state is DagsterRunStatus.STARTED:
                assert "is under way in run" in evaluated(world, "fraud_drift", instance).skip_message
                instance.add_run_tags(run.run_id, {PROCESS_TAG: "999999999@1"})
        [request] = evaluated(world, "fraud_drift", instance).run_requests
        assert request.run_key == keys[0][0] + " attempt 3"
        run = create_run_for_test(instance, tags=dict(request.tags), status=DagsterRunStatus.FAILURE)
        assert "was killed 3 times" in evaluated(world, "fraud_drift", instance).skip_message
        instance.add_run_tags(run.run_id, {sensors.REASON: sensors.STEP_FAILED})
        assert f"left no result in run {run.run_id}" in evaluated(world, "fraud_drift", instance).skip_message
    decisions.record_result(world.settings, row, now, 2, "trained")
    told = evaluated(world, "fraud_drift")
    assert not told.run_requests and "decided by fraud_drift" in (told.skip_message or "")


def test_new_reports_renew_the_evidence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told = evaluated(world, "fraud_ground_truth")
    assert not told.run_requests and "decided by fraud_drift" in (told.skip_message or "")
    monkeypatch.setattr(nightly_evidence, "rows_since", lambda *_: sensors.FEWEST_NEW_REPORTS)
    [request] = evaluated(world, "fraud_ground_truth").run_requests
    assert request.job_name == "fraud_monitoring" and "fraud_raw.fraud_reports@" in (request.run_key or "")
    assert request.tags["evergreen/as_of"]

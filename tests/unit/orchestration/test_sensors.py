"""A use case without data: its sensors touch nothing, and its candidate is refused before anything is recorded."""

import logging
from pathlib import Path

import dagster as dg
import pytest

from assets.keys import Keys
from jobs.retraining import decisions
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration.definitions import build_definitions
from orchestration.ticks import in_one_line

pytestmark = pytest.mark.embedded

LOOKING = ("fraud_ground_truth", "fraud_drift", "fraud_performance", "fraud_lateness")


def test_sensors_without_data_do_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    definitions = build_definitions(settings=Settings(tmp_path))
    before = set(tmp_path.rglob("*"))
    for name in LOOKING:
        with dg.DagsterInstance.ephemeral() as instance, caplog.at_level(logging.INFO):
            context = dg.build_sensor_context(definitions=definitions, instance=instance)
            tick = definitions.resolve_sensor_def(name).evaluate_tick(context)
        assert not tick.run_requests and "no input is registered yet" in (tick.skip_message or ""), name
    assert set(tmp_path.rglob("*")) == before and not caplog.records


def test_what_a_person_can_mend_is_said_in_one_line(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    definitions = build_definitions(settings=settings)
    damaged = settings.state / "fraud" / "inputs.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("[}")
    with dg.DagsterInstance.ephemeral() as instance:
        for name in LOOKING:
            context = dg.build_sensor_context(definitions=definitions, instance=instance)
            said = definitions.resolve_sensor_def(name).evaluate_tick(context).skip_message or ""
            assert said.startswith(f"{damaged}: expected what Evergreen wrote there") and "\n" not in said, name


def test_a_bug_is_shown_as_one() -> None:
    @in_one_line
    def look() -> dg.SkipReason:
        raise AssertionError("of ours")

    with pytest.raises(AssertionError, match="of ours"):
        look()


def test_a_candidate_without_data_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    job = build_definitions(settings=settings).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance, asset_selection=[Keys(FRAUD).candidate], raise_on_error=False
        )
        [failed] = result.filter_events(lambda event: event.is_step_failure)
    failure = failed.step_failure_data.user_failure_data
    assert failure is not None and "expected a training set, found none" in (failure.description or "")
    assert not (settings.state / "fraud" / "inputs.json").exists()
    assert decisions.rows(settings, FRAUD) == []

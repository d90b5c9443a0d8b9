"""Runs that the UI launches and `evergreen run` wait for each other: one run at a time, of each of its use cases."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from worlds.old_home import unpacked

from jobs.ingest import registered_inputs
from jobs.settings import Settings
from jobs.use_case import UseCase
from jobs.use_cases.catalog import USE_CASES
from orchestration.definitions import build_definitions
from orchestration.instance import from_configuration

pytestmark = pytest.mark.embedded
DAY = "2026-03-30"
FIRST, SECOND = sorted(USE_CASES, key=lambda each: each.name)[:2]
ASSETS = [dg.AssetKey([each.name, "raw", each.sources[0].name]) for each in (FIRST, SECOND)]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home in which a run ends before its first step, and so in moments."""
    own = unpacked(tmp_path_factory.mktemp("old"))
    next(Path(own.warehouse, "fraud", "transactions", f"event_date={DAY}").glob("*.parquet")).unlink()
    return own


@pytest.fixture
def instance(damaged: Settings) -> Iterator[dg.DagsterInstance]:
    with from_configuration(damaged) as found:
        yield found


@pytest.fixture(scope="module")
def materialize(damaged: Settings) -> Callable[[dg.DagsterInstance], str]:
    """What *Materialize* of assets of two use cases starts: one run of the implicit job. Returns its id."""
    job = build_definitions(settings=damaged).resolve_implicit_global_asset_job_def()
    job = job.get_subset(asset_selection=set(ASSETS))

    def launch(instance: dg.DagsterInstance) -> str:
        run = instance.create_run_for_job(job, tags={"dagster/partition": DAY, **job.run_tags})
        with contextlib.suppress(dg.DagsterExecutionInterruptedError):
            execute_run(InMemoryJob(job), run, instance)
        return run.run_id

    return launch


@pytest.mark.parametrize("held", [FIRST, SECOND], ids=lambda each: each.name)
@pytest.mark.timeout(120)
def test_a_launched_run_begins_when_the_run_of_any_of_its_use_cases_has_ended(
    damaged: Settings, instance: dg.DagsterInstance, materialize: Callable[[dg.DagsterInstance], str], held: UseCase
) -> None:
    with ThreadPoolExecutor(1) as launcher:
        with registered_inputs.locked(damaged, held):  # what `evergreen run` holds
            launched = launcher.submit(materialize, instance)
            texts = awaited(instance, lambda said: registered_inputs.under_way(held) in said)
            assert not launched.done() and not any("failed" in text for text in texts)
        run = launched.result()
    assert any("evergreen repair table fraud.transactions" in text for text in messages(instance, run)), "it went on"


def test_whoever_holds_the_lock_may_take_it_again(damaged: Settings) -> None:
    def refuse() -> None:
        pytest.fail("waits for itself")

    with registered_inputs.locked(damaged, FIRST), registered_inputs.locked(damaged, FIRST, refuse):
        pass
    with registered_inputs.locked(damaged, FIRST, refuse):
        pass


def awaited(instance: dg.DagsterInstance, holds: Callable[[list[str]], bool]) -> list[str]:
    """Messages of the newest run, once they are as expected."""
    while True:
        runs = instance.get_runs(limit=1)
        found = messages(instance, runs[0].run_id) if runs else []
        if holds(found):
            return found
        time.sleep(0.05)


def messages(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [entry.user_message or entry.message for entry in instance.all_logs(run_id)]

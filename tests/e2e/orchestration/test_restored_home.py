"""A backup that was made while a night was under way becomes a home elsewhere, which does that night again, alike."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from dagster import DagsterRunStatus
from worlds.old_home import LAST_NIGHT, MADE_SINCE, NEXT_NIGHT, USE_CASE, next_night, unpacked

from jobs import settings
from jobs.backups import backup
from jobs.backups.restore import restore
from jobs.lakehouse import dbt_models, engine
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import attach
from jobs.ledger import promotions
from jobs.settings import Settings
from orchestration import restored_home
from orchestration.instance import open_instance
from orchestration.lineage_run import RunOutcome, execute

pytestmark = pytest.mark.embedded

DAYS = (LAST_NIGHT.date(), LAST_NIGHT.date())


@dataclass
class Restored:
    """A restored home after its night; the versions of tables that were backed up, and those of before the night."""

    settings: Settings
    night: RunOutcome
    ended: list[str]
    versions_before: dict[str, int]
    versions: dict[str, int]
    was_under_way: bool


def _night(own: Settings) -> None:
    execute(own, USE_CASE, NEXT_NIGHT, DAYS, (USE_CASE,), show=False)


def _versions(own: Settings) -> dict[str, int]:
    lakehouse = attach(own)
    return {name: lakehouse.delta(name).version() for name in find_tables(lakehouse.warehouse)}


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    folder = tmp_path_factory.mktemp("restored")
    original, made = unpacked(folder), settings.load({"EVERGREEN_HOME": str(folder / "elsewhere" / "home")})
    before = _versions(original)
    dbt_models.manifest(original)
    run = multiprocessing.get_context("spawn").Process(target=_night, args=(original,))
    run.start()
    try:
        while _versions(original) == before and run.is_alive():
            time.sleep(0.05)
        backed_up = backup.write(original, folder / "b.tar", datetime.now(UTC))
        under_way = run.is_alive()
        restore(folder / "b.tar", made.home)
        ended = restored_home.make_own(made)
        run.kill()  # how the first night ends is of no interest
        night = execute(made, USE_CASE, NEXT_NIGHT, DAYS, (USE_CASE,), show=False)
        yield Restored(made, night, ended, before, backed_up.versions, under_way)
    finally:
        run.join()
        engine.stop(original)
        engine.stop(made)


def test_the_backup_is_of_the_midst_of_the_night(restored: Restored) -> None:
    assert restored.was_under_way and restored.versions != restored.versions_before


def test_the_restored_home_does_the_night_again(restored: Restored) -> None:
    assert restored.night.success, restored.night.errors
    lakehouse = attach(restored.settings)
    rows = {name: lakehouse.row_count(name) for name in find_tables(lakehouse.warehouse)}
    then = next_night(restored.settings.home)["rows"]
    assert rows.keys() - then.keys() == MADE_SINCE.keys()
    assert {name: rows[name] for name in then} == then


def test_its_champion_is_the_one_of_before(restored: Restored) -> None:
    champion = promotions.view(restored.settings, USE_CASE).champion
    assert champion is not None and champion.version == 1


def test_the_run_that_was_under_way_ended_there(restored: Restored) -> None:
    with open_instance(restored.settings) as instance:
        statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert [statuses.pop(run) for run in restored.ended] == [DagsterRunStatus.FAILURE]
    assert statuses == {restored.night.run_id: DagsterRunStatus.SUCCESS}

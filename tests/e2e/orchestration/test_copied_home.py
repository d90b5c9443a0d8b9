"""A home that was copied goes on by itself: one more night in the copy leaves the home it was copied from as it was."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from worlds.old_home import LAST_NIGHT, NEXT_NIGHT, USE_CASE, next_night, unpacked

from jobs import settings
from jobs.lakehouse import engine
from jobs.lakehouse.table_log import find_tables
from jobs.lakehouse.tables import attach
from jobs.registry import model_versions
from jobs.settings import Settings
from orchestration.definitions import build_definitions
from orchestration.instance import open_instance
from orchestration.lineage_run import RunOutcome, execute

pytestmark = pytest.mark.embedded

EARLIER = dg.AssetKey(["fraud", "training", "candidate"])
"""Built in the original before it was copied."""


@dataclass
class Copied:
    """The copy of a home after one more night; the original was read before and after that night, then removed."""

    settings: Settings
    night: RunOutcome
    original_before: dict[str, str]
    original_after: dict[str, str]


def _bytes(home: Path) -> dict[str, str]:
    """Digest per file; the engine of a home may write into its log at any time."""
    files = [path for path in home.rglob("*") if path.is_file() and path.parent.name != "engine"]
    return {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copied]:
    """The copy is made and used while the engine of the original runs."""
    folder = tmp_path_factory.mktemp("copied")
    original, copy = unpacked(folder), settings.load({"EVERGREEN_HOME": str(folder / "copy")})
    with open_instance(original) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(EARLIER))
    try:
        assert attach(original).spark.sql("show tables in fraud").count() > 0
        shutil.copytree(original.home, copy.home)
        before = _bytes(original.home)
        days = (LAST_NIGHT.date(), LAST_NIGHT.date())
        night = execute(copy, USE_CASE, NEXT_NIGHT, days, (USE_CASE,), show=False)
        after = _bytes(original.home)
        engine.stop(original)
        shutil.rmtree(original.home)
        yield Copied(copy, night, before, after)
    finally:
        engine.stop(original)
        engine.stop(copy)


def test_the_night_in_the_copy_succeeds(copied: Copied) -> None:
    assert copied.night.success, copied.night.errors


def test_its_tables_hold_that_night(copied: Copied) -> None:
    lakehouse = attach(copied.settings)
    rows = {name: lakehouse.row_count(name) for name in find_tables(lakehouse.warehouse)}
    assert rows == next_night(copied.settings.home)["rows"]


def test_the_original_is_unchanged(copied: Copied) -> None:
    assert copied.original_after == copied.original_before


def test_the_history_of_the_copy_is_complete(copied: Copied) -> None:
    with open_instance(copied.settings) as instance:
        assert [run.run_id for run in instance.get_runs()] == [copied.night.run_id]
        assert len(instance.fetch_materializations(EARLIER, limit=9).records) == 2
        for name in copied.night.assets:
            latest = instance.get_latest_materialization_event(dg.AssetKey(name.split("/")))
            assert latest is not None and latest.run_id == copied.night.run_id, name


def test_models_of_the_copy_are_written_to_it_and_found_in_it(copied: Copied) -> None:
    shutil.rmtree(copied.settings.home / "models")
    keys = [f"fraud/training/{name}" for name in ("tuning", "candidate")]
    definitions = build_definitions(settings=copied.settings, use_cases=(USE_CASE,))
    job = dg.define_asset_job("again", selection=dg.AssetSelection.assets(*(key.split("/") for key in keys)))
    resolved = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("again")
    with open_instance(copied.settings) as instance:
        tags = {"evergreen/as_of": NEXT_NIGHT.isoformat()}
        resolved.execute_in_process(instance=instance, tags=tags, raise_on_error=True)
    for version in (1, 2):
        shutil.rmtree(copied.settings.home / "models", ignore_errors=True)
        assert model_versions.fetch(copied.settings, USE_CASE, version).manifest.use_case == USE_CASE.name

"""Our event log in PostgreSQL holds what Dagster's own would, though it writes in batches."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_postgres.event_log import PostgresEventLogStorage

from jobs.settings import exported
from orchestration.event_log import BATCH_SIZE
from orchestration.postgresql_event_log import PooledPostgresEventLogStorage

pytestmark = [pytest.mark.servers, pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-08")
SPAN = {
    "dagster/asset_partition_range_start": "2026-01-02", "dagster/asset_partition_range_end": "2026-01-06",
}  # fmt: skip
KEYS = [dg.AssetKey("first"), dg.AssetKey("second")]


def _asset(key: dg.AssetKey, fails: bool = False) -> dg.AssetsDefinition:
    @dg.asset(
        key=key, partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[dg.AssetCheckSpec("sound", asset=key)],
    )  # fmt: skip
    def made() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if fails:
            raise ValueError("as usual")
        yield dg.MaterializeResult(metadata={"rows": 3})
        yield dg.AssetCheckResult(check_name="sound", passed=True)

    return made


def _told(folder: Path, storage: type[PostgresEventLogStorage], url: str) -> dict[str, Any]:
    """What Dagster knows after a run that succeeded and one that failed."""
    home = folder / storage.__name__
    home.mkdir()
    (home / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\nevent_log_storage: {{module: {storage.__module__}, "
        f"class: {storage.__name__}, config: {{postgres_url: {url}}}}}\n"
    )
    with dg.DagsterInstance.from_config(str(home)) as instance, exported(DAGSTER_EVENT_BATCH_SIZE=str(BATCH_SIZE)):
        assert isinstance(instance.event_log_storage, storage)
        runs = []
        for fails in (False, True):
            assets = [_asset(KEYS[0]), _asset(KEYS[1], fails)]
            runs.append(dg.materialize(assets, instance=instance, tags=SPAN, raise_on_error=False).run_id)
        number = {run: index for index, run in enumerate(runs)}
        records = instance.get_asset_records(KEYS)
        return {
            "events": [
                sorted((e.event_type_value, str(e.asset_key), e.partition or "") for e in _entries(instance, run))
                for run in runs
            ],
            "assets": sorted((r.asset_entry.asset_key, number[r.asset_entry.last_run_id or ""]) for r in records),
            "partitions": [instance.get_materialized_partitions(key) for key in KEYS],
            "planned": [
                instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(
                    key
                )
                != {}
                for key in KEYS
            ],
        }


def _entries(instance: dg.DagsterInstance, run: str) -> list[Any]:
    return [entry.dagster_event for entry in instance.all_logs(run) if entry.dagster_event]


def test_what_is_stored_is_what_dagsters_own_stores(tmp_path: Path, new_database: Callable[[], str]) -> None:
    ours = _told(tmp_path, PooledPostgresEventLogStorage, new_database())
    assert ours == _told(tmp_path, PostgresEventLogStorage, new_database())
    assert len(ours["partitions"][0]) == 5 and ours["planned"] == [False, True]

"""Our event log holds what Dagster's own would, whatever is kept open."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import text

from orchestration import event_log
from orchestration.event_log import BatchingSqliteEventLogStorage

# Dagster leaves connections of its own to the garbage collector.
SHARDS = 1
RUNS = SHARDS + 2
"""More than are kept open."""
CHECKED = dg.AssetKey("checked")


@dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset=CHECKED)], key=CHECKED)
def checked() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    yield dg.MaterializeResult(metadata={"rows": 3})
    yield dg.AssetCheckResult(check_name="sound", passed=True)


@pytest.fixture(autouse=True)
def _few_are_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "OPEN_SHARDS", SHARDS)


def _runs(folder: Path, storage: type[SqliteEventLogStorage]) -> dg.DagsterInstance:
    home = folder / storage.__name__
    home.mkdir()
    (home / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\nevent_log_storage: {{module: {storage.__module__}, "
        f"class: {storage.__name__}, config: {{base_dir: {home / 'history' / 'runs'}}}}}\n"
    )
    instance = dg.DagsterInstance.from_config(str(home))
    for _ in range(RUNS):
        assert dg.materialize([checked], instance=instance).success
    return instance


def _events(instance: dg.DagsterInstance, storage: SqliteEventLogStorage) -> list[list[str]]:
    """Events of each run by type, oldest run first, as a storage that was opened afresh reads them."""
    runs = sorted(instance.get_run_records(), key=lambda record: record.storage_id)
    logs = [storage.get_logs_for_run(record.dagster_run.run_id) for record in runs]
    return [[entry.dagster_event_type.value for entry in log if entry.dagster_event_type] for log in logs]


def _reader(instance: dg.DagsterInstance) -> SqliteEventLogStorage:
    kept = instance.event_log_storage
    assert isinstance(kept, SqliteEventLogStorage)
    return SqliteEventLogStorage(kept._base_dir)


def test_every_event_is_there_for_dagsters_own_storage(tmp_path: Path) -> None:
    ours, theirs = (_runs(tmp_path, kind) for kind in (BatchingSqliteEventLogStorage, SqliteEventLogStorage))
    found, expected = (_events(instance, _reader(instance)) for instance in (ours, theirs))
    assert found == expected and len(found) == RUNS and "ASSET_CHECK_EVALUATION" in found[0]
    for instance in (ours, theirs):
        records = instance.fetch_materializations(CHECKED, limit=100).records
        assert len(records) == RUNS


def test_what_is_wiped_is_gone_and_what_comes_after_is_kept(tmp_path: Path) -> None:
    instance = _runs(tmp_path, BatchingSqliteEventLogStorage)
    instance.event_log_storage.wipe()
    assert not any(_events(instance, _reader(instance)))
    assert dg.materialize([checked], instance=instance).success
    assert len(instance.fetch_materializations(CHECKED, limit=100).records) == 1
    assert _events(instance, _reader(instance))[-1]


def test_only_the_tables_of_a_new_database_are_made_without_waiting_for_the_disk(tmp_path: Path) -> None:
    storage = BatchingSqliteEventLogStorage(str(tmp_path))
    for shard in ("made", "made", "made too"):
        with storage.run_connection(shard) as connection:
            assert connection.execute(text("pragma synchronous")).scalar() == 1
            assert connection.execute(text("select count(*) from event_logs")).scalar() == 0
    storage.dispose()

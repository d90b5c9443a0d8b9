"""The `dagster.yaml` of a home follows the settings: SQLite, or PostgreSQL by a variable; what is another's stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
import yaml

from jobs.errors import Invalid
from jobs.secret import Url
from jobs.settings import Settings
from orchestration import dagster_yaml
from orchestration.instance import from_configuration, open_instance
from orchestration.relocation import settle

URL = Url("postgresql://me:c4n4ry@127.0.0.1:1/x")
OWN_STORAGE = "storage:\n  mysql:\n    mysql_url: {env: MINE}\n"


def configuration(settings: Settings) -> str:
    dagster_yaml.write(settings)
    return (settings.dagster_home / "dagster.yaml").read_text()


def test_a_home_begins_in_sqlite_and_goes_on_in_postgresql(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    first = yaml.safe_load(configuration(settings))
    assert first.pop("event_log_storage")["config"] == {"base_dir": f"{tmp_path}/dagster/history/runs"}
    settings = replace(settings, dagster_url=URL)
    moved = configuration(settings)
    assert "c4n4ry" not in moved and configuration(settings) == moved
    then = yaml.safe_load(moved)
    for kind in ("run", "event_log", "schedule"):
        assert then.pop(f"{kind}_storage")["config"] == {"postgres_url": {"env": "EVERGREEN_DAGSTER"}}
    assert then.pop("local_artifact_storage")["config"] == {"base_dir": f"{tmp_path}/dagster"}
    assert then == first


@pytest.mark.parametrize("before", ["", "telemetry:\n  enabled: true\n"], ids=["no file", "one without storage"])
def test_a_home_may_begin_in_postgresql(tmp_path: Path, before: str) -> None:
    settings = Settings(tmp_path, dagster_url=URL)
    if before:
        settings.dagster_home.mkdir()
        (settings.dagster_home / "dagster.yaml").write_text(before)
    found = yaml.safe_load(configuration(settings))
    assert all("Postgres" in found[f"{kind}_storage"]["class"] for kind in ("run", "event_log", "schedule"))
    assert found["telemetry"] == {"enabled": bool(before)}


def test_a_storage_of_somebody_else_is_named_and_left(tmp_path: Path) -> None:
    settings = Settings(tmp_path, dagster_url=URL)
    settings.dagster_home.mkdir()
    (settings.dagster_home / "dagster.yaml").write_text(OWN_STORAGE)
    with pytest.raises(Invalid, match=r"dagster.yaml: expected no storage, as .* names one, found storage"):
        dagster_yaml.write(settings)
    assert (settings.dagster_home / "dagster.yaml").read_text() == OWN_STORAGE
    assert configuration(replace(settings, dagster_url=None)) == OWN_STORAGE


@pytest.mark.parametrize("opened", [open_instance, from_configuration])
def test_without_its_variable_no_second_history_begins(tmp_path: Path, opened: Callable[[Settings], object]) -> None:
    configuration(Settings(tmp_path, dagster_url=URL))
    with pytest.raises(Invalid, match=r"^EVERGREEN_DAGSTER: expected the URL of .* found it unset; set it"):
        opened(Settings(tmp_path))


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(
        Invalid, match=r"^EVERGREEN_DAGSTER: expected PostgreSQL to answer at .*, found nothing"
    ) as error:
        open_instance(Settings(tmp_path, dagster_url=URL))
    assert "c4n4ry" not in str(error.value)


def test_a_home_in_postgresql_knows_that_it_was_moved(tmp_path: Path) -> None:
    configuration(Settings(tmp_path / "a dagster" / "home", dagster_url=URL))
    (tmp_path / "a dagster").rename(tmp_path / "moved")
    moved = Settings(tmp_path / "moved" / "home", dagster_url=URL)
    (moved.home / "engine").mkdir()
    (moved.home / "engine" / "server.json").write_text("{}")
    settle(moved)
    found = yaml.safe_load(configuration(moved))
    assert found["local_artifact_storage"]["config"]["base_dir"] == f"{moved.home}/dagster"
    assert not (moved.home / "engine" / "server.json").exists()


@pytest.mark.servers
def test_runs_are_kept_in_the_database(tmp_path: Path, database: str) -> None:
    url = Url(database.replace("postgresql://", "postgres://"))
    with open_instance(Settings(tmp_path, dagster_url=url)) as instance:
        run = instance.create_run_for_job(dg.GraphDefinition("nothing").to_job())
    with open_instance(Settings(tmp_path, dagster_url=url)) as instance:
        assert [each.run_id for each in instance.get_runs()] == [run.run_id]
    assert not (tmp_path / "dagster" / "history").exists()

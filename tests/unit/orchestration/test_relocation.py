"""A home that was copied or moved names its own folder again: in Dagster's configuration, MLflow's database, its inputs
and the record of its engine."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from jobs import settings
from jobs.ingest import registered_inputs
from jobs.settings import Settings
from jobs.use_cases.fraud import FRAUD
from orchestration import instance
from orchestration.cli import main
from orchestration.relocation import settle

OUTSIDE = "/data/reports.csv"


def _own(home: Path) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(home)})


def _history(home: Path) -> str:
    configuration = yaml.safe_load((home / "dagster" / "dagster.yaml").read_text())
    return str(configuration["event_log_storage"]["config"]["base_dir"])


def _artifacts(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "tracking" / "mlflow.db")) as database:
        return [uri for (uri,) in database.execute("select artifact_uri from runs order by 1")]


def _build(home: Path) -> Settings:
    """The four records as a run leaves them."""
    own = _own(home)
    instance.home(own)
    files = {"reports": [OUTSIDE, str(home / "input" / "fraud" / "verdicts")], "transactions": [f"{home}2/t.csv"]}
    inputs = registered_inputs.Inputs(
        registered_inputs.absolute(files), FRAUD.first_day, FRAUD.last_day, given={str(home / "input" / "r.csv"): "1 2"}
    )
    registered_inputs.register(own, FRAUD, inputs)
    verdicts = home / "input" / "fraud" / "verdicts" / "a.csv"
    verdicts.parent.mkdir(parents=True)
    verdicts.touch()
    for folder in ("tracking", "engine"):
        (home / folder).mkdir()
    (home / "engine" / "server.json").write_text(json.dumps({"pid": 1, "port": 1, "session_id": "s"}))
    with closing(sqlite3.connect(home / "tracking" / "mlflow.db")) as database, database:
        database.execute("create table runs (artifact_uri text)")
        uris = [f"{(home / 'tracking').as_uri()}/artifacts/fraud/1", f"{home.as_uri()}2/1", "s3://bucket/1"]
        database.executemany("insert into runs values (?)", [(uri,) for uri in uris])
    return own


@pytest.mark.parametrize("name", ["copy", "a, {b}: 'c é"])
def test_a_copy_names_its_own_folder(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    home = tmp_path / "home"
    _build(home)
    shutil.copytree(home, tmp_path / name)
    copy = _own(tmp_path / name).home
    settle(_own(copy))
    assert _history(copy) == f"{copy}/dagster/history/runs"
    inputs = registered_inputs.registered(_own(copy), FRAUD)
    assert inputs is not None
    assert inputs.files["reports"] == (OUTSIDE, str(copy / "input" / "fraud" / "verdicts"))
    assert inputs.files["transactions"] == (f"{home}2/t.csv",)
    assert inputs.given == {str(copy / "input" / "r.csv"): "1 2"}
    expected = [f"{(copy / 'tracking').as_uri()}/artifacts/fraud/1", f"{home.as_uri()}2/1", "s3://bucket/1"]
    assert sorted(_artifacts(copy)) == sorted(expected)
    assert not (copy / "engine" / "server.json").exists()


def test_the_home_it_was_copied_from_stays_as_it_was(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    _build(home)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    shutil.copytree(home, copy)
    settle(_own(copy))
    settle(_own(home))
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_a_moved_home_can_move_again(tmp_path: Path) -> None:
    _build(tmp_path / "a")
    for old, new in (("a", "b"), ("b", "c")):
        (tmp_path / old).rename(tmp_path / new)
        instance.home(_own(tmp_path / new))
    assert _history(tmp_path / "c") == f"{tmp_path}/c/dagster/history/runs"
    assert f"{(tmp_path / 'c').as_uri()}/tracking/artifacts/fraud/1" in _artifacts(tmp_path / "c")


def test_a_home_under_a_second_name_is_the_same_home(tmp_path: Path) -> None:
    _build(tmp_path / "home")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    settle(_own(tmp_path / "link"))
    assert (tmp_path / "home" / "engine" / "server.json").exists()
    assert _history(tmp_path / "home") == f"{tmp_path}/home/dagster/history/runs"


def test_what_was_interrupted_is_done_again(tmp_path: Path) -> None:
    _build(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    database = tmp_path / "b" / "tracking" / "mlflow.db"
    whole = database.read_bytes()
    database.write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        settle(_own(tmp_path / "b"))
    database.write_bytes(whole)
    settle(_own(tmp_path / "b"))
    assert _history(tmp_path / "b") == f"{tmp_path}/b/dagster/history/runs"
    assert f"{(tmp_path / 'b').as_uri()}/tracking/artifacts/fraud/1" in _artifacts(tmp_path / "b")


def test_what_a_person_changed_in_the_configuration_stays(tmp_path: Path) -> None:
    _build(tmp_path / "a")
    configuration = tmp_path / "a" / "dagster" / "dagster.yaml"
    configuration.write_text(configuration.read_text().replace("limit: 1", "limit: 2  # ours"))
    (tmp_path / "a").rename(tmp_path / "b")
    settle(_own(tmp_path / "b"))
    text = (tmp_path / "b" / "dagster" / "dagster.yaml").read_text()
    assert "limit: 2  # ours" in text and str(tmp_path / "a") not in text


def test_a_configuration_without_quotes_is_understood(tmp_path: Path) -> None:
    _build(tmp_path / "a")
    configuration = tmp_path / "a" / "dagster" / "dagster.yaml"
    configuration.write_text(configuration.read_text().replace('"', ""))
    assert _history(tmp_path / "a") == f"{tmp_path}/a/dagster/history/runs"
    (tmp_path / "a").rename(tmp_path / "b")
    settle(_own(tmp_path / "b"))
    assert _history(tmp_path / "b") == f"{tmp_path}/b/dagster/history/runs"


def test_every_command_settles_its_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _build(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "b"))
    result = CliRunner().invoke(main, ["engine", "stop"])
    assert result.exit_code == 0, result.output
    assert _history(tmp_path / "b") == f"{tmp_path}/b/dagster/history/runs"

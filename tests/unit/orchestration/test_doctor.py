"""`evergreen doctor`: each check with what is good and what is bad, what it says to do, and the exit status."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs import settings
from jobs.secret import Url
from jobs.settings import Settings
from orchestration.cli import main
from orchestration.commands import doctor
from orchestration.commands.doctor import Check


@pytest.fixture
def listening() -> Iterator[str]:
    """`host:port` of a server on loopback that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent() -> str:
    """`host:port` of loopback where nothing listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:
    """However full the disk of this machine is."""
    monkeypatch.setattr(doctor, "NEEDED_DISK_GB", 0)


@pytest.fixture
def own(tmp_path: Path, listening: str) -> Settings:
    """A new home; a server that is not asked for more than its port stands for the engine, which takes seconds."""
    return with_environment(tmp_path / "home", listening)


def with_environment(home: Path, engine: str, **variables: str) -> Settings:
    return settings.load({"EVERGREEN_HOME": str(home), "SPARK_REMOTE": f"sc://{engine}", **variables})


def checks(own: Settings) -> dict[str, Check]:
    return {check.name: check for check in doctor.examine(own)}


def test_a_new_home_has_everything_that_is_needed(own: Settings) -> None:
    assert [check.name for check in checks(own).values() if check.needed and not check.good] == []
    assert doctor.run(own) == 0


@pytest.mark.parametrize(("version", "good"), [((3, 10, 9), False), ((3, 13, 1), True), ((3, 14, 0), False)])
def test_the_python_is_one_that_projects_were_run_with(
    own: Settings, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], good: bool
) -> None:
    monkeypatch.setattr("sys.version_info", version)
    found = checks(own)["Python"]
    assert found.good == good and found.found == ".".join(map(str, version)) and "3.11" in found.mend


def test_modules_of_a_project_that_are_called_like_ours_are_named(own: Settings, tmp_path: Path) -> None:
    assert checks(own)["packages"].good
    for name in ("shop/assets/shirts.py", "shop/jobs.py", "shop/serving/picture.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    bad = checks(replace(own, project=tmp_path / "shop"))["packages"]
    assert not bad.good and bad.needed
    assert "shop/assets" in bad.found and "shop/jobs.py" in bad.found and "serving" not in bad.found


def test_modules_of_the_working_folder_and_of_other_packages_are_named(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed"
    (installed / "other_jobs-1.0.dist-info").mkdir(parents=True)
    (installed / "other_jobs-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: other-jobs\n")
    (installed / "other_jobs-1.0.dist-info" / "top_level.txt").write_text("jobs\n")
    monkeypatch.syspath_prepend(installed)
    assert checks(own)["packages"].found == "jobs of the package other-jobs beside Evergreen's own"
    (tmp_path / "orchestration.py").touch()
    monkeypatch.chdir(tmp_path)
    assert f"{tmp_path / 'orchestration.py'}, jobs of" in checks(own)["packages"].found


def test_a_home_that_cannot_be_written_is_named(own: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    bad = checks(replace(own, home=tmp_path / "file" / "home"))["EVERGREEN_HOME"]
    assert not bad.good and bad.needed
    assert str(tmp_path / "file") in bad.found and "point EVERGREEN_HOME at" in bad.mend


def test_a_full_disk_is_bad(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks(own)["disk"].good
    monkeypatch.setattr(doctor, "NEEDED_DISK_GB", 10**9)
    bad = checks(own)["disk"]
    assert not bad.good and bad.needed and "free 1000000000 GB below" in bad.mend
    assert doctor.run(own) == 1


def test_an_engine_elsewhere_must_answer(own: Settings, silent: str) -> None:
    assert checks(own)["Spark (SPARK_REMOTE)"].found == str(own.spark_remote)
    bad = checks(replace(own, spark_remote=Url(f"sc://{silent}")))["Spark (SPARK_REMOTE)"]
    assert not bad.good and bad.needed
    assert f"nothing answers at {silent}" in bad.found and "unset SPARK_REMOTE" in bad.mend


def test_a_dead_embedded_engine_is_started_again(home: Settings, silent: str) -> None:
    state = home.home / "engine" / "server.json"
    state.parent.mkdir(parents=True)
    state.write_text(f'{{"port": {silent.partition(":")[2]}, "session_id": "gone"}}')
    good = checks(home)["embedded engine"]
    assert good.good and silent not in good.found


def test_an_embedded_engine_that_cannot_start_is_bad(home: Settings) -> None:
    home.home.mkdir()
    (home.home / "engine").write_text("in the way")
    bad = checks(home)["embedded engine"]
    assert not bad.good and bad.needed and str(home.home / "engine") in bad.mend
    assert doctor.run(home) == 1


@pytest.mark.parametrize(
    ("name", "variable", "url", "product"),
    [
        ("online store", "EVERGREEN_ONLINE_STORE", "redis://:secret@{}", "Redis"),
        ("ledger", "EVERGREEN_LEDGER", "postgresql://evergreen:secret@{}/ledger", "PostgreSQL"),
    ],
)
def test_a_store_elsewhere_must_answer(
    own: Settings, listening: str, silent: str, name: str, variable: str, url: str, product: str
) -> None:
    assert checks(own)[name] == Check(name, True, "SQLite under EVERGREEN_HOME")
    good = checks(with_environment(own.home, listening, **{variable: url.format(listening)}))[name]
    assert good.good and good.found == f"{product} at {listening}"
    down = with_environment(own.home, listening, **{variable: url.format(silent)})
    bad = checks(down)[name]
    assert not bad.good and bad.needed and bad.found == f"nothing answers at {silent}"
    assert "for SQLite" in bad.mend and "secret" not in f"{good}{bad}"
    assert doctor.run(down) == 1


def test_a_folder_of_topics_must_be_there(own: Settings, listening: str, tmp_path: Path) -> None:
    for folder, there in ((tmp_path, True), (tmp_path / "none", False)):
        found = checks(with_environment(own.home, listening, EVERGREEN_STREAM=f"files://{folder}"))["streams"]
        assert (found.good, found.found) == (there, f"files in {folder}")
    assert "streams" not in checks(with_environment(own.home, listening, EVERGREEN_STREAM="decisions://"))


def test_of_several_brokers_one_must_answer(own: Settings, listening: str, silent: str) -> None:
    assert "streams" not in checks(own)
    one = with_environment(own.home, listening, EVERGREEN_STREAM=f"kafka://eve:secret@{silent},{listening}")
    assert checks(one)["streams"].good and checks(one)["streams"].found == f"Kafka at {listening}"
    none = with_environment(own.home, listening, EVERGREEN_STREAM=f"kafka://eve:secret@{silent}")
    bad = checks(none)["streams"]
    assert (
        not bad.good and bad.needed and bad.found == f"none at kafka://***@{silent}" and "evergreen kafka" in bad.mend
    )


def test_a_port_that_is_taken_is_no_error(
    own: Settings, listening: str, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, taken = int(silent.partition(":")[2]), int(listening.partition(":")[2])
    monkeypatch.setattr(doctor, "UI_PORT", free)
    assert checks(own)[f"port {free} (UI)"].good
    monkeypatch.setattr(doctor, "UI_PORT", taken)
    bad = checks(own)[f"port {taken} (UI)"]
    assert not bad.good and bad.found == "in use" and "--port" in bad.mend
    assert doctor.run(own) == 0


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        ('openjdk version "17.0.9"', True),
        ('openjdk version "25" 2025-09-16', True),
        ('openjdk version "11.0.2"', False),
        ('java version "1.8.0_392"', False),
        (None, False),
    ],
)
def test_java_is_for_a_spark_of_ones_own_only(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str | None, good: bool
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    if answer is not None:
        (programs / "java").write_text(f"#!/bin/sh\necho '{answer}' >&2\n")
        (programs / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = checks(own)["Java 17"]
    assert (found.good, found.needed) == (good, False)
    assert found.found == (answer or "not on PATH") and "only for `evergreen spark`" in found.mend


def test_programs_of_optional_tests_are_named_with_their_package(
    own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = checks(own)
    for program in ("mvn", "chromium", "redis-server", "psql"):
        assert not found[program].good and not found[program].needed and "apt-get install" in found[program].mend
    assert doctor.run(own) == 0
    (tmp_path / "psql").write_text("")
    (tmp_path / "psql").chmod(0o755)
    assert checks(own)["psql"].found == str(tmp_path / "psql")


def test_the_command_prints_what_is_missing_and_how_to_mend_it(own: Settings, silent: str) -> None:
    environment = {"EVERGREEN_HOME": str(own.home), "SPARK_REMOTE": str(own.spark_remote), "COLUMNS": "200"}
    good = CliRunner().invoke(main, ["doctor"], env=environment)
    assert good.exit_code == 0 and "missing" not in good.output
    bad = CliRunner().invoke(main, ["doctor"], env={**environment, "EVERGREEN_LEDGER": f"postgresql://{silent}/l"})
    assert bad.exit_code == 1
    line = next(line for line in bad.output.splitlines() if "ledger" in line)
    assert "missing" in line and "unset EVERGREEN_LEDGER" in line

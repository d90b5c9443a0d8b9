"""An engine, a store or a disk that fails: a clear error, whole tables, and a next run that makes it good."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.secret import Url
from jobs.settings import Settings
from orchestration.error_boundary import NOBODY

Command = Callable[..., "subprocess.Popen[str]"]
RunHere = Callable[[Settings, list[str]], int]
Rows = Mapping[str, list[tuple[Any, ...]]]
NOWHERE = "127.0.0.1:1"
TOO_SMALL, FOR_DBT_ONLY, ENOUGH = "500k", "4m", "256m"


def finished(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output, _ = process.communicate(timeout=500)
    return process.returncode, output


def test_a_spark_that_does_not_answer_is_told_in_one_line(home: Settings, evergreen: Command, world: list[str]) -> None:
    status, output = finished(evergreen(home.home, "run", *world, SPARK_REMOTE=f"sc://{NOWHERE}"))
    assert status == 1
    assert len(output.splitlines()) == 1, output
    assert f"nothing answers at {NOWHERE}" in output and "unset SPARK_REMOTE" in output
    assert not Path(home.warehouse).exists()


@pytest.mark.timeout(900)
def test_an_online_store_that_does_not_answer_leaves_the_tables_whole(
    home: Settings,
    run_here: RunHere,
    world: list[str],
    clean: Rows,
    tables: Callable[..., Rows],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = f"redis://{NOWHERE}"
    monkeypatch.setenv("COLUMNS", "200")
    assert run_here(replace(home, online_store_url=Url(store)), world) == 1
    output = capsys.readouterr().out
    errors = [line for line in output.splitlines() if line.startswith("failed")]
    assert len(errors) == 1 and errors[0].startswith("failed fraud/features/online_store:"), output
    assert store in errors[0] and "Traceback" not in output
    assert tables(home.home) == clean


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, too small for a run."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = mount(folder, TOO_SMALL, "-t", "tmpfs")
    if mounted.returncode:
        pytest.fail(f"this test mounts a small file system, which needs root: {mounted.stderr}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def mount(folder: Path, size: str, *options: str) -> "subprocess.CompletedProcess[str]":
    arguments = ["mount", *options, "-o", f"remount,size={size}" if not options else f"size={size}"]
    return subprocess.run([*arguments, "tmpfs", str(folder)], check=False, capture_output=True, text=True)


@pytest.mark.timeout(900)
def test_a_full_disk_is_an_error_and_with_room_the_run_ends_like_a_clean_one(
    disk: Path,
    home: Settings,
    evergreen: Command,
    run_here: RunHere,
    world: list[str],
    clean: Rows,
    tables: Callable[..., Rows],
) -> None:
    status, output = finished(evergreen(home.home, "run", *world, EVERGREEN_WAREHOUSE=str(disk)))
    assert status == 1, output
    assert "expected room on the disk" in output and "Traceback" not in output, output
    for rows in tables(home.home, disk).values():
        assert len(rows) == len(set(rows))
    assert mount(disk, ENOUGH).returncode == 0
    assert run_here(replace(home, warehouse_url=str(disk)), world) == NOBODY
    assert tables(home.home, disk) == clean


def test_no_room_for_the_run_itself_is_told_without_a_trace(disk: Path, evergreen: Command, world: list[str]) -> None:
    assert mount(disk, FOR_DBT_ONLY).returncode == 0
    status, output = finished(evergreen(disk / "home", "run", *world))
    assert status == 1 and "Traceback" not in output, output
    assert "expected room on the disk" in output.splitlines()[-1], output

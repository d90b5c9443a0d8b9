"""How an exception ends: for a person at a terminal, and in Dagster."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import click
import dagster as dg
import pytest
from click.testing import CliRunner, Result

from assets.declare import TRACEBACK, readable
from jobs.errors import Invalid
from jobs.secret import Url
from jobs.settings import ROOT
from orchestration.cli import main
from orchestration.error_boundary import Commands, add_debug

CANARY = "c4n4ry"


def ended(tmp_path: Path, error: BaseException, *options: str) -> Result:
    """What a command that raises `error` ends in."""

    @click.command()
    def work() -> None:
        raise error

    group = Commands(commands={"work": work})
    add_debug(group)
    return CliRunner(env={"EVERGREEN_HOME": str(tmp_path / "home")}).invoke(group, ["work", *options])


def test_help_lists_each_command_with_its_whole_first_sentence() -> None:
    shown = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    for name, command in main.commands.items():
        first = " ".join(command.get_short_help_str(1_000).split())
        assert f"{name} {first}" in shown
    assert "..." not in shown.partition("Commands:")[2]


def test_what_a_person_can_mend_is_one_line_and_status_1(tmp_path: Path) -> None:
    result = ended(tmp_path, Invalid("x: expected 1, found [/b]\x1b[31m; correct it"))
    assert (result.exit_code, result.output) == (1, "Error: x: expected 1, found [/b]\\x1b[31m; correct it\n")
    assert not (tmp_path / "home").exists()


def test_a_bug_is_one_line_and_its_traceback_is_the_owners(tmp_path: Path) -> None:
    Url(f"postgresql://eve:{CANARY}@db/x")
    result = ended(tmp_path, KeyError(f"cannot reach {CANARY}"))
    log = tmp_path / "home" / "logs" / "errors.log"
    assert result.exit_code == 70 and len(result.output.splitlines()) == 1
    assert "unexpected KeyError" in result.output and str(log) in result.output and CANARY not in result.output
    assert log.stat().st_mode & 0o777 == 0o600 and "Traceback" in log.read_text() and CANARY not in log.read_text()


def test_a_module_of_ours_that_is_missing_is_a_bug(tmp_path: Path) -> None:
    assert ended(tmp_path, ModuleNotFoundError("No module", name="jobs.nothing")).exit_code == 70


def test_debug_shows_the_traceback_in_any_place(tmp_path: Path) -> None:
    assert "Traceback" in ended(tmp_path, Invalid("expected 1, found 2"), "--debug").output
    assert "Traceback" in ended(tmp_path, KeyError("x"), "--debug").output
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device", "/x/y"), "/x/y: expected room on the disk"),
        (PermissionError(13, "Permission denied", "/x"), "/x: expected permission"),
        (OSError(30, "Read-only file system", "/x"), "/x: expected a place that can be written"),
        (OSError(24, "Too many open files"), "too many open"),
        (MemoryError(), "expected enough memory"),
        (ConnectionRefusedError(111, "Connection refused"), "found nothing that answers"),
        (ModuleNotFoundError("No module", name="dagster.core"), "expected the Python package dagster, found it not"),
    ],
)
def test_the_machine_is_told_in_our_words(tmp_path: Path, error: Exception, expected: str) -> None:
    result = ended(tmp_path, error)
    assert result.exit_code == 1 and expected in result.output and "Errno" not in result.output


def test_ctrl_c_is_told_and_has_its_own_status() -> None:
    code = (
        "import time, click; from orchestration.error_boundary import Commands\n"
        "@click.command()\ndef work():\n    print('ready', flush=True); time.sleep(60)\n"
        "Commands(commands={'work': work})(['work'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and said.startswith("Interrupted") and "Traceback" not in said


@pytest.mark.parametrize(
    ("error", "described"),
    [
        (Invalid("x: expected 1, found 2; correct it"), "x: expected 1"),
        (KeyError(f"at {CANARY}"), "unexpected KeyError"),
    ],
)
def test_in_dagster_an_error_is_a_failure_without_secrets(error: Exception, described: str) -> None:
    Url(f"redis://:{CANARY}@db")

    @dg.op
    @readable
    def work() -> None:
        raise error

    @dg.job
    def job() -> None:
        work()

    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        events = str(instance.all_logs(result.run_id))
    [failed] = [e.step_failure_data for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    assert failed.user_failure_data is not None and CANARY not in events
    assert described in str(failed.user_failure_data.description)
    assert (TRACEBACK in failed.user_failure_data.metadata) == isinstance(error, KeyError)


PANIC = """
import sys
import click, polars
from orchestration.error_boundary import Commands, add_debug
from orchestration.process import end_at_once

@click.command()
@click.argument("how")
def work(how):
    print("to the left", file=sys.stderr)
    try:
        polars.Series([2**62]).cast(polars.Datetime("ms")).to_list()
    except polars.exceptions.PanicException:
        if how == "raises":
            raise
    if how == "at once":
        end_at_once(0)

group = Commands(commands={"work": work})
add_debug(group)
group()
"""


@pytest.mark.parametrize("how", ["raises", "catches", "at once"])
def test_a_panic_of_rust_is_told_in_a_line_at_most_and_its_words_are_in_the_log(tmp_path: Path, how: str) -> None:
    def words(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PANIC, "work", how, *options],
            env={"EVERGREEN_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "RUST_BACKTRACE": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    done, log = words(), tmp_path / "logs" / "errors.log"
    lines = done.stderr.splitlines()
    assert lines[0] == "to the left" and len(lines) == (2 if how == "raises" else 1), done.stderr
    assert done.returncode == (70 if how == "raises" else 0) and "panicked at" in log.read_text()
    assert "panicked at" in words("--debug").stderr

"""Runs of a small world that something stops at one of their writes: a kill, or a disk without room from then on.

The moments are traced, not listed: files that Python opens for writing, renames or removes, and statements that change
a SQLite database, are known exactly and before they happen; what the engine and other libraries write is noticed right
after it, by the file system's own notifications. A moment has the same name in every run.

As a program it makes the runs that lines of JSON ask for, each in a fork of a process that has imported everything.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from jobs import settings, unfinished
from jobs.limits import Limits
from jobs.problem import Family
from jobs.use_cases.fraud import FRAUD, PROBLEM

KILL, FULL = "kill", "full"
USE_CASE = replace(
    FRAUD,
    label_maturity=timedelta(days=3),
    problem=replace(
        PROBLEM,
        families=(Family("boosted", fixed={"rounds": 15, "num_leaves": 7, "min_data_in_leaf": 20}),),
        validation_window=timedelta(days=4),
        evaluation_window=timedelta(days=7),
        slices=(),
        fairness=(),
        limits=Limits(latency_ms=1000.0, training_noise=0.0),
    ),
)
"""Has a champion after 24 days."""
HEAVY = ("mlflow", "lightgbm", "onnxruntime", "onnx", "feast", "optuna", "dbt.cli.main", "dagster_dbt", "shap")
CHANGES = re.compile(r"\s*(insert|update|delete|replace|create|drop|alter|commit)\b(\s+\S+){0,2}", re.IGNORECASE)
ALIKE = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UUID"),
    (r"\b[0-9a-f]{12,}\b", "HEX"),
    (r"(?<=/)\.([^/]+)\.\w{6,8}(?=/|$)", r".\1.RANDOM"),
    (r"compute_logs/\w+", "compute_logs/NAME"),
    (r"dbt/target/(run|compiled)/.*(\.\w+)$", r"dbt/target/\1/NAME\2"),
    (r"locks/.*", "locks/NAME"),
    (r"=[^/]+", "=VALUE"),
    (r"\d{3,}", "NUMBER"),
)
"""What differs between the names of files of two runs, or of files written alike -> what stands for it."""
ATTEMPTS = 50
SILENT = (".crc", "#1", "-journal", "-wal", "-shm", ".log")
"""Ends of names of files that libraries write beside others, and of logs."""


@dataclass
class Trace:
    """Calls `act` with the name of each moment at which a home changes, the first time in this process."""

    home: str
    act: Callable[[str, str], None]
    seen: set[str] = field(default_factory=set)
    followed: set[str] = field(default_factory=set)
    """Files of which Python's events tell."""

    def start(self) -> None:
        sys.addaudithook(self._python)
        self._follow_sqlite()
        observer = Observer()
        observer.daemon = True
        observer.schedule(_Notified(self), self.home, recursive=True)
        observer.start()

    def moment(self, kind: str, path: object, detail: str = "") -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        text = os.path.abspath(os.fsdecode(path))
        if not text.startswith(f"{self.home}/"):
            return
        name = text.removeprefix(f"{self.home}/")
        for pattern, stands in ALIKE:
            name = re.sub(pattern, stands, name)
        name = f"{kind} {name} {detail}".strip()
        if name not in self.seen:
            self.seen.add(name)
            self.act(name, text)

    def _python(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self.followed.add(os.path.abspath(os.fsdecode(arguments[0])) if isinstance(arguments[0], str) else "")
            self.moment("open", arguments[0])
        elif event == "os.rename":
            self.followed.add(os.path.abspath(os.fsdecode(arguments[1])))
            self.moment("rename to", arguments[1])
        elif event == "os.remove" and os.path.lexists(arguments[0]):
            self.moment("remove", arguments[0])

    def _follow_sqlite(self) -> None:
        connect = sqlite3.connect

        def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*arguments, **options)
            file = connection.execute("pragma database_list").fetchone()[2]

            def traced(statement: str) -> None:
                if found := CHANGES.match(statement):
                    statement = found[1] if unfinished.SUFFIX in file else " ".join(found[0].lower().split())
                    self.moment("sqlite", file, statement)

            connection.set_trace_callback(traced)
            return connection

        sqlite3.connect = sqlite3.dbapi2.connect = connected  # type: ignore[assignment]


class _Notified(FileSystemEventHandler):
    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def on_any_event(self, event: FileSystemEvent) -> None:
        path = os.fsdecode(event.dest_path or event.src_path)
        told = event.is_directory or path.endswith(SILENT) or path in self.trace.followed
        if event.event_type in ("created", "moved") and not told:
            self.trace.moment("written", path)


def disturbed(order: dict[str, Any]) -> int:
    """One run, as an order says; its exit status.

    The order holds `home` and `files`; `trace` names the file to which moments are written, `fault` what happens at the
    moment `at`, or at the first one that is not among `spared`.
    """
    os.environ["EVERGREEN_HOME"] = order["home"]
    home = settings.load()
    home.home.mkdir(parents=True, exist_ok=True)
    moments = open(order["trace"], "a", buffering=1)  # noqa: SIM115 - for as long as the process lives
    spared = frozenset(order.get("spared", ()))
    done: list[str] = []

    def act(name: str, path: str) -> None:
        if done:
            return
        moments.write(f"{name}\n")
        if order.get("fault") and (name == order["at"] if order.get("at") else name not in spared):
            done.append(name)
            stop(order, name, path)

    Trace(str(home.home), act).start()
    return run(order)


def stop(order: dict[str, Any], name: str, path: str) -> None:
    """What happens at a moment. A file that is opened is there, and empty, when its process is killed."""
    if order["fault"] == FULL:
        resize(Path(order["home"]))
        return
    if name.startswith("open "):
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
    os.kill(os.getpid(), signal.SIGKILL)


def resize(disk: Path, size: int | None = None) -> None:
    """Make a file system in memory as large as `size` bytes; None: as what it holds."""
    for _ in range(ATTEMPTS):  # meanwhile somebody may write
        found = os.statvfs(disk)
        least = max(found.f_blocks - found.f_bfree, 1) * found.f_frsize  # 0 would be no limit
        command = ["mount", "-o", f"remount,size={size or least}", str(disk)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if not done.returncode:
            return
    raise RuntimeError(done.stderr)


def run(order: dict[str, Any]) -> int:
    """What `evergreen run` does, and its exit status."""
    from orchestration import library_output, run_command
    from orchestration.error_boundary import report

    files = {name: (Path(path),) for name, path in order["files"].items()}
    try:
        with library_output.apart(str):
            return run_command.run(settings.load(), USE_CASE, files, None, None, show=False)
    except Exception as error:
        return report(error)


def main() -> None:
    """Make the runs that lines on the input ask for; print the exit status of each."""
    for module in ("orchestration.lineage_run", *HEAVY):
        importlib.import_module(module)
    for line in sys.stdin:
        order = json.loads(line)
        if not (child := os.fork()):
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            status = 70
            try:
                status = disturbed(order)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()

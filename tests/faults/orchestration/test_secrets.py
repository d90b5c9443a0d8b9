"""A secret in a setting is in no output, no file, no event of Dagster and no argument of a process."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

from jobs.settings import Settings

CANARY = "c4n4ry-9d1f"
SECRETS = {
    "EVERGREEN_ONLINE_STORE": f"redis://:{CANARY}@127.0.0.1:1",
    "EVERGREEN_PREDICTIONS": f"postgresql://eve:{CANARY}@127.0.0.1:1/x?password={CANARY}",
    "EVERGREEN_ALERT_WEBHOOK": f"http://127.0.0.1:1/{CANARY}?token={CANARY}",
    "EVERGREEN_ALERT_WEBHOOK_SECRET": CANARY,
    "EVERGREEN_ALERT_EMAIL": f"smtp://eve:{CANARY}@127.0.0.1:1/?from=a@b.org&to=c@d.org",
}


def arguments(process: psutil.Process) -> list[str]:
    """The arguments of a process and of all that it started."""
    found = []
    for each in [process, *process.children(recursive=True)]:
        try:
            found += each.cmdline()
        except psutil.NoSuchProcess:
            continue
    return found


def test_a_run_that_fails_leaves_no_secret(
    home: Settings, evergreen: Callable[..., subprocess.Popen[str]], world: list[str]
) -> None:
    process = evergreen(home.home, "run", *world, **SECRETS)
    seen: set[str] = set()
    while process.poll() is None:
        try:
            seen |= set(arguments(psutil.Process(process.pid)))
        except psutil.NoSuchProcess:
            break
        try:
            output, _ = process.communicate(timeout=0.3)
        except subprocess.TimeoutExpired:
            continue
    output = output if process.stdout is None or process.stdout.closed else process.stdout.read()
    assert process.returncode == 1 and "online_store" in output, output
    assert CANARY not in output and any("engine_server" in text for text in seen)
    assert not [text for text in seen if CANARY in text]
    files = [file for file in Path(home.home).rglob("*") if file.is_file()]
    assert len(files) > 100 and [file for file in files if CANARY.encode() in file.read_bytes()] == []

"""Which process is meant by a number that was written down: numbers are given out again, also after a restart.

A process is known by its number and its start. What processes do is not known here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

_STARTED = 19
"""Place of the start, in ticks since the machine's, among what `/proc/PID/stat` says after the name (proc(5))."""


def start_of(pid: int) -> float:
    """Seconds from a fixed moment to the start of a process: the same at every look, whatever is done to the clock.

    On Linux the fixed moment is the machine's own start: a clock that is set, as after a suspended machine went on,
    moves the start of every process elsewhere. Raises psutil.NoSuchProcess.
    """
    if sys.platform != "linux":
        return psutil.Process(pid).create_time()
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    return int(stat.rpartition(")")[2].split()[_STARTED]) / os.sysconf("SC_CLK_TCK")


def this_process() -> str:
    """Identifies this process beyond reuse of its number."""
    return f"{os.getpid()}@{start_of(os.getpid()):.2f}"


def is_alive(process: str) -> bool:
    """Whether a process that `this_process` identified still runs."""
    pid, _, started = process.partition("@")
    try:
        return f"{start_of(int(pid)):.2f}" == started
    except (psutil.NoSuchProcess, ValueError):  # gone, or what was written down is damaged
        return False

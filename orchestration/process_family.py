"""Processes that belong together: whatever was started with the same mark in its environment, by whichever of them.

As a program it waits until its standard input is closed, as it is when the process that holds the other end dies, and
ends the family then. It stays small: it runs as long as the family does.
"""

import contextlib
import os
import shutil
import sys
import time

import psutil

MARK = "EVERGREEN_FAMILY"
"""Variable that names the family of a process."""
POLL_SECONDS, KILLED_SECONDS = 0.1, 10.0
ENGINE = "jobs.lakehouse.engine_server"
"""The engine serves every process of a home, and outlives the one that started it."""


def members(family: str) -> list[psutil.Process]:
    """Processes of a family that run, this one and the engine aside."""
    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _belongs(process, family)]


def _belongs(process: psutil.Process, family: str) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        return process.environ().get(MARK) == family and ENGINE not in process.cmdline()
    return False


def end(family: str, patience: float) -> None:
    """Tell all of a family to end, and kill what still runs after `patience` seconds."""
    for process in members(family):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    told = time.monotonic()
    while (left := members(family)) and (waited := time.monotonic() - told) < patience + KILLED_SECONDS:
        for process in left if waited > patience else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(POLL_SECONDS)


def main(family: str, patience: str, scratch: str, what_else: str = "") -> None:
    """The program; the folder `scratch` goes too. `what_else` "engine": the engine of the home is stopped as well."""
    sys.stdin.read()
    end(family, float(patience))
    shutil.rmtree(scratch, ignore_errors=True)
    if what_else == "engine":
        from jobs import settings
        from jobs.lakehouse import engine_process

        engine_process.stop(settings.load())


if __name__ == "__main__":
    main(*sys.argv[1:])

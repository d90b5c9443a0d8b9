"""How one process takes a stream over from another that runs: it asks, and the other commits, ends and makes room.

Who may ask, and what it does before, is in `jobs.streams.succession`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from jobs.processes import is_alive, this_process
from jobs.settings import Settings
from jobs.state_files import file_lock, read_memory, replace_json
from jobs.streams import control
from jobs.use_case import UseCase


def is_asked(settings: Settings, use_case: UseCase) -> bool:
    """Whether another process waits to take the stream over from this one."""
    process = read_memory(_file(settings, use_case), lambda stored: str(stored["process"]))
    return process is not None and process != this_process() and is_alive(process)


@contextlib.contextmanager
def taken_over(settings: Settings, use_case: UseCase, waiting: Callable[[], None]) -> Iterator[None]:
    """Held, as `control.only_one`, once the process that runs the stream made room, or died.

    `waiting` is called meanwhile, and may raise.
    """
    file = _file(settings, use_case)
    replace_json(file, {"process": this_process()})
    try:
        with file_lock(control.lock_file(settings, use_case), waiting):
            file.unlink(missing_ok=True)
            yield
    finally:
        if not is_asked(settings, use_case):
            file.unlink(missing_ok=True)


def _file(settings: Settings, use_case: UseCase) -> Path:
    return control.folder(settings, use_case) / "successor.json"

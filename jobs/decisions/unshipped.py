"""How far the log of decisions goes beyond what was shipped of it; shipping itself is in `jobs.decisions.shipping`."""

from __future__ import annotations

from datetime import datetime, timedelta

from jobs.decisions.opened import log_file, log_of, shipped_file, was_served
from jobs.online.log_records import Log, Record
from jobs.settings import Settings
from jobs.state_files import read_memory
from jobs.times import moment_of
from jobs.use_case import UseCase

LATELY = timedelta(days=2)
"""Time after the last decision in which its hours are looked at."""


def position(settings: Settings, use_case: UseCase) -> int | None:
    """Up to which position the log goes beyond what was shipped of it; None: it does not, as far as can be told now."""
    if not was_served(settings, use_case):
        return None
    if settings.online_store_url is None:
        size = log_file(settings, use_case).stat().st_size
        return size if size > _shipped(settings, use_case) else None
    try:
        with log_of(settings, use_case) as log:
            behind = first(settings, use_case, log)
    except OSError:
        return None
    return None if behind is None else behind.end


def decided_lately(settings: Settings, use_case: UseCase, now: datetime) -> bool:
    """Whether decisions are not shipped yet, or were made in the days before `now`, as far as can be told now."""
    if not was_served(settings, use_case):
        return False
    last = read_memory(shipped_file(settings, use_case), lambda found: int(found["last"])) or 0
    return position(settings, use_case) is not None or now - moment_of(last) < LATELY


def first(settings: Settings, use_case: UseCase, log: Log) -> Record | None:
    """The first record of a log that was not shipped; None: all were. Raises OSError if a store does not answer."""
    return next(iter(log.records(_shipped(settings, use_case))), None)


def _shipped(settings: Settings, use_case: UseCase) -> int:
    return read_memory(shipped_file(settings, use_case), lambda found: int(found["position"])) or 0

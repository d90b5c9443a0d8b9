"""The file of a home that tracebacks of unexpected errors are added to, for whoever mends the bug."""

from __future__ import annotations

import os
import traceback
from datetime import UTC, datetime
from pathlib import Path

from jobs.secret import hide

LONGEST = 1_000_000
"""Bytes from which the file begins anew."""


def traceback_of(error: BaseException) -> str:
    """The traceback as text, without secrets."""
    return hide("".join(traceback.format_exception(error)))


def append(home: Path, where: str, text: str) -> Path | None:
    """Add a traceback to `home/logs/errors.log`; None if it cannot be written."""
    log = home / "logs" / "errors.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        new = not log.exists() or log.stat().st_size > LONGEST
        # Tracebacks quote data: the file is its owner's from the moment it is there.
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if new else os.O_APPEND), 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {where}\n{text}\n")
    except OSError:
        return None
    return log

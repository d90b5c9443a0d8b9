"""Why a step of a run failed, as Dagster recorded it."""

from __future__ import annotations

from typing import Any

from assets.declare import TRACEBACK
from jobs.display import plain


def cause(failure: Any) -> str:
    """What a person can act on: the description of the failure, or the innermost error."""
    if (data := failure.user_failure_data) and data.description:
        return plain(data.description)
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return plain(error.message.strip()) if error else "failed"


def traceback(failure: Any) -> str | None:
    """The traceback of a failure that is a bug."""
    data = failure.user_failure_data
    return str(data.metadata[TRACEBACK].value) if data and TRACEBACK in data.metadata else None

"""What a tick of a schedule or a sensor says where it can do nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import dagster as dg

from jobs.error_messages import message_of

Evaluate = TypeVar("Evaluate", bound=Callable[..., Any])
NO_DATA = dg.SkipReason("no input is registered yet: `evergreen run` does it")
"""What every sensor and schedule of a use case without data says, and does."""


def in_one_line(evaluate: Evaluate) -> Evaluate:
    """The function of a tick which says in one line what a person can mend, where Dagster would show a traceback.

    The next tick tries again. A bug is raised as it is.
    """

    @functools.wraps(evaluate)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        try:
            return evaluate(*arguments, **named)
        except Exception as error:
            message = message_of(error)
            if message is None:
                raise
            return dg.SkipReason(message)

    return wrapped  # type: ignore[return-value]

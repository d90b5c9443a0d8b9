"""Why a request is not answered: a status and a sentence, for whatever protocol it came by."""

from __future__ import annotations

from jobs.errors import EvergreenError


class Refusal(EvergreenError, ValueError):
    """A request that cannot be answered; the message says what was expected, what was found and what to do."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds after which the same request may be answered."""
        self.status = status
        """Of HTTP: 400 for what the client should send otherwise, 404 for what there is not."""


def bad(message: str) -> Refusal:
    """The refusal of a request that is not as the protocol says."""
    return Refusal(400, message)

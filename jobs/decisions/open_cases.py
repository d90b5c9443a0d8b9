"""The open cases of a log, for people who look from outside of a server; nothing is handed out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.decisions import opened
from jobs.decisions.live_reviews import LiveReviews
from jobs.settings import Settings
from jobs.use_case import UseCase, review_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def open_cases(settings: Settings, use_case: UseCase, room: int) -> list[dict[str, Any]]:
    """Id, expected loss, moment and holder of each case at the log's last record, the largest loss first.

    The clock of the log counts, as servers may go by another one (`evergreen serve --as-of`).

    Args:
        room: as `LiveReviews` takes it.

    Raises:
        Invalid: nothing is reviewed, or servers decide by other declarations.
        OSError: the store does not answer.
    """
    review_of(use_case)
    if not opened.was_served(settings, use_case):
        return []
    with opened.log_of(settings, use_case) as log:
        base, last = opened.last_base(log)[0], log.last_stamp()
    if base is None:
        return []
    decider = opened.open_decider(settings, use_case, lambda: last)
    try:
        found = LiveReviews(use_case, decider, room).open_cases(last)
    finally:
        decider.close()
    return [
        {use_case.event_id: case.id, "expected_loss": case.loss,
         "decided_at": _EPOCH + timedelta(microseconds=case.decided_at), "handed_to": holder}
        for case, holder in found
    ]  # fmt: skip

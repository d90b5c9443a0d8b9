"""What administrators did: keys that were made or removed, and calls that only the scope `admin` opened.

Rows are written before what they tell of is done, are never changed, and hold no secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from jobs.ledger.statements import execute
from jobs.settings import Settings


@dataclass(frozen=True)
class AdminAction:
    """Who does what, and from where."""

    by: str
    """A user of a machine, the name of a key, the subject of a token, or an address: `user ada`, `key shop`."""
    action: str
    """Such as `keys add`, or method and path of a call."""
    subject: str
    """What it is done to, in words; empty for a call."""
    origin: str
    """The machine of a command, or the address of a client."""


def record(settings: Settings, done: AdminAction, now: datetime) -> None:
    """Keep an action. Raises LedgerUnreachable if that is not possible: then it must not be done."""
    query = (
        'insert into admin_actions (acted_at, "by", action, subject, origin)'
        " values (:acted_at, :by, :action, :subject, :origin)"
    )
    moment = now.astimezone(UTC).isoformat(timespec="microseconds")
    execute(settings, query, [{"acted_at": moment, **vars(done)}])


def latest(settings: Settings, most: int) -> list[tuple[datetime, AdminAction]]:
    """The last actions and their moments, the newest first."""
    query = 'select acted_at, "by", action, subject, origin from admin_actions order by id desc limit :most'
    rows = execute(settings, query, [{"most": most}])
    return [(datetime.fromisoformat(moment), AdminAction(*texts)) for moment, *texts in rows]

"""Writes into the ledger what administrators do, before it is done."""

from __future__ import annotations

import os
import pwd
import socket
from datetime import UTC, datetime

from jobs.errors import EvergreenError
from jobs.ledger import admin_actions
from jobs.ledger.admin_actions import AdminAction
from jobs.settings import Settings
from serving.web.callers import Asked, Caller, Denied

LONGEST_ACTION = 200
UNKEPT = "the ledger does not take what administrators do, so that it is not done; start the ledger, or ask again later"


def command(settings: Settings, action: str, subject: str, now: datetime) -> None:
    """Keep what the user of this machine does by a command. Raises LedgerUnreachable if that is not possible."""
    admin_actions.record(settings, AdminAction(f"user {_user()}", action, subject, socket.gethostname()), now)


def call(settings: Settings, caller: Caller, asked: Asked) -> Caller | Denied:
    """The caller, once what is asked was kept; or why it is not answered."""
    done = AdminAction(caller.name, asked.action[:LONGEST_ACTION], "", asked.address)
    try:
        admin_actions.record(settings, done, datetime.now(UTC))
    except (EvergreenError, OSError):
        return Denied(503, UNKEPT)
    return caller


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container
        return str(os.getuid())

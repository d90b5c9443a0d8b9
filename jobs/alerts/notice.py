"""A notice: one notification about an alert, as channels deliver it. How it is delivered belongs to
`jobs.alerts.channels`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.settings import Severity

LOGGER = logging.getLogger("evergreen.alerts")
SEVERITIES: Mapping[Severity, int] = {"warning": logging.WARNING, "error": logging.ERROR}
"""Severities and their levels of logging."""


@dataclass(frozen=True)
class Notice:
    """One notification about an alert, with texts that are safe to send."""

    key: str
    """The same whenever this notification is delivered, so that a receiver can drop a second copy."""
    use_case: str
    kind: str
    subject: str
    message: str
    severity: Severity
    as_of: datetime
    raised_at: datetime
    reminder: int
    """Number of notifications about the same alert before this one."""
    resolved_at: datetime | None
    evidence: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Severity, kind and subject on one line, and whether the alert is new."""
        state = " (resolved meanwhile)" if self.resolved_at else " (still)" if self.reminder else ""
        return f"{self.severity}: {self.use_case} {self.kind.replace('_', ' ')}, {self.subject}{state}"

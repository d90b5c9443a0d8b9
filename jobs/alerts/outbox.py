"""The outbox of alerts: one notification while a condition lasts, over every configured channel, in spite of kills
and restarts.

An alert is recorded first, in the ledger's database with a delivery per channel (`jobs.alerts.records`), and delivered
then (`jobs.alerts.channels`). Conditions are found elsewhere: `jobs.alerts.freshness`, assets, sensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobs.alerts import channels as alert_channels
from jobs.alerts import records, redaction
from jobs.alerts.records import Delivery
from jobs.errors import Invalid
from jobs.ledger.database import repeated, transaction
from jobs.settings import Settings, Severity

LONGEST_SUBJECT = 300


@dataclass(frozen=True)
class Alert:
    """A condition that a person should know of. Alerts of one `use_case`, `kind` and `subject` are one condition."""

    use_case: str
    kind: str
    """What is wrong, such as "change", "late_predictions", "stale_features", "run_failed", "rollback"."""
    subject: str
    """What it is wrong with: a test, a feature, a table, a day."""
    message: str
    """One sentence in plain words: what was expected, what was found, what to do."""
    severity: Severity
    as_of: datetime
    """Moment of the use case's world at which the condition was found."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Numbers and names behind the message; what is no JSON is sent as its text."""


@dataclass(frozen=True)
class RecordedAlert:
    """An alert and its notifications, as recorded."""

    alert: Alert
    raised_at: datetime
    notified_at: datetime
    """Moment of the last notification."""
    notifications: int
    resolved_at: datetime | None
    waiting: Mapping[str, str | None]
    """Channels that have not delivered the last notification, and why (None: not tried yet)."""


def send(settings: Settings, alert: Alert, now: datetime) -> bool:
    """Send an alert once per condition; again only after a week, or when it became worse.

    No channel can fail the caller: what was not delivered is tried again by the next `send` or `flush`.

    Returns:
        Whether a notification was recorded.

    Raises:
        LedgerUnreachable: nothing was recorded, nor sent.
        ValueError: a moment without a zone.
    """
    if alert.as_of.tzinfo is None or now.tzinfo is None:
        raise Invalid(f"alert: expected moments with a zone, found {alert.as_of} and {now}; add tzinfo=UTC")
    channels = alert_channels.configured(settings, alert.severity)
    safe = {
        "subject": _subject(alert.subject),
        "message": redaction.line(alert.message),
        "evidence": redaction.without_secrets(alert.evidence),
    }
    notified = repeated(settings, lambda connection: records.record(connection, {**vars(alert), **safe}, channels, now))
    flush(settings, now)
    return notified


def resolve(settings: Settings, use_case: str, kind: str, subject: str, now: datetime) -> bool:
    """End a condition, so that an alert is sent again if it comes back. Returns whether it was open."""
    key = {"use_case": use_case, "kind": kind, "subject": _subject(subject)}
    return repeated(settings, lambda connection: records.close(connection, key, now))


def settle(settings: Settings, use_case: str, kind: str, alerts: Sequence[Alert], now: datetime) -> tuple[int, int]:
    """Send `alerts`, which are all that hold of this kind, and resolve those that are open and not among them.

    Returns:
        How many notifications were recorded, and how many alerts were resolved.
    """
    holding = {_subject(alert.subject) for alert in alerts}
    over = [subject for subject in open_subjects(settings, use_case, kind) if subject not in holding]
    resolved = sum(resolve(settings, use_case, kind, subject, now) for subject in over)
    return sum(send(settings, alert, now) for alert in alerts), resolved


def flush(settings: Settings, now: datetime) -> int:
    """Deliver what waits, as far as channels answer. Returns the number of deliveries made.

    Several processes may do so at once: each delivery is taken by one of them. If that one is killed, the delivery is
    made again, with the same key, once its lease is over.
    """
    channels = alert_channels.configured(settings, "error")
    outcomes: dict[str, list[bool]] = {channel: [] for channel in channels}
    for delivery in repeated(settings, lambda connection: records.waiting(connection, channels, now)):
        # Each delivery of a channel that does not answer would wait for as long again.
        if all(outcomes[delivery.channel]):
            outcomes[delivery.channel] += _delivered(settings, delivery, now)
    return sum(sum(ended) for ended in outcomes.values())


def _delivered(settings: Settings, delivery: Delivery, now: datetime) -> list[bool]:
    """Whether a delivery succeeded; empty if another process made it."""
    notice = repeated(settings, lambda connection: records.claim(connection, delivery, now))
    if notice is None:
        return []
    failure = alert_channels.deliver(settings, delivery.channel, notice)
    repeated(settings, lambda connection: records.end(connection, delivery, failure, now))
    return [failure is None]


def recorded(settings: Settings, use_case: str | None = None, resolved: bool = False) -> list[RecordedAlert]:
    """Open alerts of a use case (None: of all), oldest first; with `resolved` also those that are over."""
    with transaction(settings) as connection:
        rows, waiting = records.read(connection, use_case, resolved)
    return [
        RecordedAlert(
            Alert(row.use_case, row.kind, row.subject, row.message, row.severity, row.as_of, row.evidence),
            row.raised_at, row.notified_at, row.notifications, row.resolved_at, waiting.get(row.id, {}),
        )
        for row in rows
    ]  # fmt: skip


def open_subjects(settings: Settings, use_case: str, kind: str) -> list[str]:
    """Subjects of the open alerts of a kind, oldest first."""
    return [each.alert.subject for each in recorded(settings, use_case) if each.alert.kind == kind]


def _subject(subject: str) -> str:
    return redaction.line(subject, LONGEST_SUBJECT)

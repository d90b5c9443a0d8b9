"""Alerts: told once while a condition lasts, over every configured channel, in spite of kills and restarts.

An alert is recorded first, in the ledger's database with a delivery per channel (`jobs.alerts.records`), and delivered
then (`jobs.alerts.channels`). What is wrong is said by others: `jobs.alerts.freshness`, assets, sensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobs.alerts import channels as alert_channels
from jobs.alerts import records, redaction
from jobs.alerts.records import Delivery
from jobs.ledger.database import repeated, transaction
from jobs.settings import Settings, Severity

LONGEST_SUBJECT = 300


@dataclass(frozen=True)
class Alert:
    """Something that a person should know. The same `use_case`, `kind` and `subject` are the same condition."""

    use_case: str
    kind: str
    """What is wrong, such as "drift", "performance", "late_predictions", "run_failed", "rollback"."""
    subject: str
    """Of what exactly: a feature, a table, a day."""
    said: str
    """One sentence in plain words: what was expected, what was found, what to do."""
    severity: Severity
    as_of: datetime
    """The moment of the use case's world that it was seen at."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """As JSON; anything else is told as its text."""


@dataclass(frozen=True)
class RecordedAlert:
    """An alert as recorded."""

    alert: Alert
    raised_at: datetime
    told_at: datetime
    """When it was told last."""
    tellings: int
    resolved_at: datetime | None
    waiting: Mapping[str, str | None]
    """Channels that have not delivered the last telling, and why (None: not tried yet)."""


def send(settings: Settings, alert: Alert, now: datetime) -> bool:
    """Tell an alert, unless its condition is told already: then again only after a week, or when it became worse.

    No channel can fail the caller: what was not delivered is tried again by the next `send` or `flush`.

    Returns:
        Whether there was something to tell.

    Raises:
        LedgerUnreachable: nothing was recorded, nor told.
        ValueError: a moment without a zone.
    """
    if alert.as_of.tzinfo is None or now.tzinfo is None:
        raise ValueError(f"alert: expected moments with a zone, found {alert.as_of} and {now}; add tzinfo=UTC")
    hidden, channels = redaction.secrets(settings), alert_channels.configured(settings, alert.severity)
    safe = {
        "subject": _subject(settings, alert.subject),
        "said": redaction.line(alert.said, hidden),
        "evidence": redaction.plain(alert.evidence, hidden),
    }
    recorded = repeated(settings, lambda connection: records.record(connection, {**vars(alert), **safe}, channels, now))
    flush(settings, now)
    return recorded


def resolve(settings: Settings, use_case: str, kind: str, subject: str, now: datetime) -> bool:
    """The condition is over, and would be told if it came back. Returns whether it was open."""
    key = {"use_case": use_case, "kind": kind, "subject": _subject(settings, subject)}
    return repeated(settings, lambda connection: records.close(connection, key, now))


def settle(settings: Settings, use_case: str, kind: str, alerts: Sequence[Alert], now: datetime) -> tuple[int, int]:
    """Tell `alerts`, which are all that hold of this kind, and resolve what was open and is not among them.

    Returns:
        How many there were to tell, and how many were resolved.
    """
    holding = {_subject(settings, alert.subject) for alert in alerts}
    over = [subject for subject in open_subjects(settings, use_case, kind) if subject not in holding]
    resolved = sum(resolve(settings, use_case, kind, subject, now) for subject in over)
    return sum(send(settings, alert, now) for alert in alerts), resolved


def flush(settings: Settings, now: datetime) -> int:
    """Deliver what waits, as far as channels answer; returns how many were delivered.

    Several processes may do so at once: each delivery is taken by one of them. One that is killed while it delivers
    leaves it to be delivered again, with the same key, once its lease is over.
    """
    channels = alert_channels.configured(settings, "error")
    outcomes: dict[str, list[bool]] = {channel: [] for channel in channels}
    for delivery in repeated(settings, lambda connection: records.waiting(connection, channels, now)):
        # A channel that does not answer would let us wait again for each of its deliveries.
        if all(outcomes[delivery.channel]):
            outcomes[delivery.channel] += _delivered(settings, delivery, now)
    return sum(sum(ended) for ended in outcomes.values())


def _delivered(settings: Settings, delivery: Delivery, now: datetime) -> list[bool]:
    """Whether a delivery succeeded; nothing if it was another process's."""
    notice = repeated(settings, lambda connection: records.claim(connection, delivery, now))
    if notice is None:
        return []
    failure = alert_channels.deliver(settings, delivery.channel, notice)
    repeated(settings, lambda connection: records.end(connection, delivery, failure, now))
    return [failure is None]


def told(settings: Settings, use_case: str | None = None, resolved: bool = False) -> list[RecordedAlert]:
    """Open alerts (also the resolved ones) of a use case (of all), oldest first."""
    with transaction(settings) as connection:
        rows, waiting = records.read(connection, use_case, resolved)
    return [
        RecordedAlert(
            Alert(row.use_case, row.kind, row.subject, row.said, row.severity, row.as_of, row.evidence),
            row.raised_at, row.told_at, row.tellings, row.resolved_at, waiting.get(row.id, {}),
        )
        for row in rows
    ]  # fmt: skip


def open_subjects(settings: Settings, use_case: str, kind: str) -> list[str]:
    """Subjects of the open alerts of a kind, oldest first."""
    return [found.alert.subject for found in told(settings, use_case) if found.alert.kind == kind]


def _subject(settings: Settings, subject: str) -> str:
    return redaction.line(subject, redaction.secrets(settings), LONGEST_SUBJECT)

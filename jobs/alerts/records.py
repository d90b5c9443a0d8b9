"""Alerts and their deliveries in the ledger's database; every function is a part of one transaction.

What is sent, and through which channels, is decided in `jobs.alerts.outbox`. Importing this module imports SQLAlchemy.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from jobs.alerts.notice import SEVERITIES, Notice
from jobs.ledger.schema import alert_deliveries, alerts

REMIND_AFTER = timedelta(days=7)
LEASE = timedelta(minutes=10)
"""A process that took a delivery and did not end it within this time was killed; longer than any delivery takes."""
LARGEST_BATCH = 50
"""Deliveries of one call; the rest waits for the next."""


class Delivery(NamedTuple):
    """One notification about an alert over one channel."""

    alert: int
    notification: int
    channel: str


def record(connection: sa.Connection, values: Mapping[str, Any], channels: Sequence[str], now: datetime) -> bool:
    """Record an alert and its deliveries if it is new, worse than before, or due for a reminder. Returns whether it
    was recorded."""
    before = connection.execute(alerts.select().where(_open(values))).first()
    if before is None:
        new = alerts.insert().values(**values, raised_at=now, notified_at=now, notifications=1).returning(alerts.c.id)
        alert, number = connection.execute(new).scalar_one(), 1
    elif now - before.notified_at >= REMIND_AFTER or SEVERITIES[values["severity"]] > SEVERITIES[before.severity]:
        alert, number = before.id, before.notifications + 1
        newer = {**values, "notified_at": now, "notifications": number}
        connection.execute(alerts.update().where(alerts.c.id == alert).values(newer))
        # Earlier notifications that were not delivered would repeat this one.
        connection.execute(alert_deliveries.delete().where((alert_deliveries.c.alert == alert) & _undelivered()))
    else:
        return False
    rows = [{**Delivery(alert, number, channel)._asdict(), "attempts": 0} for channel in channels]
    connection.execute(alert_deliveries.insert(), rows)
    return True


def close(connection: sa.Connection, key: Mapping[str, Any], now: datetime) -> bool:
    """Resolve an alert. Returns whether it was open."""
    return bool(connection.execute(alerts.update().where(_open(key)).values(resolved_at=now)).rowcount)


def waiting(connection: sa.Connection, channels: Sequence[str], now: datetime) -> list[Delivery]:
    """Deliveries that are to be made; those that failed less often first, so that none blocks the others."""
    table = alert_deliveries
    query = table.select().where(_free(now) & table.c.channel.in_(channels))
    rows = connection.execute(query.order_by(table.c.attempts, table.c.alert, table.c.channel).limit(LARGEST_BATCH))
    return [Delivery(row.alert, row.notification, row.channel) for row in rows]


def claim(connection: sa.Connection, delivery: Delivery, now: datetime) -> Notice | None:
    """Take a delivery. Returns its notice; None if another process has taken it, or has made it."""
    table = alert_deliveries
    taking = table.update().where(_is(delivery) & _free(now)).values(claimed_at=now, attempts=table.c.attempts + 1)
    if not connection.execute(taking).rowcount:
        return None
    row = connection.execute(alerts.select().where(alerts.c.id == delivery.alert)).one()
    names = ("use_case", "kind", "subject", "message", "severity", "as_of", "raised_at", "resolved_at", "evidence")
    # An id would come back after a home was deleted.
    identity = "\n".join((row.use_case, row.kind, row.subject, row.raised_at.isoformat(), str(delivery.notification)))
    key = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return Notice(key=key, reminder=delivery.notification - 1, **{name: getattr(row, name) for name in names})


def end(connection: sa.Connection, delivery: Delivery, failure: str | None, now: datetime) -> None:
    """Record how a delivery ended; after a failure every process may try again."""
    values = {"claimed_at": None, "delivered_at": None if failure else now, "failure": failure}
    connection.execute(alert_deliveries.update().where(_is(delivery)).values(values))


def read(
    connection: sa.Connection, use_case: str | None, resolved: bool
) -> tuple[Sequence[sa.Row[Any]], dict[int, dict[str, str | None]]]:
    """Rows of `alerts`, oldest first, and by their ids the channels that have not delivered, with the last failure."""
    query = alerts.select().order_by(alerts.c.id)
    query = query if use_case is None else query.where(alerts.c.use_case == use_case)
    rows = connection.execute(query if resolved else query.where(alerts.c.resolved_at.is_(None))).all()
    undelivered: dict[int, dict[str, str | None]] = {}
    for row in connection.execute(alert_deliveries.select().where(_undelivered())):
        undelivered.setdefault(row.alert, {})[row.channel] = row.failure
    return rows, undelivered


def _open(key: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    same = (alerts.c[name] == key[name] for name in ("use_case", "kind", "subject"))
    return sa.and_(alerts.c.resolved_at.is_(None), *same)


def _is(delivery: Delivery) -> sa.ColumnElement[bool]:
    return sa.and_(*(alert_deliveries.c[name] == value for name, value in delivery._asdict().items()))


def _undelivered() -> sa.ColumnElement[bool]:
    return alert_deliveries.c.delivered_at.is_(None)


def _free(now: datetime) -> sa.ColumnElement[bool]:
    """Neither delivered nor claimed. A claim from the future is one of a clock that went backwards."""
    claimed = alert_deliveries.c.claimed_at
    return _undelivered() & (claimed.is_(None) | (claimed <= now - LEASE) | (claimed >= now + LEASE))
